#include "gate/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "gate/pools.h"

/* A connect's times are counted in powers of two of ns: 2^20 (1 ms) to 2^37 (137 s). */
#define BUCKET_POWER_MIN 20
#define BUCKET_POWER_MAX 37

__attribute__((format(printf, 2, 3))) static void add(struct buffer *b, const char *format, ...)
{
	char line[512];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len > 0 && (size_t)len < sizeof(line))
		buffer_append(b, line, (size_t)len);
}

static void head(struct buffer *b, const char *name, const char *type, const char *help)
{
	add(b, "# HELP standpipe_%s %s\n# TYPE standpipe_%s %s\n", name, help, name, type);
}

static void gauge(struct buffer *b, const char *name, const char *help, double value)
{
	head(b, name, "gauge", help);
	add(b, "standpipe_%s %.10g\n", name, value);
}

static void counter(struct buffer *b, const char *name, const char *help, int64_t value)
{
	head(b, name, "counter", help);
	add(b, "standpipe_%s %lld\n", name, (long long)value);
}

/* Escapes a label's value: backslash, quote and end of line. */
static void label(struct buffer *b, const char *key, const char *value, const char *before)
{
	add(b, "%s%s=\"", before, key);
	for (; *value; value++) {
		if (*value == '\n')
			buffer_append(b, "\\n", 2);
		else if (*value == '"' || *value == '\\')
			add(b, "\\%c", *value);
		else
			buffer_append(b, value, 1);
	}
	buffer_append(b, "\"", 1);
}

/* ---- families ---- */

static void add_process(struct buffer *b, const struct gate_view *view)
{
	char version[64], instance[256], environment[64];
	const struct gate_settings *s = view->settings;
	secrets_clean(view->secrets, view->version ? view->version : "", version, sizeof(version));
	secrets_clean(view->secrets, s->instance ? s->instance : "", instance, sizeof(instance));
	secrets_clean(view->secrets, s->environment ? s->environment : "", environment,
		sizeof(environment));
	head(b, "build_info", "gauge", "Constant 1; what runs here.");
	add(b, "standpipe_build_info");
	label(b, "version", version, "{");
	label(b, "name", instance, ",");
	label(b, "environment", environment, ",");
	add(b, "} 1\n");
	double start_s = s_from_ns(view->wall_ns) - s_from_ns(view->now - view->began_at);
	head(b, "process_start_time_seconds", "gauge", "When the process began, Unix time.");
	add(b, "standpipe_process_start_time_seconds %.3f\n", start_s);
}

static void add_startup(struct buffer *b, const struct gate_view *view)
{
	const struct startup *s = &view->engine->startup;
	gauge(b, "startup_complete", "1 when the startup is complete.", startup_is_complete(s));
	gauge(b, "startup_failed", "1 when a critical phase failed.", s->failed);
	head(b, "phase_status", "gauge", "1 for the status that a phase is in.");
	for (enum phase p = 0; p < PHASE_COUNT; p++)
		for (enum phase_status status = 0; status < PHASE_STATUS_COUNT; status++)
			add(b, "standpipe_phase_status{phase=\"%s\",status=\"%s\"} %d\n",
				phase_name(p), phase_status_name(status),
				s->phases[p].status == status);
	head(b, "phase_duration_seconds", "gauge", "How long a phase took, or has taken so far.");
	for (enum phase p = 0; p < PHASE_COUNT; p++) {
		const struct phase_record *r = &s->phases[p];
		if (r->began_at < 0 || r->status == PHASE_PENDING || r->status == PHASE_SKIPPED)
			continue;
		instant end = r->ended_at < 0 ? view->now : r->ended_at;
		add(b, "standpipe_phase_duration_seconds{phase=\"%s\"} %.9g\n", phase_name(p),
			s_from_ns(end - r->began_at));
	}
}

/* What the rules say, which with breaker.mode metrics is not what is done. */
static void add_breaker(struct buffer *b, const struct engine *e, instant now)
{
	const struct breaker *breaker = &e->breaker;
	const struct breaker_rates rates = breaker_rates(breaker, now);
	head(b, "breaker_transitions_total", "counter", "The circuit breaker's changes of state.");
	for (enum breaker_state from = 0; from < BREAKER_STATE_COUNT; from++)
		for (enum breaker_state to = 0; to < BREAKER_STATE_COUNT; to++)
			if (from != to)
				add(b,
					"standpipe_breaker_transitions_total{from=\"%s\",to=\"%s\"}"
					" "
					"%lld\n",
					breaker_state_name(from), breaker_state_name(to),
					(long long)breaker->transitions[from][to]);
	head(b, "breaker_mode", "gauge", "1 for the mode that the circuit breaker is in.");
	for (enum breaker_mode mode = 0; mode < BREAKER_MODE_COUNT; mode++)
		add(b, "standpipe_breaker_mode{mode=\"%s\"} %d\n", breaker_mode_name(mode),
			breaker->mode == mode);
	counter(b, "breaker_spared_total",
		"Attempts let through by mode metrics that would have been refused.",
		breaker->spared);
	gauge(b, "breaker_failure_ratio", "Share of the window's attempts that failed.",
		rates.failed);
	gauge(b, "breaker_slow_ratio", "Share of the window's attempts that were slow.",
		rates.slow);
	head(b, "probes_total", "counter", "Light probes of the path that ended, by outcome.");
	for (enum outcome o = 0; o < OUTCOME_COUNT; o++)
		add(b, "standpipe_probes_total{outcome=\"%s\"} %lld\n", outcome_name(o),
			(long long)e->probe.ended[o]);
}

static void add_states(struct buffer *b, const struct gate_view *view)
{
	const struct engine *e = view->engine;
	head(b, "availability", "gauge", "1 for what this instance can give now.");
	for (enum availability a = 0; a < AVAILABILITY_COUNT; a++)
		add(b, "standpipe_availability{state=\"%s\"} %d\n", availability_name(a),
			e->availability == a);
	head(b, "breaker_state", "gauge", "1 for the state that the circuit breaker is in.");
	for (enum breaker_state s = 0; s < BREAKER_STATE_COUNT; s++)
		add(b, "standpipe_breaker_state{state=\"%s\"} %d\n", breaker_state_name(s),
			e->breaker.state == s);
	counter(b, "breaker_opened_total", "How often the circuit breaker opened.",
		e->breaker.opened_count);
	add_breaker(b, e, view->now);
	head(b, "path_state", "gauge", "1 for the state that the path to the database is in.");
	for (enum path_state s = 0; s < PATH_STATE_COUNT; s++)
		add(b, "standpipe_path_state{state=\"%s\"} %d\n", path_state_name(s),
			e->path.state == s);
	gauge(b, "path_utilisation_ratio", "Share of the path's capacity that is in use.",
		path_utilisation(&e->path));
	gauge(b, "path_connections", "Connections over the path, the fleet's as far as known.",
		e->path.connections);
	gauge(b, "path_connections_limit", "Connections that the path carries.",
		e->path.settings.limit);
}

/* In the brackets of the quantiles' label. */
static void add_span(
	struct buffer *b, const char *name, enum stage stage, const char *quantile, int64_t span_ns)
{
	add(b, "standpipe_%s{stage=\"%s\",quantile=\"%s\"} %.9g\n", name,
		stage == STAGE_READY ? "total" : stage_name(stage), quantile, s_from_ns(span_ns));
}

static void add_recent_connects(struct buffer *b, const struct path *p)
{
	head(b, "path_connect_seconds", "gauge",
		"Times of the last connects, of the last ten minutes, by stage; 0 is the least.");
	for (enum stage stage = 0; stage < STAGE_COUNT; stage++) {
		const struct quantiles *q = stage == STAGE_READY ? &p->total
								 : &p->stages[stage].took;
		if (q->held == 0)
			continue;
		add_span(b, "path_connect_seconds", stage, "0", quantiles_value(q, 0.0));
		add_span(b, "path_connect_seconds", stage, "0.5", quantiles_value(q, 0.5));
		add_span(b, "path_connect_seconds", stage, "0.95", quantiles_value(q, 0.95));
	}
	head(b, "path_stage_failures", "gauge", "Of the last 64 attempts that got to a stage.");
	for (enum stage stage = 0; stage < STAGE_READY; stage++)
		add(b, "standpipe_path_stage_failures{stage=\"%s\"} %d\n", stage_name(stage),
			history_failures(&p->stages[stage].history, HISTORY_MAX));
}

static void add_flow(struct buffer *b, const struct flow *f, instant now)
{
	gauge(b, "path_rtt_seconds", "Smoothed round trip of server connections; 0: not known.",
		s_from_ns(f->rtt_ns));
	gauge(b, "path_rtt_min_seconds", "The least of the last ten minutes; 0: not known.",
		s_from_ns(minmax_value(&f->floor)));
	gauge(b, "path_retransmit_ratio", "Share of segments sent again lately.",
		flow_retransmit_rate(f, now));
	counter(b, "path_segments_total", "Segments with data to the database, of those sampled.",
		f->segments_total);
	counter(b, "path_retransmits_total", "Of them, those sent again.", f->retransmits_total);
	gauge(b, "path_delivery_bits_per_second",
		"The highest rate at which a connection's data was acknowledged lately.",
		(double)minmax_value(&f->delivery));
}

static void add_dbms(struct buffer *b, const struct engine *e)
{
	const struct engine_limits *l = &e->limits;
	head(b, "database_state", "gauge", "1 for what the database's server is at.");
	for (enum dbms_state s = 0; s < DBMS_STATE_COUNT; s++)
		add(b, "standpipe_database_state{state=\"%s\"} %d\n", dbms_state_name(s),
			e->dbms.state == s);
	if (l->max_connections < 0)
		return; /* it has not told */
	gauge(b, "database_max_connections", "The server's max_connections.", l->max_connections);
	gauge(b, "database_reserved_connections", "Of them, those that it reserves.",
		l->superuser_reserved + l->reserved);
	gauge(b, "database_backends", "Clients' backends on the server, as it last counted.",
		l->backends);
	gauge(b, "database_in_recovery", "1 when it is a standby.", l->in_recovery);
}

static void add_path(struct buffer *b, const struct gate_view *view)
{
	const struct path *p = &view->engine->path;
	const struct scaling_event *last = scaling_event_at(&p->scaling, 0);
	gauge(b, "path_sent_bytes_per_second", "To the database, the fleet's as far as known.",
		p->sent_bit_s / 8.0);
	gauge(b, "path_received_bytes_per_second", "From the database, the same way.",
		(p->throughput_bit_s - p->sent_bit_s) / 8.0);
	add_recent_connects(b, p);
	counter(b, "path_syn_lost_total",
		"Handshakes' SYNs that were dropped, as an exhausted connector does.", p->syn_lost);
	add_flow(b, &p->flow, view->now);
	counter(b, "path_scaling_events_total", "Steps in connect latency under load.",
		p->scaling.begun);
	gauge(b, "path_scaling", "1 while such an event goes on.", scaling_goes_on(&p->scaling));
	gauge(b, "path_scaling_last_seconds", "How long the last one took, or has taken so far.",
		!last ? 0.0
		      : s_from_ns((last->ended_at < 0 ? view->now : last->ended_at) -
				  last->began_at));
}

static const char *stage_label(enum stage stage)
{
	return stage == STAGE_READY ? "total" : stage_name(stage);
}

static void add_connect_seconds(struct buffer *b, enum stage stage, const struct histogram *h)
{
	uint64_t seen = 0;
	int i = 0;
	for (int power = BUCKET_POWER_MIN; power <= BUCKET_POWER_MAX; power++) {
		int64_t edge_ns = INT64_C(1) << power;
		for (; i < HISTOGRAM_BUCKETS && histogram_edge(i) <= edge_ns; i++)
			seen += h->buckets[i];
		add(b, "standpipe_connect_seconds_bucket{stage=\"%s\",le=\"%.9g\"} %llu\n",
			stage_label(stage), s_from_ns(edge_ns), (unsigned long long)seen);
	}
	add(b, "standpipe_connect_seconds_bucket{stage=\"%s\",le=\"+Inf\"} %llu\n",
		stage_label(stage), (unsigned long long)h->count);
	add(b, "standpipe_connect_seconds_sum{stage=\"%s\"} %.9g\n", stage_label(stage),
		s_from_ns(h->sum_ns));
	add(b, "standpipe_connect_seconds_count{stage=\"%s\"} %llu\n", stage_label(stage),
		(unsigned long long)h->count);
}

static void add_connects(struct buffer *b, const struct gate_view *view)
{
	const struct engine *e = view->engine;
	head(b, "connect_attempts_total", "counter", "Attempts to connect that ended, by outcome.");
	for (enum outcome o = 0; o < OUTCOME_COUNT; o++)
		add(b, "standpipe_connect_attempts_total{outcome=\"%s\"} %lld\n", outcome_name(o),
			(long long)e->attempts_ended[o]);
	gauge(b, "connect_attempts_under_way", "Attempts to connect under way.",
		e->pool.connecting);
	gauge(b, "connect_window", "Attempts that may be under way at once.", e->connects.window);
	counter(b, "connect_window_cuts_total", "How often that gave way.", e->connects.cuts);
	gauge(b, "connect_retry_tokens", "Retries that may be made without waiting for the cap.",
		retry_tokens(&e->retry, view->now));
	counter(b, "connect_throttled_total", "Attempts held back from a database that refuses.",
		e->throttle.held_count);
	counter(b, "connect_redials_total", "Handshakes begun afresh after no answer.", e->redials);
	if (!view->connect_times)
		return;
	head(b, "connect_seconds", "histogram", "Time of connects that succeeded, by stage.");
	for (enum stage stage = 0; stage < STAGE_COUNT; stage++)
		add_connect_seconds(b, stage, &view->connect_times[stage]);
}

static void add_pool(struct buffer *b, const struct gate_view *view)
{
	const struct engine *e = view->engine;
	const struct pool *p = &e->pool;
	head(b, "pool_servers", "gauge", "Server connections, by state.");
	add(b, "standpipe_pool_servers{state=\"connecting\"} %d\n", p->connecting);
	add(b, "standpipe_pool_servers{state=\"idle\"} %d\n", p->idle);
	add(b, "standpipe_pool_servers{state=\"busy\"} %d\n", p->busy);
	head(b, "pool_clients", "gauge", "Clients that wait for or hold a server connection.");
	add(b, "standpipe_pool_clients{state=\"waiting\"} %d\n", p->waiting);
	add(b, "standpipe_pool_clients{state=\"holding\"} %d\n", p->holding);
	counter(b, "pool_assigned_total", "Server connections given to clients.", e->assigned);
	counter(b, "pool_rejects_total", "Clients turned away.", e->rejects);
	head(b, "pool_rejects_by_total", "counter", "The same, by reason.");
	for (enum engine_reject r = 0; r < REJECT_COUNT; r++)
		add(b, "standpipe_pool_rejects_by_total{reason=\"%s\"} %lld\n",
			engine_reject_name(r), (long long)e->rejects_by[r]);
	int overloaded = 0;
	for (int group = p->waiting_first; group != POOL_NOBODY; group = p->groups[group].next)
		overloaded += e->groups[group].queue.overloaded;
	gauge(b, "pool_queues_overloaded", "Queues too long to be served in time.", overloaded);
	gauge(b, "pool_expected_wait_seconds", "Of whoever is the last in the own pool's queue.",
		s_from_ns(engine_expected_wait(e, ENGINE_OWN)));
	const struct budget *g = &e->budget;
	gauge(b, "budget_usable", "Connections that the database can give.", g->usable);
	gauge(b, "budget_fleet", "Connections that all instances may use together.", g->fleet);
	gauge(b, "budget_share", "Connections that this instance may open.", g->share);
	gauge(b, "budget_instances", "Instances that the budget is shared by.",
		g->settings.instances);
	gauge(b, "budget_fits", "1 when every instance's share fits the fleet's budget.", g->fits);
}

static bool is_alike(const struct gate_pool *a, const struct gate_pool *b)
{
	return a && b && strcmp(a->user, b->user) == 0 && strcmp(a->database, b->database) == 0;
}

/* Of the pools of one database and user, in the place of the first; false: it is not that. */
static bool sum_up(const struct pools *pools, int group, struct pool_stats *sum)
{
	const struct gate_pool *pool = pools->by_group[group];
	*sum = (struct pool_stats){0};
	for (int other = 0; pool && other < pools->top; other++) {
		if (!is_alike(pool, pools->by_group[other]))
			continue;
		if (other < group)
			return false;
		pool_stats_add(sum, &pools->by_group[other]->stats);
	}
	return pool != NULL;
}

/* One family: a sample for each database and user. */
static void add_of_pools(struct buffer *b, const struct pools *pools, const char *name,
	const char *help, size_t figure, bool is_time)
{
	head(b, name, "counter", help);
	for (int group = 0; group < pools->top; group++) {
		const struct gate_pool *pool = pools->by_group[group];
		struct pool_stats sum;
		if (!sum_up(pools, group, &sum))
			continue;
		int64_t value = *(const int64_t *)((const char *)&sum + figure);
		add(b, "standpipe_%s", name);
		label(b, "database", pool->database, "{");
		label(b, "user", pool->user, ",");
		if (is_time)
			add(b, "} %.9g\n", s_from_ns(value));
		else
			add(b, "} %lld\n", (long long)value);
	}
}

static void add_pools(struct buffer *b, const struct pools *pools)
{
	static const struct {
		const char *name, *help;
		size_t figure;
		bool is_time;
	} families[] = {
#define FIGURE(name, member, help) {name, help, offsetof(struct pool_stats, member), false}
#define TIME(name, member, help)                                      \
	{                                                             \
		name, help, offsetof(struct pool_stats, member), true \
	}
		FIGURE("pool_assignments_total", assigned,
			"Server connections given to the pool's clients."),
		FIGURE("pool_transactions_total", xact_count, "Transactions that ended."),
		FIGURE("pool_queries_total", query_count, "Queries that ended."),
		FIGURE("pool_received_bytes_total", bytes_in, "Bytes from its clients."),
		FIGURE("pool_sent_bytes_total", bytes_out, "Bytes to its clients."),
		TIME("pool_transaction_seconds_total", xact_ns, "Time in transactions."),
		TIME("pool_query_seconds_total", query_ns, "Time in queries."),
		TIME("pool_wait_seconds_total", wait_ns, "Time of clients' waits for a server."),
		FIGURE("pool_client_parses_total", client_parses, "Parse messages of clients."),
		FIGURE("pool_server_parses_total", server_parses, "Parse messages to servers."),
		FIGURE("pool_binds_total", binds, "Bind messages."),
#undef FIGURE
#undef TIME
	};
	for (size_t i = 0; pools && i < sizeof(families) / sizeof(families[0]); i++)
		add_of_pools(b, pools, families[i].name, families[i].help, families[i].figure,
			families[i].is_time);
}

static void add_traffic(struct buffer *b, const struct gate_view *view)
{
	const struct gate_counters *c = &view->counters;
	gauge(b, "clients_connected", "Clients connected to the gate.", c->clients);
	counter(b, "clients_total", "Clients that connected.", c->clients_total);
	counter(b, "client_errors_total", "Clients dropped for what they sent.", c->client_errors);
	counter(b, "login_failures_total", "Clients that did not prove who they are.",
		c->login_failures);
	head(b, "clients_over_limit_total", "counter",
		"Clients ended, turned away or cancelled for a limit of the configuration.");
	for (int bound = 0; bound < GATE_BOUND_COUNT; bound++)
		add(b, "standpipe_clients_over_limit_total{limit=\"%s\"} %lld\n",
			gate_bound_key(bound), (long long)c->bounds[bound]);
	counter(b, "transactions_total", "Transactions that ended.", c->transactions);
	counter(b, "queries_total", "Queries relayed.", c->queries);
	counter(b, "session_questions_total",
		"Questions to servers about what a transaction left behind.", c->asked);
	gauge(b, "clients_pinned", "Clients that keep their servers between transactions.",
		c->pinned);
	head(b, "clients_pinned_by", "gauge", "The same, by reason; one may have several.");
	for (enum gate_pin pin = 0; pin < PIN_COUNT; pin++)
		add(b, "standpipe_clients_pinned_by{reason=\"%s\"} %d\n", gate_pin_name(pin),
			c->pinned_by[pin]);
	head(b, "bytes_total", "counter", "Bytes relayed, from clients (in) and to them (out).");
	add(b, "standpipe_bytes_total{direction=\"in\"} %lld\n", (long long)c->bytes_in);
	add(b, "standpipe_bytes_total{direction=\"out\"} %lld\n", (long long)c->bytes_out);
}

static void add_connector(struct buffer *b, const struct gate_view *view)
{
	static const char *const families[CLOUD_METRIC_COUNT][2] = {
		{"connector_instances", "Instances of the VPC connector, by Cloud Monitoring."},
		{"connector_cpu_utilisation_ratio", "Their CPU utilisation, the mean."},
		{"connector_received_bits_per_second", "What it received lately."},
		{"connector_sent_bits_per_second", "What it sent lately."},
	};
	const struct cloud_report *c = view->cloud;
	if (!c)
		return;
	for (enum cloud_metric m = 0; m < CLOUD_METRIC_COUNT; m++)
		if (c->sample.values[m].known)
			gauge(b, families[m][0], families[m][1], c->sample.values[m].value);
	int64_t age_ns = cloud_report_age(c, view->wall_ns);
	if (age_ns >= 0)
		gauge(b, "connector_sample_age_seconds",
			"How old the newest of these is: they come late.", s_from_ns(age_ns));
	head(b, "connector_queries_total", "counter", "Questions to Cloud Monitoring, by outcome.");
	add(b, "standpipe_connector_queries_total{outcome=\"ok\"} %lld\n",
		(long long)(c->asked - c->failed));
	add(b, "standpipe_connector_queries_total{outcome=\"failed\"} %lld\n",
		(long long)c->failed);
}

/* The same with one label more on each sample: what is scraped of several workers is told apart by
 * it. */
static struct buffer with_worker(const struct buffer *plain, int worker)
{
	struct buffer b = BUFFER_INIT;
	struct bytes left = buffer_bytes(plain);
	while (left.len > 0) {
		const uint8_t *end = memchr(left.at, '\n', left.len);
		size_t line = end ? (size_t)(end - left.at) + 1 : left.len;
		size_t name = 0;
		while (*left.at != '#' && name < line && !strchr("{ ", left.at[name]))
			name++;
		buffer_append(&b, left.at, name);
		if (name > 0)
			add(&b, left.at[name] == '{' ? "{worker=\"%d\"," : "{worker=\"%d\"}",
				worker);
		name += name > 0 && left.at[name] == '{';
		buffer_append(&b, left.at + name, line - name);
		left.at += line;
		left.len -= line;
	}
	return b;
}

char *metrics_text(const struct gate_view *view)
{
	struct buffer b = BUFFER_INIT;
	add_process(&b, view);
	add_startup(&b, view);
	add_states(&b, view);
	add_path(&b, view);
	add_dbms(&b, view->engine);
	add_connects(&b, view);
	add_pool(&b, view);
	add_traffic(&b, view);
	add_pools(&b, view->pools);
	add_connector(&b, view);
	if (view->settings->workers > 1) {
		struct buffer labelled = with_worker(&b, view->settings->worker);
		buffer_release(&b);
		b = labelled;
	}
	buffer_append(&b, "", 1);
	const struct bytes all = buffer_bytes(&b);
	assert(all.at);
	char *text = strdup((const char *)all.at);
	buffer_release(&b);
	if (!text)
		abort();
	return text;
}
