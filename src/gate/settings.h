/*
 * settings - what the gate is told; app/config fills it in.
 *
 * All texts are owned by the configuration, which lasts until the next is read (gate_reload): who
 * works with one over turns of the loop copies it, but for the phases of the startup, which are
 * waited for.
 */
#ifndef STANDPIPE_GATE_SETTINGS_H
#define STANDPIPE_GATE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"
#include "io/care.h"
#include "io/cloud_monitoring.h"
#include "io/reactor.h"
#include "io/tls.h"

#define GATE_CHECKS_MAX 32

/* Who answers on the service's own port. */
enum door_mode {
	DOOR_OFF, /* nobody: there is no such port */
	DOOR_RELAY, /* the gate, relaying to the command's port once it is ready */
	DOOR_INHERIT, /* the gate until the command, which inherits the socket, accepts for itself */
};

/* May clients have TLS, and must they? */
enum tls_mode {
	TLS_OFF,
	TLS_ALLOW,
	TLS_REQUIRE, /* all but those on this machine */
};

/* What a client must prove. */
enum auth_method {
	AUTH_TRUST, /* nothing */
	AUTH_SCRAM, /* that it knows the user's password */
	AUTH_CERT, /* by its certificate, that it is the user */
	AUTH_REJECT, /* nobody comes in */
};

struct auth_settings {
	enum tls_mode tls_mode;
	struct tls_files tls;
	enum auth_method local; /* over the Unix socket and from loopback */
	enum auth_method remote; /* from everywhere else */
	const char *file; /* of users and secrets, as userlist.h has it; empty: none */
	const char *query; /* SQL that looks up who is not in it; empty: none */
	int64_t cache_ns; /* how long its answers are kept; 0: not at all */
	const char *user, *password; /* the URL's own; NULL: it has no password. Secret */
};

/* How long a client may take; see gate/overtime.h. */
enum gate_limit {
	LIMIT_LOGIN, /* for its startup packet and its authentication */
	LIMIT_CLIENT_IDLE, /* to ask for something, outside of a transaction */
	LIMIT_CLIENT_STALL, /* to take what it is sent, or to send the rest of a message */
	LIMIT_QUERY, /* for the answer to one query, which is cancelled then */
	LIMIT_IDLE_IN_TRANSACTION, /* to ask for something within one */
	LIMIT_TRANSACTION, /* for the whole of one */
	GATE_LIMIT_COUNT
};

/* A key as a person would write it. */
struct gate_shown {
	const char *key, *value;
	const char *preset; /* what it is when nothing is written; NULL: that depends */
	bool changeable; /* by a reload */
};

/* SQL's PREPARE, where the server may change with every transaction. */
enum sql_prepare {
	SQL_PREPARE_PIN, /* its client keeps its server */
	SQL_PREPARE_ERROR, /* it is refused */
};

/* What becomes of a server when the session that had it is over. */
enum session_end {
	SESSION_END_DISCARD, /* DISCARD ALL, and another session may have it */
	SESSION_END_CLOSE, /* it is closed, so that each session has a process of its own */
};

/* For how long a client has its server. */
enum pool_mode {
	POOL_TRANSACTION,
	POOL_SESSION,
	POOL_STATEMENT, /* ... as for a transaction, of which none may be of several statements */
};

/* A database that clients may ask for. */
struct gate_database {
	const char *name; /* "*": every one that has no entry of its own */
	const char *conninfo; /* libpq's; secret. What it says of the database is for a "*" that was
	                       * given no URL replaced by the client's word */
	bool named_by_client; /* that is so */
	const char *user; /* whom its URL logs in */
	const char *host; /* for messages: "db.internal:5432" */
	enum pool_mode mode;
	int pool_size; /* servers of each of its pools; 0: as many as the budget allows */
	int clients_max; /* 0: pool.clients */
	int keep; /* warm, of its URL's user's pool */
	bool shared; /* all users log in as the URL's */
	const char *auth_query; /* in place of auth.query, and asked in it; empty: none */
};

/* What is known of a user. */
struct gate_user {
	const char *name; /* "*": everyone who has no entry of their own */
	const char *password; /* for the database; empty: none is asked for; NULL: not known */
	bool has_mode;
	enum pool_mode mode; /* if so: in all databases */
	int pool_size; /* 0: the database's */
	int clients_max; /* 0: the database's */
};

struct gate_settings {
	struct engine_settings engine;
	int servers_max; /* the most server connections ever: the pool's size + overflow */
	int clients_max;
	int workers, worker; /* how many gates side by side, and which this is, from 0 */
	enum reactor_choice loop_backend;
	int64_t limits_ns[GATE_LIMIT_COUNT]; /* 0: none */

	/* Upstream. */
	const char *conninfo; /* libpq's URI or key=value text; holds secrets */
	const char *host; /* for messages: "db.internal:5432" */
	const char *user; /* as clients must name them */
	const char *database;
	bool pin; /* a client keeps its server while something of its own lives there */
	enum sql_prepare sql_prepare;
	enum session_end session_end;
	const char *password_command; /* for sh -c: says the password to log in with; empty: none */
	int64_t password_life_ns; /* how long that is good */
	int prepared_max; /* statements of ours on one server, at most */
	int64_t prepared_bytes; /* of all their texts together */
	struct care database_care; /* where the URL says nothing of it */
	const struct gate_database *databases; /* the first is the URL's */
	int databases_count;
	const struct gate_user *users;
	int users_count;

	/* Listeners, used where the process did not inherit them. */
	const char *listen_host; /* "127.0.0.1"; several with commas in between (io/listen.h) */
	int listen_port; /* 0: any */
	struct care listen_care; /* of TCP clients */
	struct auth_settings auth;
	const char *socket_dir; /* of .s.PGSQL.<port>; empty: no Unix socket */
	const char *admin_host;
	int admin_port; /* 0: any */
	const char *door_host;
	int door_port; /* the service's own; 0: no door */
	enum door_mode door_mode;
	int command_port; /* where DOOR_RELAY finds the command; 0: chosen by run */

	/* Cloud Monitoring, for reports. */
	struct cloud_target cloud;
	int64_t watch_ns; /* between two questions for the server's limits; 0: none at run time */
	int64_t cloud_interval_ns; /* 0: it is not asked */

	/* The end, on SIGTERM without PID 1. */
	int64_t grace_ns; /* clients that are between transactions may stay so long */
	int64_t drain_ns; /* ... and transactions may take so long; not less than grace_ns */
	int64_t handover_ns; /* clients of a gate that has been replaced may stay so long */
	const char *run_as; /* the user to be once the sockets are bound; empty: as started */

	/* The phases' work. */
	const char *required[GATE_CHECKS_MAX]; /* names of variables that must be set, not empty */
	int required_count;
	const char *dependencies[GATE_CHECKS_MAX]; /* targets, as io/check.h has them */
	int dependencies_count;
	const char *schema_check; /* SQL that must give a row, or empty */
	const char *migrate; /* a command, run with the command's environment, or empty */
	const char *cache; /* redis://..., or empty */
	const char *ready; /* target that tells when the command is ready; "notify": sd_notify;
	                            * empty: when it has started */
	const char *websocket; /* ws://..., or empty */
	int64_t check_interval_ns; /* between two tries of a check within its phase */

	/* Of the console, each list ended by NULL. */
	const char *const *console_admins;
	const char *const *console_readers;
	const struct gate_shown *shown; /* for SHOW CONFIG; ended by a key that is NULL */

	bool has_command; /* `run`: PID 1 starts one */
	const char *instance; /* this instance's name: host name or revision */
	const char *environment; /* "production" */
	const char *error_file; /* the error context is written here too; empty: nowhere */
	const char *termination_log; /* Kubernetes' termination log, 4096 bytes; empty: none */
	const char *const *command_environment; /* NAME=value for migrate and exec, NULL-ended */
};

#endif
