/*
 * A database URL. What is accepted must be good for both sides: libpq takes what is made for it,
 * and the service's URL leads to the gate with the same user and password.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "conf/url.h"
#include "target.h"

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void accepted(const struct url *u, struct arena *arena)
{
	const char *left_out;
	char *message = NULL;
	PQconninfoOption *options = PQconninfoParse(url_conninfo(u, arena, &left_out), &message);
	/* It may be older than a parameter that is passed on: then it has to say so, for to leave out
	 * require_auth would be worse. */
	assert(options || strstr(message, "invalid URI query parameter"));
	PQconninfoFree(options);
	PQfreemem(message);

	struct url gate;
	struct error error;
	error_init(&error);
	int result = url_parse(&gate, arena, url_to_gate(u, arena, "127.0.0.1", 6432), &error);
	assert(result == 0);
	assert(gate.hosts_count == 1 && gate.hosts[0].port == 6432);
	assert(same(gate.hosts[0].name, "127.0.0.1"));
	assert(same(gate.user.text, u->user.text));
	assert(same(gate.password.text, u->password.text));

	url_display(u, arena);
	url_address(u, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = ARENA_INIT;
	struct error error;
	error_init(&error);
	char *text = malloc(size + 1);
	assert(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = 0;

	struct url u;
	if (url_parse(&u, &arena, text, &error) == 0)
		accepted(&u, &arena);
	else
		assert(error_is_set(&error));
	free(text);
	arena_release(&arena);
	return 0;
}
