#include "core/engine_pool.h"

#include "core/engine_actions.h"
#include "core/engine_attempt.h"
#include "core/engine_queue.h"

/* How soon idle servers are looked at for age once something has happened. */
#define SWEEP_NS NS_PER_S

/* ---- what is known ---- */

bool engine_may_connect(const struct engine *e)
{
	enum phase_status status = e->startup.phases[PHASE_DATABASE].status;
	bool ending = e->exiting || e->startup.failed;
	return !ending && status != PHASE_PENDING && status != PHASE_SKIPPED;
}

/* Would an attempt be let through now, whoever it is for? */
static bool may_attempt(const struct engine *e, instant now)
{
	return engine_may_connect(e) && retry_admits(&e->retry, now) &&
	       now >= throttle_until(&e->throttle) && connects_has_room(&e->connects) &&
	       breaker_would_admit(&e->breaker, now);
}

static int server_limit(const struct engine *e)
{
	return e->budget.share < e->pool.servers_max ? e->budget.share : e->pool.servers_max;
}

static bool is_full(const struct engine *e)
{
	return pool_servers(&e->pool) >= server_limit(e);
}

static int family_of(const struct engine *e, int group)
{
	return e->pool.groups[group].settings.family;
}

static bool is_over_limit(const struct engine *e, int group)
{
	const struct pool_group *head = &e->pool.groups[family_of(e, group)];
	return pool_servers(&e->pool) > server_limit(e) ||
	       (head->settings.servers_max > 0 &&
		       head->family_servers > head->settings.servers_max);
}

static bool is_held(const struct pool_group *g)
{
	return g->settings.hold != HOLD_NONE;
}

/* Somebody waits, and there is nothing to wait for. */
static bool is_without(const struct pool_group *g)
{
	return g->waiting > 0 && pool_group_servers(g) == 0 && !is_held(g);
}

static instant asked_at(const struct engine *e, int group)
{
	return e->pool.clients[e->pool.groups[group].queue_first].asked_at;
}

/* ---- opening ---- */

/* A server that is wanted. */
struct want {
	instant at; /* INSTANT_NEVER: none is */
	int group;
	int victim; /* idle, to be closed to make room; POOL_NOBODY: there is room */
};

/* For whom nothing is idle or on its way: from when on; INSTANT_NEVER: it does not. */
static instant group_wants_at(const struct engine *e, int group)
{
	const struct pool_group *g = &e->pool.groups[group];
	const struct engine_group *own = &e->groups[group];
	if (is_held(g) || g->waiting <= g->idle + g->connecting)
		return INSTANT_NEVER;
	/* The first one at once; more only for a queue that those there can't drain. */
	if (pool_group_servers(g) == 0)
		return own->retry_at;
	return instant_max(standing_at(&own->standing), own->retry_at);
}

/* An idle server that may be closed for the sake of another group; POOL_NOBODY: none. O(idle). */
static int find_victim(const struct engine *e, int group, bool same_family)
{
	bool without = is_without(&e->pool.groups[group]);
	int kept = POOL_NOBODY;
	for (int server = e->pool.oldest; server != POOL_NOBODY;
		server = e->pool.servers[server].newer) {
		int its = e->pool.servers[server].group;
		const struct pool_group *g = &e->pool.groups[its];
		if (its == group || (same_family && family_of(e, its) != family_of(e, group)))
			continue;
		if (pool_group_servers(g) > g->settings.servers_kept)
			return server;
		if (kept == POOL_NOBODY)
			kept = server;
	}
	return without ? kept : POOL_NOBODY;
}

/* What the group wants and can be given. */
static struct want want_of(const struct engine *e, int group)
{
	struct want want = {group_wants_at(e, group), group, POOL_NOBODY};
	bool family_full = !pool_group_has_room(&e->pool, group);
	if (want.at == INSTANT_NEVER || (!family_full && !is_full(e)))
		return want;
	want.victim = find_victim(e, group, family_full);
	if (want.victim == POOL_NOBODY)
		want.at = INSTANT_NEVER;
	else if (!is_without(&e->pool.groups[group]))
		want.at = instant_max(want.at,
			e->pool.servers[want.victim].since + e->settings.growth.interval_ns);
	return want;
}

/* The group that has less than it is to keep; POOL_NOBODY: none, or no room for it. */
static int lacking_group(const struct engine *e)
{
	if (e->pool.lacking == 0 || is_full(e))
		return POOL_NOBODY;
	for (int group = 0; group < e->pool.groups_top; group++) {
		const struct pool_group *g = &e->pool.groups[group];
		/* After a permanent failure only a client's demand is worth another try. */
		if (g->open && !is_held(g) && pool_group_servers(g) < g->settings.servers_kept &&
			e->groups[group].permanent == OUTCOME_OK &&
			pool_group_has_room(&e->pool, group))
			return group;
	}
	return POOL_NOBODY;
}

/* Of those that are due: who waits for what is not there comes first, in the order in which they
 * came - which is must_yield's order too, or two groups would close each other's servers for
 * ever. */
static bool is_before(const struct engine *e, const struct want *a, const struct want *b)
{
	if (a->at != b->at || b->at == INSTANT_NEVER)
		return a->at < b->at;
	bool without = is_without(&e->pool.groups[a->group]);
	if (without != is_without(&e->pool.groups[b->group]))
		return without;
	return asked_at(e, a->group) < asked_at(e, b->group);
}

/* The one that comes first at `now`; at INT64_MIN, the one that is due first. */
static struct want next_want(const struct engine *e, instant now)
{
	struct want first = {INSTANT_NEVER, POOL_NOBODY, POOL_NOBODY};
	if (!engine_may_connect(e))
		return first;
	for (int group = e->pool.waiting_first; group != POOL_NOBODY;
		group = e->pool.groups[group].next) {
		struct want want = want_of(e, group);
		want.at = instant_max(want.at, now);
		if (is_before(e, &want, &first))
			first = want;
	}
	return first;
}

/* One that nobody waits for can begin in the gate's own group. */
static bool has_place_for_probe(const struct engine *e)
{
	return engine_may_connect(e) && !is_full(e) &&
	       e->groups[ENGINE_OWN].permanent == OUTCOME_OK &&
	       pool_group_has_room(&e->pool, ENGINE_OWN) && !is_held(&e->pool.groups[ENGINE_OWN]);
}

/* What nobody waits for: it comes after all that somebody does. */
static struct want spare_want(const struct engine *e)
{
	int group = engine_may_connect(e) ? lacking_group(e) : POOL_NOBODY;
	/* A breaker that is not closed wants to know, whoever waits: its state is being shown. */
	bool probes = e->breaker.state != BREAKER_CLOSED && has_place_for_probe(e);
	if (group == POOL_NOBODY && probes)
		group = ENGINE_OWN;
	struct want want = {group == POOL_NOBODY ? INSTANT_NEVER : 0, group, POOL_NOBODY};
	/* On a path that has no room for all, others may have nothing yet. */
	if (group != POOL_NOBODY && pool_group_servers(&e->pool.groups[group]) > 0)
		want.at = instant_add(e->connects.cut_at, e->settings.spare_calm_ns);
	return want;
}

instant engine_wants_server_at(const struct engine *e)
{
	return instant_min(next_want(e, INT64_MIN).at, spare_want(e).at);
}

static void close_server(struct engine *e, int server, instant now, struct engine_actions *actions)
{
	act(actions, ACTION_CLOSE)->server = server;
	pool_server_gone(&e->pool, server);
	engine_connections_changed(e, now);
}

static void open_server(struct engine *e, int group, const struct breaker_pass *pass, instant now,
	struct engine_actions *actions)
{
	int server = pool_server_begin(&e->pool, group, now);
	assert(server != POOL_NOBODY);
	engine_attempt_begin(e, server, pass, now);
	standing_answered(&e->groups[group].standing, now);
	struct engine_action *a = act(actions, ACTION_CONNECT);
	a->server = server;
	a->group = group;
	engine_connections_changed(e, now);
}

void engine_open_servers(struct engine *e, instant now, struct engine_actions *actions)
{
	for (int group = e->pool.waiting_first; group != POOL_NOBODY;
		group = e->pool.groups[group].next) {
		const struct pool_group *g = &e->pool.groups[group];
		/* Whoever waits for the first server is not helped by a second. */
		standing_update(&e->groups[group].standing, g->idle + g->busy > 0, now);
	}
	for (;;) {
		struct want want = next_want(e, now);
		if (now < want.at)
			want = spare_want(e);
		if (now < want.at || !may_attempt(e, now) || !has_room(e, actions, 2))
			return;
		if (!engine_attempt_admit(e, now))
			return;
		struct breaker_pass pass;
		bool admitted = connects_admit(&e->connects) &&
				breaker_admit(&e->breaker, now, &pass);
		assert(admitted);
		if (want.victim != POOL_NOBODY)
			close_server(e, want.victim, now, actions);
		open_server(e, want.group, &pass, now, actions);
	}
}

bool engine_open_probe(struct engine *e, instant now, struct engine_actions *actions)
{
	struct breaker_pass pass;
	if (!has_place_for_probe(e) || !connects_admit(&e->connects))
		return false;
	breaker_admit_probe(&e->breaker, now, &pass);
	e->login_probes = true;
	open_server(e, ENGINE_OWN, &pass, now, actions);
	return true;
}

/* ---- giving ---- */

/* Is the group's idle server to make room for a group that has none and came first? */
static bool must_yield(const struct engine *e, int group, instant now)
{
	if (e->pool.groups[group].next == POOL_NOBODY && e->pool.waiting_first == group)
		return false; /* nobody waits elsewhere */
	if (!may_attempt(e, now))
		return false;
	bool full = is_full(e);
	for (int other = e->pool.waiting_first; other != POOL_NOBODY;
		other = e->pool.groups[other].next) {
		if (!is_without(&e->pool.groups[other]) || now < e->groups[other].retry_at)
			continue;
		bool family = family_of(e, other) == family_of(e, group);
		bool has_room = pool_group_has_room(&e->pool, other);
		bool helps = has_room ? full : family;
		if (helps && asked_at(e, other) < asked_at(e, group) &&
			now - asked_at(e, other) >= e->settings.growth.interval_ns)
			return true;
	}
	return false;
}

/* As far as one can tell, another could be had in the place of one that is closed. */
static bool is_replaceable(const struct engine *e, int group, instant now)
{
	return e->breaker.state == BREAKER_CLOSED && e->groups[group].permanent == OUTCOME_OK &&
	       retry_admits(&e->retry, now);
}

/* Not to be used again, even if clients wait without end and it would never be idle for long: too
 * old, one too many since a limit has shrunk, or its group is to have none. An old one that still
 * serves is worth more than none: it stays while no other can be had. */
static bool is_done_with(const struct engine *e, int server, instant now)
{
	const struct pool_server *s = &e->pool.servers[server];
	bool too_old = now >= s->retire_at && is_replaceable(e, s->group, now);
	return too_old || s->outdated || is_over_limit(e, s->group) ||
	       e->pool.groups[s->group].settings.hold == HOLD_CLOSE;
}

static void assign_in(struct engine *e, int group, instant now, struct engine_actions *actions)
{
	const struct pool_group *g = &e->pool.groups[group];
	while (!is_held(g) && g->waiting > 0 && g->idle > 0 && has_room(e, actions, 1)) {
		int server, client;
		if (is_done_with(e, g->idle_first, now) || must_yield(e, group, now)) {
			close_server(e, g->idle_first, now, actions);
			continue;
		}
		instant idle_since = e->pool.servers[g->idle_first].since;
		if (engine_queue_serves(e, group, now))
			pool_assign_newest(&e->pool, group, &server, &client, now);
		else
			pool_assign(&e->pool, group, &server, &client, now);
		struct engine_action *a = act(actions, ACTION_ASSIGN);
		a->server = server;
		a->client = client;
		a->ping = now - idle_since >= e->settings.ping_after_ns;
		e->assigned++;
	}
}

void engine_assign(struct engine *e, instant now, struct engine_actions *actions)
{
	int next;
	for (int group = e->pool.waiting_first; group != POOL_NOBODY; group = next) {
		next = e->pool.groups[group].next;
		assign_in(e, group, now, actions);
	}
}

/* ---- closing ---- */

static bool is_surplus(const struct engine *e, int server)
{
	const struct pool_group *g = &e->pool.groups[e->pool.servers[server].group];
	return e->settings.server_idle_ns > 0 && pool_group_servers(g) > g->settings.servers_kept;
}

/* When the idle server is to be closed by time alone. */
static instant ends_at(const struct engine *e, int server)
{
	const struct pool_server *s = &e->pool.servers[server];
	instant at = s->retire_at;
	if (is_surplus(e, server))
		at = instant_min(at, instant_add(s->since, e->settings.server_idle_ns));
	return at;
}

void engine_sweep_soon(struct engine *e, instant now)
{
	e->sweep_at = instant_min(e->sweep_at, now + SWEEP_NS);
}

void engine_sweep(struct engine *e, instant now, struct engine_actions *actions)
{
	if (now < e->sweep_at)
		return;
	e->sweep_at = INSTANT_NEVER;
	int next;
	for (int server = e->pool.oldest; server != POOL_NOBODY; server = next) {
		const struct pool_server *s = &e->pool.servers[server];
		next = s->newer;
		instant at = ends_at(e, server);
		/* One too many is not one while no other can be had. */
		bool over = now >= at && is_replaceable(e, s->group, now);
		if (!over && !is_done_with(e, server, now)) {
			e->sweep_at = instant_min(e->sweep_at, instant_max(at, now + SWEEP_NS));
			continue;
		}
		if (!has_room(e, actions, 1)) {
			e->sweep_at = now;
			return;
		}
		close_server(e, server, now, actions);
	}
}
