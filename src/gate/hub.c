#include "gate/hub.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gate/client.h"
#include "gate/console.h"
#include "gate/databases.h"
#include "gate/overtime.h"
#include "gate/sampling.h"
#include "gate/server.h"
#include "gate/watch.h"

/* Room for so many servers at least. */
#define SERVERS_ROOM_MIN 64

/* Of the client ids, for the gate's own questions: a flood of clients must not stop those. */
#define OWN_IDS 2
/* Nor what is done about it. */
#define SURPLUS_IDS 8
/* Of a client's process id, 16 bits less zero. */
#define IDS_MAX 65535

instant hub_now(struct hub *h)
{
	/* Once a turn of the loop, when somebody asks. (Timers come before the turn's beginning is
	 * told: for them libuv's own clock, in milliseconds, tells that it is another.) */
	uint64_t turn_ms = uv_now(h->loop);
	if (h->turned || turn_ms != h->turn_ms) {
		h->turned = false;
		h->turn_ms = turn_ms;
		h->now = (instant)uv_hrtime();
	}
	return h->now;
}

static void on_probed(
	void *context, const struct path_attempt *how, unsigned turn, const struct error *error)
{
	struct hub *h = context;
	h->probe = NULL;
	/* One that did not answer is not the first to be asked again. */
	h->probe_turn = how->outcome == OUTCOME_TIMEOUT ? turn + 1 : turn;
	log_debug(h->log, "light probe", field_text("outcome", outcome_name(how->outcome)),
		field_text("stage", stage_name(how->stage)),
		field_text("reason", error ? error->text : ""));
	hub_tell(h, (struct engine_event){.kind = EVENT_PROBED, .probe = *how});
}

static void probe_path(struct hub *h, const struct engine_action *action)
{
	const struct light_probe_target target = {
		.conninfo = h->settings->conninfo,
		.origin = h->settings->host,
		.asks = action->asks,
		.timeout_ns = action->timeout_ns,
		.turn = h->probe_turn,
	};
	assert(!h->probe);
	h->probe = light_probe_start(h->loop, &target, on_probed, h);
}

static void carry_out(struct hub *h, const struct engine_action *action)
{
	struct client *c = action->client == POOL_NOBODY ? NULL : h->clients[action->client];
	switch (action->kind) {
	case ACTION_CONNECT:
		server_connect(h, action->server, pools_at(h, action->group));
		break;
	case ACTION_REDIAL:
		server_redial(h, action->server);
		break;
	case ACTION_ABANDON:
		server_abandon(h, action->server);
		break;
	case ACTION_CLOSE:
		server_close(h, action->server);
		break;
	case ACTION_ASSIGN:
		client_assigned(c, &h->servers[action->server], action->ping);
		break;
	case ACTION_REJECT:
		client_rejected(c, action);
		break;
	case ACTION_PROBE:
		probe_path(h, action);
		break;
	case ACTION_PHASE_BEGIN:
	case ACTION_PHASE_CANCEL:
	case ACTION_NOTICE:
	case ACTION_EXIT:
		h->duties.action(h->duties.context, action);
		break;
	}
}

static void step(struct hub *h, const struct engine_event *event)
{
	struct engine_actions actions;
	engine_step(&h->engine, event, &actions);
	for (int i = 0; i < actions.count; i++)
		carry_out(h, &actions.list[i]);
}

void hub_tell(struct hub *h, struct engine_event event)
{
	event.now = hub_now(h);
	if (h->stepping) {
		if (h->told_count == h->told_size) {
			h->told_size = h->told_size ? 2 * h->told_size : 16;
			h->told = realloc(h->told, (size_t)h->told_size * sizeof(*h->told));
			if (!h->told)
				abort();
		}
		h->told[h->told_count++] = event;
		return;
	}
	h->stepping = true;
	step(h, &event);
	for (int i = 0; i < h->told_count; i++) {
		struct engine_event next = h->told[i];
		step(h, &next);
	}
	h->told_count = 0;
	h->stepping = false;
	while (h->parked_count > 0)
		h->free_ids[h->free_count++] = h->parked_ids[--h->parked_count];
}

static void on_timer(uv_timer_t *timer)
{
	struct hub *h = timer->data;
	h->timer_at = INSTANT_NEVER;
	hub_tell(h, (struct engine_event){.kind = EVENT_TICK});
}

/* Before the loop waits: wake up for the engine's deadline. */
static void before_wait(void *context)
{
	struct hub *h = context;
	if (h->consoles_waiting > 0)
		console_look(h);
	h->turned = true;
	instant at = engine_deadline(&h->engine);
	if (at == h->timer_at)
		return;
	h->timer_at = at;
	if (at == INSTANT_NEVER) {
		uv_timer_stop(&h->timer);
		return;
	}
	int64_t wait_ns = at - (instant)uv_hrtime();
	/* Rounded up: a timer that fires too early would only be set again. */
	uint64_t wait_ms = wait_ns <= 0 ? 0 : (uint64_t)((wait_ns + NS_PER_MS - 1) / NS_PER_MS);
	uv_update_time(h->loop);
	uv_timer_start(&h->timer, on_timer, wait_ms, 0);
}

/* What passed since the last time, as the path's estimator wants it. */
static void tell_throughput(struct hub *h, instant now)
{
	const struct gate_counters *c = &h->counters;
	double sent_bits = 8.0 * (double)(c->bytes_in - h->bytes_in_told);
	double received_bits = 8.0 * (double)(c->bytes_out - h->bytes_out_told);
	double seconds = s_from_ns(now - h->bytes_told_at);
	h->bytes_in_told = c->bytes_in;
	h->bytes_out_told = c->bytes_out;
	h->bytes_told_at = now;
	if (seconds > 0)
		hub_tell(h, (struct engine_event){.kind = EVENT_THROUGHPUT,
				    .bit_s = (sent_bits + received_bits) / seconds,
				    .sent_bit_s = sent_bits / seconds});
}

static void turn_stats(struct hub *h, instant now)
{
	h->stats_before_at = h->stats_at;
	h->stats_at = now;
	for (int group = 0; group < h->pools.top; group++) {
		struct gate_pool *pool = h->pools.by_group[group];
		if (pool)
			pool_history_turn(&pool->history, &pool->stats);
	}
}

static void on_housekeeping(uv_timer_t *timer)
{
	struct hub *h = timer->data;
	instant now = hub_now(h);
	for (int i = 0; i < h->memory.servers_max; i++)
		overtime_check_server(&h->servers[i], now);
	if (now < h->second_at)
		return;
	h->second_at = now + NS_PER_S - NS_PER_S / 50;
	tell_throughput(h, now);
	sampling_look(h);
	watch_look(h->watch, now);
	if (now - h->stats_at >= POOL_STATS_PERIOD_NS)
		turn_stats(h, now);
	for (int i = 0; i < h->memory.servers_max; i++)
		server_check(&h->servers[i], now);
	for (int i = 0; i < h->memory.clients_max; i++)
		if (h->clients[i])
			overtime_check_client(h->clients[i], now);
	pools_sweep(h, now);
	log_limit_tell(&h->refusals, h->log, "clients that were turned away", now);
	log_limit_tell(&h->failures, h->log, "connects to the database that failed", now);
}

/* The settings as they are for the part that this gate takes. */
static struct engine_settings settings_in_part(const struct hub *h)
{
	struct engine_settings s = h->settings->engine;
	if (h->part != HUB_WHOLE)
		s.budget.siblings = 2 * s.budget.siblings + 1;
	if (h->part == HUB_GOES) {
		s.servers_kept = 0;
		s.server_idle_ns = 1;
	}
	return s;
}

static void configure_engine(struct hub *h)
{
	struct engine_settings s = settings_in_part(h);
	engine_configure(&h->engine, &s, hub_now(h));
}

void hub_share(struct hub *h, enum hub_part part)
{
	h->part = part;
	configure_engine(h);
	hub_tell(h, (struct engine_event){.kind = EVENT_TICK});
}

void hub_configure(struct hub *h, const struct gate_settings *settings)
{
	assert(!h->stepping);
	bool elsewhere = strcmp(settings->conninfo, h->settings->conninfo) != 0;
	h->settings = settings;
	configure_engine(h);
	pools_configure(h);
	uint64_t period_ms = overtime_period_ms(settings);
	token_configure(&h->token, elsewhere);
	uv_timer_start(&h->housekeeping, on_housekeeping, period_ms, period_ms);
	hub_tell(h, (struct engine_event){.kind = EVENT_TICK});
}

void hub_reconnect(struct hub *h, int group)
{
	for (int i = 0; i < h->memory.servers_max; i++)
		if (h->servers[i].pool &&
			(group == POOL_NOBODY || h->servers[i].pool->group == group))
			server_login_afresh(&h->servers[i]);
	hub_tell(h, (struct engine_event){.kind = EVENT_RECONNECT, .group = group});
}

int hub_take_id(struct hub *h, bool ours)
{
	int kept = ours ? 0 : OWN_IDS;
	return h->free_count > kept ? h->free_ids[--h->free_count] : -1;
}

void hub_give_id(struct hub *h, int id)
{
	assert(h->clients[id]);
	h->clients[id] = NULL;
	/* What is still to be told of it must not be taken for news of the next one. */
	if (h->stepping)
		h->parked_ids[h->parked_count++] = id;
	else
		h->free_ids[h->free_count++] = id;
}

/* A reload may raise pool.size: so there is room for more than there may be now. */
static int room_for_servers(const struct gate_settings *settings)
{
	return settings->servers_max > SERVERS_ROOM_MIN / 2 ? 2 * settings->servers_max
							    : SERVERS_ROOM_MIN;
}

int hub_init(struct hub *h, struct reactor *reactor, const struct gate_settings *settings,
	struct log *log, const struct hub_duties *duties, uint64_t seed)
{
	uv_loop_t *loop = reactor->loop;
	memset(h, 0, sizeof(*h));
	h->reactor = reactor;
	h->loop = loop;
	h->settings = settings;
	h->log = log;
	h->duties = *duties;
	int servers_max = room_for_servers(settings);
	size_t servers = (size_t)servers_max;
	int clients_max = settings->clients_max + OWN_IDS + SURPLUS_IDS;
	if (clients_max > IDS_MAX)
		clients_max = IDS_MAX;
	size_t clients = (size_t)clients_max;
	h->memory.servers = calloc(servers, sizeof(*h->memory.servers));
	h->memory.attempts = calloc(servers, sizeof(*h->memory.attempts));
	h->memory.servers_max = servers_max;
	h->memory.clients = calloc(clients, sizeof(*h->memory.clients));
	h->memory.clients_max = clients_max;
	h->clients_allowed = settings->clients_max;
	h->servers = calloc(servers, sizeof(*h->servers));
	h->clients = calloc(clients, sizeof(struct client *));
	/* A group has a client or a server, or is to be kept for either. */
	h->memory.groups_max = clients_max + servers_max + POOLS_SPARE;
	size_t groups = (size_t)h->memory.groups_max;
	h->memory.pool_groups = calloc(groups, sizeof(*h->memory.pool_groups));
	h->memory.groups = calloc(groups, sizeof(*h->memory.groups));
	h->id_turns = calloc(clients, sizeof(*h->id_turns));
	h->free_ids = calloc(clients, sizeof(*h->free_ids));
	h->parked_ids = calloc(clients, sizeof(*h->parked_ids));
	if (!h->memory.servers || !h->memory.attempts || !h->memory.clients || !h->servers ||
		!h->memory.pool_groups || !h->memory.groups || !h->clients || !h->id_turns ||
		!h->free_ids || !h->parked_ids)
		return -1;
	while (h->free_count < clients_max) {
		h->free_ids[h->free_count] = clients_max - 1 - h->free_count;
		h->free_count++;
	}
	statements_init(&h->statements, servers_max, (size_t)settings->prepared_bytes);
	token_init(&h->token, h);
	h->watch = watch_new(h, seed);
	auth_init(&h->auth, h, &settings->auth, log);
	if (pools_init(h) != 0)
		return -1;
	for (int i = 0; i < servers_max; i++)
		server_init(&h->servers[i], h, i);
	h->turn_ms = uv_now(loop);
	h->now = (instant)uv_hrtime();
	engine_init(&h->engine, &settings->engine, &h->memory, seed, h->now);
	h->timer_at = INSTANT_NEVER;
	h->bytes_told_at = h->stats_at = h->stats_before_at = h->now;
	uv_timer_init(loop, &h->timer);
	uv_timer_init(loop, &h->housekeeping);
	h->timer.data = h->housekeeping.data = h;
	databases_init(h);
	reactor->before_wait = before_wait;
	reactor->context = h;
	uint64_t period_ms = overtime_period_ms(settings);
	uv_timer_start(&h->housekeeping, on_housekeeping, period_ms, period_ms);
	pools_begin(h);
	return 0;
}

void hub_close(struct hub *h)
{
	auth_close(&h->auth);
	if (h->probe)
		light_probe_cancel(h->probe);
	watch_free(h->watch);
	h->watch = NULL;
	for (int i = 0; i < h->memory.clients_max; i++)
		if (h->clients[i])
			client_drop(h->clients[i]);
	for (int i = 0; i < h->memory.servers_max; i++)
		server_shut(&h->servers[i]);
	token_close(&h->token);
	uv_close((uv_handle_t *)&h->timer, NULL);
	uv_close((uv_handle_t *)&h->housekeeping, NULL);
	databases_close(h);
}

void hub_release(struct hub *h)
{
	for (int i = 0; i < h->memory.servers_max; i++)
		server_release(&h->servers[i]);
	statements_release(&h->statements);
	holds_release(&h->holds);
	pools_release(h);
	auth_release(&h->auth);
	token_release(&h->token);
	free(h->memory.servers);
	free(h->memory.attempts);
	free(h->memory.clients);
	free(h->memory.pool_groups);
	free(h->memory.groups);
	free(h->servers);
	free(h->clients);
	free(h->id_turns);
	free(h->free_ids);
	free(h->parked_ids);
	free(h->told);
}
