/*
 * sql - what a text of SQL may do to its session, guessed from its words.
 *
 * A pooler in transaction mode must know when a transaction may have left something behind in its
 * session: a setting, a temporary table, a lock. The server knows what is there; this tells when it
 * is worth asking. So a trait may be claimed in vain, and costs a question then; it is missed only
 * where no text shows it: inside a function that is called, and in SQL that is put together at run
 * time.
 *
 * One pass; quotes, dollar quotes and comments are passed over as PostgreSQL's scan.l does, for
 * any client encoding that PostgreSQL has.
 */
#ifndef STANDPIPE_WIRE_SQL_H
#define STANDPIPE_WIRE_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define SQL_SET     UINT32_C(0x00001) /* SET, but not LOCAL, TRANSACTION, CONSTRAINTS; set_config */
#define SQL_RESET   UINT32_C(0x00002) /* RESET; SET ... TO DEFAULT; SET TIME ZONE LOCAL */
#define SQL_DISCARD UINT32_C(0x00004)
#define SQL_CUSTOM \
	UINT32_C(0x00008) /* a setting with a dot in its name: sql_settings tells which */
#define SQL_BOUND      UINT32_C(0x00010) /* set_config of a name that is computed, or a parameter */
#define SQL_LISTEN     UINT32_C(0x00020)
#define SQL_UNLISTEN   UINT32_C(0x00040)
#define SQL_TEMP       UINT32_C(0x00080) /* CREATE TEMP, SELECT INTO TEMP, pg_temp */
#define SQL_DROP       UINT32_C(0x00100)
#define SQL_HOLD       UINT32_C(0x00200) /* DECLARE ... WITH HOLD */
#define SQL_CLOSE      UINT32_C(0x00400)
#define SQL_LOCK       UINT32_C(0x00800) /* an advisory lock of the session */
#define SQL_UNLOCK     UINT32_C(0x01000)
#define SQL_PREPARE    UINT32_C(0x02000) /* but not PREPARE TRANSACTION */
#define SQL_DEALLOCATE UINT32_C(0x04000)
#define SQL_LOAD       UINT32_C(0x08000)
#define SQL_RUN        UINT32_C(0x10000) /* DO, CALL: may do any of it */
#define SQL_UNSURE     UINT32_C(0x20000) /* where its strings end depends on settings, or not known */
#define SQL_LOCAL      UINT32_C(0x40000) /* SET LOCAL ... TO DEFAULT: leaves nothing behind */
#define SQL_PID        UINT32_C(0x80000) /* pg_backend_pid: neither does it */
#define SQL_EXECUTE    UINT32_C(0x100000) /* the word: leaves nothing behind */

/* The traits of a text, of one or more statements. */
uint32_t sql_traits(struct bytes text);

/* Tells each custom setting that the text sets, by its name as it is written, without quotes;
 * borrowed for the call. */
void sql_settings(struct bytes text, void (*each)(void *context, struct bytes name), void *context);

/* Might it be a custom setting's name: words with dots in between? */
bool sql_is_custom_name(struct bytes name);

/* PostgreSQL's NAMEDATALEN. */
#define SQL_NAME_MAX 64

/* Is one of the text's statements DEALLOCATE [PREPARE] name, and no other a DEALLOCATE? Gives the
 * name as PostgreSQL takes it: folded, unless it is quoted, and cut to what fits; and where it is
 * written in the text, with its quotes. False for ALL, and where strings may end elsewhere. */
bool sql_deallocates(struct bytes text, char name[SQL_NAME_MAX], struct bytes *written);

/* Does the text want a database for itself: DROP DATABASE, ALTER DATABASE, CREATE DATABASE, which
 * copies one? Gives that one's name, as above. */
bool sql_wants_alone(struct bytes text, char name[SQL_NAME_MAX]);

/* Does the text run one prepared statement by SQL: EXECUTE name, EXPLAIN EXECUTE name, CREATE TABLE AS
 * EXECUTE name? Gives its name, as above, and where that is written, with its quotes. */
bool sql_executes(struct bytes text, char name[SQL_NAME_MAX], struct bytes *written);

/* Does the text begin as what PostgreSQL plans does, and not as a utility command (FETCH, SHOW)? */
bool sql_is_planned(struct bytes text);

#endif
