/*
 * bug - tests that a call which only a bug would make ends the program (assert).
 */
#ifndef STANDPIPE_TEST_BUG_H
#define STANDPIPE_TEST_BUG_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `call` in a process of its own, silently; true if it ended in abort(). */
#define IS_BUG(call) (bug_in_child() ? ((call), _exit(0), false) : bug_aborted())

/* True in a child that dies without a word and without a core. */
static inline bool bug_in_child(void)
{
	if (fork() != 0)
		return false;
	const struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGABRT, SIG_DFL);
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
	return true;
}

/* How that child ended; false too if there is none. */
static inline bool bug_aborted(void)
{
	int status = 0;
	return wait(&status) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
