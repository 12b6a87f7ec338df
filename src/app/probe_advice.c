/*
 * What the numbers of a probe mean, and the mend.
 *
 * A connect takes about six round trips: TCP 1, SSLRequest 1, TLS 1.3 1, startup and SCRAM 3. What
 * a stage takes beyond its round trips is somebody's work: the name server's, the server's, a
 * proxy's. The bounds below are that work, ten times and more what it takes where nothing is wrong,
 * so that a busy machine is not an alarm.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/probe_record.h"
#include "gate/hint.h"

#define DNS_SLOW_NS    (200 * NS_PER_MS)
#define TCP_SLOW_NS    (200 * NS_PER_MS)
#define TLS_SLOW_NS    (300 * NS_PER_MS)
#define AUTH_SLOW_NS   (500 * NS_PER_MS)
#define QUERY_SLOW_NS  (100 * NS_PER_MS)
#define RTT_FAR_NS     (50 * NS_PER_MS)
#define DNS_SILENT_NS  (4500 * NS_PER_MS) /* resolv.conf(5): the next name server after 5 s */
#define BUSY_PERCENT   80 /* BEHAVIOUR: share of the database's connections in use */
#define CONNECTOR_BUSY 0.7 /* BEHAVIOUR: path utilisation in normal operation */
#define TLS_TRIPS      2
#define AUTH_TRIPS     3
#define CONNECT_TRIPS  6
#define LOSS_SEGMENTS  3 /* sent again, of all: fewer may be chance */

const char *probe_severity_name(enum probe_severity s)
{
	static const char *const names[] = {"ok", "note", "warning", "critical"};
	return names[s];
}

__attribute__((format(printf, 4, 5))) static void say(struct probe_verdict *v,
	enum probe_severity severity, const char *code, const char *format, ...)
{
	va_list args;
	if (v->count == PROBE_ADVICE_MAX)
		return;
	/* Worst first, and what is as bad in the order in which it was found; that all is well
	 * comes before what else there is to say. */
	int at = v->count++;
	for (; at > 0 && (v->advice[at - 1].severity < severity || severity == PROBE_OK); at--)
		v->advice[at] = v->advice[at - 1];
	v->advice[at] = (struct probe_advice){.severity = severity, .code = code};
	va_start(args, format);
	vsnprintf(v->advice[at].text, sizeof(v->advice[at].text), format, args);
	va_end(args);
	if (severity > v->worst)
		v->worst = severity;
}

static double ms(int64_t span_ns)
{
	return (double)span_ns / NS_PER_MS;
}

static const char *plural(int64_t count)
{
	return count == 1 ? "" : "s";
}

/* ---- what failed ---- */

static bool is_same_failure(const struct probe_attempt *a, const struct probe_attempt *b)
{
	return a->outcome == b->outcome && a->stage == b->stage &&
	       strcmp(a->error.sqlstate, b->error.sqlstate) == 0;
}

/* "tcp_timeout", "auth", "full": what a program can tell apart. */
static const char *failure_code(const struct probe_attempt *a)
{
	static const char *const stalls[STAGE_COUNT] = {
		"dns_timeout", "syn_dropped", "tls_timeout", "auth_timeout", "query_timeout"};
	return a->outcome == OUTCOME_TIMEOUT ? stalls[a->stage] : outcome_name(a->outcome);
}

static void say_failure(struct probe_verdict *v, const struct probe_record *r,
	const struct probe_numbers *n, const struct probe_attempt *a)
{
	int count = 0;
	int64_t syns = 0;
	char why[96];
	for (int i = 0; i < r->count; i++)
		if (is_same_failure(a, &r->attempts[i])) {
			count++;
			syns += r->attempts[i].syns_again;
		}
	if (a->outcome == OUTCOME_TIMEOUT && a->stage == STAGE_TCP && syns > 0)
		snprintf(why, sizeof(why), "timeout, the SYN sent again %lld time%s in vain",
			(long long)syns, plural(syns));
	else
		snprintf(why, sizeof(why), "%s%s%s", outcome_name(a->outcome),
			*a->error.sqlstate ? ", SQLSTATE " : "", a->error.sqlstate);
	say(v, n->ok > 0 ? PROBE_WARNING : PROBE_CRITICAL, failure_code(a),
		"%d of %d attempt%s failed at %s (%s): %s", count, r->count, plural(r->count),
		a->stage == STAGE_READY ? "its query" : stage_name(a->stage), why,
		hint_for_connect(a->outcome, a->stage, a->error.sqlstate));
}

static void judge_failures(
	struct probe_verdict *v, const struct probe_record *r, const struct probe_numbers *n)
{
	for (int i = 0; i < r->count; i++) {
		const struct probe_attempt *a = &r->attempts[i];
		bool told = a->outcome == OUTCOME_OK;
		for (int b = 0; b < i && !told; b++)
			told = is_same_failure(a, &r->attempts[b]);
		if (!told)
			say_failure(v, r, n, a);
	}
}

/* ---- what was slow ---- */

static void judge_dns(struct probe_verdict *v, const struct probe_numbers *n)
{
	const struct probe_spans *dns = &n->stages[STAGE_DNS];
	if (dns->max_ns >= DNS_SILENT_NS)
		say(v, PROBE_WARNING, "dns_slow",
			"the name took up to %.1f s to resolve: the first name server does not "
			"answer and the next is asked after 5 s; mend or remove it in "
			"/etc/resolv.conf",
			s_from_ns(dns->max_ns));
	else if (dns->p50_ns > DNS_SLOW_NS)
		say(v, PROBE_WARNING, "dns_slow",
			"the name takes %.0f ms to resolve: the name server is slow or far, or the "
			"search list (ndots) tries other names first; end the name with a dot, or "
			"give the address",
			ms(dns->p50_ns));
}

static void judge_tcp(struct probe_verdict *v, const struct probe_numbers *n)
{
	const struct probe_spans *tcp = &n->stages[STAGE_TCP];
	if (n->connects_again > 0)
		say(v, PROBE_WARNING, "syn_again",
			"%d of %d handshakes got through only when the SYN was sent again (after "
			"1, 3, 7 s): it was dropped on the way, so the connector is full or still "
			"scaling, egress is not warm yet, or a firewall limits the rate; open "
			"fewer connections at once, or give the connector more instances",
			n->connects_again, tcp->count);
	else if (tcp->p50_ns > 2 * n->min_rtt_ns + TCP_SLOW_NS)
		say(v, PROBE_WARNING, "tcp_slow",
			"the TCP handshake takes %.0f ms although nothing was dropped and a round "
			"trip takes %.1f ms: packets wait in a queue on the way (the connector's), "
			"or a proxy opens its own connection first",
			ms(tcp->p50_ns), ms(n->min_rtt_ns));
	/* A busy machine that answers late makes its peer send again, too. */
	if (n->segments_again >= LOSS_SEGMENTS)
		say(v, n->segments_again > tcp->count ? PROBE_WARNING : PROBE_NOTE, "loss",
			"%lld segments had to be sent again on %d connections that were open: the "
			"path loses packets, or delays them by more than its round trips vary",
			(long long)n->segments_again, tcp->count);
	if (n->min_rtt_ns > RTT_FAR_NS)
		say(v, PROBE_NOTE, "far",
			"the database is far: a round trip takes %.0f ms, and a connect about %d "
			"of them; is the service in the database's region?",
			ms(n->min_rtt_ns), CONNECT_TRIPS);
}

static void judge_stages(struct probe_verdict *v, const struct probe_numbers *n)
{
	const struct probe_spans *tls = &n->stages[STAGE_TLS], *auth = &n->stages[STAGE_AUTH];
	int64_t rtt_ns = n->rtt_ns;
	if (tls->p50_ns > TLS_TRIPS * rtt_ns + TLS_SLOW_NS)
		say(v, PROBE_WARNING, "tls_slow",
			"TLS takes %.0f ms where %d round trips take %.0f: the server, or a proxy "
			"in front of it, is short of CPU, or large packets are lost (MTU)",
			ms(tls->p50_ns), TLS_TRIPS, ms(TLS_TRIPS * rtt_ns));
	if (auth->p50_ns > AUTH_TRIPS * rtt_ns + AUTH_SLOW_NS)
		say(v, PROBE_WARNING, "auth_slow",
			"the login takes %.0f ms where %d round trips take %.0f: the server is "
			"slow "
			"to start a backend or to check the password (SCRAM costs CPU on both "
			"ends), or asks something else (LDAP, PAM) first",
			ms(auth->p50_ns), AUTH_TRIPS, ms(AUTH_TRIPS * rtt_ns));
	if (n->query.p50_ns > rtt_ns + QUERY_SLOW_NS)
		say(v, PROBE_WARNING, "query_slow",
			"`select 1` takes %.0f ms where a round trip takes %.1f: the path is not "
			"what is slow, the database is busy; look at its CPU and at what it runs",
			ms(n->query.p50_ns), ms(rtt_ns));
}

static void judge_ramp(struct probe_verdict *v, const struct probe_numbers *n)
{
	if (n->gave_way < 0)
		return;
	const struct probe_step *s = &n->steps[n->gave_way];
	int before = n->gave_way > 0 ? n->steps[n->gave_way - 1].parallel : 1;
	if (n->gave_way_slowly)
		say(v, PROBE_WARNING, "ramp_slow",
			"%d connects at once take %.0f ms each, where %d take far less: the path "
			"or "
			"the server's logins saturate between the two; keep connects.window at %d",
			s->parallel, ms(s->ready.p50_ns), before, before);
	else
		say(v, PROBE_WARNING, "ramp",
			"%d connects at once are too many: %d failed and %d were made only by a "
			"SYN "
			"sent again, while %d at once went through; keep connects.window at %d",
			s->parallel, s->failed, s->syns_again, before, before);
}

/* ---- the server ---- */

static void judge_server(struct probe_verdict *v, const struct probe_record *r)
{
	const struct budget *b = &v->plan.budget;
	int used = r->server.limits.backends - 1;
	if (!v->has_plan)
		return;
	if (r->server.limits.in_recovery)
		say(v, PROBE_NOTE, "standby", "the server is a standby: it refuses to write");
	if (used * 100 >= b->usable * BUSY_PERCENT)
		say(v, PROBE_WARNING, "nearly_full",
			"%d of the server's %d usable connections are in use: it is about to "
			"refuse more (53300); find who holds them (pg_stat_activity), or raise "
			"max_connections",
			used, b->usable);
	say(v, b->fits ? PROBE_NOTE : PROBE_WARNING, "capacity", "%s", v->plan.sentence);
}

/* ---- the connector ---- */

/* How old what is told is, in whole seconds; the oldest of it. */
static int64_t age_s(const struct probe_cloud *c)
{
	int64_t oldest_ns = c->wall_ns;
	for (enum cloud_metric m = 0; m < CLOUD_METRIC_COUNT; m++)
		if (c->sample.values[m].known && c->sample.values[m].at_ns < oldest_ns)
			oldest_ns = c->sample.values[m].at_ns;
	return (c->wall_ns - oldest_ns) / NS_PER_S;
}

static void judge_cloud(struct probe_verdict *v, const struct probe_cloud *c)
{
	const struct cloud_value *values = c->sample.values;
	const struct cloud_value *cpu = &values[CLOUD_CPU];
	if (!c->asked)
		return;
	if (error_is_set(&c->error)) {
		say(v, PROBE_NOTE, "monitoring", "Cloud Monitoring told nothing: %s",
			c->error.text);
		return;
	}
	if (!values[CLOUD_INSTANCES].known && !cpu->known) {
		say(v, PROBE_NOTE, "monitoring",
			"Cloud Monitoring has no sample of a connector in the last minutes: are "
			"monitoring.project and monitoring.connector right?");
		return;
	}
	say(v, cpu->value > CONNECTOR_BUSY ? PROBE_WARNING : PROBE_NOTE,
		cpu->value > CONNECTOR_BUSY ? "connector_busy" : "connector",
		"the connector had %.0f instances at %.0f %% of their CPU and carried %.1f Mbit/s "
		"in and %.1f Mbit/s out, %lld s ago%s",
		values[CLOUD_INSTANCES].value, 100 * cpu->value, values[CLOUD_RECEIVED].value / 1e6,
		values[CLOUD_SENT].value / 1e6, (long long)age_s(c),
		cpu->value > CONNECTOR_BUSY
			? ": it is short of CPU, and drops what it can't carry; give it more "
			  "instances or a larger machine"
			: "");
}

/* The plan for the server as it is. */
static void make_plan(
	struct probe_verdict *v, const struct probe_record *r, const struct budget_settings *budget)
{
	struct budget_settings real = *budget;
	const struct engine_limits *limits = &r->server.limits;
	v->has_plan = r->server.known && limits->max_connections > 0;
	if (!v->has_plan)
		return;
	real.max_connections = limits->max_connections;
	real.superuser_reserved = limits->superuser_reserved;
	real.reserved = limits->reserved;
	plan_init(&v->plan, &real);
}

static void say_health(
	struct probe_verdict *v, const struct probe_record *r, const struct probe_numbers *n)
{
	if (r->count == 0)
		say(v, PROBE_CRITICAL, "nothing", "no attempt came to an end");
	else if (v->worst < PROBE_WARNING)
		say(v, PROBE_OK, "healthy",
			"healthy: %d of %d attempts connected, the median within %.0f ms", n->ok,
			r->count, ms(n->stages[STAGE_READY].p50_ns));
	if (r->parallel_allowed < r->parallel_wanted)
		say(v, PROBE_NOTE, "ramp_held_back",
			"the ramp went to %d at once, not to %d: no more than half of the "
			"connections that are free were taken",
			r->parallel_allowed, r->parallel_wanted);
}

void probe_judge(struct probe_verdict *v, const struct probe_record *r,
	const struct probe_numbers *n, const struct budget_settings *budget)
{
	*v = (struct probe_verdict){.count = 0};
	make_plan(v, r, budget);
	judge_failures(v, r, n);
	judge_dns(v, n);
	judge_tcp(v, n);
	judge_stages(v, n);
	judge_ramp(v, n);
	judge_server(v, r);
	judge_cloud(v, &r->cloud);
	say_health(v, r, n);
}
