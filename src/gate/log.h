/*
 * log - one JSON object a line on stderr in the shape that Cloud Logging reads, or text for people
 * when stderr is a terminal.
 *
 *	log_info(log, "connected", field_text("host", host), field_s("took_s", took_ns));
 *
 * A line is put together in place, without allocation, at most LOG_LINE_MAX bytes: what does not
 * fit is left out, and said so. Nothing here waits: a line that stderr does not take at once is
 * dropped, and the next that is taken says how many were. Secrets are hidden in all texts.
 */
#ifndef STANDPIPE_GATE_LOG_H
#define STANDPIPE_GATE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/instant.h"
#include "gate/secrets.h"

#define LOG_LINE_MAX 16384

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

struct log {
	int fd; /* where to write */
	bool own_fd; /* opened by log_init */
	bool is_socket; /* written to by send */
	bool may_block; /* asked by poll before each write: its flags are others' too */
	bool text;
	bool color;
	enum log_level level; /* the lowest that is shown */
	const struct secrets *secrets; /* borrowed; may be NULL */
	uint64_t dropped; /* since last said */
	uint64_t dropped_total;
	size_t len, written; /* of line: what is left of one that was taken in part */
	char line[LOG_LINE_MAX];
};

/* Writes to `fd`, which stays the caller's. AUTO: text on a terminal, else JSON. `secrets` is
 * borrowed and may grow later. */
void log_init(struct log *log, int fd, enum log_format format, enum log_level level,
	const struct secrets *secrets);

/* Waits up to `wait_ms` for the rest of a line to be taken, and gives up what log_init opened. */
void log_release(struct log *log, int wait_ms);

enum log_field_kind {
	FIELD_END,
	FIELD_TEXT,
	FIELD_INT,
	FIELD_REAL,
	FIELD_BOOL,
	FIELD_JSON,
	FIELD_ERROR,
};

/* All that a field points to is borrowed for the call. */
struct log_field {
	enum log_field_kind kind;
	const char *name; /* a plain word, so that it needs no escaping: [a-z0-9_./]+ */
	union {
		const char *text; /* NULL: null */
		int64_t integer;
		double real;
		bool truth;
		const struct error *error;
	};
};

static inline struct log_field field_text(const char *name, const char *text)
{
	return (struct log_field){.kind = FIELD_TEXT, .name = name, .text = text};
}

static inline struct log_field field_int(const char *name, int64_t value)
{
	return (struct log_field){.kind = FIELD_INT, .name = name, .integer = value};
}

static inline struct log_field field_real(const char *name, double value)
{
	return (struct log_field){.kind = FIELD_REAL, .name = name, .real = value};
}

/* A span, shown in seconds: name it `..._s`. */
static inline struct log_field field_s(const char *name, int64_t span_ns)
{
	return field_real(name, (double)span_ns / 1e9);
}

static inline struct log_field field_bool(const char *name, bool value)
{
	return (struct log_field){.kind = FIELD_BOOL, .name = name, .truth = value};
}

/* JSON made elsewhere, of cleaned text (context_text). Left out if it does not fit; text for people
 * shows short ones only. */
static inline struct log_field field_json(const char *name, const char *json)
{
	return (struct log_field){.kind = FIELD_JSON, .name = name, .text = json};
}

/* The error's parts as an object "error"; nothing if it is not set. */
static inline struct log_field field_error(const struct error *error)
{
	return (struct log_field){.kind = FIELD_ERROR, .name = "error", .error = error};
}

/* `message` and then fields, ended by one of kind FIELD_END: the macros below add it. */
void log_write(struct log *log, enum log_level level, const char *message, ...);

#define LOG_END               ((struct log_field){.kind = FIELD_END})
#define log_debug(log, ...)   log_write(log, LOG_LEVEL_DEBUG, __VA_ARGS__, LOG_END)
#define log_info(log, ...)    log_write(log, LOG_LEVEL_INFO, __VA_ARGS__, LOG_END)
#define log_warning(log, ...) log_write(log, LOG_LEVEL_WARNING, __VA_ARGS__, LOG_END)
#define log_error(log, ...)   log_write(log, LOG_LEVEL_ERROR, __VA_ARGS__, LOG_END)

/* Of lines that whoever reaches the gate can cause, as often as it likes, so many are written in a
 * second; the rest is counted, and the count told when the second is over. */
#define LOG_LIMIT_PER_S 10

struct log_limit { /* zeros: nothing yet */
	instant since;
	int written;
	uint64_t held_back;
};

/* May one more be written now? If not it is counted. */
bool log_limit_allows(struct log_limit *l, instant now);
/* To be called now and then. `what`: of which lines. */
void log_limit_tell(struct log_limit *l, struct log *log, const char *what, instant now);

/* "debug", "info", "warning", "error"; false if it is none of them. */
bool log_level_from_name(const char *name, enum log_level *level);
/* "auto", "json", "text" */
bool log_format_from_name(const char *name, enum log_format *format);

#endif
