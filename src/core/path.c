#include "core/path.h"

#include <assert.h>
#include <string.h>

#include "core/syn.h"

static const char *const state_names[PATH_STATE_COUNT] = {
	[PATH_UNKNOWN] = "unknown",
	[PATH_NORMAL] = "normal",
	[PATH_PRESSURE] = "capacity_pressure",
	[PATH_SCALING] = "scaling",
	[PATH_OVERLOADED] = "overloaded",
};

const char *path_state_name(enum path_state state)
{
	assert(state < PATH_STATE_COUNT);
	return state_names[state];
}

double path_utilisation(const struct path *p)
{
	const struct path_settings *s = &p->settings;
	double by_connections = s->limit > 0 ? (double)p->connections / s->limit : 0.0;
	double by_throughput = s->baseline_bit_s > 0 ? p->throughput_bit_s / s->baseline_bit_s
						     : 0.0;
	return by_connections > by_throughput ? by_connections : by_throughput;
}

int64_t path_connect_quantile(const struct path *p, double q)
{
	return quantiles_value(&p->total, q);
}

int64_t path_stage_quantile(const struct path *p, enum stage stage, double q)
{
	assert(stage < STAGE_COUNT);
	return stage < STAGE_READY ? quantiles_value(&p->stages[stage].took, q) : 0;
}

int path_syn_losses(const struct path *p, int64_t tcp_ns)
{
	return syn_losses(tcp_ns, minmax_value(&p->least_tcp));
}

/* ---- what the state is made of ---- */

static bool is_lately(instant at, instant now)
{
	return at >= 0 && now < instant_add(at, PATH_CALM_NS);
}

/* Over `bound`; relieved `lower`. */
static bool is_over(struct hysteresis *h, double value, double bound, double lower, instant now)
{
	const struct hysteresis_bounds bounds = {bound, lower > 0.0 ? lower : 0.0, PATH_SETTLE_NS};
	return hysteresis_update(h, value, &bounds, now);
}

static struct scaling_sight sight_of(const struct path *p, instant now)
{
	return (struct scaling_sight){
		.connects = &p->total,
		.handshakes = &p->stages[STAGE_TCP].took,
		.connections = p->connections,
		.bit_s = p->throughput_bit_s,
		.loaded = path_utilisation(p) >= p->settings.threshold ||
			  is_lately(p->timed_out_at, now) || is_lately(p->syn_lost_at, now),
		.hold_ns = p->settings.scaling_ns,
	};
}

static bool is_overloaded(struct path *p, instant now)
{
	double retransmits = flow_retransmit_rate(&p->flow, now);
	bool many = p->by_timeouts ||
		    history_failures(&p->timeouts, PATH_RECENT) >= PATH_TIMEOUTS_OVERLOADED;
	p->by_timeouts = many && is_lately(p->timed_out_at, now);
	bool by_use = is_over(&p->by_use, path_utilisation(p), PATH_OVERLOADED_AT,
		PATH_OVERLOADED_AT - PATH_HYSTERESIS, now);
	bool by_retransmits = is_over(&p->by_retransmits, retransmits, PATH_RETRANSMITS_OVERLOADED,
		PATH_RETRANSMITS_OVERLOADED / 2, now);
	p->by_refusal = is_lately(p->full_at, now);
	return p->by_timeouts || p->by_refusal || by_use || by_retransmits;
}

static bool is_pressed(struct path *p, instant now)
{
	double threshold = p->settings.threshold;
	bool many = p->pressed_by_syns ||
		    history_failures(&p->syns, PATH_RECENT) >= PATH_SYN_PRESSED;
	p->pressed_by_syns = many && is_lately(p->syn_lost_at, now);
	bool by_use = is_over(&p->pressed_by_use, path_utilisation(p), threshold,
		threshold - PATH_HYSTERESIS, now);
	bool by_rtt = is_over(&p->pressed_by_rtt, flow_inflation(&p->flow, now), PATH_RTT_PRESSED,
		PATH_RTT_RELIEVED, now);
	bool by_retransmits = is_over(&p->pressed_by_retransmits,
		flow_retransmit_rate(&p->flow, now), PATH_RETRANSMITS_PRESSED,
		PATH_RETRANSMITS_PRESSED / 2, now);
	return p->pressed_by_syns || by_use || by_rtt || by_retransmits;
}

/* Brings each part of the state up to date; the worst that holds is the state. */
static enum path_state judge(struct path *p, instant now)
{
	enum path_state mildest = p->attempts > p->failures ? PATH_NORMAL : PATH_UNKNOWN;
	if (!p->settings.monitoring)
		return mildest;
	bool overloaded = is_overloaded(p, now), pressed = is_pressed(p, now);
	if (overloaded)
		return PATH_OVERLOADED;
	if (scaling_goes_on(&p->scaling))
		return PATH_SCALING;
	return pressed ? PATH_PRESSURE : mildest;
}

/* The times of connects that are too old to say anything. */
static void forget_old(struct path *p, instant now)
{
	uint32_t held = p->total.held;
	quantiles_age(&p->total, PATH_MEMORY_NS, now);
	if (p->total.held == held)
		return;
	for (enum stage stage = 0; stage < STAGE_READY; stage++)
		quantiles_age(&p->stages[stage].took, PATH_MEMORY_NS, now);
	p->total_p95_ns = quantiles_value(&p->total, 0.95);
}

/* ---- verbs ---- */

void path_init(struct path *p, const struct path_settings *settings, instant now)
{
	memset(p, 0, sizeof(*p));
	p->settings = *settings;
	p->state = PATH_UNKNOWN;
	p->timed_out_at = p->syn_lost_at = p->full_at = -1;
	scaling_init(&p->scaling);
	p->changed_at = now;
	p->look_at = INSTANT_NEVER;
}

void path_tick(struct path *p, instant now)
{
	forget_old(p, now);
	if (scaling_goes_on(&p->scaling)) {
		const struct scaling_sight sight = sight_of(p, now);
		scaling_tick(&p->scaling, &sight, now);
	}
	enum path_state state = judge(p, now);
	p->look_at = instant_min(
		path_deadline(p), quantiles_deadline(&p->total, PATH_MEMORY_NS, now));
	if (state == p->state)
		return;
	p->state = state;
	p->changed_at = now;
}

static void remember(struct path *p, const struct path_attempt *attempt, instant now)
{
	int64_t total_ns = 0;
	for (enum stage stage = 0; stage < STAGE_READY; stage++) {
		quantiles_add(&p->stages[stage].took, attempt->stage_ns[stage], now);
		total_ns += attempt->stage_ns[stage];
	}
	quantiles_add(&p->total, total_ns, now);
	p->total_p95_ns = quantiles_value(&p->total, 0.95);
	/* Faster than the clock can tell is still a connect: 0 would say that there was none. */
	p->least_ns = minmax_least(&p->least, total_ns > 0 ? total_ns : 1, PATH_LEAST_NS, now);
	if (attempt->syn_lost == 0)
		minmax_least(&p->least_tcp, attempt->stage_ns[STAGE_TCP], PATH_LEAST_NS, now);
}

/* It failed in the stage where it ended, and in none before. */
static void remember_stages(struct path *p, const struct path_attempt *attempt, bool failed)
{
	for (enum stage stage = 0; stage < STAGE_READY && stage <= attempt->stage; stage++)
		history_add(&p->stages[stage].history, failed && stage == attempt->stage);
}

void path_attempt(struct path *p, const struct path_attempt *attempt, instant now)
{
	bool failed = attempt->outcome != OUTCOME_OK;
	bool timed_out = attempt->outcome == OUTCOME_TIMEOUT;
	forget_old(p, now);
	p->attempts++;
	p->failures += failed;
	p->syn_lost += attempt->syn_lost;
	history_add(&p->history, failed);
	history_add(&p->timeouts, timed_out);
	history_add(&p->syns, attempt->syn_lost > 0);
	remember_stages(p, attempt, failed);
	if (timed_out)
		p->timed_out_at = now;
	if (attempt->outcome == OUTCOME_FULL)
		p->full_at = now;
	if (attempt->syn_lost > 0)
		p->syn_lost_at = now;
	if (!failed) {
		remember(p, attempt, now);
		const struct scaling_sight sight = sight_of(p, now);
		if (p->settings.monitoring)
			scaling_look(&p->scaling, &sight, now);
	}
	path_tick(p, now);
}

void path_probe(struct path *p, const struct path_attempt *how, instant now)
{
	int64_t tcp_ns = how->stage_ns[STAGE_TCP];
	/* One that lost a SYN tells of the kernel's pause, not of the path. */
	if (how->outcome != OUTCOME_OK || path_syn_losses(p, tcp_ns) > 0)
		return;
	forget_old(p, now);
	/* There may be more of them than of connects. */
	quantiles_age(&p->stages[STAGE_TCP].took, PATH_MEMORY_NS, now);
	quantiles_add(&p->stages[STAGE_TCP].took, tcp_ns, now);
	minmax_least(&p->least_tcp, tcp_ns, PATH_LEAST_NS, now);
	path_tick(p, now);
}

void path_connections(struct path *p, int connections, instant now)
{
	if (connections == p->connections && now < p->look_at)
		return;
	p->connections = connections;
	path_tick(p, now);
}

void path_limit(struct path *p, int limit, instant now)
{
	p->settings.limit = limit;
	path_tick(p, now);
}

void path_throughput(struct path *p, double bit_s, double sent_bit_s, instant now)
{
	p->throughput_bit_s = bit_s;
	p->sent_bit_s = sent_bit_s;
	path_tick(p, now);
}

void path_flow(struct path *p, const struct flow_sample *sample, instant now)
{
	flow_sample(&p->flow, sample, now);
	path_tick(p, now);
}

void path_configure(struct path *p, const struct path_settings *settings, instant now)
{
	p->settings = *settings;
	path_tick(p, now);
}

instant path_deadline(const struct path *p)
{
	instant at = INSTANT_NEVER;
	if (!p->settings.monitoring)
		return at;
	if (scaling_goes_on(&p->scaling))
		at = p->scaling.until;
	if (p->by_timeouts)
		at = instant_min(at, instant_add(p->timed_out_at, PATH_CALM_NS));
	if (p->pressed_by_syns)
		at = instant_min(at, instant_add(p->syn_lost_at, PATH_CALM_NS));
	if (p->by_refusal)
		at = instant_min(at, instant_add(p->full_at, PATH_CALM_NS));
	const struct hysteresis *const causes[] = {&p->by_use, &p->by_retransmits,
		&p->pressed_by_use, &p->pressed_by_rtt, &p->pressed_by_retransmits};
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		at = instant_min(at, hysteresis_deadline(causes[i], PATH_SETTLE_NS));
	/* Those that rest on what TCP told, when that has grown too old. */
	bool flow_counts = (p->by_retransmits.on && !p->by_retransmits.settling) ||
			   (p->pressed_by_rtt.on && !p->pressed_by_rtt.settling) ||
			   (p->pressed_by_retransmits.on && !p->pressed_by_retransmits.settling);
	if (flow_counts)
		at = instant_min(at, flow_deadline(&p->flow));
	return at;
}
