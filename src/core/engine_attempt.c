#include "core/engine_attempt.h"

#include <assert.h>

#include "core/syn.h"

/* Each redial waits longer than the one before, so that a path which is merely slow is served. */
#define DIAL_GROWTH_NUM 3
#define DIAL_GROWTH_DEN 2
#define DIAL_MAX_NS     (8 * NS_PER_S)

/* Whoever needs none yet dials that many times less often than who does. */
#define DIAL_SPARE 4

/* The longest pause while the startup goes on. */
#define PAUSE_STARTING_NS (5 * NS_PER_S)
/* And what it shrinks to at least: quarters of what is left add up to ever more attempts, ever
 * closer to each other. */
#define PAUSE_LEAST_NS (250 * NS_PER_MS)

static int64_t shorter(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* By half, and over DIAL_MAX_NS only where the setting is. */
static int64_t longer_dial(int64_t patience_ns)
{
	int64_t longer_ns = patience_ns * DIAL_GROWTH_NUM / DIAL_GROWTH_DEN;
	int64_t most_ns = patience_ns > DIAL_MAX_NS ? patience_ns : DIAL_MAX_NS;
	return longer_ns < most_ns ? longer_ns : most_ns;
}

/* Until the startup is over no pause is long: one that outlives a phase, or the patience of a
 * service that is just starting, turns a pause into a failed start. A quarter of what is left of
 * the phase, a few seconds at most, and jittered, so that the fleet does not come back as one. */
static int64_t longest_pause(const struct engine *e, instant now)
{
	instant end = startup_deadline(&e->startup);
	if (end == INSTANT_NEVER || end <= now)
		return INT64_MAX;
	int64_t longest_ns = (end - now) / 4;
	if (longest_ns > PAUSE_STARTING_NS)
		longest_ns = PAUSE_STARTING_NS;
	return longest_ns < PAUSE_LEAST_NS ? PAUSE_LEAST_NS : longest_ns;
}

static void cap_pauses(struct engine *e, instant now)
{
	int64_t longest_ns = longest_pause(e, now);
	if (longest_ns == INT64_MAX)
		return;
	instant at = now + longest_ns / 2 + random_span(&e->random, longest_ns / 2);
	breaker_cap(&e->breaker, at);
	e->retry.next_at = instant_min(e->retry.next_at, at);
}

bool engine_attempt_admit(struct engine *e, instant now)
{
	int64_t longest_ns = longest_pause(e, now);
	int64_t cap_ns = e->settings.retry.cap_ns;
	return throttle_admit(&e->throttle, shorter(longest_ns, cap_ns), now, &e->random);
}

void engine_back_off(struct engine *e, instant now)
{
	e->failed_at = now;
	retry_failed(&e->retry, now, &e->random);
	cap_pauses(e, now);
}

void engine_attempt_syns(struct engine *e, int server, int lost)
{
	struct engine_attempt *a = &e->attempts[server];
	if (!a->under_way)
		return;
	a->path.syn_lost += lost;
	a->syn_known = true;
}

/* Where the kernel did not count the SYNs that a handshake lost, its time may tell. */
static void leave_stage(
	struct engine_attempt *a, const struct path *path, enum stage next, instant now)
{
	int64_t span_ns = now - a->stage_began_at;
	a->path.stage_ns[a->path.stage] += span_ns;
	if (a->path.stage == STAGE_TCP && next > STAGE_TCP && !a->syn_known)
		a->path.syn_lost += path_syn_losses(path, span_ns);
	if (next != a->path.stage)
		a->syn_known = false;
}

/* A handshake that is given up after a second or more: its SYNs went unanswered. */
static void note_unanswered(struct engine_attempt *a, instant now)
{
	if (a->path.stage == STAGE_TCP && now - a->stage_began_at >= SYN_RETRY_NS)
		a->path.syn_lost++;
}

/* Nobody waits for it, and its group is served already: others on the path may have nothing yet. */
static bool is_spare(const struct engine *e, const struct engine_attempt *a)
{
	const struct pool_group *g = &e->pool.groups[a->group];
	return e->settings.spare_calm_ns > 0 && g->waiting == 0 && g->idle + g->busy > 0;
}

/* How long this handshake is waited for before a fresh one. Jittered, so that those who started
 * together do not dial together again. */
static int64_t dial_span(struct engine *e, const struct engine_attempt *a)
{
	int64_t patience_ns = a->dial_patience_ns;
	if (is_spare(e, a) && patience_ns < DIAL_MAX_NS)
		patience_ns = shorter(patience_ns * DIAL_SPARE, DIAL_MAX_NS);
	return patience_ns + random_span(&e->random, patience_ns);
}

/* One that has come through the handshake is given time for what comes next, whatever it took up to
 * there: to give it up then would give a place in a queue away. */
static void be_patient(struct engine *e, struct engine_attempt *a, enum stage stage, instant now)
{
	if (!e->settings.stage_patience || stage <= STAGE_TCP || stage == a->path.stage)
		return;
	int64_t p99_ns = path_stage_quantile(&e->path, stage, 0.99);
	int64_t cap_ns = e->settings.deadlines.cap_ns;
	a->until = instant_add(now, deadline_stage_span(a->span_ns, p99_ns));
	if (cap_ns > 0)
		a->until = instant_min(a->until, instant_add(a->began_at, cap_ns));
	a->timeout_ns = a->until - a->began_at;
}

void engine_attempt_stage(struct engine *e, int server, enum stage stage, instant now)
{
	struct engine_attempt *a = &e->attempts[server];
	if (!a->under_way)
		return;
	leave_stage(a, &e->path, stage, now);
	be_patient(e, a, stage, now);
	/* Before the handshake there is no SYN to send afresh; past it patience beats starting
	 * over: a place in a queue is held. */
	if (stage != STAGE_TCP)
		a->dial_until = INSTANT_NEVER;
	else if (a->path.stage != STAGE_TCP && a->dial_patience_ns > 0)
		a->dial_until = now + dial_span(e, a);
	a->path.stage = stage;
	a->stage_began_at = now;
}

void engine_attempt_begin(
	struct engine *e, int server, const struct breaker_pass *pass, instant now)
{
	/* The probe of a breaker gets the longest patience: it must not fail for haste. */
	enum path_state state = e->breaker.state != BREAKER_CLOSED ? PATH_OVERLOADED
								   : e->path.state;
	int64_t timeout_ns = deadline_span(
		&e->settings.deadlines, DEADLINE_CONNECTION, state, path_connect_p95(&e->path));
	struct engine_attempt *a = &e->attempts[server];
	retry_begins(&e->retry);
	*a = (struct engine_attempt){
		.serial = ++e->attempt_serial,
		.server = server,
		.group = e->pool.servers[server].group,
		.under_way = true,
		.dials = 1,
		.began_at = now,
		.ended_at = -1,
		.stage_began_at = now,
		.dial_until = INSTANT_NEVER,
		.dial_patience_ns = e->settings.dial_patience_ns,
		.timeout_ns = timeout_ns,
		.span_ns = timeout_ns,
		.until = instant_add(now, timeout_ns),
		.pass = *pass,
	};
	a->path.stage = STAGE_DNS;
}

/* How this one went, beside the fastest of late. */
static struct connects_sample sample_of(const struct engine *e, const struct engine_attempt *a)
{
	struct connects_sample sample;
	for (enum stage stage = 0; stage < STAGE_COUNT; stage++) {
		sample.stage_ns[stage] = a->path.stage_ns[stage];
		sample.least_ns[stage] = path_stage_quantile(&e->path, stage, 0.0);
	}
	return sample;
}

/* How an attempt ended. What counts for the breaker may be another matter than what is backed off
 * for: that is the settings'. */
static void tell_breaker(struct engine *e, const struct engine_attempt *a, instant now)
{
	struct breaker *b = &e->breaker;
	e->login_probes = e->login_probes && !a->pass.probes;
	if (a->path.outcome == OUTCOME_OK) {
		if (a->pass.probes)
			retry_waive(&e->retry, now);
		breaker_succeeded(b, &a->pass, now, &e->random);
	} else if (breaker_counts(b, a->path.outcome)) {
		e->blamed = a->path.outcome;
		breaker_failed(b, &a->pass, now, &e->random);
	} else {
		breaker_abandoned(b, &a->pass);
	}
	probe_told(&e->probe, b->judged == BREAKER_CLOSED, now, &e->random);
}

void engine_attempt_end(struct engine *e, int server, enum outcome outcome, instant now)
{
	struct engine_attempt *a = &e->attempts[server];
	struct engine_group *own = &e->groups[a->group];
	assert(a->under_way);
	if (outcome == OUTCOME_TIMEOUT)
		note_unanswered(a, now);
	engine_attempt_stage(e, server, outcome == OUTCOME_OK ? STAGE_READY : a->path.stage, now);
	a->under_way = false;
	a->ended_at = now;
	a->path.outcome = outcome;
	e->recent[(a->serial - 1) % ENGINE_ATTEMPTS_MAX] = *a;
	e->attempts_ended[outcome]++;
	path_attempt(&e->path, &a->path, now);

	tell_breaker(e, a, now);
	/* What the server itself said, that is. */
	if (outcome == OUTCOME_OK || outcome == OUTCOME_FULL || outcome == OUTCOME_STARTING)
		throttle_told(&e->throttle, outcome == OUTCOME_OK, now);
	if (outcome == OUTCOME_OK) {
		struct connects_sample sample = sample_of(e, a);
		/* The kernel's own SYN came through in the end: a redial would have told
		 * already. */
		if (a->path.syn_lost > 0 && a->dials == 1)
			connects_dropped(&e->connects, a->began_at, now);
		connects_succeeded(&e->connects, &sample);
		own->permanent = OUTCOME_OK;
	} else if (outcome_is_capacity(outcome)) {
		bool silence = outcome == OUTCOME_TIMEOUT;
		connects_lost(&e->connects, silence, a->began_at, now);
		engine_back_off(e, now);
	} else {
		connects_abandoned(&e->connects);
		if (outcome_is_permanent(outcome)) {
			/* Others may well be let in: only its own group waits. */
			own->permanent = outcome;
			own->retry_at = now + e->settings.retry.cap_ns;
		} else {
			engine_back_off(e, now);
		}
	}
}

void engine_attempt_redial(struct engine *e, int server, instant now)
{
	struct engine_attempt *a = &e->attempts[server];
	connects_dropped(&e->connects, a->stage_began_at, now);
	note_unanswered(a, now);
	engine_attempt_stage(e, server, STAGE_DNS, now);
	a->dials++;
	e->redials++;
	a->dial_patience_ns = longer_dial(a->dial_patience_ns);
}

instant engine_attempts_deadline(const struct engine *e)
{
	instant at = INSTANT_NEVER;
	if (e->pool.connecting == 0)
		return at;
	for (int server = 0; server < e->pool.servers_max; server++) {
		const struct engine_attempt *a = &e->attempts[server];
		if (a->under_way)
			at = instant_min(at, instant_min(a->until, a->dial_until));
	}
	return at;
}
