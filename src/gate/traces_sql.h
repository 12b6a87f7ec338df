/*
 * traces_sql - the SQL by which a server is asked for its session's settings, and given them back.
 */
#ifndef STANDPIPE_GATE_TRACES_SQL_H
#define STANDPIPE_GATE_TRACES_SQL_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "gate/profile.h"

/* Appends a query for all that this session has set: rows of 's', name, value, both in hexadecimal;
 * a value that is too long is NULL. `customs`: names of custom settings, each with its zero, which
 * PostgreSQL does not list. */
void traces_sql_settings(struct bytes customs, struct buffer *out);

/* Appends a query that sets of the startup packet's settings those that a RESET took back to what
 * our login has; `local`: until the end of the transaction. */
void traces_sql_restore(const struct profile *origin, bool local, struct buffer *out);

#endif
