/*
 * console_inside - what the console's files share.
 */
#ifndef STANDPIPE_GATE_CONSOLE_INSIDE_H
#define STANDPIPE_GATE_CONSOLE_INSIDE_H

#include "base/buffer.h"
#include "base/error.h"
#include "gate/client.h"
#include "gate/command.h"
#include "gate/table.h"

/* Longer messages end the session: nobody types that. */
#define CONSOLE_MESSAGE_MAX 65536

/* Prepared statements, and portals, that one session may have. Portals may hold rows. */
#define CONSOLE_STATEMENTS_MAX 64
#define CONSOLE_PORTALS_MAX    8

enum console_rights { RIGHTS_NONE, RIGHTS_STATS, RIGHTS_ADMIN };

/* A prepared statement, or a portal. */
struct console_prepared {
	struct console_prepared *next;
	char *name;
	struct command command;
	uint64_t binary; /* of a portal: bit i for column i */
	bool begun; /* of a portal: it has been executed, at least in part */
	int64_t count; /* of the rows that it gives */
	struct buffer rows; /* DataRows that are still to be sent */
};

/* What a session waits for. */
struct console_wait {
	const char *tag;
	bool (*is_over)(struct client *c);
	void (*cancelled)(struct client *c); /* NULL: nothing is to be undone */
	enum command_verb undo; /* ... at the other workers; COMMAND_EMPTY: nothing */
};

struct console {
	enum console_rights rights;
	char *user, *database, *application_name;
	char *text; /* a simple query that is under way; NULL: none */
	const char *next; /* in it: what comes next */
	bool in_transaction; /* as it thinks: portals last longer */
	bool skips; /* after an error: until Sync */
	bool extended; /* what it waits for was asked for by Execute */
	const struct console_wait *wait; /* for a command's end; NULL: not */
	char awaited[COMMAND_WORD_MAX + 1]; /* the database that it is about; empty: all */
	struct console_prepared *statements, *portals;
	bool of_crew; /* another worker asks here what it was asked itself */
	struct crewmate **crew; /* sessions with the other workers' consoles, by worker; or NULL */
	struct console_wait crew_wait; /* ... for their answers alone */
	int crew_asked; /* of them: who have not answered what is waited for */
	bool crew_obeyed; /* one of all has done it */
	struct error crew_error; /* why one has not, the first */
	struct error crew_idle; /* the same, if there was nothing to be done there */
};

/* ---- results (console_show.c, console_lists.c, console_sockets.c, console_own.c) ---- */

/* Something that can be shown: its columns are known without asking for its rows. */
struct console_show {
	const char *word; /* "pools" */
	const struct column *columns;
	int count;
	void (*fill)(const struct client *c, struct table *t);
};

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

#define SHOW(word, columns, fill)                   \
	{                                           \
		word, columns, COUNT(columns), fill \
	}

/* NULL: there is no such thing. */
const struct console_show *console_show_find(const char *word);

/* ---- acts (console_act.c) ---- */

/* "active", "paused", "suspended" */
const char *console_state(const struct hub *h);

enum { ACT_FAILED = -1, ACT_DONE, ACT_WAITS };

/* The command that it waits for is over, for this reason. */
void console_end_wait(struct client *c, const char *sqlstate, const char *why);

/* Does what the command says; when it waits, the session's `wait` is set. */
int console_act(struct client *c, const struct command *command, struct error *error);

/* ---- the other workers (console_crew.c) ---- */

/* Are there any, who are to be asked, too? */
bool crew_is_there(const struct client *c);
/* Asks them all for the same; console.crew_asked counts who has not answered. */
void crew_ask(struct client *c, const struct command *command);
/* An answer: NULL: done. */
void crew_note(struct console *k, const struct error *error);
/* Why it has not been done, once all have answered; NULL: it has. (That there was nothing to do for some
 * is no fault if others had.) */
const struct error *crew_failure(const struct console *k);
/* The command that is waited for was cancelled: undoes it there, too. */
void crew_undo(struct client *c, const struct console_wait *wait);
/* What they have still to answer is waited for no more. */
void crew_forget_answers(struct client *c);
/* The sessions end, and with them what lasts as long as a session. Nothing without any. */
void crew_leave(struct client *c);

/* ---- running one command (console.c) ---- */

/* What a command gives rows of, or none. */
struct console_result {
	const struct column *columns;
	int count; /* 0: no rows */
	void (*fill)(const struct client *c, struct table *t);
	const char *value; /* for one that is just a cell */
};

/* What it will give; -1 if there is no such thing to show. */
int console_result_of(
	const struct command *command, struct console_result *result, struct error *error);
/* Appends the rows to `out`; returns how many. */
int64_t console_fill(
	struct client *c, const struct console_result *result, uint64_t binary, struct buffer *out);
/* A command that gives no rows: all but CommandComplete. */
int console_run(struct client *c, const struct command *command, struct error *error);

/* ---- the extended protocol (console_extended.c) ---- */

/* A message of it, and Sync. */
void console_extended(struct client *c, uint8_t type, struct bytes body);
/* The portal that waited is done. */
void console_extended_done(struct client *c, const char *tag);
void console_forget_prepared(struct console_prepared **list);

/* ReadyForQuery. */
void console_ready(struct client *c);

/* ErrorResponse; what follows is skipped, or the rest of the text dropped. */
void console_error(struct client *c, const struct error *error);

#endif
