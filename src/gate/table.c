#include "gate/table.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "wire/message.h"

/* PostgreSQL's numeric: digits to the base of 10000, the first with this weight. */
#define NUMERIC_BASE       10000
#define NUMERIC_NEGATIVE   0x4000
#define NUMERIC_DIGITS_MAX 5 /* of 64 bits */

static int width(enum column_type type)
{
	switch (type) {
	case COLUMN_INT4:
		return 4;
	case COLUMN_INT8:
	case COLUMN_FLOAT8:
		return 8;
	case COLUMN_TEXT:
	case COLUMN_NUMERIC:
		break;
	}
	return -1;
}

void table_describe(struct buffer *out, const struct column *columns, int count, uint64_t binary)
{
	size_t mark;
	message_begin(out, MSG_ROW_DESCRIPTION, &mark);
	buffer_append_u16(out, (uint16_t)count);
	for (int i = 0; i < count; i++) {
		buffer_append_text(out, columns[i].name);
		buffer_append_u32(out, 0); /* of no table */
		buffer_append_u16(out, 0);
		buffer_append_u32(out, (uint32_t)columns[i].type);
		buffer_append_u16(out, (uint16_t)width(columns[i].type));
		buffer_append_u32(out, UINT32_MAX); /* no modifier */
		buffer_append_u16(out, (uint16_t)(binary >> i & 1));
	}
	message_end(out, mark);
}

void table_row(struct table *t)
{
	t->at = 0;
	t->rows++;
	message_begin(t->out, MSG_DATA_ROW, &t->mark);
	buffer_append_u16(t->out, (uint16_t)t->count);
}

void table_end(struct table *t)
{
	assert(t->at == t->count);
	message_end(t->out, t->mark);
}

static enum column_type type_here(const struct table *t)
{
	assert(t->at < t->count);
	return t->columns[t->at].type;
}

static void add(struct table *t, const void *at, size_t len)
{
	buffer_append_u32(t->out, (uint32_t)len);
	buffer_append(t->out, at, len);
	t->at++;
}

void table_null(struct table *t)
{
	buffer_append_u32(t->out, UINT32_MAX);
	t->at++;
}

void table_text(struct table *t, const char *text)
{
	assert(type_here(t) == COLUMN_TEXT);
	if (text)
		add(t, text, strlen(text));
	else
		table_null(t);
}

static void add_u64(struct table *t, uint64_t value)
{
	uint8_t bytes[8];
	bytes_put_u32(bytes, (uint32_t)(value >> 32));
	bytes_put_u32(bytes + 4, (uint32_t)value);
	add(t, bytes, sizeof(bytes));
}

/* A count of digits, the weight of the first, the sign, no digits behind the point, the digits. */
static void add_numeric(struct table *t, int64_t value)
{
	uint8_t bytes[8 + 2 * NUMERIC_DIGITS_MAX];
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
	uint16_t digits[NUMERIC_DIGITS_MAX];
	size_t count = 0;
	for (; left > 0; left /= NUMERIC_BASE)
		digits[count++] = (uint16_t)(left % NUMERIC_BASE);
	bytes_put_u16(bytes, (uint16_t)count);
	bytes_put_u16(bytes + 2, (uint16_t)(count > 0 ? count - 1 : 0));
	bytes_put_u16(bytes + 4, value < 0 ? NUMERIC_NEGATIVE : 0);
	bytes_put_u16(bytes + 6, 0);
	for (size_t i = 0; i < count; i++)
		bytes_put_u16(bytes + 8 + 2 * i, digits[count - 1 - i]);
	add(t, bytes, 8 + 2 * count);
}

void table_int(struct table *t, int64_t value)
{
	enum column_type type = type_here(t);
	assert(type == COLUMN_INT4 || type == COLUMN_INT8 || type == COLUMN_NUMERIC);
	if (type == COLUMN_INT4 && value > INT32_MAX)
		value = INT32_MAX;
	if (type == COLUMN_INT4 && value < INT32_MIN)
		value = INT32_MIN;
	if (!(t->binary >> t->at & 1)) {
		char text[24];
		int len = snprintf(text, sizeof(text), "%lld", (long long)value);
		add(t, text, (size_t)len);
	} else if (type == COLUMN_INT4) {
		uint8_t bytes[4];
		bytes_put_u32(bytes, (uint32_t)value);
		add(t, bytes, sizeof(bytes));
	} else if (type == COLUMN_INT8) {
		add_u64(t, (uint64_t)value);
	} else {
		add_numeric(t, value);
	}
}

void table_real(struct table *t, double value)
{
	assert(type_here(t) == COLUMN_FLOAT8);
	if (t->binary >> t->at & 1) {
		uint64_t bits;
		memcpy(&bits, &value, sizeof(bits));
		add_u64(t, bits);
		return;
	}
	char text[32];
	int len = snprintf(text, sizeof(text), "%.6g", value);
	add(t, text, (size_t)len);
}
