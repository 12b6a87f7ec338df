/*
 * The bytes of a client or a server: a first packet, or messages one after another. Each body is
 * parsed as every kind of message, whatever its type says.
 */
#include <assert.h>
#include <string.h>

#include "exact.h"
#include "target.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/startup.h"

#define COLUMNS_MAX 8

/* Reads the whole text; it is to end within the body. */
static void inside(struct bytes body, const char *text)
{
	if (*text) /* one that is missing may be a literal "" */
		assert((const uint8_t *)text + strlen(text) < body.at + body.len);
}

static void parse_first_packet(const uint8_t *data, size_t size)
{
	struct bytes in = exact(data, size);
	struct wire_startup startup;
	if (wire_startup_parse(in, &startup) == WIRE_OK) {
		assert(startup.len <= size);
		/* Of another version nothing but the version is read. */
		if (startup.kind == WIRE_STARTUP_SESSION && startup.major == 3) {
			const char *name, *value;
			while (wire_pair_next(&startup.parameters, &name, &value)) {
				inside(in, name);
				inside(in, value);
			}
		}
	}
	exact_free(in);
}

static void parse_body(struct bytes body)
{
	struct message_parse parse;
	if (message_parse_parse(body, &parse) == 0) {
		inside(body, parse.name);
		inside(body, parse.query);
		assert(parse.types.at + parse.types.len <= body.at + body.len);
	}
	struct message_bind bind;
	if (message_parse_bind(body, &bind) == 0) {
		inside(body, bind.portal);
		inside(body, bind.statement);
		assert(bind.rest <= body.len);
	}
	struct message_target target;
	if (message_parse_target(body, &target) == 0)
		inside(body, target.name);
	struct bytes rest = body;
	struct message_column column;
	while (message_parse_column(&rest, &column) == 0) {
		inside(body, column.name);
		assert(rest.at + rest.len == body.at + body.len);
	}
	struct message_error error;
	if (message_parse_error(body, &error) == 0) {
		inside(body, error.severity);
		inside(body, error.sqlstate);
		inside(body, error.message);
		inside(body, error.hint);
	}
	struct message_sasl sasl;
	if (message_parse_sasl(body, &sasl) == 0) {
		inside(body, sasl.mechanism);
		assert(!sasl.data.at || sasl.data.at + sasl.data.len == body.at + body.len);
	}
	const char *name, *value;
	if (message_parse_parameter(body, &name, &value) == 0) {
		inside(body, name);
		inside(body, value);
	}
	struct bytes columns[COLUMNS_MAX];
	int count = message_parse_row(body, columns, COLUMNS_MAX);
	for (int i = 0; i < count && i < COLUMNS_MAX; i++)
		if (columns[i].at)
			assert(columns[i].at + columns[i].len <= body.at + body.len);
}

static void parse_frames(const uint8_t *data, size_t size)
{
	while (size > 0) {
		struct bytes in = exact(data, size);
		struct frame frame;
		enum wire_result result = frame_parse(in, &frame);
		if (result == WIRE_OK && frame.len <= size) {
			struct bytes inner = frame_body(in, &frame);
			struct bytes body = exact(inner.at, inner.len);
			parse_body(body);
			exact_free(body);
		}
		exact_free(in);
		if (result != WIRE_OK || frame.len > size)
			break;
		data += frame.len;
		size -= frame.len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	parse_first_packet(data, size);
	parse_frames(data, size);
	struct bytes body = exact(data, size);
	parse_body(body);
	exact_free(body);
	return 0;
}
