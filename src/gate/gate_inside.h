/*
 * gate_inside - what the gate is made of. For gate*.c alone; everyone else uses gate/gate.h.
 *
 *   gate.c             its life: what it is made of comes up, runs and goes
 *   gate_listeners.c   the sockets that it listens on, and who answers there
 *   gate_orders.c      what it is told from outside: signals, PID 1
 *   gate_reload.c      how other settings take the place of those in force
 *   gate_succession.c  how one gate takes the place of another
 *   gate_cloud.c       what Cloud Monitoring tells of the VPC connector, for reports
 *   gate_manager.c     what the service manager is told
 *   gate_notices.c     what the engine has to tell, in the log and in the error context
 */
#ifndef STANDPIPE_GATE_GATE_INSIDE_H
#define STANDPIPE_GATE_GATE_INSIDE_H

#include <stdbool.h>
#include <uv.h>

#include "base/control.h"
#include "gate/door.h"
#include "gate/drain.h"
#include "gate/gate.h"
#include "gate/hub.h"
#include "gate/phases.h"
#include "gate/view.h"
#include "io/acceptor.h"
#include "io/http.h"
#include "io/listen.h"
#include "io/notify.h"
#include "io/reactor.h"

/* So many reloads may happen during a startup. */
#define GATE_OUTDATED_MAX 8

/* Places of listening sockets; clients of PostgreSQL's protocol come on those from LISTENER_UNIX on. */
enum listener {
	LISTENER_ADMIN,
	LISTENER_DOOR,
	LISTENER_UNIX,
	LISTENER_GATE, /* the first of listen.host's, which come one after the other */
	LISTENER_COUNT = LISTENER_GATE + LISTEN_HOSTS_MAX
};
#define ACCEPTORS (LISTENER_COUNT - LISTENER_UNIX)

/* Another gate of this instance's, and how to talk to it. */
struct gate_relation {
	int fd; /* a control socket; -1: there is none */
	int pid; /* of a child; else 0 */
	uv_poll_t *poll;
};

struct gate {
	const struct gate_options *options;
	const struct gate_settings *settings; /* in force */
	const struct gate_settings *outdated[GATE_OUTDATED_MAX]; /* phases may work with them */
	int outdated_count;
	struct log *log;
	uv_loop_t loop;
	struct reactor reactor; /* which turns the loop */
	struct hub hub;
	struct phases phases;
	int listeners[LISTENER_COUNT]; /* -1: none */
	char socket_path[LISTEN_PATH_MAX]; /* made here and to be removed; empty: none */
	struct acceptor *acceptors[ACCEPTORS]; /* of the listeners from LISTENER_UNIX on */
	struct http *admin;
	struct door *door;
	struct notify *notify;
	uv_poll_t control;
	uv_signal_t terminate, interrupt, hangup, replace;
	struct drain drain;
	uv_timer_t watchdog;
	struct cloud *cloud; /* NULL: it is not asked */
	uv_timer_t cloud_timer; /* to the next question */
	struct cloud_report cloud_report;
	struct gate_relation predecessor, successor; /* without PID 1 */
	bool stopping, ended;
	bool succeeds; /* another gate accepts until this one has started */
	bool follows; /* the gate before it has not ended */
	bool awaits; /* a successor has been started, and is not ready */
	bool retired; /* another gate accepts */
	int exit_code;
	instant began_at;
	enum control_command command;
	int command_pid, command_code;
	char *context; /* the last error context */
};

/* What pages and the error context are made from, as it is now. */
struct gate_view gate_view(struct gate *g);

/* The end is decided. Behind PID 1 it is its to say when: SIGTERM comes once the command is gone;
 * until then the pages go on answering. */
void gate_end(struct gate *g, int code);
/* The loop ends, now. */
void gate_leave(struct gate *g);

/* gate_listeners.c: inherits or binds them. 0, or -1 with `error`. */
int gate_listeners_bind(struct gate *g, struct error *error);
/* Begins to answer on them. 0, or -1 with `error`; gate_listeners_stop undoes it either way. */
int gate_listeners_open(struct gate *g, struct error *error);
/* What settings say of connections from clients, for the sockets that they come on. */
void gate_listeners_care(struct gate *g);
/* Takes no more clients: their sockets are closed, or the kernel would go on accepting for nobody. */
void gate_refuse_clients(struct gate *g);
/* Another gate accepts on all of them: none is closed for anybody else by that. */
void gate_listeners_leave(struct gate *g);
/* Takes the part of the connections that is its own while there are others. */
void gate_share(struct gate *g);

/* For a gate that succeeds: begins to accept. */
void gate_listeners_resume(struct gate *g);
/* All of them, for a successor. */
void gate_listeners_list(const struct gate *g, struct gate_start *start);
void gate_listeners_stop(struct gate *g);
void gate_listeners_close(struct gate *g);

/* gate_orders.c */
void gate_orders_begin(struct gate *g);
void gate_orders_end(struct gate *g);
/* Takes in what PID 1 has said by now. */
void gate_orders_of_init(struct gate *g);
void gate_start_command(void *context);
/* For the console of another worker, by the foreman: as hub_duties.console; `context` is the gate. */
int gate_bring_console(void *context, int worker, int fd);
/* For the console. Behind PID 1 it is the end of the command, too. */
void gate_shut_down(void *context, enum hub_shutdown how);

/* What PID 1, or the gate before this one, has to say. */
void gate_take_message(struct gate *g, const struct control_message *message);
void gate_tell_init(struct gate *g, enum control_kind kind, int code);

/* gate_succession.c */
void gate_succession_begin(struct gate *g);
void gate_succession_end(struct gate *g);
/* Has itself replaced. What comes of it is logged. */
void gate_replace(struct gate *g);
/* Its successor serves. */
void gate_retire(struct gate *g);
/* The startup is complete: it accepts, and whoever waits for that is told. */
void gate_succession_ready(struct gate *g);
/* There is nobody else who accepts. */
void gate_serve_on(struct gate *g);
void gate_predecessor_gone(struct gate *g);
/* A cancel request for a client of another gate's; `context` is the gate. */
void gate_pass_cancel(void *context, uint32_t pid, uint32_t key, int asker);
void gate_take_cancel(struct gate *g, const struct control_message *message, int asker);

/* gate_reload.c: reads the settings anew and puts them in force, and logs what came of it. 0, or -1
 * with `error`: nothing has changed. `context` is the gate. */
int gate_reload(void *context, struct error *error);
/* The same, with another value for a key. */
int gate_set(void *context, const char *key, const char *value, struct error *error);
/* No phase works with settings that are not in force any more. */
void gate_forget_outdated(struct gate *g);

/* gate_manager.c; the watchdog is fed from begin to end. */
void gate_manager_begin(struct gate *g);
void gate_manager_ready(struct gate *g);
void gate_manager_reloading(struct gate *g);
void gate_manager_stopping(struct gate *g);
/* Another process is the service from now on. */
void gate_manager_succeeded(struct gate *g, int pid);
void gate_manager_end(struct gate *g);

/* gate_cloud.c     */
void gate_cloud_begin(struct gate *g);
void gate_cloud_end(struct gate *g);

/* gate_notices.c: ACTION_NOTICE. */
void gate_noticed(struct gate *g, const struct engine_action *action);

#endif
