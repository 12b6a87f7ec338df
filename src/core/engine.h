/*
 * engine - everything that is decided, in one place: event in, actions out.
 *
 *   engine_step(engine, event, actions)   what happened, and when -> what to do
 *   engine_deadline(engine)               when to be stepped again if nothing happens
 *
 * The engine does no I/O, reads no clock, allocates nothing and cannot fail. The gate, the lab and
 * the simulator run this same code: what the simulator proves is what runs.
 *
 * It composes: startup (phases), breaker, retry, throttle, connects and standing (when to open a
 * server connection), budget (how many), pool and queue (who gets one), path and deadline (how long
 * to wait), probe (asking the path when nothing else tells).
 *
 * Whoever drives it must carry out every action in order and report what came of it. An action
 * that no longer makes sense when it is carried out (a client has gone) is answered by the event
 * that tells so; the engine never waits for an answer that its caller can't give.
 */
#ifndef STANDPIPE_CORE_ENGINE_H
#define STANDPIPE_CORE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/random.h"
#include "core/availability.h"
#include "core/backlog.h"
#include "core/breaker.h"
#include "core/budget.h"
#include "core/connects.h"
#include "core/dbms.h"
#include "core/deadline.h"
#include "core/outcome.h"
#include "core/path.h"
#include "core/pool.h"
#include "core/probe.h"
#include "core/retry.h"
#include "core/standing.h"
#include "core/startup.h"
#include "core/throttle.h"

#define ENGINE_ACTIONS_MAX  32
#define ENGINE_ATTEMPTS_MAX 16

/* The group that is always open: of the gate's own database and user. */
#define ENGINE_OWN 0

/* The process's exit code when a critical phase fails. */
#define ENGINE_EXIT_STARTUP_FAILED 3

struct engine_settings {
	struct startup_settings startup;
	struct deadline_settings deadlines;
	struct retry_settings retry;
	double throttle_k; /* core/throttle's; 0: off */
	struct breaker_settings breaker;
	struct probe_settings probe;
	struct path_settings path;
	struct budget_settings budget;
	struct connects_settings connects;
	struct standing_settings growth; /* of the pool, beyond its first server */
	struct backlog_settings queue;
	int servers_kept; /* warm in group 0, even if nobody waits; 0 or more */
	/* None that nobody waits for is begun for so long after the window of connects gave way, if
	 * its group has another; and it dials less often. 0: as eagerly as any. */
	int64_t spare_calm_ns;
	int64_t server_life_ns; /* recycled after this, less up to a tenth; 0: never */
	int64_t server_idle_ns; /* idle ones above those kept are closed after this; 0: never */
	int64_t ping_after_ns; /* idle longer: checked before use; INT64_MAX: never */
	bool stage_patience; /* an attempt's ends stage by stage; off: it has one for all of them */
	int64_t dial_patience_ns; /* at the tcp stage, before a fresh SYN beats waiting; 0: no redial */
};

enum engine_event_kind {
	EVENT_TICK, /* time passed */
	EVENT_START, /* begin the startup */
	EVENT_PHASE_DONE, /* phase, ok: the work that ACTION_PHASE_BEGIN asked for has ended */
	EVENT_PHASE_STEP, /* phase: the database answers, its tables come next */
	EVENT_CONNECT_STAGE, /* server, stage: the attempt is now in it; `syn_known`, syn_lost: so many
	                      * SYNs the handshake lost that ended with it, by the kernel's count */
	EVENT_CONNECT_OK, /* server */
	EVENT_CONNECT_FAILED, /* server, outcome */
	EVENT_SERVER_RELEASED, /* server: its client's transaction is over, it is clean; or
	                        * `spent`: not to be anybody else's, and closed */
	EVENT_SERVER_GONE, /* server (idle or busy), outcome: closed or to be closed by the caller;
	                        * `requeue`: its client was given nothing yet and waits on */
	EVENT_GROUP, /* group, group_settings: opens it, or changes it; what its logins failed for
	              * may be mended */
	EVENT_GROUP_CLOSED, /* group: nobody is in it; its id is free again */
	EVENT_CLIENT_WAITS, /* client, group, patient */
	EVENT_CLIENT_LEFT, /* client: it waits no more. One that holds a server ends with
	                        * SERVER_RELEASED or SERVER_GONE instead */
	EVENT_SERVER_LIMITS, /* limits: what the server says */
	EVENT_THROUGHPUT, /* bit_s: what this instance moved over the path lately, both ways; sent_bit_s:
	                   * of it, to the database */
	EVENT_TCP_SAMPLE, /* flow: what TCP tells of one of the connections */
	EVENT_PROBED, /* probe: how ACTION_PROBE went */
	EVENT_BREAKER, /* breaker_mode: by hand */
	EVENT_RECONNECT, /* group, POOL_NOBODY for all: its servers of now are too old, and what
	                  * its logins failed for may be mended */
	EVENT_COMMAND_UP, /* the command runs and was ready once (a gate that was started again):
	                   * from here on no phase is critical */
	EVENT_COMMAND_EXITED, /* code: as for the shell, 128 + signal for a signal */
};

struct engine_limits {
	int max_connections, superuser_reserved, reserved; /* -1: not known */
	int backends; /* client backends on the server now, from everyone; -1: not known */
	bool in_recovery; /* it is a standby */
};

struct engine_event {
	enum engine_event_kind kind;
	instant now;
	int server, client, group;
	struct pool_group_settings group_settings;
	int code;
	enum phase phase;
	enum stage stage;
	enum outcome outcome;
	bool ok, patient, requeue, spent;
	struct engine_limits limits;
	double bit_s, sent_bit_s;
	bool syn_known;
	int syn_lost;
	struct flow_sample flow;
	/* Time in STAGE_DNS, STAGE_TCP and, if it was to ask, STAGE_TLS; where it ended;
	 * outcome. */
	struct path_attempt probe;
	enum breaker_mode breaker_mode;
};

enum engine_reject {
	REJECT_POOL_TIMEOUT, /* waited as long as allowed */
	REJECT_BREAKER_OPEN, /* nothing connected for it, and not to be tried now */
	REJECT_PERMANENT, /* the database refuses for good: password, missing database */
	REJECT_OVERLOADED, /* its turn can't come in the time that is allowed: `waiting`, `expected_ns` */
	REJECT_COUNT
};

enum engine_action_kind {
	ACTION_PHASE_BEGIN, /* phase: do its work, then EVENT_PHASE_DONE */
	ACTION_PHASE_CANCEL, /* phase: out of time or overtaken; no EVENT_PHASE_DONE any more */
	ACTION_CONNECT, /* server, group: begin an attempt */
	ACTION_REDIAL, /* server: drop the attempt's socket and dial afresh, at once */
	ACTION_ABANDON, /* server: give the attempt up; its id is free again */
	ACTION_CLOSE, /* server: close it, it is idle; its id is free again */
	ACTION_ASSIGN, /* server, client; `ping`: check the server first */
	ACTION_REJECT, /* client, reject */
	ACTION_PROBE, /* asks, timeout_ns: one light probe of the way to group 0's database, then
	               * EVENT_PROBED, within timeout_ns. Never while one is under way. `asks`: TCP,
	               * an SSLRequest, and a byte for an answer; else TCP alone */
	ACTION_NOTICE, /* notice, from, to: for the log, the history, the door */
	ACTION_EXIT, /* code: end the whole program */
};

enum engine_notice {
	NOTICE_PHASE, /* phase; from, to: enum phase_status */
	NOTICE_BREAKER, /* from, to: enum breaker_state, as judged; cause */
	NOTICE_PATH, /* from, to: enum path_state */
	NOTICE_DBMS, /* from, to: enum dbms_state */
	NOTICE_SCALING, /* to: 1 begins, 0 ends; engine.path.scaling has what there is to say */
	NOTICE_AVAILABILITY, /* from, to: enum availability */
	NOTICE_STARTED, /* the startup is complete: the front door opens */
};

struct engine_action {
	enum engine_action_kind kind;
	int server, client, group;
	int code;
	enum phase phase;
	enum engine_reject reject;
	int waiting; /* of ACTION_REJECT: in its group's queue, itself included */
	int64_t expected_ns; /* ... and the expected wait of the last of them; 0: not known */
	enum engine_notice notice;
	int from, to;
	enum breaker_cause cause;
	bool ping;
	bool asks;
	int64_t timeout_ns;
};

struct engine_actions {
	int count;
	struct engine_action list[ENGINE_ACTIONS_MAX];
};

/* An attempt to connect, under way or remembered. */
struct engine_attempt {
	uint64_t serial; /* 1, 2, ...; 0: unused */
	int server; /* the id it was for */
	int group; /* and its group */
	bool under_way;
	bool syn_known; /* of its present handshake: those it lost are counted */
	bool served; /* somebody has given back the server that it became */
	int dials; /* 1 or more */
	instant began_at, ended_at, stage_began_at;
	instant dial_until; /* redial at; INSTANT_NEVER in every stage but tcp */
	int64_t dial_patience_ns;
	instant until; /* given up at */
	int64_t timeout_ns; /* from its beginning to that */
	int64_t span_ns; /* what it was allowed when it began */
	struct breaker_pass pass;
	struct path_attempt path;
};

/* What is the engine's of a group of the pool. */
struct engine_group {
	struct standing standing; /* means something while somebody waits */
	struct backlog queue;
	enum outcome permanent; /* the permanent failure last met, OUTCOME_OK since a success */
	instant retry_at; /* no attempt before, for that failure's sake */
};

struct engine {
	struct engine_settings settings;
	struct random random;
	struct startup startup;
	struct breaker breaker;
	struct probe probe;
	struct retry retry;
	struct throttle throttle; /* of a database that refuses */
	struct connects connects;
	struct budget budget;
	struct pool pool;
	struct path path;
	struct dbms dbms;
	struct engine_limits limits; /* as last told, at limits_at */
	instant limits_at;
	instant counted_until; /* its count of backends is believed; INSTANT_NEVER: there is none */
	struct engine_group *groups; /* borrowed: as the pool's */
	struct engine_attempt *attempts; /* borrowed: by server id, servers_max of them */
	struct engine_attempt recent[ENGINE_ATTEMPTS_MAX]; /* ended; place (serial - 1) % MAX */
	uint64_t attempt_serial;
	int64_t attempts_ended[OUTCOME_COUNT];
	int64_t redials, rejects, assigned;
	int64_t rejects_by[REJECT_COUNT];
	instant failed_at; /* the last attempt that failed or server that was lost */
	bool login_probes; /* an attempt is under way though the breaker is open */
	enum outcome blamed; /* the breaker's last failure, OUTCOME_OK: none yet */
	bool command_up; /* ready once, and not ended */
	bool in_table_setup; /* the database phase's second step */
	bool exiting; /* ACTION_EXIT was given */
	instant sweep_at; /* when idle servers are looked at again */
	enum availability availability; /* as last noticed */
	enum path_state path_noticed;
	bool scaling_noticed;
	enum dbms_state dbms_noticed;
	int64_t breaker_noticed; /* of its changes_count */
	enum phase_status phase_noticed[PHASE_COUNT];
	bool started_noticed;
	bool unfinished; /* the last step's actions had no room for all */
};

/* The records that the engine works on, which the caller owns for its life: zeroed memory. */
struct engine_memory {
	struct pool_server *servers;
	struct engine_attempt *attempts; /* as many as servers */
	int servers_max;
	struct pool_client *clients;
	int clients_max;
	struct pool_group *pool_groups;
	struct engine_group *groups; /* as many */
	int groups_max;
};

/* Group 0 is open then, without a bound, to keep settings->servers_kept. */
void engine_init(struct engine *e, const struct engine_settings *settings,
	const struct engine_memory *memory, uint64_t seed, instant now);

/* Other settings are in force from now on; what has been learned, counted and opened stays. Those
 * of the startup are for the next one, and left as they are. Tell it an event afterwards
 * (EVENT_TICK), so that it acts on them: servers that are too many now are closed as they become
 * free. */
void engine_configure(struct engine *e, const struct engine_settings *settings, instant now);

/* Takes `event` in and replaces `actions` by what is to be done about it, in order. */
void engine_step(
	struct engine *e, const struct engine_event *event, struct engine_actions *actions);

/* When the engine wants EVENT_TICK at the latest; INSTANT_NEVER if time alone changes nothing.
 * In the past when `actions` had no room for all: step again at once. */
instant engine_deadline(const struct engine *e);

/* The deadline in force now for a kind of wait. */
int64_t engine_deadline_span(const struct engine *e, enum deadline_kind kind);

/* The wait of the last in the group's queue, by what was served of late; 0: not known. */
int64_t engine_expected_wait(const struct engine *e, int group);

/* How long a client turned away should wait before it tries again, in whole seconds, 1 or more:
 * until the breaker or the retry lets the next attempt through. */
int engine_retry_after_s(const struct engine *e, instant now);
/* The same for one of another group than ENGINE_OWN. */
int engine_group_retry_after_s(const struct engine *e, int group, instant now);

/* When ACTION_PROBE is due if nothing else tells meanwhile; INSTANT_NEVER: it is not. */
instant engine_next_probe_at(const struct engine *e);

const char *engine_reject_name(enum engine_reject reject);

#endif
