#include "init/foreman.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init/keeper.h"

struct foreman {
	const struct foreman_settings *settings;
	sigset_t mask_before;
	struct sigaction child_before;
	int signal_fd;
	instant now;
	struct keeper_settings keeper_settings[FOREMAN_WORKERS_MAX];
	struct keeper keepers[FOREMAN_WORKERS_MAX];
	int slots;
	bool all_started, all_ready;
	int rolling; /* the worker that is being replaced; -1: none */
	pid_t rolled; /* the one that it was */
	bool ending;
	instant watchdog_at;
	int exit_code;
};

static instant clock_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void tell_manager(struct foreman *f, enum foreman_news news)
{
	f->settings->tell(f->settings->context, news);
}

/* ---- their beginnings and ends ---- */

static void start(struct foreman *f, int worker)
{
	const struct foreman_worker *w = &f->settings->workers[worker];
	for (int i = 0; i < w->listeners_count; i++)
		if (w->listeners[i].unheard && listen(w->listeners[i].fd, f->settings->backlog) < 0)
			f->settings->report(f->settings->context, INIT_ERROR, strerror(errno));
	int code = keeper_start(&f->keepers[worker], COMMAND_NOT_STARTED, 0, f->now);
	if (code != 0)
		f->exit_code = code;
}

static void end_all(struct foreman *f, int code)
{
	if (!f->ending)
		f->exit_code = code;
	f->ending = true;
	for (int i = 0; i < f->settings->workers_count; i++)
		keeper_end(&f->keepers[i], f->settings->patience_ns, f->now);
}

static void on_ready(struct foreman *f)
{
	if (!f->all_started) {
		f->all_started = true;
		for (int i = 1; i < f->settings->workers_count; i++)
			start(f, i);
	}
	bool ready = true;
	for (int i = 0; i < f->settings->workers_count; i++)
		ready = ready && f->keepers[i].current.ready;
	if (ready && !f->all_ready) {
		f->all_ready = true;
		tell_manager(f, FOREMAN_READY);
	}
}

/* Once all serve, one whose new start fails is no reason to end those that do. */
static void on_exit_asked(struct foreman *f, int worker, int code)
{
	if (code == 0 || !f->all_started)
		end_all(f, code);
	else
		kill(f->keepers[worker].current.pid, SIGTERM);
}

static void pass_cancel(const struct foreman *f, const struct control_message *message, int asker)
{
	for (int i = 0; i < f->settings->workers_count; i++)
		if (keeper_cancel(&f->keepers[i], message, asker))
			return;
}

/* If that worker is not there, the session ends as it is closed here. */
static void bring_console(
	const struct foreman *f, const struct control_message *message, int passed)
{
	if (passed >= 0 && message->code >= 0 && message->code < f->settings->workers_count)
		keeper_bring(&f->keepers[message->code], message, passed);
}

static void messages(struct foreman *f)
{
	struct control_message message;
	int passed;
	for (int i = 0; i < f->settings->workers_count; i++)
		while (keeper_message(
			&f->keepers[i], &message, &passed, COMMAND_NOT_STARTED, f->now)) {
			if (message.kind == CONTROL_READY)
				on_ready(f);
			else if (message.kind == CONTROL_EXIT)
				on_exit_asked(f, i, message.code & 0xff);
			else if (message.kind == CONTROL_CANCEL)
				pass_cancel(f, &message, passed);
			else if (message.kind == CONTROL_CONSOLE)
				bring_console(f, &message, passed);
			if (passed >= 0)
				close(passed);
		}
}

static void reap(struct foreman *f)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		messages(f); /* its last words */
		bool give_up = !f->all_started;
		for (int i = 0; i < f->settings->workers_count; i++)
			if (keeper_reaped(&f->keepers[i], pid, status, give_up, f->now) ==
				KEEPER_HOPELESS)
				end_all(f, WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
	}
}

/* ---- one after the other ---- */

static void roll_on(struct foreman *f)
{
	while (f->rolling >= 0 && !f->ending) {
		struct keeper *k = &f->keepers[f->rolling];
		if (k->next.pid != 0)
			return; /* on its way */
		bool replaced = k->current.pid != f->rolled;
		f->rolling = replaced && f->rolling + 1 < f->settings->workers_count
				     ? f->rolling + 1
				     : -1;
		if (f->rolling < 0)
			return;
		k = &f->keepers[f->rolling];
		f->rolled = k->current.pid;
		if (keeper_replace(k, COMMAND_NOT_STARTED, f->now) != 0)
			f->rolling = -1;
	}
}

static void begin_to_roll(struct foreman *f)
{
	if (f->rolling >= 0 || !f->all_ready)
		return;
	f->rolled = f->keepers[0].current.pid;
	if (keeper_replace(&f->keepers[0], COMMAND_NOT_STARTED, f->now) == 0)
		f->rolling = 0;
}

/* ---- signals and time ---- */

static void on_signal(struct foreman *f, int signal_number)
{
	switch (signal_number) {
	case SIGTERM:
	case SIGINT:
		if (!f->ending)
			tell_manager(f, FOREMAN_STOPPING);
		end_all(f, 0);
		break;
	case SIGHUP:
		tell_manager(f, FOREMAN_RELOADING);
		for (int i = 0; i < f->settings->workers_count; i++)
			keeper_tell(&f->keepers[i], CONTROL_RELOAD, 0);
		tell_manager(f, FOREMAN_READY);
		break;
	case SIGUSR2:
		begin_to_roll(f);
		break;
	default:
		break;
	}
}

static void on_signals(struct foreman *f)
{
	struct signalfd_siginfo info;
	while (read(f->signal_fd, &info, sizeof(info)) == sizeof(info))
		on_signal(f, (int)info.ssi_signo);
}

static void on_time(struct foreman *f)
{
	for (int i = 0; i < f->settings->workers_count; i++) {
		keeper_tick(&f->keepers[i], f->now);
		if (f->now >= f->keepers[i].start_at)
			start(f, i);
	}
	if (f->now >= f->watchdog_at) {
		f->watchdog_at = instant_add(f->now, f->settings->watchdog_ns);
		tell_manager(f, FOREMAN_WATCHDOG);
	}
}

static void wait_for_event(struct foreman *f)
{
	struct pollfd fds[1 + FOREMAN_WORKERS_MAX * KEEPER_GATES_MAX];
	int controls[KEEPER_GATES_MAX];
	nfds_t count = 1;
	instant deadline = f->watchdog_at;
	fds[0] = (struct pollfd){.fd = f->signal_fd, .events = POLLIN};
	for (int i = 0; i < f->settings->workers_count; i++) {
		int of_it = keeper_descriptors(&f->keepers[i], controls);
		for (int j = 0; j < of_it; j++)
			fds[count++] = (struct pollfd){.fd = controls[j], .events = POLLIN};
		deadline = instant_min(deadline, keeper_deadline(&f->keepers[i]));
	}
	int64_t wait_ns = deadline > f->now ? deadline - f->now : 0;
	struct timespec wait = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
	ppoll(fds, count, deadline == INSTANT_NEVER ? NULL : &wait, NULL);
	f->now = clock_now();
}

static bool is_over(const struct foreman *f)
{
	for (int i = 0; i < f->settings->workers_count; i++)
		if (keeper_is_alive(&f->keepers[i]))
			return false;
	return f->ending || f->keepers[0].start_at == INSTANT_NEVER;
}

static int setup(struct foreman *f)
{
	const struct foreman_settings *s = f->settings;
	sigset_t heard;
	sigemptyset(&heard);
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&heard, numbers[i]);
	sigprocmask(SIG_BLOCK, &heard, &f->mask_before);
	/* Inherited as ignored, it would make the kernel reap for us. */
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &f->child_before);
	f->signal_fd = signalfd(-1, &heard, SFD_NONBLOCK | SFD_CLOEXEC);
	if (f->signal_fd < 0) {
		s->report(s->context, INIT_ERROR, "no signalfd: does this sandbox allow it?");
		return -1;
	}
	for (int i = 0; i < s->workers_count; i++) {
		f->keeper_settings[i] = (struct keeper_settings){
			.name = s->workers[i].name,
			.path = s->path,
			.argv = s->argv,
			.environment = s->workers[i].environment,
			.listeners = s->workers[i].listeners,
			.listeners_count = s->workers[i].listeners_count,
			.mask = &f->mask_before,
			.child_action = &f->child_before,
			.report = s->report,
			.context = s->context,
			.slots = &f->slots,
		};
		keeper_init(&f->keepers[i], &f->keeper_settings[i]);
	}
	return 0;
}

int foreman_run(const struct foreman_settings *settings)
{
	static struct foreman f; /* large */
	assert(settings->workers_count >= 1 && settings->workers_count <= FOREMAN_WORKERS_MAX);
	f = (struct foreman){.settings = settings, .now = clock_now(), .rolling = -1};
	f.watchdog_at = settings->watchdog_ns > 0 ? f.now : INSTANT_NEVER;
	if (setup(&f) != 0)
		return EXIT_FAILURE;
	start(&f, 0);
	while (!is_over(&f)) {
		wait_for_event(&f);
		on_signals(&f);
		messages(&f);
		reap(&f);
		roll_on(&f);
		on_time(&f);
	}
	close(f.signal_fd);
	return f.exit_code;
}
