#include "app/jobs.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void *jobs_memory(size_t size, struct error *error)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory != MAP_FAILED)
		return memory;
	error_set(error, "memory", errno, "no memory for so many runs: %s", strerror(errno));
	return NULL;
}

void jobs_memory_free(void *memory, size_t size)
{
	munmap(memory, size);
}

int jobs_run(int count, void (*work)(void *context, int job), void *context, struct error *error)
{
	pid_t pids[JOBS_MAX], parent = getpid();
	int started = 1, status = 0;

	for (; started < count; started++) {
		pids[started] = fork();
		if (pids[started] < 0)
			break;
		if (pids[started] > 0)
			continue;
		/* Whoever ends this process ends all of them. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		work(context, started);
		_exit(0);
	}
	if (started < count)
		status = error_set(
			error, "fork", errno, "a job cannot be started: %s", strerror(errno));
	else
		work(context, 0);
	for (int job = 1; job < started; job++)
		while (waitpid(pids[job], NULL, 0) < 0 && errno == EINTR)
			;
	return status;
}
