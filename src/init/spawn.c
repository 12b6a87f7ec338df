#include "init/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/control.h"

#define FIRST_FD 3

/* Variables that the child must not see from our own parent: they speak of other descriptors. */
static const char *const replaced[] = {
	"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", CONTROL_FD_VARIABLE, PREDECESSOR_FD_VARIABLE};

static bool is_replaced(const char *variable)
{
	for (size_t i = 0; i < sizeof(replaced) / sizeof(replaced[0]); i++) {
		size_t len = strlen(replaced[i]);
		if (strncmp(variable, replaced[i], len) == 0 && variable[len] == '=')
			return true;
	}
	return false;
}

/* Runs in the child, so that LISTEN_PID is its own pid. The memory is never given back: exec
 * follows. NULL: no memory. */
static char **child_environment(const struct spawn *s)
{
	size_t count = 0;
	while (s->environment[count])
		count++;
	char **environment = calloc(count + 5, sizeof(char *));
	if (!environment)
		return NULL;
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		if (!is_replaced(s->environment[i]))
			environment[n++] = (char *)s->environment[i];
	if (s->control_fd >= 0 && asprintf(&environment[n++], "%s=%d", s->control_variable,
					  FIRST_FD + s->listeners_count) < 0)
		return NULL; /* NOLINT(clang-analyzer-unix.Malloc): the child exits */
	if (s->listeners_count == 0)
		return environment;

	char names[1024] = "";
	size_t used = 0;
	for (int i = 0; i < s->listeners_count && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ":" : "",
			s->listeners[i].name);
	if (used >= sizeof(names)) {
		errno = E2BIG;
		return NULL; /* NOLINT(clang-analyzer-unix.Malloc): the child exits */
	}
	if (asprintf(&environment[n++], "LISTEN_FDNAMES=%s", names) < 0 ||
		asprintf(&environment[n++], "LISTEN_FDS=%d", s->listeners_count) < 0 ||
		asprintf(&environment[n++], "LISTEN_PID=%d", (int)getpid()) < 0)
		return NULL; /* NOLINT(clang-analyzer-unix.Malloc): the child exits */
	return environment;
}

/* Every descriptor above stderr closes with exec. */
static int close_on_exec_all(void)
{
#ifdef CLOSE_RANGE_CLOEXEC
	if (close_range(FIRST_FD, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return 0;
#endif
	/* Kernels before 5.11, and sandboxes that do not know close_range. */
	DIR *directory = opendir("/proc/self/fd");
	if (directory) {
		for (struct dirent *e = readdir(directory); e; e = readdir(directory))
			if (atoi(e->d_name) >= FIRST_FD)
				fcntl(atoi(e->d_name), F_SETFD, FD_CLOEXEC);
		closedir(directory);
		return 0;
	}
	long max = sysconf(_SC_OPEN_MAX);
	for (int fd = FIRST_FD; fd < (max > 0 && max < 65536 ? max : 65536); fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

/* Puts the descriptors to inherit at 3, 4, ... and leaves all others to be closed by exec. */
static int place_descriptors(const struct spawn *s)
{
	int from[INIT_LISTENERS_MAX + 1];
	int count = 0;
	for (int i = 0; i < s->listeners_count; i++)
		from[count++] = s->listeners[i].fd;
	if (s->control_fd >= 0)
		from[count++] = s->control_fd;

	if (close_on_exec_all() < 0)
		return -1;
	/* First above all targets, so that no dup2 overwrites what a later one needs. */
	for (int i = 0; i < count; i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FIRST_FD + count);
		if (from[i] < 0)
			return -1;
	}
	for (int i = 0; i < count; i++)
		if (dup2(from[i], FIRST_FD + i) < 0)
			return -1;
	return 0;
}

/* Runs in the child; comes back only when something failed, with errno. */
static void child(const struct spawn *s, pid_t parent, int report_fd)
{
	/* Where the report goes must not be one of the places that descriptors are moved to. */
	report_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, FIRST_FD + INIT_LISTENERS_MAX + 1);
	if (report_fd < 0)
		return;

	if (!s->same_group)
		setpgid(0, 0);
	/* In the child as in the parent, whoever comes first: SIGTTOU is still blocked here. */
	if (s->foreground)
		tcsetpgrp(STDIN_FILENO, getpgrp());
	if (s->background) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (null >= 0)
			dup2(null, STDIN_FILENO);
		signal(SIGTTOU, SIG_IGN);
	}
	/* If the parent died before prctl, the signal never comes. */
	if (prctl(PR_SET_PDEATHSIG, s->parent_death_signal) < 0)
		goto failed;
	if (getppid() != parent)
		_exit(128 + s->parent_death_signal);

	char **environment = child_environment(s);
	if (!environment || place_descriptors(s) < 0)
		goto failed;
	sigaction(SIGCHLD, s->child_action, NULL);
	sigprocmask(SIG_SETMASK, s->mask, NULL);
	environ = environment;
	if (s->path)
		execv(s->path, (char *const *)s->argv);
	else
		execvp(s->argv[0], (char *const *)s->argv);
failed:;
	int number = errno;
	ssize_t written = write(report_fd, &number, sizeof(number));
	_exit(written == sizeof(number) ? spawn_exit_code(number) : 126);
}

int spawn_exit_code(int error_number)
{
	return error_number == ENOENT ? 127 : 126;
}

static const char *mend(int number)
{
	switch (number) {
	case ENOENT:
		return "; is it installed, and its directory in PATH? a script: does its #! line "
		       "name "
		       "a program that is there?";
	case EACCES:
		return "; may this user execute it (chmod +x), and is its file system mounted "
		       "without "
		       "noexec?";
	case ENOEXEC:
		return "; is it built for this machine? a script needs a #! line";
	default:
		return "";
	}
}

pid_t spawn(const struct spawn *s, struct error *error)
{
	const char *name = s->path ? s->path : s->argv[0];
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(
			error, "exec", errno, "cannot start %s: %s", name, strerror(errno));
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		child(s, parent, ends[1]);
		_exit(126);
	}
	int number = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return error_set(
			error, "exec", number, "cannot start %s: %s", name, strerror(number));
	}
	/* Either the exec closes the pipe or an errno comes through it. */
	ssize_t got;
	do
		got = read(ends[0], &number, sizeof(number));
	while (got < 0 && errno == EINTR);
	close(ends[0]);
	if (got != sizeof(number)) {
		if (!s->same_group)
			setpgid(pid, pid);
		return pid;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return error_set(
		error, "exec", number, "cannot run %s: %s%s", name, strerror(number), mend(number));
}
