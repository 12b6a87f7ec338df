/* SHOW BREAKER, PATH, STAGES, BUDGET, STARTUP, CONNECTS, QUEUES: what PgBouncer has no idea of. */
#include <stdio.h>

#include "gate/console_sockets.h"
#include "gate/pools.h"

#define MS(ns) ((ns) / NS_PER_MS)

static const struct column breaker_columns[] = {
	{"state", COLUMN_TEXT}, /* in force */
	{"mode", COLUMN_TEXT},
	{"judged", COLUMN_TEXT}, /* by the rules alone: what `metrics` would do */
	{"enabled", COLUMN_TEXT},
	{"failures", COLUMN_INT4}, /* in a row */
	{"threshold", COLUMN_INT4},
	{"attempts", COLUMN_INT4}, /* in the window */
	{"failure_rate", COLUMN_FLOAT8},
	{"slow_rate", COLUMN_FLOAT8},
	{"under_way", COLUMN_INT4}, /* attempts */
	{"probing", COLUMN_INT4}, /* those that hold a place in half-open */
	{"opened_total", COLUMN_INT8},
	{"spared_total", COLUMN_INT8}, /* let through by `metrics` alone */
	{"open_for_ms", COLUMN_INT8}, /* NULL: it is not open, or held so */
	{"next_probe_ms", COLUMN_INT8}, /* NULL: no light probe is due */
	{"last_change", COLUMN_TEXT}, /* NULL: none as yet */
	{"last_error", COLUMN_TEXT},
};

/* How long until then; NULL for what is not to come. */
static void table_until(struct table *t, instant at, instant now)
{
	if (at == INSTANT_NEVER)
		table_null(t);
	else
		table_int(t, at > now ? MS(at - now) : 0);
}

static void table_change(struct table *t, const struct breaker_change *c)
{
	char text[64];
	if (c)
		snprintf(text, sizeof(text), "%s -> %s (%s)", breaker_state_name(c->from),
			breaker_state_name(c->to), breaker_cause_name(c->cause));
	table_text(t, c ? text : NULL);
}

static void fill_breaker(const struct client *c, struct table *t)
{
	struct hub *h = c->hub;
	const struct breaker *b = &h->engine.breaker;
	instant now = hub_now(h);
	const struct breaker_rates rates = breaker_rates(b, now);
	table_row(t);
	table_text(t, breaker_state_name(b->state));
	table_text(t, breaker_mode_name(b->mode));
	table_text(t, breaker_state_name(b->judged));
	table_text(t, b->settings.enabled ? "yes" : "no");
	table_int(t, b->failures);
	table_int(t, b->settings.failure_threshold);
	table_int(t, rates.attempts);
	table_real(t, rates.failed);
	table_real(t, rates.slow);
	table_int(t, b->under_way);
	table_int(t, b->probing);
	table_int(t, b->opened_count);
	table_int(t, b->spared);
	table_until(t, breaker_deadline(b), now);
	table_until(t, engine_next_probe_at(&h->engine), now);
	table_change(t, breaker_change(b, 0));
	table_text(t, error_is_set(&h->database_error) ? h->database_error.text : NULL);
	table_end(t);
}

static const struct column path_columns[] = {
	{"state", COLUMN_TEXT}, {"utilisation", COLUMN_FLOAT8}, {"threshold", COLUMN_FLOAT8},
	{"connections", COLUMN_INT4}, {"connections_limit", COLUMN_INT4}, /* 0: not looked at */
	{"throughput_bit_s", COLUMN_FLOAT8}, {"baseline_bit_s", COLUMN_FLOAT8},
	{"attempts", COLUMN_INT8}, {"failures", COLUMN_INT8}, {"redials", COLUMN_INT8},
	{"connect_p50_ms", COLUMN_FLOAT8}, {"connect_p95_ms", COLUMN_FLOAT8},
	{"connects_under_way", COLUMN_INT4}, {"connects_window", COLUMN_FLOAT8},
	{"connects_rule", COLUMN_TEXT}, {"scaling_events", COLUMN_INT8},
	{"since_ms", COLUMN_INT8}, /* that it is in that state */
	{"sent_bytes_s", COLUMN_FLOAT8}, {"received_bytes_s", COLUMN_FLOAT8},
	{"history", COLUMN_TEXT}, /* of attempts, newest last: . well, x failed */
	{"syn_lost", COLUMN_INT8},
	{"rtt_ms", COLUMN_FLOAT8}, /* NULL: not known, as for the next and delivery_bit_s */
	{"min_rtt_ms", COLUMN_FLOAT8}, {"retransmit_ratio", COLUMN_FLOAT8},
	{"retransmits", COLUMN_INT8}, {"delivery_bit_s", COLUMN_INT8},
	{"server", COLUMN_TEXT}, /* what the database's server is at */
};

static double real_ms(int64_t span_ns)
{
	return (double)span_ns / (double)NS_PER_MS;
}

static void table_ms(struct table *t, int64_t span_ns)
{
	if (span_ns > 0)
		table_real(t, real_ms(span_ns));
	else
		table_null(t);
}

static void fill_flow(struct table *t, const struct flow *f, instant now)
{
	int64_t delivery_bit_s = minmax_value(&f->delivery);
	table_ms(t, f->rtt_ns);
	table_ms(t, minmax_value(&f->floor));
	table_real(t, flow_retransmit_rate(f, now));
	table_int(t, f->retransmits_total);
	if (delivery_bit_s > 0)
		table_int(t, delivery_bit_s);
	else
		table_null(t);
}

static void fill_path(const struct client *c, struct table *t)
{
	const struct engine *e = &c->hub->engine;
	const struct path *p = &e->path;
	char history[HISTORY_MAX + 1];
	table_row(t);
	table_text(t, path_state_name(p->state));
	table_real(t, path_utilisation(p));
	table_real(t, p->settings.threshold);
	table_int(t, p->connections);
	table_int(t, p->settings.limit);
	table_real(t, p->throughput_bit_s);
	table_real(t, p->settings.baseline_bit_s);
	table_int(t, p->attempts);
	table_int(t, p->failures);
	table_int(t, e->redials);
	table_real(t, real_ms(path_connect_quantile(p, 0.5)));
	table_real(t, real_ms(path_connect_p95(p)));
	table_int(t, e->connects.under_way);
	table_real(t, e->connects.window);
	table_text(t, connects_rule_name(e->settings.connects.rule));
	table_int(t, p->scaling.begun);
	table_int(t, MS(hub_now(c->hub) - p->changed_at));
	table_real(t, p->sent_bit_s / 8.0);
	table_real(t, (p->throughput_bit_s - p->sent_bit_s) / 8.0);
	history_text(&p->history, 'x', history);
	table_text(t, history);
	table_int(t, p->syn_lost);
	fill_flow(t, &p->flow, hub_now(c->hub));
	table_text(t, dbms_state_name(e->dbms.state));
	table_end(t);
}

static const struct column stage_columns[] = {
	{"stage", COLUMN_TEXT},
	{"samples", COLUMN_INT4},
	{"min_ms", COLUMN_FLOAT8}, /* NULL: none succeeded lately */
	{"p50_ms", COLUMN_FLOAT8},
	{"p95_ms", COLUMN_FLOAT8},
	{"failures", COLUMN_INT4}, /* of the last 64 that got there */
	{"history", COLUMN_TEXT},
};

static void fill_stage(
	struct table *t, const char *name, const struct quantiles *q, const struct history *h)
{
	static const double parts[] = {0.0, 0.5, 0.95};
	char history[HISTORY_MAX + 1];
	table_row(t);
	table_text(t, name);
	table_int(t, (int64_t)q->held);
	for (int i = 0; i < COUNT(parts); i++)
		if (q->held > 0)
			table_real(t, real_ms(quantiles_value(q, parts[i])));
		else
			table_null(t);
	table_int(t, history_failures(h, HISTORY_MAX));
	history_text(h, 'x', history);
	table_text(t, history);
	table_end(t);
}

static void fill_stages(const struct client *c, struct table *t)
{
	const struct path *p = &c->hub->engine.path;
	for (enum stage stage = 0; stage < STAGE_READY; stage++)
		fill_stage(t, stage_name(stage), &p->stages[stage].took, &p->stages[stage].history);
	fill_stage(t, "total", &p->total, &p->history);
}

static const struct column budget_columns[] = {
	{"max_connections", COLUMN_INT4},
	{"usable", COLUMN_INT4},
	{"by_database", COLUMN_INT4},
	{"by_path", COLUMN_INT4},
	{"fleet", COLUMN_INT4},
	{"instances", COLUMN_INT4},
	{"share", COLUMN_INT4},
	{"open", COLUMN_INT4},
	{"busy", COLUMN_INT4},
	{"fits", COLUMN_TEXT},
};

static void fill_budget(const struct client *c, struct table *t)
{
	const struct engine *e = &c->hub->engine;
	const struct budget *b = &e->budget;
	table_row(t);
	table_int(t, b->settings.max_connections);
	table_int(t, b->usable);
	table_int(t, b->by_database);
	table_int(t, b->by_path);
	table_int(t, b->fleet);
	table_int(t, b->settings.instances);
	table_int(t, b->share);
	table_int(t, pool_servers(&e->pool));
	table_int(t, e->pool.busy);
	table_text(t, b->fits ? "yes" : "no");
	table_end(t);
}

static const struct column limit_columns[] = {
	{"name", COLUMN_TEXT}, /* its key in the configuration */
	{"limit", COLUMN_TEXT}, /* in seconds, or clients; NULL: none, or one for each of several */
	{"clients", COLUMN_INT8}, /* ended, turned away or cancelled for it */
};

static void fill_limit(const struct hub *h, int bound, struct table *t)
{
	char limit[32] = "";
	int64_t ns = 0;
	if (bound < GATE_LIMIT_COUNT)
		ns = h->settings->limits_ns[bound];
	else if (bound == BOUND_POOL_WAIT)
		ns = engine_deadline_span(&h->engine, DEADLINE_POOL);
	if (ns > 0)
		snprintf(limit, sizeof(limit), "%.10g", s_from_ns(ns));
	else if (bound == BOUND_CLIENTS)
		snprintf(limit, sizeof(limit), "%d", h->clients_allowed);
	table_row(t);
	table_text(t, gate_bound_key(bound));
	if (*limit)
		table_text(t, limit);
	else
		table_null(t);
	table_int(t, h->counters.bounds[bound]);
	table_end(t);
}

static void fill_limits(const struct client *c, struct table *t)
{
	for (int bound = 0; bound < GATE_BOUND_COUNT; bound++)
		fill_limit(c->hub, bound, t);
}

static const struct column startup_columns[] = {
	{"phase", COLUMN_TEXT},
	{"status", COLUMN_TEXT},
	{"critical", COLUMN_TEXT},
	{"duration_ms", COLUMN_INT8}, /* so far; NULL: not begun */
	{"timeout_ms", COLUMN_INT8}, /* NULL: not begun */
	{"timed_out", COLUMN_TEXT},
};

static void fill_startup(const struct client *c, struct table *t)
{
	struct hub *h = c->hub;
	const struct startup *s = &h->engine.startup;
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		const struct phase_record *r = &s->phases[phase];
		bool ended = r->status != PHASE_PENDING && r->status != PHASE_IN_PROGRESS;
		table_row(t);
		table_text(t, phase_name(phase));
		table_text(t, phase_status_name(r->status));
		table_text(t, s->settings.critical[phase] ? "yes" : "no");
		if (r->status == PHASE_PENDING || r->status == PHASE_SKIPPED) {
			table_null(t);
			table_null(t);
		} else {
			table_int(t, MS((ended ? r->ended_at : hub_now(h)) - r->began_at));
			table_int(t, MS(r->timeout_ns));
		}
		table_text(t, r->timed_out ? "yes" : "no");
		table_end(t);
	}
}

static const struct column connects_columns[] = {
	{"rule", COLUMN_TEXT},
	{"window", COLUMN_FLOAT8},
	{"window_max", COLUMN_INT4},
	{"under_way", COLUMN_INT4},
	{"cuts", COLUMN_INT8},
	{"failures", COLUMN_INT4}, /* in a row */
	{"retry_in_ms", COLUMN_INT8}, /* 0: at once */
	{"retry_tokens", COLUMN_FLOAT8},
	{"retry_broke", COLUMN_INT8}, /* times that there was none */
	{"throttle_chance", COLUMN_FLOAT8},
	{"throttled", COLUMN_INT8},
};

static void fill_connects(const struct client *c, struct table *t)
{
	const struct engine *e = &c->hub->engine;
	instant now = hub_now(c->hub);
	instant at = instant_max(e->retry.next_at, throttle_until(&e->throttle));
	table_row(t);
	table_text(t, connects_rule_name(e->settings.connects.rule));
	table_real(t, e->connects.window);
	table_int(t, e->settings.connects.window_max);
	table_int(t, e->connects.under_way);
	table_int(t, e->connects.cuts);
	table_int(t, e->retry.failures);
	table_int(t, at > now ? MS(at - now) : 0);
	table_real(t, retry_tokens(&e->retry, now));
	table_int(t, e->retry.broke);
	table_real(t, throttle_chance(&e->throttle, now));
	table_int(t, e->throttle.held_count);
	table_end(t);
}

static const struct column queues_columns[] = {
	{"database", COLUMN_TEXT},
	{"user", COLUMN_TEXT},
	{"waiting", COLUMN_INT4},
	{"oldest_ms", COLUMN_INT8}, /* NULL: nobody waits */
	{"served_per_s", COLUMN_FLOAT8}, /* while somebody waits; NULL: not known */
	{"expected_ms", COLUMN_INT8}, /* of the last of them; NULL: not known */
	{"allowed_ms", COLUMN_INT8},
	{"standing", COLUMN_TEXT},
	{"overloaded", COLUMN_TEXT},
	{"overloads", COLUMN_INT8},
};

static void fill_queue(const struct engine *e, int group, instant now, struct table *t)
{
	const struct pool_group *g = &e->pool.groups[group];
	const struct backlog *q = &e->groups[group].queue;
	double per_s = rate_per_s(&q->rate);
	table_int(t, g->waiting);
	if (g->waiting > 0)
		table_int(t, MS(now - e->pool.clients[g->queue_first].since));
	else
		table_null(t);
	if (per_s > 0.0) {
		table_real(t, per_s);
		table_int(t, MS(engine_expected_wait(e, group)));
	} else {
		table_null(t);
		table_null(t);
	}
	table_int(t, MS(engine_deadline_span(e, DEADLINE_POOL)));
	table_text(t, g->waiting > 0 && q->standing ? "yes" : "no");
	table_text(t, g->waiting > 0 && q->overloaded ? "yes" : "no");
	table_int(t, q->overloads);
}

static void fill_queues(const struct client *c, struct table *t)
{
	const struct pools *pools = &c->hub->pools;
	for (int group = 0; group < pools->top; group++) {
		if (!pools->by_group[group])
			continue;
		table_row(t);
		table_text(t, pools->by_group[group]->database);
		table_text(t, pools->by_group[group]->user);
		fill_queue(&c->hub->engine, group, hub_now(c->hub), t);
		table_end(t);
	}
}

const struct console_show console_own[] = {
	SHOW("breaker", breaker_columns, fill_breaker),
	SHOW("path", path_columns, fill_path),
	SHOW("stages", stage_columns, fill_stages),
	SHOW("budget", budget_columns, fill_budget),
	SHOW("limits", limit_columns, fill_limits),
	SHOW("startup", startup_columns, fill_startup),
	SHOW("connects", connects_columns, fill_connects),
	SHOW("queues", queues_columns, fill_queues),
};
const int console_own_count = COUNT(console_own);
