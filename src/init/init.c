#include "init/init.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/control.h"
#include "base/instant.h"
#include "init/keeper.h"
#include "init/spawn.h"
#include "init/terminal.h"

#define ANSWER_NS  (2 * NS_PER_S) /* the gate's time to answer EXITED, and to end on SIGTERM */
#define EXIT_SETUP 3 /* PID 1 itself can't work: the `init` phase failed */

struct command {
	enum control_command state;
	pid_t pid; /* while COMMAND_RUNNING */
	pid_t group; /* 0: no such group, or nothing left in it */
	int code; /* when COMMAND_ENDED: its own, or 128 + signal */
	instant kill_at; /* SIGKILL for the group */
	instant answer_by; /* the gate's EXIT, STAY or START is due */
};

struct init {
	const struct init_settings *settings;
	sigset_t mask_before;
	struct sigaction child_before;
	int signal_fd;
	instant now;
	struct keeper_settings gate_settings;
	struct keeper gate;
	int slots;
	struct command command;
	int stop_signal; /* what came to end the program; 0: nothing */
	bool leaving;
	bool ended_gates; /* they have been told to end */
	int exit_code;
};

__attribute__((format(printf, 3, 4))) static void report(
	const struct init *in, enum init_severity severity, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	in->settings->report(in->settings->context, severity, text);
}

static instant clock_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* As the shell has it. */
static int code_from_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void tell(const struct init *in, enum control_kind kind, int code)
{
	keeper_tell(&in->gate, kind, code);
}

/* There is a gate that can be talked to. */
static bool is_heard(const struct init *in)
{
	return in->gate.current.control >= 0;
}

/* --- the command ------------------------------------------------------------------------------ */

static void command_signal(const struct init *in, int signal_number)
{
	if (in->command.state == COMMAND_RUNNING)
		kill(-in->command.group, signal_number);
}

static void command_stop(struct init *in, int signal_number)
{
	if (in->command.state != COMMAND_RUNNING)
		return;
	command_signal(in, signal_number);
	command_signal(in, SIGCONT); /* a stopped process could not act on it */
	in->command.kill_at = instant_min(
		in->command.kill_at, instant_add(in->now, in->settings->grace_ns));
}

/* Decides the exit code: the first to do so wins. What still runs is brought to its end. */
static void leave(struct init *in, int code)
{
	if (!in->leaving) {
		in->leaving = true;
		in->exit_code = code;
		in->gate.ending = true;
		in->gate.start_at = INSTANT_NEVER;
		in->command.answer_by = INSTANT_NEVER;
	}
	if (in->command.kill_at == INSTANT_NEVER)
		command_stop(in, SIGTERM);
}

static void command_ended(struct init *in, int code)
{
	struct command *c = &in->command;
	terminal_take(c->group);
	/* Children that it left behind keep the group; they end with the program. */
	if (c->group > 0 && kill(-c->group, 0) < 0)
		c->group = 0;
	c->state = COMMAND_ENDED;
	c->pid = 0;
	c->code = code;
	c->kill_at = INSTANT_NEVER;
	tell(in, CONTROL_EXITED, code);
	if (!is_heard(in))
		leave(in, code);
	else if (!in->leaving)
		c->answer_by = instant_add(in->now, ANSWER_NS);
}

static void command_start(struct init *in)
{
	struct command *c = &in->command;
	if (in->leaving || in->stop_signal || c->state == COMMAND_RUNNING)
		return;
	struct init_listener listeners[INIT_LISTENERS_MAX];
	int count = 0;
	for (int i = 0; i < in->settings->listeners_count; i++)
		if (in->settings->listeners[i].command)
			listeners[count++] = in->settings->listeners[i];
	struct spawn s = {
		.argv = in->settings->command_argv,
		.environment = in->settings->command_environment,
		.listeners = listeners,
		.listeners_count = count,
		.control_fd = -1,
		.parent_death_signal = SIGTERM,
		.foreground = terminal_is_ours(),
		.mask = &in->mask_before,
		.child_action = &in->child_before,
	};
	struct error error;
	*c = (struct command){.kill_at = INSTANT_NEVER, .answer_by = INSTANT_NEVER};
	pid_t pid = spawn(&s, &error);
	if (pid < 0) {
		report(in, INIT_ERROR, "the command did not start: %s", error.text);
		command_ended(in, spawn_exit_code(error.code));
		return;
	}
	c->state = COMMAND_RUNNING;
	c->pid = c->group = pid;
	tell(in, CONTROL_STARTED, pid);
}

/* --- the gate --------------------------------------------------------------------------------- */

static void gate_start(struct init *in)
{
	int code = keeper_start(&in->gate, in->command.state, in->stop_signal, in->now);
	if (code != 0)
		leave(in, code);
}

static void gate_messages(struct init *in)
{
	struct control_message message;
	int passed;
	while (keeper_message(&in->gate, &message, &passed, in->command.state, in->now)) {
		switch (message.kind) {
		case CONTROL_START:
			command_start(in);
			break;
		case CONTROL_STOP:
			command_stop(in, SIGTERM);
			break;
		case CONTROL_STAY:
			/* Not once the end has begun: then only EXIT is an answer. */
			if (in->stop_signal == 0)
				in->command.answer_by = INSTANT_NEVER;
			break;
		case CONTROL_EXIT:
			leave(in, message.code & 0xff);
			break;
		case CONTROL_CANCEL:
			keeper_cancel(&in->gate, &message, passed);
			break;
		case CONTROL_READY:
		case CONTROL_REPLACE: /* the keeper's */
		case CONTROL_HELLO:
		case CONTROL_STARTED:
		case CONTROL_EXITED:
		case CONTROL_STOPPING:
		case CONTROL_RELOAD:
		case CONTROL_SUCCEED:
		case CONTROL_RETIRE:
		case CONTROL_BEQUEATH:
		case CONTROL_CONSOLE: /* the foreman's */
			break; /* ours to send; from there they mean nothing */
		}
		if (passed >= 0)
			close(passed);
	}
}

/* False: it was no gate. */
static bool gate_ended(struct init *in, pid_t pid, int status)
{
	bool give_up = in->command.state != COMMAND_RUNNING;
	gate_messages(in); /* its last words, above all EXIT */
	/* Nobody is left to answer for the command's end; after STAY there was an answer. */
	if (!in->leaving && pid == in->gate.current.pid && in->command.answer_by != INSTANT_NEVER)
		leave(in, in->command.code);
	int code = code_from_status(status);
	switch (keeper_reaped(&in->gate, pid, status, give_up, in->now)) {
	case KEEPER_NOT_MINE:
		return false;
	case KEEPER_HOPELESS:
		leave(in, code ? code : EXIT_SETUP);
		return true;
	case KEEPER_EXPECTED:
	case KEEPER_LOST:
		return true;
	}
	return true;
}

/* --- signals and children --------------------------------------------------------------------- */

static bool ends_program(const struct init *in, int signal_number)
{
	return signal_number == SIGTERM || signal_number == SIGINT || signal_number == SIGQUIT ||
	       (signal_number == SIGHUP && in->command.state != COMMAND_RUNNING);
}

static void end_program(struct init *in, int signal_number)
{
	if (in->stop_signal == 0) {
		in->stop_signal = signal_number;
		tell(in, CONTROL_STOPPING, signal_number);
	}
	if (in->command.state == COMMAND_RUNNING)
		command_stop(in, signal_number);
	else if (in->command.state == COMMAND_NOT_STARTED)
		leave(in, 128 + signal_number);
	else if (!is_heard(in))
		leave(in, in->command.code);
	else /* the gate's answer is due, and the end with it */
		in->command.answer_by = instant_min(
			in->command.answer_by, instant_add(in->now, ANSWER_NS));
}

/* Has the command a handler of its own for it? Without one the signal would be its end. */
static bool command_catches(const struct init *in, int signal_number)
{
	char path[64], line[256];
	unsigned long long caught = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)in->command.pid);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "SigCgt:", 7) == 0)
			caught = strtoull(line + 7, NULL, 16);
	if (file)
		fclose(file);
	return caught >> (signal_number - 1) & 1;
}

/* From somebody, not from a terminal that hung up: read the configuration anew. */
static void reload(struct init *in)
{
	tell(in, CONTROL_RELOAD, 0);
	if (in->command.state == COMMAND_RUNNING && command_catches(in, SIGHUP))
		command_signal(in, SIGHUP);
}

static void on_signal(struct init *in, const struct signalfd_siginfo *info)
{
	int signal_number = (int)info->ssi_signo;
	if (signal_number == SIGCHLD)
		return;
	/* Raised by what we did ourselves: SIGPIPE from a log that nobody reads, our group's
	 * SIGTSTP. */
	if (info->ssi_code <= 0 && (pid_t)info->ssi_pid == getpid())
		return;
	if (signal_number == SIGHUP && info->ssi_code != SI_KERNEL) {
		reload(in);
		return;
	}
	if (ends_program(in, signal_number)) {
		end_program(in, signal_number);
		return;
	}
	if (signal_number == SIGCONT)
		terminal_give(in->command.group);
	if (in->command.state == COMMAND_RUNNING)
		command_signal(in, signal_number);
	else if (signal_number == SIGTSTP)
		terminal_stop_us();
}

static void on_signals(struct init *in)
{
	struct signalfd_siginfo info;
	while (read(in->signal_fd, &info, sizeof(info)) == sizeof(info))
		on_signal(in, &info);
}

static void command_stopped(struct init *in, int signal_number)
{
	/* With job control the whole job stops as any other program would; without, a ^Z would
	 * freeze the service with nobody there to continue it. A SIGSTOP is somebody's wish. */
	if (!terminal_is_controlling())
		return;
	if (terminal_has_job_control()) {
		terminal_take(in->command.group);
		terminal_stop_us();
	} else if (signal_number == SIGTSTP) {
		command_signal(in, SIGCONT);
	}
}

static void reap(struct init *in)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG | WUNTRACED);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return;
		if (WIFSTOPPED(status)) {
			if (pid == in->command.pid)
				command_stopped(in, WSTOPSIG(status));
		} else if (gate_ended(in, pid, status)) {
			continue;
		} else if (pid == in->command.pid) {
			command_ended(in, code_from_status(status));
		}
		/* Anything else was an orphan: reaping it was all there is to do. */
	}
}

/* --- time ------------------------------------------------------------------------------------- */

static instant next_deadline(const struct init *in)
{
	return instant_min(keeper_deadline(&in->gate),
		instant_min(in->command.kill_at, in->command.answer_by));
}

static void on_deadlines(struct init *in)
{
	if (in->now >= in->command.kill_at) {
		report(in, INIT_WARNING, "the command did not end within %.1f s: killing it",
			s_from_ns(in->settings->grace_ns));
		command_signal(in, SIGKILL);
		in->command.kill_at = INSTANT_NEVER - 1; /* once; and its stop stays under way */
	}
	if (in->now >= in->command.answer_by) {
		report(in, INIT_WARNING,
			"the gate gave no exit code within %.1f s: using the command's",
			s_from_ns(ANSWER_NS));
		leave(in, in->command.code);
	}
	keeper_tick(&in->gate, in->now);
	if (in->now >= in->gate.start_at)
		gate_start(in);
}

/* Brings what still runs to its end, the command first. True when all is over. */
static bool is_over(struct init *in)
{
	if (!in->leaving || in->command.state == COMMAND_RUNNING)
		return false;
	if (!keeper_is_alive(&in->gate))
		return true;
	if (!in->ended_gates) {
		in->ended_gates = true;
		keeper_end(&in->gate, ANSWER_NS, in->now);
	}
	return false;
}

static void wait_for_event(struct init *in)
{
	struct pollfd fds[KEEPER_GATES_MAX + 1] = {{.fd = in->signal_fd, .events = POLLIN}};
	int controls[KEEPER_GATES_MAX];
	int count = keeper_descriptors(&in->gate, controls);
	for (int i = 0; i < count; i++)
		fds[i + 1] = (struct pollfd){.fd = controls[i], .events = POLLIN};
	instant deadline = next_deadline(in);
	int64_t wait_ns = deadline - in->now;
	if (wait_ns < 0)
		wait_ns = 0;
	struct timespec wait = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
	ppoll(fds, (nfds_t)count + 1, deadline >= INSTANT_NEVER - 1 ? NULL : &wait, NULL);
	in->now = clock_now();
}

static int setup(struct init *in)
{
	sigset_t all;
	sigfillset(&all);
	/* Those that a bug of our own raises keep their effect. */
	static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&all, own[i]);
	sigprocmask(SIG_SETMASK, &all, &in->mask_before);
	/* Inherited as ignored, it would make the kernel reap for us and lose the exit codes. */
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &in->child_before);

	in->signal_fd = signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
	if (in->signal_fd < 0) {
		report(in, INIT_ERROR, "no signalfd: %s; does this sandbox allow it?",
			strerror(errno));
		return -1;
	}
	if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		report(in, INIT_WARNING, "can't become a subreaper: %s; orphans go to PID 1",
			strerror(errno));
	return 0;
}

static void teardown(struct init *in)
{
	if (in->command.group > 0)
		kill(-in->command.group, SIGKILL);
	reap(in);
	if (in->signal_fd >= 0)
		close(in->signal_fd);
	/* The signals stay blocked: a second SIGTERM, still pending, would take the exit code. */
}

int init_run(const struct init_settings *settings)
{
	assert(settings->report && settings->grace_ns >= 0);
	assert(settings->listeners_count <= INIT_LISTENERS_MAX);
	struct init in = {
		.settings = settings,
		.signal_fd = -1,
		.now = clock_now(),
		.command = {.kill_at = INSTANT_NEVER, .answer_by = INSTANT_NEVER},
		.exit_code = EXIT_SETUP,
	};
	in.gate_settings = (struct keeper_settings){
		.name = "the gate",
		.path = settings->gate_path,
		.argv = settings->gate_argv,
		.environment = settings->gate_environment,
		.listeners = settings->listeners,
		.listeners_count = settings->listeners_count,
		.mask = &in.mask_before,
		.child_action = &in.child_before,
		.report = settings->report,
		.context = settings->context,
		.slots = &in.slots,
	};
	keeper_init(&in.gate, &in.gate_settings);
	if (setup(&in) == 0) {
		gate_start(&in);
		while (!is_over(&in)) {
			wait_for_event(&in);
			on_signals(&in);
			gate_messages(&in);
			reap(&in);
			on_deadlines(&in);
		}
	}
	teardown(&in);
	return in.exit_code;
}
