/*
 * traces_sql - the SQL by which a server is asked for its session's settings, and given them back.
 */
#ifndef STANDPIPE_GATE_TRACES_SQL_H
#define STANDPIPE_GATE_TRACES_SQL_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "gate/profile.h"

/* What is asked runs under the client's own search_path, whose operators and types may come before
 * the catalog's: so everything is named with its schema, and IN, which can't be, is not used. */
#define TRACES_EQ " OPERATOR(pg_catalog.=) "
#define TRACES_NE " OPERATOR(pg_catalog.<>) "
#define TRACES_LE " OPERATOR(pg_catalog.<=) "

/* Appends a query for all that this session has set: rows of 's', name, value, both in hexadecimal;
 * a value that is too long is NULL. `customs`: names of custom settings, each with its zero, which
 * PostgreSQL does not list. */
void traces_sql_settings(struct bytes customs, struct buffer *out);

/* Appends a query that sets of the startup packet's settings those that a RESET took back to what
 * our login has; `local`: until the end of the transaction. */
void traces_sql_restore(const struct profile *origin, bool local, struct buffer *out);

#endif
