/*
 * foreman - keeps several gates at work side by side, each with a port's socket of its own
 * (SO_REUSEPORT): what `serve` is with workers above 1.
 *
 * - The first is started alone and does the startup. When it is READY the others' sockets begin to
 *   listen, and they are started, too. One that dies is started again (init/keeper.h); one that
 *   asks for the end (EXIT) ends them all with its code, but if it had failed to start again.
 * - SIGTERM and SIGINT are passed on as SIGTERM, each time: the first drains, the second ends.
 * - SIGHUP has all of them read their configuration anew; SIGUSR2 replaces one after the other, and
 *   stops at the first that can't be.
 * - A session with a worker's console, which another worker asks for, is brought there.
 * - A cancel request that came to one that has not the client is passed on to the one that has.
 */
#ifndef STANDPIPE_INIT_FOREMAN_H
#define STANDPIPE_INIT_FOREMAN_H

#include "init/init.h"

#define FOREMAN_WORKERS_MAX 64

struct foreman_worker {
	const char *name; /* "worker 3", for reports */
	const char *const *environment; /* NULL-ended */
	struct init_listener listeners[INIT_LISTENERS_MAX];
	int listeners_count;
};

/* What the service manager is to be told. */
enum foreman_news { FOREMAN_READY, FOREMAN_RELOADING, FOREMAN_STOPPING, FOREMAN_WATCHDOG };

/* Everything is borrowed until foreman_run returns. */
struct foreman_settings {
	const char *path; /* NULL: this program's own file */
	const char *const *argv; /* NULL-ended */
	const struct foreman_worker *workers;
	int workers_count; /* 1 or more */
	int backlog; /* of listeners that are unheard */
	int64_t patience_ns; /* from SIGTERM to SIGKILL */
	int64_t watchdog_ns; /* between two FOREMAN_WATCHDOG; 0: none */
	init_report *report;
	void (*tell)(void *context, enum foreman_news news);
	void *context;
};

/* Runs until all are gone; gives the exit code. Once a process, from its only thread. */
int foreman_run(const struct foreman_settings *settings);

#endif
