/*
 * The console: what one session sends it, text by text or message by message, over a socket pair to
 * the hub with the real engine. The first byte says which: even is a simple query for each line of
 * the rest, odd is bytes as they are.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/client.h"
#include "gate/command.h"
#include "gate/hub.h"
#include "target.h"
#include "wire/message.h"

#define CLIENTS 4

static void on_action(void *context, const struct engine_action *action)
{
	(void)context;
	(void)action;
}

/* Each command is at least a byte of the text, and never past its end. */
static void parse(const char *text)
{
	struct command command;
	struct error error;
	const char *at = text;
	while (command_next(&at, &command, &error) == 0 && command.verb != COMMAND_EMPTY) {
		assert(at > text && at <= text + strlen(text));
		assert(strlen(command.word) <= COMMAND_WORD_MAX);
		assert(strlen(command.value) <= COMMAND_VALUE_MAX);
		text = at;
	}
}

static void append_startup(struct buffer *out)
{
	static const char pairs[] = "user\0standpipe\0database\0standpipe\0";
	buffer_append_u32(out, 8 + sizeof(pairs));
	buffer_append_u32(out, 3 << 16);
	buffer_append(out, pairs, sizeof(pairs));
}

static void append_script(struct buffer *out, const uint8_t *data, size_t size)
{
	if (*data & 1) {
		buffer_append(out, data + 1, size - 1);
		return;
	}
	char *text = calloc(1, size);
	if (!text)
		abort();
	memcpy(text, data + 1, size - 1);
	for (char *line = text, *end; line < text + size; line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + size - line));
		if (!end)
			end = text + size - 1;
		*end = 0;
		parse(line);
		message_query(out, line);
	}
	free(text);
}

/* Frames, one after another, until the end or a ReadyForQuery more than was ever asked for. */
static void check_answers(const struct buffer *got)
{
	struct bytes left = buffer_bytes(got);
	struct frame frame;
	while (left.len > 0) {
		assert(frame_parse(left, &frame) == WIRE_OK && frame.len <= left.len);
		left.at += frame.len;
		left.len -= frame.len;
	}
}

static void converse(struct hub *h, int fd, const struct buffer *script)
{
	struct buffer got = BUFFER_INIT;
	struct bytes left = buffer_bytes(script);
	for (int idle = 0; idle < 4;) {
		ssize_t sent = send(fd, left.at, left.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			left.at += sent;
			left.len -= (size_t)sent;
		}
		reactor_turn(h->reactor, false);
		uint8_t *place = buffer_reserve(&got, 65536);
		ssize_t received = recv(fd, place, 65536, MSG_DONTWAIT);
		if (received > 0)
			buffer_grow(&got, (size_t)received);
		idle = sent > 0 || received > 0 ? 0 : idle + 1;
	}
	check_answers(&got);
	buffer_release(&got);
}

static const struct gate_database database = {
	.auth_query = "", .name = "d", .conninfo = "", .user = "u", .host = "played"};

static void set(struct gate_settings *s)
{
	*s = (struct gate_settings){
		.servers_max = 2,
		.clients_max = CLIENTS,
		.conninfo = "",
		.host = "nowhere:5432",
		.user = "u",
		.database = "d",
		.databases = &database,
		.databases_count = 1,
		.listen_host = "",
		.socket_dir = "",
	};
	s->engine.retry = (struct retry_settings){5, 1, 1, 2.0};
	s->engine.budget = (struct budget_settings){
		.max_connections = 10,
		.margin = 1,
		.path_limit = 10,
		.path_share = 1,
		.instances = 1,
		.pool_size = 2,
	};
	s->engine.breaker = (struct breaker_settings){.failure_threshold = 3, .probes = 1};
	s->engine.connects.window_max = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gate_settings settings;
	struct hub h;
	struct log log;
	uv_loop_t loop;
	struct reactor reactor;
	struct error error;
	struct buffer script = BUFFER_INIT;
	const struct hub_duties duties = {.action = on_action};
	int fds[2];
	if (size == 0 || size > 65536)
		return 0;
	set(&settings);
	append_startup(&script);
	append_script(&script, data, size);
	log_init(&log, STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, NULL);
	uv_loop_init(&loop);
	assert(reactor_init(&reactor, &loop, REACTOR_AUTO, &error) == 0);
	assert(hub_init(&h, &reactor, &settings, &log, &duties, 1) == 0);
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	client_accept(&h, fds[0]);
	converse(&h, fds[1], &script);
	close(fds[1]);
	hub_close(&h);
	reactor_drain(&reactor);
	hub_release(&h);
	reactor_release(&reactor);
	assert(uv_loop_close(&loop) == 0);
	log_release(&log, 0);
	buffer_release(&script);
	return 0;
}
