/*
 * process - children of the lab: each in a process group of its own, each with a signal that the
 * kernel sends it should the lab end without a word.
 */
#ifndef STANDPIPE_LAB_PROCESS_H
#define STANDPIPE_LAB_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

#define PROCESS_GROUPS_MAX 64

/* Somebody to run as. */
struct process_user {
	bool change; /* false: stay who we are */
	uid_t uid;
	gid_t gid;
	gid_t groups[PROCESS_GROUPS_MAX];
	int group_count;
};

struct process_spec {
	const char *const *argv; /* argv[0]: a path, or a name on PATH */
	const char *const *environment; /* NULL-ended */
	const char *directory; /* NULL: ours */
	const struct process_user *user; /* NULL: ourselves */
	int output; /* its stdout and stderr; -1: thrown away */
	int death_signal; /* sent to it when the lab is gone */
};

/* The user `name`; false: there is none. */
bool process_user_find(struct process_user *user, const char *name);

/* Starts it. All that is pointed to is borrowed for the call. 0, or -1 with `error`, also when the
 * program cannot be executed. */
int process_start(const struct process_spec *spec, pid_t *pid, struct error *error);

/* Makes orphans of our children our own children, so that process_sweep finds them. */
void process_adopt_orphans(void);

/* Kills every child but `except`, and their children in turn, until there is none; reaps them.
 * What our children started and lost is ours too, after process_adopt_orphans. */
void process_sweep(pid_t except);

/* As the shell has it: the code, or 128 + signal. */
int process_exit_code(int wait_status);

#endif
