#include "init/keeper.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/spawn.h"

#define ANSWER_NS      (2 * NS_PER_S) /* for one that nobody can talk to any more, to end */
#define BACKOFF_MIN_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS (5 * NS_PER_S)
#define SETTLED_NS     (10 * NS_PER_S) /* having lived this long, it starts with a clean slate */

/* So many in a row that end before they say a word are hopeless: few if they exit by themselves (a
 * configuration that can't be served), more if they crash. */
#define SILENT_EXITS_MAX   3
#define SILENT_CRASHES_MAX 10

static const struct keeper_gate nobody = {.control = -1, .kill_at = INSTANT_NEVER};

__attribute__((format(printf, 3, 4))) static void report(
	const struct keeper *k, enum init_severity severity, const char *format, ...)
{
	char text[512];
	va_list args;
	int len = snprintf(text, sizeof(text), "%s ", k->settings->name);
	va_start(args, format);
	vsnprintf(text + len, sizeof(text) - (size_t)len, format, args);
	va_end(args);
	k->settings->report(k->settings->context, severity, text);
}

/* The `i`th of all places for gates. */
static struct keeper_gate *place(struct keeper *k, int i)
{
	return i == 0 ? &k->current : i == 1 ? &k->next : &k->retired[i - 2];
}

static const struct keeper_gate *place_const(const struct keeper *k, int i)
{
	return place((struct keeper *)k, i);
}

static void send_to(const struct keeper_gate *g, enum control_kind kind, int code, uint32_t key)
{
	if (g->control >= 0)
		control_send(g->control, &(struct control_message){kind, code, key});
}

static void hang_up(struct keeper_gate *g)
{
	if (g->control >= 0)
		close(g->control);
	g->control = -1;
}

void keeper_init(struct keeper *k, const struct keeper_settings *settings)
{
	*k = (struct keeper){
		.settings = settings, .backoff_ns = BACKOFF_MIN_NS, .start_at = INSTANT_NEVER};
	for (int i = 0; i < KEEPER_GATES_MAX; i++)
		*place(k, i) = nobody;
}

/* ---- starting ---- */

/* What it is told before it lives, so that it knows from the beginning. */
static void greet(struct keeper_gate *g, bool succeeds, enum control_command command)
{
	if (succeeds)
		send_to(g, CONTROL_SUCCEED, CONTROL_SUCCEED_FIRST, 0);
	send_to(g, CONTROL_HELLO, command, (uint32_t)g->slot);
}

/* 0, or -1 with the exit code that it would have had in `code`. */
static int launch(struct keeper *k, struct keeper_gate *g, enum control_command command, int *code,
	instant now)
{
	const struct keeper_settings *settings = k->settings;
	struct error error;
	int pair[2];
	*g = nobody;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		report(k, INIT_ERROR, "did not start: no socket pair: %s", strerror(errno));
		*code = spawn_exit_code(errno);
		return -1;
	}
	g->control = pair[0];
	g->slot = *settings->slots = (*settings->slots + 1) % CONTROL_SLOTS;
	greet(g, g == &k->next, command);
	struct spawn s = {
		.path = settings->path ? settings->path : "/proc/self/exe",
		.argv = settings->argv,
		.environment = settings->environment,
		.listeners = settings->listeners,
		.listeners_count = settings->listeners_count,
		.control_fd = pair[1],
		.control_variable = CONTROL_FD_VARIABLE,
		.parent_death_signal = SIGKILL,
		.background = true,
		.mask = settings->mask,
		.child_action = settings->child_action,
	};
	pid_t pid = spawn(&s, &error);
	close(pair[1]);
	if (pid < 0) {
		*g = nobody;
		close(pair[0]);
		report(k, INIT_ERROR, "did not start: %s", error.text);
		*code = spawn_exit_code(error.code);
		return -1;
	}
	g->pid = pid;
	g->born = now;
	return 0;
}

static void fell_silent(struct keeper *k)
{
	k->start_at = INSTANT_NEVER;
	k->current = nobody;
}

/* It ended by itself, or could not even begin. */
static enum keeper_loss lost(
	struct keeper *k, const struct keeper_gate *was, int status, bool give_up, instant now)
{
	if (now - was->born >= SETTLED_NS) {
		k->backoff_ns = BACKOFF_MIN_NS;
		k->silent = 0;
	}
	if (!was->heard)
		k->silent++;
	int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	const char *how = WIFSIGNALED(status) ? "was ended by signal" : "ended with code";
	int number = WIFSIGNALED(status) ? WTERMSIG(status) : code;
	bool by_itself = WIFEXITED(status) && code != 0;
	fell_silent(k);
	if (give_up && k->silent >= (by_itself ? SILENT_EXITS_MAX : SILENT_CRASHES_MAX)) {
		report(k, INIT_ERROR,
			"%s %d, %d times in a row and before it said a word: giving up", how,
			number, k->silent);
		return KEEPER_HOPELESS;
	}
	report(k, INIT_WARNING, "%s %d; starting it again in %.1f s", how, number,
		s_from_ns(k->backoff_ns));
	k->start_at = instant_add(now, k->backoff_ns);
	k->backoff_ns = k->backoff_ns * 2 < BACKOFF_MAX_NS ? k->backoff_ns * 2 : BACKOFF_MAX_NS;
	return KEEPER_LOST;
}

int keeper_start(struct keeper *k, enum control_command command, int stop_signal, instant now)
{
	int code = 0;
	k->start_at = INSTANT_NEVER;
	if (k->ending)
		return 0;
	if (launch(k, &k->current, command, &code, now) != 0) {
		struct keeper_gate unborn = {.born = now};
		bool give_up = command != COMMAND_RUNNING;
		enum keeper_loss loss = lost(k, &unborn, W_EXITCODE(code, 0), give_up, now);
		return loss == KEEPER_HOPELESS ? code : 0;
	}
	if (stop_signal)
		send_to(&k->current, CONTROL_STOPPING, stop_signal, 0);
	return 0;
}

/* ---- replacing ---- */

static struct keeper_gate *free_place(struct keeper *k)
{
	for (int i = 0; i < KEEPER_RETIRED_MAX; i++)
		if (k->retired[i].pid == 0)
			return &k->retired[i];
	return NULL;
}

int keeper_replace(struct keeper *k, enum control_command command, instant now)
{
	int code;
	if (k->ending || k->next.pid != 0 || !k->current.ready || !free_place(k)) {
		report(k, INIT_WARNING, "can't be replaced now: %s",
			k->next.pid != 0    ? "its successor is on its way"
			: !k->current.ready ? "it has not started"
					    : "too many before it still have clients");
		return -1;
	}
	if (launch(k, &k->next, command, &code, now) != 0)
		return -1;
	report(k, INIT_INFO, "is to be replaced by process %d", (int)k->next.pid);
	send_to(&k->current, CONTROL_SUCCEED, CONTROL_SUCCEED_SOON, 0);
	return 0;
}

static void hand_over(struct keeper *k)
{
	struct keeper_gate *retired = free_place(k);
	*retired = k->current;
	k->current = k->next;
	k->next = nobody;
	k->current.heard = k->current.ready = true;
	k->silent = 0;
	send_to(retired, CONTROL_RETIRE, 0, 0);
}

/* It never became what it was started for. */
static void drop_successor(struct keeper *k, int status)
{
	bool signaled = WIFSIGNALED(status);
	report(k, INIT_ERROR,
		"has no successor: the new one %s %d before it was ready; the old one goes on",
		signaled ? "was ended by signal" : "ended with code",
		signaled ? WTERMSIG(status) : WEXITSTATUS(status));
	hang_up(&k->next);
	k->next = nobody;
	send_to(&k->current, CONTROL_SUCCEED, CONTROL_SUCCEED_NOT, 0);
}

/* ---- what they say ---- */

void keeper_tell(const struct keeper *k, enum control_kind kind, int code)
{
	send_to(&k->current, kind, code, 0);
	send_to(&k->next, kind, code, 0);
}

bool keeper_cancel(const struct keeper *k, const struct control_message *message, int asker)
{
	bool found = false;
	for (int i = 0; i < KEEPER_GATES_MAX; i++) {
		const struct keeper_gate *g = place_const(k, i);
		if (g->pid == 0)
			continue;
		if (g->control >= 0)
			control_send_fd(g->control, message, asker);
		found = found || g->slot == CONTROL_SLOT_OF(message->code);
	}
	return found;
}

void keeper_bring(const struct keeper *k, const struct control_message *message, int passed)
{
	if (k->current.ready && k->current.control >= 0)
		control_send_fd(k->current.control, message, passed);
}

/* 1: a message; 0: none. One that hung up should be ending. */
static int receive(struct keeper_gate *g, struct control_message *message, int *passed, instant now)
{
	if (g->control < 0)
		return 0;
	int got = control_receive(g->control, message, passed);
	if (got >= 0)
		return got;
	hang_up(g);
	g->kill_at = instant_min(g->kill_at, instant_add(now, ANSWER_NS));
	return 0;
}

/* What a successor says before it is one, but READY, is how it fails. */
static void hear_successor(struct keeper *k, instant now)
{
	struct control_message message;
	while (k->next.pid != 0 && receive(&k->next, &message, NULL, now) > 0) {
		if (message.kind == CONTROL_READY) {
			hand_over(k);
		} else if (message.kind == CONTROL_EXIT) {
			kill(k->next.pid, SIGTERM);
			k->next.kill_at = instant_add(now, ANSWER_NS);
		}
	}
}

static void hear_retired(struct keeper *k, instant now)
{
	struct control_message message;
	for (int i = 0; i < KEEPER_RETIRED_MAX; i++)
		while (receive(&k->retired[i], &message, NULL, now) > 0)
			; /* nothing that it has to say decides anything */
}

bool keeper_message(struct keeper *k, struct control_message *message, int *passed,
	enum control_command command, instant now)
{
	hear_successor(k, now);
	hear_retired(k, now);
	while (receive(&k->current, message, passed, now) > 0) {
		k->current.heard = true;
		k->silent = 0;
		if (message->kind == CONTROL_READY)
			k->current.ready = true;
		if (message->kind != CONTROL_REPLACE)
			return true;
		if (*passed >= 0)
			close(*passed);
		if (keeper_replace(k, command, now) != 0)
			send_to(&k->current, CONTROL_SUCCEED, CONTROL_SUCCEED_NOT, 0);
	}
	return false;
}

/* ---- their ends ---- */

static bool has_retired(const struct keeper *k)
{
	for (int i = 0; i < KEEPER_RETIRED_MAX; i++)
		if (k->retired[i].pid != 0)
			return true;
	return false;
}

enum keeper_loss keeper_reaped(struct keeper *k, pid_t pid, int status, bool give_up, instant now)
{
	for (int i = 0; i < KEEPER_RETIRED_MAX; i++) {
		if (k->retired[i].pid != pid)
			continue;
		hang_up(&k->retired[i]);
		k->retired[i] = nobody;
		if (!has_retired(k))
			send_to(&k->current, CONTROL_SUCCEED, CONTROL_SUCCEED_ALONE, 0);
		return KEEPER_EXPECTED;
	}
	if (k->next.pid == pid) {
		drop_successor(k, status);
		return KEEPER_EXPECTED;
	}
	if (k->current.pid != pid)
		return KEEPER_NOT_MINE;
	struct keeper_gate was = k->current;
	hang_up(&was);
	if (k->next.pid != 0 && !k->ending) {
		/* Its successor is on its way already. */
		k->current = k->next;
		k->next = nobody;
		send_to(&k->current, CONTROL_SUCCEED, CONTROL_SUCCEED_ALONE, 0);
		return KEEPER_EXPECTED;
	}
	if (k->ending) {
		fell_silent(k);
		return KEEPER_EXPECTED;
	}
	return lost(k, &was, status, give_up, now);
}

bool keeper_is_alive(const struct keeper *k)
{
	for (int i = 0; i < KEEPER_GATES_MAX; i++)
		if (place_const(k, i)->pid != 0)
			return true;
	return false;
}

void keeper_signal(const struct keeper *k, int signal_number)
{
	for (int i = 0; i < KEEPER_GATES_MAX; i++)
		if (place_const(k, i)->pid != 0)
			kill(place_const(k, i)->pid, signal_number);
}

void keeper_end(struct keeper *k, int64_t patience_ns, instant now)
{
	k->ending = true;
	k->start_at = INSTANT_NEVER;
	keeper_signal(k, SIGTERM);
	for (int i = 0; i < KEEPER_GATES_MAX; i++)
		if (place(k, i)->pid != 0)
			place(k, i)->kill_at = instant_add(now, patience_ns);
}

/* ---- time ---- */

instant keeper_deadline(const struct keeper *k)
{
	instant at = k->start_at;
	for (int i = 0; i < KEEPER_GATES_MAX; i++)
		at = instant_min(at, place_const(k, i)->kill_at);
	return at;
}

void keeper_tick(struct keeper *k, instant now)
{
	for (int i = 0; i < KEEPER_GATES_MAX; i++) {
		struct keeper_gate *g = place(k, i);
		if (g->pid == 0 || now < g->kill_at)
			continue;
		g->kill_at = INSTANT_NEVER;
		kill(g->pid, SIGKILL);
	}
}

int keeper_descriptors(const struct keeper *k, int *fds)
{
	int count = 0;
	for (int i = 0; i < KEEPER_GATES_MAX; i++)
		if (place_const(k, i)->control >= 0)
			fds[count++] = place_const(k, i)->control;
	return count;
}
