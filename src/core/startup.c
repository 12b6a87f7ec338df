#include "core/startup.h"

#include <assert.h>
#include <string.h>

static const char *const phase_names[PHASE_COUNT] = {
	[PHASE_INIT] = "init",
	[PHASE_DEPENDENCIES] = "dependencies",
	[PHASE_DATABASE] = "database",
	[PHASE_CACHE] = "cache",
	[PHASE_SERVICES] = "services",
	[PHASE_WEBSOCKET] = "websocket",
	[PHASE_FINALIZE] = "finalize",
};

static const char *const status_names[PHASE_STATUS_COUNT] = {
	[PHASE_PENDING] = "pending",
	[PHASE_IN_PROGRESS] = "in_progress",
	[PHASE_COMPLETED] = "completed",
	[PHASE_FAILED] = "failed",
	[PHASE_SKIPPED] = "skipped",
};

/* Which status may follow which; everything else is a bug. */
static const bool status_may[PHASE_STATUS_COUNT][PHASE_STATUS_COUNT] = {
	[PHASE_PENDING] = {[PHASE_IN_PROGRESS] = true, [PHASE_SKIPPED] = true},
	[PHASE_IN_PROGRESS] = {[PHASE_COMPLETED] = true, [PHASE_FAILED] = true},
};

static void become(struct startup *s, enum phase phase, enum phase_status status)
{
	struct phase_record *r = &s->phases[phase];
	assert(status_may[r->status][status]);
	r->status = status;
}

static struct phase_record *in_progress(struct startup *s)
{
	assert(s->begun && s->current < PHASE_COUNT);
	return &s->phases[s->current];
}

/* From `phase` on: the first wanted one begins; those before it have nothing to do. */
static void go_on_from(struct startup *s, enum phase phase, instant now)
{
	for (; phase < PHASE_COUNT; phase++) {
		if (s->settings.wanted[phase] && !s->failed)
			break;
		become(s, phase, PHASE_SKIPPED);
	}
	s->current = phase;
	if (phase == PHASE_COUNT) {
		s->ended_at = now;
		return;
	}
	become(s, phase, PHASE_IN_PROGRESS);
	struct phase_record *r = &s->phases[phase];
	r->began_at = r->step_began_at = now;
	r->timeout_ns = s->settings.timeout_ns[phase];
}

void startup_init(struct startup *s, const struct startup_settings *settings)
{
	memset(s, 0, sizeof(*s));
	s->settings = *settings;
	s->current = PHASE_INIT;
	s->began_at = s->ended_at = -1;
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		struct phase_record *r = &s->phases[phase];
		r->began_at = r->step_began_at = r->ended_at = -1;
	}
}

void startup_begin(struct startup *s, instant now)
{
	assert(!s->begun);
	s->begun = true;
	s->began_at = now;
	go_on_from(s, PHASE_INIT, now);
}

void startup_phase_ended(struct startup *s, enum phase phase, bool completed, instant now)
{
	struct phase_record *r = in_progress(s);
	assert(phase == s->current);
	become(s, phase, completed ? PHASE_COMPLETED : PHASE_FAILED);
	r->ended_at = now;
	s->failed = !completed && s->settings.critical[phase];
	go_on_from(s, phase + 1, now);
}

void startup_set_timeout(struct startup *s, int64_t timeout_ns)
{
	assert(timeout_ns >= 0);
	in_progress(s)->timeout_ns = timeout_ns;
}

void startup_restart_timeout(struct startup *s, int64_t timeout_ns, instant now)
{
	in_progress(s)->step_began_at = now;
	startup_set_timeout(s, timeout_ns);
}

instant startup_deadline(const struct startup *s)
{
	if (!s->begun || startup_is_over(s))
		return INSTANT_NEVER;
	const struct phase_record *r = &s->phases[s->current];
	return instant_add(r->step_began_at, r->timeout_ns);
}

bool startup_is_over(const struct startup *s)
{
	return s->current == PHASE_COUNT;
}

bool startup_is_complete(const struct startup *s)
{
	return startup_is_over(s) && !s->failed;
}

enum phase startup_failed_phase(const struct startup *s)
{
	enum phase phase = 0;
	while (phase < PHASE_COUNT &&
		!(s->phases[phase].status == PHASE_FAILED && s->settings.critical[phase]))
		phase++;
	return phase;
}

const char *phase_name(enum phase phase)
{
	assert(phase < PHASE_COUNT);
	return phase_names[phase];
}

const char *phase_status_name(enum phase_status status)
{
	assert(status < PHASE_STATUS_COUNT);
	return status_names[status];
}
