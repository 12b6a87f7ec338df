#include "wire/message.h"

#include <string.h>

#include "wire/frame.h"

/* ---- reading: a cursor that remembers whether it ever ran over the end ---- */

struct cursor {
	const uint8_t *at, *end;
	int bad;
};

static struct cursor cursor_of(struct bytes body)
{
	return (struct cursor){body.at, body.at + body.len, 0};
}

static const char *read_text(struct cursor *c)
{
	size_t left = (size_t)(c->end - c->at);
	const uint8_t *zero = left ? memchr(c->at, 0, left) : NULL;
	if (!zero) {
		c->bad = 1;
		return "";
	}
	const char *text = (const char *)c->at;
	c->at = zero + 1;
	return text;
}

static uint8_t read_u8(struct cursor *c)
{
	if (c->at == c->end) {
		c->bad = 1;
		return 0;
	}
	return *c->at++;
}

static uint16_t read_u16(struct cursor *c)
{
	if (c->end - c->at < 2) {
		c->bad = 1;
		return 0;
	}
	c->at += 2;
	return bytes_u16(c->at - 2);
}

static uint32_t read_u32(struct cursor *c)
{
	if (c->end - c->at < 4) {
		c->bad = 1;
		return 0;
	}
	c->at += 4;
	return bytes_u32(c->at - 4);
}

static int result_of(const struct cursor *c)
{
	return c->bad ? -1 : 0;
}

int message_parse_parse(struct bytes body, struct message_parse *m)
{
	struct cursor c = cursor_of(body);
	m->name = read_text(&c);
	m->query = read_text(&c);
	m->types = (struct bytes){c.at, (size_t)(c.end - c.at)};
	size_t count = read_u16(&c);
	if (!c.bad && (size_t)(c.end - c.at) != count * 4)
		c.bad = 1;
	return result_of(&c);
}

int message_parse_bind(struct bytes body, struct message_bind *m)
{
	struct cursor c = cursor_of(body);
	m->portal = read_text(&c);
	m->statement = read_text(&c);
	m->rest = (size_t)(c.at - body.at);
	return result_of(&c);
}

static void skip(struct cursor *c, size_t len)
{
	if ((size_t)(c->end - c->at) < len)
		c->bad = 1;
	else
		c->at += len;
}

int message_parse_formats(struct bytes rest, struct message_formats *m)
{
	struct cursor c = cursor_of(rest);
	skip(&c, 2 * (size_t)read_u16(&c));
	m->parameters = read_u16(&c);
	for (int i = 0; i < m->parameters && !c.bad; i++) {
		uint32_t len = read_u32(&c);
		if (len != UINT32_MAX)
			skip(&c, len);
	}
	m->count = read_u16(&c);
	m->codes = c.at;
	skip(&c, 2 * (size_t)m->count);
	if (c.at != c.end)
		c.bad = 1;
	return result_of(&c);
}

int message_parse_execute(struct bytes body, struct message_execute *m)
{
	struct cursor c = cursor_of(body);
	m->portal = read_text(&c);
	m->rows = read_u32(&c);
	if (c.at != c.end)
		c.bad = 1;
	return result_of(&c);
}

int message_parse_sasl(struct bytes body, struct message_sasl *m)
{
	struct cursor c = cursor_of(body);
	m->mechanism = read_text(&c);
	uint32_t len = read_u32(&c);
	size_t left = (size_t)(c.end - c.at);
	m->data = (struct bytes){0};
	if (!c.bad && len == UINT32_MAX && left == 0)
		return 0;
	if (c.bad || len != left)
		return -1;
	m->data = (struct bytes){c.at, left};
	return 0;
}

int message_parse_target(struct bytes body, struct message_target *m)
{
	struct cursor c = cursor_of(body);
	m->kind = (char)read_u8(&c);
	m->name = read_text(&c);
	if (c.at != c.end || (m->kind != 'S' && m->kind != 'P'))
		c.bad = 1;
	return result_of(&c);
}

int message_parse_error(struct bytes body, struct message_error *m)
{
	struct cursor c = cursor_of(body);
	*m = (struct message_error){"", "", "", "", "", ""};
	for (;;) {
		uint8_t field = read_u8(&c);
		if (c.bad || field == 0)
			return result_of(&c);
		const char *text = read_text(&c);
		switch (field) {
		case 'S':
			if (!*m->severity)
				m->severity = text;
			break;
		case 'V':
			m->severity = text;
			break;
		case 'C':
			m->sqlstate = text;
			break;
		case 'M':
			m->message = text;
			break;
		case 'D':
			m->detail = text;
			break;
		case 'H':
			m->hint = text;
			break;
		case 'R':
			m->routine = text;
			break;
		default:
			break;
		}
	}
}

int message_parse_parameter(struct bytes body, const char **name, const char **value)
{
	struct cursor c = cursor_of(body);
	*name = read_text(&c);
	*value = read_text(&c);
	return result_of(&c);
}

/* A count, and as many values, each with its length before it. */
static int read_values(struct cursor *c, struct bytes *at, int max)
{
	int count = read_u16(c);
	for (int i = 0; i < count && !c->bad; i++) {
		uint32_t len = read_u32(c);
		struct bytes value = {NULL, 0};
		if (len != UINT32_MAX) {
			if (c->bad || (size_t)(c->end - c->at) < len)
				return -1;
			value = (struct bytes){c->at, len};
			c->at += len;
		}
		if (i < max)
			at[i] = value;
	}
	return c->bad ? -1 : count;
}

int message_parse_row(struct bytes body, struct bytes *at, int max)
{
	struct cursor c = cursor_of(body);
	return read_values(&c, at, max);
}

int message_parse_values(struct bytes rest, struct bytes *at, int max)
{
	struct cursor c = cursor_of(rest);
	for (int formats = read_u16(&c); formats > 0 && !c.bad; formats--)
		read_u16(&c);
	return read_values(&c, at, max);
}

int message_parse_column(struct bytes *rest, struct message_column *column)
{
	struct cursor c = cursor_of(*rest);
	column->name = read_text(&c);
	skip(&c, 4 + 2); /* the table's OID, the column's number */
	column->type = read_u32(&c);
	column->size = read_u16(&c);
	column->modifier = read_u32(&c);
	skip(&c, 2); /* the format */
	rest->len -= (size_t)(c.at - rest->at);
	rest->at = c.at;
	return result_of(&c);
}

/* ---- writing ---- */

void message_begin(struct buffer *out, char type, size_t *mark)
{
	*mark = buffer_len(out);
	buffer_append_u8(out, (uint8_t)type);
	buffer_append_u32(out, 0);
}

void message_end(struct buffer *out, size_t mark)
{
	uint8_t *start = out->memory + out->start + mark;
	bytes_put_u32(start + 1, (uint32_t)(buffer_len(out) - mark - 1));
}

void message_authentication_ok(struct buffer *out)
{
	size_t mark;
	message_begin(out, MSG_AUTHENTICATION, &mark);
	buffer_append_u32(out, 0);
	message_end(out, mark);
}

void message_authentication_sasl(struct buffer *out, const char *const *mechanisms)
{
	size_t mark;
	message_begin(out, MSG_AUTHENTICATION, &mark);
	buffer_append_u32(out, 10);
	while (*mechanisms)
		buffer_append_text(out, *mechanisms++);
	buffer_append_u8(out, 0);
	message_end(out, mark);
}

static void authentication_data(struct buffer *out, uint32_t code, struct bytes data)
{
	size_t mark;
	message_begin(out, MSG_AUTHENTICATION, &mark);
	buffer_append_u32(out, code);
	buffer_append(out, data.at, data.len);
	message_end(out, mark);
}

void message_authentication_sasl_continue(struct buffer *out, struct bytes data)
{
	authentication_data(out, 11, data);
}

void message_authentication_sasl_final(struct buffer *out, struct bytes data)
{
	authentication_data(out, 12, data);
}

void message_negotiate(struct buffer *out, uint32_t count, struct bytes names)
{
	size_t mark;
	message_begin(out, MSG_NEGOTIATE, &mark);
	buffer_append_u32(out, 3u << 16);
	buffer_append_u32(out, count);
	buffer_append(out, names.at, names.len);
	message_end(out, mark);
}

void message_parameter(struct buffer *out, const char *name, const char *value)
{
	size_t mark;
	message_begin(out, MSG_PARAMETER_STATUS, &mark);
	buffer_append_text(out, name);
	buffer_append_text(out, value);
	message_end(out, mark);
}

void message_backend_key(struct buffer *out, uint32_t pid, uint32_t key)
{
	size_t mark;
	message_begin(out, MSG_BACKEND_KEY, &mark);
	buffer_append_u32(out, pid);
	buffer_append_u32(out, key);
	message_end(out, mark);
}

void message_ready(struct buffer *out, char status)
{
	size_t mark;
	message_begin(out, MSG_READY, &mark);
	buffer_append_u8(out, (uint8_t)status);
	message_end(out, mark);
}

static void append_field(struct buffer *out, char field, const char *text)
{
	if (!text || !*text)
		return;
	buffer_append_u8(out, (uint8_t)field);
	buffer_append_text(out, text);
}

static void report(struct buffer *out, char type, const char *severity, const char *sqlstate,
	const char *message, const char *detail, const char *hint)
{
	size_t mark;
	message_begin(out, type, &mark);
	append_field(out, 'S', severity);
	append_field(out, 'V', severity);
	append_field(out, 'C', sqlstate);
	append_field(out, 'M', message);
	append_field(out, 'D', detail);
	append_field(out, 'H', hint);
	buffer_append_u8(out, 0);
	message_end(out, mark);
}

void message_error(struct buffer *out, const char *severity, const char *sqlstate,
	const char *message, const char *detail, const char *hint)
{
	report(out, MSG_ERROR, severity, sqlstate, message, detail, hint);
}

void message_error_of(
	struct buffer *out, const char *sqlstate, const char *message, const char *routine)
{
	size_t mark;
	message_begin(out, MSG_ERROR, &mark);
	append_field(out, 'S', "ERROR");
	append_field(out, 'V', "ERROR");
	append_field(out, 'C', sqlstate);
	append_field(out, 'M', message);
	append_field(out, 'R', routine);
	buffer_append_u8(out, 0);
	message_end(out, mark);
}

void message_notice(struct buffer *out, const char *message, const char *detail)
{
	report(out, MSG_NOTICE, "NOTICE", "00000", message, detail, NULL);
}

void message_complete(struct buffer *out, const char *tag)
{
	size_t mark;
	message_begin(out, MSG_COMMAND_COMPLETE, &mark);
	buffer_append_text(out, tag);
	message_end(out, mark);
}

void message_query(struct buffer *out, const char *sql)
{
	size_t mark;
	message_begin(out, MSG_QUERY, &mark);
	buffer_append_text(out, sql);
	message_end(out, mark);
}

void message_parse(struct buffer *out, const char *name, const char *query, struct bytes types)
{
	size_t mark;
	message_begin(out, MSG_PARSE, &mark);
	buffer_append_text(out, name);
	buffer_append_text(out, query);
	buffer_append(out, types.at, types.len);
	message_end(out, mark);
}

void message_bind_text(struct buffer *out, const char *parameter)
{
	size_t mark, len = strlen(parameter);
	message_begin(out, MSG_BIND, &mark);
	buffer_append_text(out, "");
	buffer_append_text(out, "");
	buffer_append_u16(out, 0); /* parameters as text */
	buffer_append_u16(out, 1);
	buffer_append_u32(out, (uint32_t)len);
	buffer_append(out, parameter, len);
	buffer_append_u16(out, 0); /* columns as text */
	message_end(out, mark);
}

void message_execute(struct buffer *out)
{
	size_t mark;
	message_begin(out, MSG_EXECUTE, &mark);
	buffer_append_text(out, "");
	buffer_append_u32(out, 0);
	message_end(out, mark);
}

void message_target(struct buffer *out, char type, char kind, const char *name)
{
	size_t mark;
	message_begin(out, type, &mark);
	buffer_append_u8(out, (uint8_t)kind);
	buffer_append_text(out, name);
	message_end(out, mark);
}

void message_empty(struct buffer *out, char type)
{
	size_t mark;
	message_begin(out, type, &mark);
	message_end(out, mark);
}
