/*
 * spawn - fork and exec for PID 1: descriptors, environment, process group, signals.
 *
 * The child gets descriptors 0, 1, 2 and those it is meant to inherit, from 3 on; nothing else.
 */
#ifndef STANDPIPE_INIT_SPAWN_H
#define STANDPIPE_INIT_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "init/init.h"

struct spawn {
	const char *path; /* NULL: argv[0], searched in the environment's PATH */
	const char *const *argv; /* NULL-ended */
	const char *const *environment;
	const struct init_listener
		*listeners; /* as 3, 4, ...: LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID */
	int listeners_count;
	int control_fd; /* after the listeners; -1: none */
	const char *control_variable; /* that names it */
	int parent_death_signal;
	bool same_group; /* as its parent: no process group of its own */
	bool foreground; /* its group becomes the terminal's foreground group */
	bool background; /* no terminal input, and never stopped for writing to it */
	const sigset_t *mask; /* the signal mask of the new program */
	const struct sigaction *child_action; /* its disposition of SIGCHLD */
};

/* Starts the program in a process group of its own, whose id is the pid (unless same_group). Waits
 * until the exec has happened. The pid, or -1 with `error`: code is the errno, the text names the
 * program and the mend. */
pid_t spawn(const struct spawn *s, struct error *error);

/* 127 for a program that is not there, 126 for one that can't be run: as the shell has it. */
int spawn_exit_code(int error_number);

#endif
