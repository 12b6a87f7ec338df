/*
 * table - rows as the console answers them: RowDescription, DataRow, in text or in binary.
 *
 * Drivers ask for binary by themselves (asyncpg always, pgx for what it knows), so every type that
 * is used here has both forms.
 */
#ifndef STANDPIPE_GATE_TABLE_H
#define STANDPIPE_GATE_TABLE_H

#include <stdint.h>

#include "base/buffer.h"

/* The object ids that PostgreSQL has for the types, as in its pg_type.dat. */
enum column_type {
	COLUMN_INT8 = 20,
	COLUMN_INT4 = 23,
	COLUMN_TEXT = 25,
	COLUMN_FLOAT8 = 701,
	COLUMN_NUMERIC = 1700, /* whole numbers only */
};

#define TABLE_COLUMNS_MAX 64

struct column {
	const char *name;
	enum column_type type;
};

struct table {
	const struct column *columns; /* borrowed */
	int count;
	uint64_t binary; /* bit i: column i */
	struct buffer *out; /* borrowed */
	int64_t rows;
	int at; /* the column that comes next */
	size_t mark;
};

/* RowDescription. */
void table_describe(struct buffer *out, const struct column *columns, int count, uint64_t binary);

/* A row: each cell in its order, then the end. A cell that is not of its column's type is a bug. */
void table_row(struct table *t);
void table_text(struct table *t, const char *text); /* NULL: SQL's NULL */
void table_int(struct table *t, int64_t value); /* INT4, INT8 or NUMERIC; INT4 is cut to fit */
void table_real(struct table *t, double value);
void table_null(struct table *t);
void table_end(struct table *t);

#endif
