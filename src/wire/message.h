/*
 * message - the bodies of the messages that a pooler must read, and the messages that it writes.
 *
 * Parsers are given a whole body and borrow from it; they return 0, or -1 when it is malformed.
 * Writers append a whole message.
 */
#ifndef STANDPIPE_WIRE_MESSAGE_H
#define STANDPIPE_WIRE_MESSAGE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"

/* From the client. */
#define MSG_QUERY         'Q'
#define MSG_PARSE         'P'
#define MSG_BIND          'B'
#define MSG_DESCRIBE      'D'
#define MSG_EXECUTE       'E'
#define MSG_CLOSE         'C'
#define MSG_FLUSH         'H'
#define MSG_SYNC          'S'
#define MSG_FUNCTION_CALL 'F'
#define MSG_COPY_DATA     'd'
#define MSG_COPY_DONE     'c'
#define MSG_COPY_FAIL     'f'
#define MSG_TERMINATE     'X'
#define MSG_PASSWORD      'p'

/* From the server. */
#define MSG_AUTHENTICATION   'R'
#define MSG_BACKEND_KEY      'K'
#define MSG_NEGOTIATE        'v'
#define MSG_PARAMETER_STATUS 'S'
#define MSG_READY            'Z'
#define MSG_ERROR            'E'
#define MSG_NOTICE           'N'
#define MSG_NOTIFICATION     'A'
#define MSG_PARSE_COMPLETE   '1'
#define MSG_BIND_COMPLETE    '2'
#define MSG_CLOSE_COMPLETE   '3'
#define MSG_COMMAND_COMPLETE 'C'
#define MSG_EMPTY_QUERY      'I'
#define MSG_PORTAL_SUSPENDED 's'
#define MSG_ROW_DESCRIPTION  'T'
#define MSG_NO_DATA          'n'
#define MSG_PARAMETER_TYPES  't'
#define MSG_DATA_ROW         'D'
#define MSG_COPY_IN          'G'
#define MSG_COPY_OUT         'H'
#define MSG_COPY_BOTH        'W'

/* Parse: a statement's name, its text and the declared types (the rest of the body). */
struct message_parse {
	const char *name;
	const char *query;
	struct bytes types; /* a count of 16 bits, then as many OIDs */
};
int message_parse_parse(struct bytes body, struct message_parse *m);

/* Bind: the portal, the statement, and where what follows them begins. */
struct message_bind {
	const char *portal;
	const char *statement;
	size_t rest; /* offset in the body */
};
int message_parse_bind(struct bytes body, struct message_bind *m);

/* What follows them: how many parameters there are, and the formats that the results are wanted in
 * (0: text, 1: binary): none, one for all columns, or one for each. */
struct message_formats {
	uint16_t parameters;
	uint16_t count;
	const uint8_t *codes; /* 16 bits each */
};
int message_parse_formats(struct bytes rest, struct message_formats *m);

/* Execute: 0 rows means all. */
struct message_execute {
	const char *portal;
	uint32_t rows;
};
int message_parse_execute(struct bytes body, struct message_execute *m);
/* Bind's values: `rest` is its body from there on, whole. As message_parse_row. */
int message_parse_values(struct bytes rest, struct bytes *at, int max);

/* A column of a RowDescription, but for where it comes from. */
struct message_column {
	const char *name;
	uint32_t type; /* its OID */
	uint16_t size;
	uint32_t modifier;
};
/* One column after the other: `rest` is the body behind its count, and moves on. */
int message_parse_column(struct bytes *rest, struct message_column *column);

/* Describe and Close: 'S'tatement or 'P'ortal, and its name. */
struct message_target {
	char kind;
	const char *name;
};
int message_parse_target(struct bytes body, struct message_target *m);

/* ErrorResponse and NoticeResponse; fields that are missing are empty texts. */
struct message_error {
	const char *severity; /* not localised where the server says so */
	const char *sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
	const char *routine; /* the function of PostgreSQL's that says so */
};
int message_parse_error(struct bytes body, struct message_error *m);

/* SASLInitialResponse: the mechanism, and the client's first message (`data.at` NULL: none yet). */
struct message_sasl {
	const char *mechanism;
	struct bytes data;
};
int message_parse_sasl(struct bytes body, struct message_sasl *m);

int message_parse_parameter(struct bytes body, const char **name, const char **value);

/* The columns of a DataRow as texts that are NOT terminated; at[i].at is NULL for SQL's NULL.
 * Returns how many there are (those past `max` are left out), or -1. */
int message_parse_row(struct bytes body, struct bytes *at, int max);

/* Writers. */
void message_begin(struct buffer *out, char type, size_t *mark);
void message_end(struct buffer *out, size_t mark);

void message_authentication_ok(struct buffer *out);
/* AuthenticationSASL with the mechanisms, NULL-ended; AuthenticationSASLContinue, ...SASLFinal. */
void message_authentication_sasl(struct buffer *out, const char *const *mechanisms);
void message_authentication_sasl_continue(struct buffer *out, struct bytes data);
void message_authentication_sasl_final(struct buffer *out, struct bytes data);
/* NegotiateProtocolVersion: version 3.0, and none of `count` options, their names terminated. */
void message_negotiate(struct buffer *out, uint32_t count, struct bytes names);
void message_parameter(struct buffer *out, const char *name, const char *value);
void message_backend_key(struct buffer *out, uint32_t pid, uint32_t key);
void message_ready(struct buffer *out, char status);
/* `detail` and `hint` may be NULL. */
void message_error(struct buffer *out, const char *severity, const char *sqlstate,
	const char *message, const char *detail, const char *hint);
/* The same of an error that names the function of PostgreSQL's that says so. */
void message_error_of(
	struct buffer *out, const char *sqlstate, const char *message, const char *routine);
void message_notice(struct buffer *out, const char *message, const char *detail);
void message_complete(struct buffer *out, const char *tag);
void message_query(struct buffer *out, const char *sql);
void message_parse(struct buffer *out, const char *name, const char *query, struct bytes types);
/* Bind of the unnamed statement to the unnamed portal: one parameter, all as text. */
void message_bind_text(struct buffer *out, const char *parameter);
/* Execute of the unnamed portal, to its end. */
void message_execute(struct buffer *out);
void message_target(struct buffer *out, char type, char kind, const char *name);
/* A message without a body: Sync, Flush, ParseComplete, CloseComplete. */
void message_empty(struct buffer *out, char type);

#endif
