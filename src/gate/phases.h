/*
 * phases - the work of the seven phases: what ACTION_PHASE_BEGIN asks for, told back to the engine
 * as EVENT_PHASE_DONE.
 *
 * A check that fails is tried again after the check interval until the engine says that the phase
 * is out of time; the last error is the phase's.
 */
#ifndef STANDPIPE_GATE_PHASES_H
#define STANDPIPE_GATE_PHASES_H

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"
#include "gate/client.h"
#include "gate/door.h"
#include "gate/hub.h"
#include "io/check.h"
#include "io/listen.h"

/* The longest target put together here. */
#define PHASES_TARGET_MAX 1024

struct phases {
	struct hub *hub; /* borrowed */
	struct door *door; /* borrowed; NULL: none */
	int admin_port, gate_port;
	bool succeeds; /* another gate accepts on that port, until this one has started */
	void (*start_command)(void *context);
	void *context;

	struct error errors[PHASE_COUNT];
	enum phase current; /* PHASE_COUNT: none under way */
	int target; /* which dependency is being checked */
	int step; /* of the database phase */
	bool command_running;
	struct check *check; /* under way, or NULL */
	struct inquiry inquiry;
	struct client *inquirer; /* under way, or NULL */
	uv_timer_t timer; /* to the next try */
	char text[PHASES_TARGET_MAX];
};

/* `start_command` asks PID 1 for it. */
void phases_init(
	struct phases *p, struct hub *hub, void (*start_command)(void *context), void *context);
void phases_close(struct phases *p);

/* Actions of the engine. */
void phases_begin(struct phases *p, enum phase phase);
void phases_cancel(struct phases *p, enum phase phase);

/* The command said that it is ready (sd_notify). */
void phases_command_ready(struct phases *p);
/* The command has been started, or has ended. */
void phases_command(struct phases *p, bool running, int code);

#endif
