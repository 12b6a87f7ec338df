#include "gate/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 2048 /* one text, cleaned; six times as long when escaped */
/* Longer objects are for machines: text for people leaves them out. */
#define TEXT_JSON_MAX 256
#define TAIL_MAX      32 /* kept free for the line's end: ,"cut":true}\n */

static const char *const severities[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
static const char *const colors[] = {"\033[2m", "\033[32m", "\033[33m", "\033[31m"};

/* ---- putting a line together ---- */

static void put(struct log *log, const char *bytes, size_t len)
{
	/* Past the end it only counts, so that whoever wrote too much finds out. */
	if (log->len + len <= LOG_LINE_MAX - TAIL_MAX)
		memcpy(log->line + log->len, bytes, len);
	log->len += len;
}

static void put_text(struct log *log, const char *text)
{
	put(log, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_format(
	struct log *log, const char *format, ...)
{
	char text[64];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert(len >= 0 && (size_t)len < sizeof(text));
	put(log, text, (size_t)len);
}

/* Escapes what JSON wants escaped, and what a terminal would obey. */
static void put_escaped(struct log *log, const char *text)
{
	char clean[TEXT_MAX];
	size_t len = secrets_clean(log->secrets, text, clean, sizeof(clean));
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)clean[i];
		if (c == '"' || c == '\\')
			put_format(log, "\\%c", c);
		else if (c == '\n')
			put_text(log, "\\n");
		else if (c < 0x20 || c == 0x7f)
			put_format(log, "\\u%04x", c);
		else
			put(log, clean + i, 1);
	}
}

static void put_quoted(struct log *log, const char *text)
{
	put_text(log, "\"");
	put_escaped(log, text);
	put_text(log, "\"");
}

static void put_value_text(struct log *log, const char *text)
{
	if (!text)
		put_text(log, "null");
	else if (log->text && text[0] && !strpbrk(text, " \t\n\"=\\{}"))
		put_escaped(log, text);
	else
		put_quoted(log, text);
}

static void put_pair(struct log *log, const char *name, const char *text, const char *between)
{
	put_text(log, between);
	put_quoted(log, name);
	put_text(log, ":");
	put_quoted(log, text);
}

static void put_error(struct log *log, const struct error *e)
{
	if (log->text) {
		put_quoted(log, e->text);
		put_format(log, " stage=%.32s", e->stage);
		if (e->sqlstate[0])
			put_format(log, " sqlstate=%s", e->sqlstate);
		if (e->origin[0]) {
			put_text(log, " origin=");
			put_value_text(log, e->origin);
		}
		if (e->detail[0]) {
			put_text(log, " detail=");
			put_quoted(log, e->detail);
		}
		return;
	}
	put_pair(log, "stage", e->stage, "{");
	put_pair(log, "text", e->text, ",");
	put_format(log, ",\"code\":%d", e->code);
	if (e->sqlstate[0])
		put_pair(log, "sqlstate", e->sqlstate, ",");
	if (e->origin[0])
		put_pair(log, "origin", e->origin, ",");
	if (e->detail[0])
		put_pair(log, "detail", e->detail, ",");
	if (e->hint[0])
		put_pair(log, "hint", e->hint, ",");
	put_text(log, "}");
}

static void put_json(struct log *log, const char *json)
{
	if (!json)
		put_text(log, "null");
	else if (log->text && strlen(json) > TEXT_JSON_MAX)
		put_text(log, "{...}");
	else
		put_text(log, json);
}

static void put_value(struct log *log, const struct log_field *field)
{
	switch (field->kind) {
	case FIELD_TEXT:
		put_value_text(log, field->text);
		break;
	case FIELD_INT:
		put_format(log, "%lld", (long long)field->integer);
		break;
	case FIELD_REAL:
		/* Nobody reads nanoseconds on a terminal. */
		if (isfinite(field->real))
			put_format(log, "%.9g",
				log->text ? round(field->real * 1000) / 1000 : field->real);
		else
			put_text(log, "null");
		break;
	case FIELD_BOOL:
		put_text(log, field->truth ? "true" : "false");
		break;
	case FIELD_JSON:
		put_json(log, field->text);
		break;
	case FIELD_ERROR:
		put_error(log, field->error);
		break;
	case FIELD_END:
		break;
	}
}

/* A field that does not fit is left out as a whole: false. */
static bool put_field(struct log *log, const struct log_field *field)
{
	if (field->kind == FIELD_ERROR && !error_is_set(field->error))
		return true;
	size_t before = log->len;
	if (log->text) {
		put_format(log, " %.40s=", field->name);
	} else {
		put_text(log, ",\"");
		put_text(log, field->name);
		put_text(log, "\":");
	}
	put_value(log, field);
	if (log->len <= LOG_LINE_MAX - TAIL_MAX)
		return true;
	log->len = before;
	return false;
}

static void put_head_json(struct log *log, enum log_level level, const char *message)
{
	struct timespec now;
	struct tm utc;
	char date[32];
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	put_pair(log, "severity", severities[level], "{");
	put_pair(log, "message", message, ",");
	put_format(log, ",\"time\":\"%s.%09ldZ\"", date, now.tv_nsec);
}

static void put_head_text(struct log *log, enum log_level level, const char *message)
{
	struct timespec now;
	struct tm local;
	char time[16];
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &local);
	strftime(time, sizeof(time), "%H:%M:%S", &local);
	put_format(log, "%s.%03ld %s%-7s%s ", time, now.tv_nsec / 1000000,
		log->color ? colors[level] : "", severities[level], log->color ? "\033[0m" : "");
	put_escaped(log, message);
}

static void put_tail(struct log *log, bool cut)
{
	char tail[TAIL_MAX];
	int len = snprintf(tail, sizeof(tail), "%s%s\n",
		!cut        ? ""
		: log->text ? " (cut)"
			    : ",\"cut\":true",
		log->text ? "" : "}");
	memcpy(log->line + log->len, tail, (size_t)len);
	log->len += (size_t)len;
}

/* ---- getting it out ---- */

static ssize_t write_some(struct log *log, const char *at, size_t len)
{
	if (log->is_socket)
		return send(log->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (log->may_block) {
		/* A pipe that is ready takes PIPE_BUF bytes without waiting. */
		struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
		if (poll(&ready, 1, 0) == 0) {
			errno = EAGAIN;
			return -1;
		}
		len = len < PIPE_BUF ? len : PIPE_BUF;
	}
	return write(log->fd, at, len);
}

/* True when nothing of the line is left: it was taken, or nobody will ever take it. */
static bool flush(struct log *log)
{
	while (log->written < log->len) {
		ssize_t n = write_some(log, log->line + log->written, log->len - log->written);
		if (n >= 0)
			log->written += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return false;
		else if (errno != EINTR)
			break;
	}
	log->len = log->written = 0;
	return true;
}

static void say_dropped(struct log *log)
{
	uint64_t dropped = log->dropped;
	log->dropped = 0;
	log_warning(log, "log lines were dropped: stderr was not read",
		field_int("dropped", (int64_t)dropped));
}

void log_write(struct log *log, enum log_level level, const char *message, ...)
{
	if (level < log->level)
		return;
	if (flush(log) && log->dropped > 0)
		say_dropped(log);
	if (log->len > 0) {
		log->dropped++;
		log->dropped_total++;
		return;
	}
	if (log->text)
		put_head_text(log, level, message);
	else
		put_head_json(log, level, message);
	assert(log->len <= LOG_LINE_MAX - TAIL_MAX);
	va_list args;
	va_start(args, message);
	bool cut = false;
	struct log_field field = va_arg(args, struct log_field);
	for (; field.kind != FIELD_END; field = va_arg(args, struct log_field))
		if (!put_field(log, &field))
			cut = true;
	va_end(args);
	put_tail(log, cut);
	flush(log);
}

/* ---- how many ---- */

static bool is_in_force(const struct log_limit *l, instant now)
{
	return l->written > 0 && now - l->since < NS_PER_S;
}

bool log_limit_allows(struct log_limit *l, instant now)
{
	if (!is_in_force(l, now)) {
		l->since = now;
		l->written = 0;
	}
	bool allowed = l->written < LOG_LIMIT_PER_S;
	l->written += allowed;
	l->held_back += !allowed;
	return allowed;
}

void log_limit_tell(struct log_limit *l, struct log *log, const char *what, instant now)
{
	if (l->held_back == 0 || is_in_force(l, now))
		return;
	log_warning(log, "lines were held back: there were too many in a second",
		field_text("of", what), field_int("held_back", (int64_t)l->held_back));
	l->held_back = 0;
}

/* A file description of our own can be made non-blocking: the flags of the one we were given are
 * those of the command, too. */
static void open_own(struct log *log)
{
	struct stat s;
	if (fstat(log->fd, &s) != 0 || S_ISREG(s.st_mode))
		return;
	if (S_ISSOCK(s.st_mode)) {
		log->is_socket = true;
		return;
	}
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", log->fd);
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		log->may_block = true;
		return;
	}
	log->fd = fd;
	log->own_fd = true;
}

void log_init(struct log *log, int fd, enum log_format format, enum log_level level,
	const struct secrets *secrets)
{
	memset(log, 0, sizeof(*log));
	log->fd = fd;
	log->level = level;
	log->secrets = secrets;
	bool terminal = isatty(fd);
	log->text = format == LOG_FORMAT_TEXT || (format == LOG_FORMAT_AUTO && terminal);
	log->color = log->text && terminal;
	open_own(log);
}

void log_release(struct log *log, int wait_ms)
{
	struct timespec start, now;
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!flush(log)) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		int64_t left_ms = wait_ms - (now.tv_sec - start.tv_sec) * 1000 -
				  (now.tv_nsec - start.tv_nsec) / 1000000;
		struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
		if (left_ms <= 0 || poll(&ready, 1, (int)left_ms) < 0)
			break;
	}
	if (log->own_fd)
		close(log->fd);
	log->own_fd = false;
	log->fd = -1;
}

bool log_level_from_name(const char *name, enum log_level *level)
{
	for (int i = 0; i <= LOG_LEVEL_ERROR; i++) {
		if (strcasecmp(name, severities[i]) != 0)
			continue;
		*level = (enum log_level)i;
		return true;
	}
	return false;
}

bool log_format_from_name(const char *name, enum log_format *format)
{
	static const char *const names[] = {"auto", "json", "text"};
	for (int i = 0; i <= LOG_FORMAT_TEXT; i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		*format = (enum log_format)i;
		return true;
	}
	return false;
}
