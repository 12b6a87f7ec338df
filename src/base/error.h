/*
 * error - what went wrong while operating, in a form that log, history, /status and the client's
 * ErrorResponse share.
 *
 * Three kinds of trouble are never mixed: a bug is an assert; a decision is an enum from core,
 * which cannot fail; an operating failure is an int (0 or -1) and a `struct error`.
 * Texts are cut to fit and hold no secret: who fills one in sees to that.
 */
#ifndef STANDPIPE_BASE_ERROR_H
#define STANDPIPE_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#define ERROR_TEXT_MAX   256
#define ERROR_ORIGIN_MAX 128

struct error {
	const char *stage; /* static text: "config", "tcp", "auth", ...; NULL: no error */
	int code; /* errno or a library's code; 0 when there is none */
	char sqlstate[6]; /* five characters, or empty */
	char origin[ERROR_ORIGIN_MAX]; /* where: "standpipe.yaml:12", "10.0.0.5:5432" */
	char text[ERROR_TEXT_MAX]; /* what, and the mend where one is known */
	char detail[ERROR_TEXT_MAX],
		hint[ERROR_TEXT_MAX]; /* PostgreSQL's, which goes with `text`; or empty */
};

/* No error. */
void error_init(struct error *e);

static inline bool error_is_set(const struct error *e)
{
	return e->stage != 0;
}

/* Replaces what `e` held. `stage` is borrowed for ever: a literal. Always returns -1, so that a
 * function can end in `return error_set(...)`. */
__attribute__((format(printf, 4, 5))) int error_set(
	struct error *e, const char *stage, int code, const char *format, ...);

/* Puts "what: " before the text of an error that is set; stage, code and cause stay the first.
 * Always returns -1. */
__attribute__((format(printf, 2, 3))) int error_wrap(struct error *e, const char *format, ...);

/* Copies; cut to fit. */
void error_origin(struct error *e, const char *origin);
void error_sqlstate(struct error *e, const char *sqlstate);

#endif
