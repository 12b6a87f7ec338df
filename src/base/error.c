#include "base/error.h"

#include <stdio.h>
#include <string.h>

void error_init(struct error *e)
{
	memset(e, 0, sizeof(*e));
}

int error_set(struct error *e, const char *stage, int code, const char *format, ...)
{
	va_list args;
	error_init(e);
	e->stage = stage;
	e->code = code;
	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return -1;
}

int error_wrap(struct error *e, const char *format, ...)
{
	char cause[ERROR_TEXT_MAX];
	va_list args;
	memcpy(cause, e->text, sizeof(cause));
	va_start(args, format);
	int used = vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof(e->text))
		snprintf(e->text + used, sizeof(e->text) - (size_t)used, ": %s", cause);
	return -1;
}

void error_origin(struct error *e, const char *origin)
{
	snprintf(e->origin, sizeof(e->origin), "%s", origin);
}

void error_sqlstate(struct error *e, const char *sqlstate)
{
	snprintf(e->sqlstate, sizeof(e->sqlstate), "%s", sqlstate ? sqlstate : "");
}
