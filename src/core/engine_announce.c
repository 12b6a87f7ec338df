#include "core/engine_announce.h"

#include "core/engine_actions.h"
#include "core/engine_breaker.h"

void engine_announce_phases(struct engine *e, struct engine_actions *actions)
{
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		enum phase_status from = e->phase_noticed[phase];
		enum phase_status to = e->startup.phases[phase].status;
		if (from == to)
			continue;
		if (actions->count + 2 > ENGINE_ACTIONS_MAX) {
			e->unfinished = true;
			return;
		}
		e->phase_noticed[phase] = to;
		notice(actions, NOTICE_PHASE, phase, from, to);
		if (to == PHASE_IN_PROGRESS)
			act(actions, ACTION_PHASE_BEGIN)->phase = phase;
	}
	if (startup_is_complete(&e->startup) && !e->started_noticed && has_room(e, actions, 1)) {
		e->started_noticed = true;
		notice(actions, NOTICE_STARTED, PHASE_FINALIZE, 0, 1);
	}
}

/* A server connection is there; or none is needed now, and the last one did its work. */
static bool is_database_up(const struct engine *e)
{
	if (!e->settings.startup.wanted[PHASE_DATABASE] || e->pool.idle + e->pool.busy > 0)
		return true;
	bool connected_once = e->path.attempts > e->path.failures;
	return connected_once && e->retry.failures == 0 &&
	       e->groups[ENGINE_OWN].permanent == OUTCOME_OK;
}

void engine_announce_states(struct engine *e, struct engine_actions *actions)
{
	struct availability_facts facts = {
		.command_up = e->command_up || !e->settings.startup.wanted[PHASE_SERVICES],
		.database_up = is_database_up(e),
		.breaker_closed = e->breaker.state == BREAKER_CLOSED,
	};
	enum availability availability = availability_of(&e->startup, &facts);
	bool scaling = scaling_goes_on(&e->path.scaling);
	engine_breaker_announce(e, actions);
	if (!has_room(e, actions, 4))
		return;
	if (e->path.state != e->path_noticed)
		notice(actions, NOTICE_PATH, 0, (int)e->path_noticed, (int)e->path.state);
	if (e->dbms.state != e->dbms_noticed)
		notice(actions, NOTICE_DBMS, 0, (int)e->dbms_noticed, (int)e->dbms.state);
	if (scaling != e->scaling_noticed)
		notice(actions, NOTICE_SCALING, 0, e->scaling_noticed, scaling);
	if (availability != e->availability)
		notice(actions, NOTICE_AVAILABILITY, 0, (int)e->availability, (int)availability);
	e->path_noticed = e->path.state;
	e->scaling_noticed = scaling;
	e->dbms_noticed = e->dbms.state;
	e->availability = availability;
}
