/* A command of the console on the other workers: each is asked for the same, in a session with its own
 * console, which the foreman brings there. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/console.h"
#include "gate/console_inside.h"
#include "gate/hub.h"
#include "wire/frame.h"
#include "wire/message.h"

/* One session. It outlives the asker's by what it takes to close. */
struct crewmate {
	struct stream stream;
	struct client *asker; /* NULL: it has gone */
	int worker;
	int owed; /* answers to come */
	bool asked; /* the last of them is waited for */
	struct buffer in;
};

bool crew_is_there(const struct client *c)
{
	return c->hub->settings->workers > 1 && c->hub->duties.console && !c->console->of_crew;
}

/* ---- what they say ---- */

/* It has nothing to do with what the command is about: no fault, if another one has. */
static bool is_idle(const struct error *error)
{
	return strcmp(error->sqlstate, "55000") == 0 || strcmp(error->sqlstate, "42704") == 0;
}

void crew_note(struct console *k, const struct error *error)
{
	struct error *place = !error ? NULL : is_idle(error) ? &k->crew_idle : &k->crew_error;
	if (!error)
		k->crew_obeyed = true;
	else if (!error_is_set(place))
		*place = *error;
}

const struct error *crew_failure(const struct console *k)
{
	if (error_is_set(&k->crew_error))
		return &k->crew_error;
	return !k->crew_obeyed && error_is_set(&k->crew_idle) ? &k->crew_idle : NULL;
}

static void end_answer(struct crewmate *m)
{
	if (!m->asked)
		return;
	m->asked = false;
	m->asker->console->crew_asked--;
}

static void note_failure(struct crewmate *m, const char *sqlstate, const char *text)
{
	struct error error;
	if (!m->asked)
		return;
	command_fail(&error, sqlstate, "worker %d: %s", m->worker, text);
	crew_note(m->asker->console, &error);
}

static void take(struct crewmate *m, const struct frame *frame, struct bytes body)
{
	struct message_error e;
	bool last = m->owed == 1 && m->asked;
	if (frame->type == MSG_READY) {
		m->owed -= m->owed > 0;
		if (m->owed == 0)
			end_answer(m);
	} else if (last && frame->type == MSG_COMMAND_COMPLETE) {
		crew_note(m->asker->console, NULL);
	} else if (last && frame->type == MSG_ERROR && message_parse_error(body, &e) == 0) {
		note_failure(m, e.sqlstate, e.message);
	}
}

/* ---- sessions ---- */

static void on_closed(struct stream *s)
{
	struct crewmate *m = s->owner;
	close(s->fd);
	buffer_release(&m->in);
	free(m);
}

static void part(struct crewmate *m)
{
	struct console *k = m->asker->console;
	note_failure(m, "57P03", "it has ended, or is being started: ask again");
	end_answer(m);
	k->crew[m->worker] = NULL;
	m->asker = NULL;
	stream_close(&m->stream, on_closed);
}

static void on_received(struct stream *s, struct bytes in)
{
	struct crewmate *m = s->owner;
	struct frame frame;
	enum wire_result result;
	buffer_append(&m->in, in.at, in.len);
	struct bytes left = buffer_bytes(&m->in);
	while ((result = frame_parse(left, &frame)) == WIRE_OK && frame.len <= left.len) {
		take(m, &frame, frame_body(left, &frame));
		left.at += frame.len;
		left.len -= frame.len;
	}
	buffer_take(&m->in, buffer_len(&m->in) - left.len);
	if (result == WIRE_BAD)
		part(m);
}

static void on_ended(struct stream *s)
{
	part(s->owner);
}

static void on_writable(struct stream *s)
{
	(void)s; /* what was not taken ended it */
}

/* NULL: it can't be had. */
static struct crewmate *meet(struct client *c, int worker)
{
	static const struct stream_events events = {on_received, on_ended, on_writable};
	struct hub *h = c->hub;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return NULL;
	int brought = h->duties.console(h->duties.context, worker, pair[1]);
	close(pair[1]);
	struct crewmate *m = brought == 0 ? calloc(1, sizeof(*m)) : NULL;
	if (!m || stream_open(&m->stream, h->reactor, pair[0], NULL, &events, m) != 0) {
		free(m);
		close(pair[0]);
		return NULL;
	}
	m->asker = c;
	m->worker = worker;
	stream_watch(&m->stream, true, false);
	return m;
}

void crew_leave(struct client *c)
{
	struct console *k = c->console;
	if (!k || !k->crew)
		return;
	for (int i = 0; i < c->hub->settings->workers; i++)
		if (k->crew[i])
			part(k->crew[i]);
	free(k->crew);
	k->crew = NULL;
	assert(k->crew_asked == 0);
}

/* ---- asking ---- */

static void append_quoted(struct buffer *out, char quote, const char *text)
{
	buffer_append_u8(out, (uint8_t)quote);
	for (; *text; text++) {
		if (*text == quote)
			buffer_append_u8(out, (uint8_t)quote);
		buffer_append_u8(out, (uint8_t)*text);
	}
	buffer_append_u8(out, (uint8_t)quote);
}

/* The command as somebody would type it, as a query. */
static void compose(const struct command *command, struct buffer *out)
{
	size_t mark;
	message_begin(out, MSG_QUERY, &mark);
	buffer_append(out, command->tag, strlen(command->tag));
	buffer_append_u8(out, ' ');
	if (*command->word)
		append_quoted(out, '"', command->word);
	if (command->verb == COMMAND_SET) {
		buffer_append(out, " = ", 3);
		append_quoted(out, '\'', command->value);
	}
	buffer_append_u8(out, 0);
	message_end(out, mark);
}

static void tell(struct crewmate *m, struct bytes query)
{
	m->owed++;
	/* A command is far smaller than a socket's room. */
	if (stream_write(&m->stream, query.at, query.len) != (ssize_t)query.len)
		part(m);
}

static void ask_one(struct client *c, int worker, struct bytes query)
{
	struct console *k = c->console;
	struct error error;
	if (!k->crew[worker])
		k->crew[worker] = meet(c, worker);
	struct crewmate *m = k->crew[worker];
	if (!m) {
		command_fail(
			&error, "58000", "worker %d can't be reached: %s", worker, strerror(errno));
		crew_note(k, &error);
		return;
	}
	m->asked = true;
	k->crew_asked++;
	tell(m, query);
}

void crew_ask(struct client *c, const struct command *command)
{
	struct console *k = c->console;
	const struct gate_settings *s = c->hub->settings;
	struct buffer query = BUFFER_INIT;
	if (!k->crew)
		k->crew = calloc((size_t)s->workers, sizeof(struct crewmate *));
	if (!k->crew)
		abort();
	compose(command, &query);
	for (int i = 0; i < s->workers; i++)
		if (i != s->worker)
			ask_one(c, i, buffer_bytes(&query));
	buffer_release(&query);
}

/* Behind what it undoes, so that it can't come before that. */
void crew_undo(struct client *c, const struct console_wait *wait)
{
	struct console *k = c->console;
	struct command command = {.verb = wait->undo, .tag = "RESUME"};
	struct buffer query = BUFFER_INIT;
	if (wait->undo == COMMAND_EMPTY) {
		crew_leave(c); /* it lasts as long as the session, or nothing has to be undone */
		return;
	}
	snprintf(command.word, sizeof(command.word), "%s", k->awaited);
	compose(&command, &query);
	for (int i = 0; k->crew && i < c->hub->settings->workers; i++)
		if (k->crew[i])
			tell(k->crew[i], buffer_bytes(&query));
	buffer_release(&query);
}

void crew_forget_answers(struct client *c)
{
	struct console *k = c->console;
	for (int i = 0; k->crew && i < c->hub->settings->workers; i++)
		if (k->crew[i])
			end_answer(k->crew[i]);
}

/* ---- being asked ---- */

static char *copy(const char *text)
{
	char *copied = strdup(text);
	if (!copied)
		abort();
	return copied;
}

void console_accept(struct hub *h, int fd)
{
	struct client *c = client_accept_ours(h, fd);
	if (!c)
		return;
	c->console = calloc(1, sizeof(*c->console));
	if (!c->console)
		abort();
	c->console->rights = RIGHTS_ADMIN; /* those of the one who asks have been looked at there */
	c->console->of_crew = true;
	c->console->user = copy("standpipe");
	c->console->database = copy("standpipe");
	c->console->application_name = copy("");
	c->state = CLIENT_CONSOLE;
	client_rewatch(c);
}
