#include "lab/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SWEEP_ROUNDS  500
#define SWEEP_WAIT_US 10000

bool process_user_find(struct process_user *user, const char *name)
{
	const struct passwd *entry = getpwnam(name);

	if (!entry)
		return false;
	*user = (struct process_user){.change = true, .uid = entry->pw_uid, .gid = entry->pw_gid};
	user->group_count = PROCESS_GROUPS_MAX;
	if (getgrouplist(name, entry->pw_gid, user->groups, &user->group_count) < 0)
		user->group_count = 0;
	return true;
}

/* In the child, where after a fork with threads only async-signal-safe calls are allowed. */
static void become(const struct process_spec *spec, pid_t parent)
{
	const struct process_user *user = spec->user;
	struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		sigaction(s, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	int null = open("/dev/null", O_RDWR);
	int output = spec->output >= 0 ? spec->output : null;
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		return;
	if (spec->directory && chdir(spec->directory) < 0)
		return;
	if (user && user->change &&
		(setgroups((size_t)user->group_count, user->groups) < 0 || setgid(user->gid) < 0 ||
			setuid(user->uid) < 0))
		return;
	/* After the change of user, which would clear it. */
	prctl(PR_SET_PDEATHSIG, spec->death_signal);
	if (getppid() != parent)
		_exit(1);
	execvpe(spec->argv[0], (char *const *)spec->argv, (char *const *)spec->environment);
}

int process_start(const struct process_spec *spec, pid_t *pid, struct error *error)
{
	int report[2], code = 0;
	pid_t parent = getpid();

	if (pipe2(report, O_CLOEXEC) < 0)
		return error_set(error, "start", errno, "%s", strerror(errno));
	*pid = fork();
	if (*pid == 0) {
		become(spec, parent);
		code = errno;
		ssize_t n = write(report[1], &code, sizeof code);
		_exit(n < 0 ? 126 : 127);
	}
	close(report[1]);
	if (*pid < 0) {
		close(report[0]);
		return error_set(error, "start", errno, "fork: %s", strerror(errno));
	}
	setpgid(*pid, *pid); /* both sides: whoever comes first */
	ssize_t n;
	while ((n = read(report[0], &code, sizeof code)) < 0 && errno == EINTR)
		;
	close(report[0]);
	if (n <= 0)
		return 0;
	waitpid(*pid, NULL, 0);
	return error_set(error, "start", code, "cannot run %s%s%s: %s", spec->argv[0],
		spec->directory ? " in " : "", spec->directory ? spec->directory : "",
		strerror(code));
}

void process_adopt_orphans(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* Kills our children but one. How many there were. */
static int kill_children(pid_t except)
{
	char path[64];
	int pid, count = 0;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	while (fscanf(file, "%d", &pid) == 1) {
		if (pid == except)
			continue;
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		count++;
	}
	fclose(file);
	return count;
}

void process_sweep(pid_t except)
{
	for (int round = 0; round < SWEEP_ROUNDS; round++) {
		/* Not waitpid(-1): the one that is left out is its owner's to reap. */
		int count = kill_children(except);
		siginfo_t info = {0};
		while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
			if (info.si_pid == except)
				break;
			waitpid(info.si_pid, NULL, 0);
			info.si_pid = 0;
		}
		if (count == 0)
			return;
		usleep(SWEEP_WAIT_US);
	}
}

int process_exit_code(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}
