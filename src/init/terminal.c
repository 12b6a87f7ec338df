#include "init/terminal.h"

#include <signal.h>
#include <unistd.h>

bool terminal_is_ours(void)
{
	return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

bool terminal_is_controlling(void)
{
	return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) >= 0;
}

void terminal_give(pid_t group)
{
	if (group > 0 && terminal_is_ours())
		tcsetpgrp(STDIN_FILENO, group);
}

void terminal_take(pid_t group)
{
	if (group > 0 && isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == group)
		tcsetpgrp(STDIN_FILENO, getpgrp());
}

bool terminal_has_job_control(void)
{
	pid_t parent = getppid();
	return getpid() != 1 && parent > 0 && getsid(parent) == getsid(0) &&
	       getpgid(parent) != getpgrp();
}

void terminal_stop_us(void)
{
	if (!isatty(STDIN_FILENO) || !terminal_has_job_control())
		return;
	kill(0, SIGTSTP); /* the rest of the job, a pipeline for instance; blocked here */
	kill(getpid(), SIGSTOP);
}
