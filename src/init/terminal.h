/*
 * terminal - PID 1's part in job control, when standard input is a terminal. Without one, or with
 * one that is not ours to hand out, each of these does nothing.
 *
 * The callers have SIGTTOU blocked: handing out the terminal from the background is allowed then.
 */
#ifndef STANDPIPE_INIT_TERMINAL_H
#define STANDPIPE_INIT_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

/* Is our process group the terminal's foreground group, so that we may hand it on? */
bool terminal_is_ours(void);

/* Is standard input our controlling terminal, whoever has the foreground? */
bool terminal_is_controlling(void);

/* Hands the terminal to `group` if it is ours; takes it back if `group` has it. */
void terminal_give(pid_t group);
void terminal_take(pid_t group);

/* Is there a shell that would continue us if we stopped? (POSIX: our group is not orphaned.) */
bool terminal_has_job_control(void);

/* Stops our process group, as ^Z does, until somebody continues it. */
void terminal_stop_us(void);

#endif
