#include "lab/faults.h"

#include <math.h>

int faults_instances(const struct scenario *s)
{
	int now = s->instances, ever = s->instances;

	for (int i = 0; i < s->fault_count; i++) {
		if (s->faults[i].kind == FAULT_SCALE_OUT) {
			now += s->faults[i].instances;
			ever += s->faults[i].instances;
		} else if (s->faults[i].kind == FAULT_DEPLOY) {
			ever += now;
		}
	}
	return ever;
}

static const struct scenario_fault *fault_of(const struct faults *f, int i)
{
	return &f->settings.scenario->faults[i];
}

static bool is_on(const struct faults *f, enum scenario_fault_kind kind)
{
	for (int i = 0; i < f->settings.scenario->fault_count; i++)
		if (fault_of(f, i)->kind == kind && f->states[i] == FAULT_ON)
			return true;
	return false;
}

/* The path's latency each way, by the worst of the faults that are on. */
static void tell_delay(struct faults *f)
{
	double factor = 1;

	for (int i = 0; i < f->settings.scenario->fault_count; i++)
		if (fault_of(f, i)->kind == FAULT_SLOW && f->states[i] == FAULT_ON)
			factor = fmax(factor, fault_of(f, i)->factor);
	if (f->settings.connector)
		connector_delay(f->settings.connector,
			(int64_t)((double)f->settings.scenario->rtt_ns * factor / 2));
}

static void begin(struct faults *f, int i, uint64_t now)
{
	const struct scenario_fault *fault = fault_of(f, i);
	struct connector *connector = f->settings.connector;

	f->states[i] = FAULT_ON;
	switch (fault->kind) {
	case FAULT_DATABASE_RESTART:
		if (connector)
			connector_refuse(connector, true);
		postgres_stop(f->settings.postgres, false);
		break;
	case FAULT_PARTITION:
		if (connector)
			connector_partition(connector, true);
		break;
	case FAULT_CONNECTOR_RESTART:
		if (connector)
			connector_restart(connector, true);
		break;
	case FAULT_FAILOVER: /* lab_can_play refused it */
		break;
	case FAULT_SLOW:
		tell_delay(f);
		break;
	case FAULT_DEPLOY:
		rollout_begin(&f->rollouts[i], f->settings.fleet, fault->instances, now);
		break;
	case FAULT_SCALE_OUT:
		for (int n = 0; n < fault->instances; n++)
			fleet_add(f->settings.fleet, now);
		break;
	}
}

static int end(struct faults *f, int i, struct error *error)
{
	struct connector *connector = f->settings.connector;

	f->states[i] = FAULT_PAST;
	switch (fault_of(f, i)->kind) {
	case FAULT_DATABASE_RESTART:
		if (is_on(f, FAULT_DATABASE_RESTART))
			break;
		if (postgres_start(f->settings.postgres, f->settings.max_connections,
			    f->settings.scenario->database.superuser_reserved, error) < 0)
			return -1;
		if (connector)
			connector_refuse(connector, false);
		break;
	case FAULT_PARTITION:
		if (connector)
			connector_partition(connector, is_on(f, FAULT_PARTITION));
		break;
	case FAULT_CONNECTOR_RESTART:
		if (connector && !is_on(f, FAULT_CONNECTOR_RESTART))
			connector_restart(connector, false);
		break;
	case FAULT_FAILOVER: /* lab_can_play refused it */
		break;
	case FAULT_SLOW:
		tell_delay(f);
		break;
	case FAULT_DEPLOY:
	case FAULT_SCALE_OUT:
		break;
	}
	return 0;
}

/* Goes on with it. True: it may end, as far as it is not up to time alone. */
static bool go_on(struct faults *f, int i, uint64_t now)
{
	if (fault_of(f, i)->kind == FAULT_DATABASE_RESTART)
		return f->settings.postgres->pid == 0; /* it may still be stopping */
	if (fault_of(f, i)->kind == FAULT_DEPLOY)
		return rollout_tick(&f->rollouts[i], f->settings.fleet, now);
	return true;
}

void faults_init(struct faults *f, const struct faults_settings *settings, uint64_t now)
{
	*f = (struct faults){.settings = *settings, .begun_ns = now};
	tell_delay(f);
}

int faults_tick(struct faults *f, uint64_t now, struct error *error)
{
	double at_ns = (double)(now - f->begun_ns) / f->settings.time_scale;

	for (int i = 0; i < f->settings.scenario->fault_count && !f->settings.none; i++) {
		const struct scenario_fault *fault = fault_of(f, i);
		if (f->states[i] == FAULT_AHEAD && at_ns >= (double)fault->at_ns) {
			if (i == 0)
				milestones_fault(f->settings.milestones, now);
			begin(f, i, now);
		}
		if (f->states[i] != FAULT_ON || !go_on(f, i, now) ||
			at_ns < (double)fault->at_ns + (double)fault->for_ns)
			continue;
		if (end(f, i, error) < 0)
			return -1;
		if (i == 0)
			milestones_fault_over(f->settings.milestones, now);
		if (faults_are_over(f))
			f->over_ns = now;
	}
	return 0;
}

bool faults_are_over(const struct faults *f)
{
	for (int i = 0; i < f->settings.scenario->fault_count && !f->settings.none; i++)
		if (f->states[i] != FAULT_PAST)
			return false;
	return true;
}

bool faults_database_is_down(const struct faults *f)
{
	return is_on(f, FAULT_DATABASE_RESTART);
}
