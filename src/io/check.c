#include "io/check.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/check_exec.h"
#include "io/check_work.h"

/* So much later than the thread's own deadline, which knows better what it was waiting for. */
#define SLACK_NS (250 * NS_PER_MS)

struct check {
	uv_timer_t timer;
	uv_async_t ended;
	uv_thread_t thread;
	bool has_thread;
	int handles; /* that are not yet closed */
	struct check_exec *exec; /* instead of a thread */
	check_done *done; /* NULL: it was called, or will not be */
	void *context;
	struct check_work work;
};

static int (*const works[])(struct check_work *) = {
	[CHECK_RESOLVE] = check_work_resolve,
	[CHECK_TCP] = check_work_tcp,
	[CHECK_HTTP] = check_work_http,
	[CHECK_REDIS] = check_work_redis,
	[CHECK_POSTGRES] = check_work_postgres,
	[CHECK_WEBSOCKET] = check_work_websocket,
};

static void curl_once(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

int check_validate(const char *target, struct error *error)
{
	struct check_target t;
	int result = check_target_parse(&t, target, error);
	check_target_release(&t);
	return result;
}

static void on_closed(uv_handle_t *handle)
{
	struct check *c = handle->data;
	if (--c->handles > 0)
		return;
	check_target_release(&c->work.target);
	if (c->work.cancel_fd >= 0)
		close(c->work.cancel_fd);
	free(c);
}

/* Calls `done`, if anybody still waits for it. */
static void settle(struct check *c, const struct error *error)
{
	check_done *done = c->done;
	c->done = NULL;
	if (!done)
		return;
	struct error named;
	if (error) {
		named = *error;
		error_origin(&named, c->work.target.origin);
	}
	done(c->context, error ? &named : NULL);
}

static void finish(struct check *c)
{
	uv_close((uv_handle_t *)&c->timer, on_closed);
	uv_close((uv_handle_t *)&c->ended, on_closed);
}

/* Nobody waits any more: the thread or the process is told to end, and `finish` comes when it
 * has. */
static void abandon(struct check *c)
{
	uv_timer_stop(&c->timer);
	atomic_store(&c->work.cancelled, true);
	if (c->work.cancel_fd >= 0)
		eventfd_write(c->work.cancel_fd, 1);
	if (c->exec)
		check_exec_kill(c->exec);
}

static void on_timeout(uv_timer_t *timer)
{
	struct check *c = timer->data;
	struct error error;
	if (!c->exec && !c->has_thread) { /* it did not come to begin */
		settle(c, &c->work.error);
		finish(c);
		return;
	}
	error_init(&error);
	if (c->exec)
		check_exec_describe_timeout(c->exec, &error);
	else
		error_set(&error, c->work.target.kind == CHECK_RESOLVE ? "dns" : "check", ETIMEDOUT,
			"%s: no result in time; does the name resolve?", c->work.target.name);
	abandon(c);
	settle(c, &error);
}

static void on_thread_ended(uv_async_t *async)
{
	struct check *c = async->data;
	uv_thread_join(&c->thread);
	uv_timer_stop(&c->timer);
	settle(c, error_is_set(&c->work.error) ? &c->work.error : NULL);
	finish(c);
}

static void on_exec_ended(void *context, const struct error *error)
{
	struct check *c = context;
	uv_timer_stop(&c->timer);
	c->exec = NULL;
	settle(c, error);
	finish(c);
}

static void run_thread(void *context)
{
	struct check *c = context;
	/* Signals are the loop's; and a peer that is gone must not raise SIGPIPE here. */
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	/* A result without an error text would pass for success. */
	if (works[c->work.target.kind](&c->work) == 0)
		error_init(&c->work.error);
	else
		assert(error_is_set(&c->work.error));
	uv_async_send(&c->ended);
}

static struct check *check_new(uv_loop_t *loop, check_done *done, void *context)
{
	struct check *c = calloc(1, sizeof(*c));
	assert(c);
	c->done = done;
	c->context = context;
	c->work.cancel_fd = -1;
	c->timer.data = c->ended.data = c;
	c->handles = 2;
	uv_timer_init(loop, &c->timer);
	if (uv_async_init(loop, &c->ended, on_thread_ended) != 0)
		abort();
	return c;
}

static void begin_timer(struct check *c, int64_t timeout_ns)
{
	int64_t ms = (timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
	uv_timer_start(&c->timer, on_timeout, ms > 0 ? (uint64_t)ms : 0, 0);
}

static void begin_exec(
	uv_loop_t *loop, struct check *c, const char *const *environment, int64_t timeout_ns)
{
	c->exec = check_exec_start(
		loop, &c->work.target, environment, on_exec_ended, c, &c->work.error);
	begin_timer(c, c->exec ? timeout_ns : 0);
}

static void begin_thread(struct check *c, int64_t timeout_ns)
{
	static uv_once_t once = UV_ONCE_INIT;
	uv_once(&once, curl_once);
	c->work.deadline = instant_add((instant)uv_hrtime(), timeout_ns);
	c->work.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int result = c->work.cancel_fd < 0 ? -errno : uv_thread_create(&c->thread, run_thread, c);
	c->has_thread = result == 0;
	if (result < 0)
		error_set(&c->work.error, "check", -result, "%s: no thread for it: %s",
			c->work.target.name, uv_strerror(result));
	begin_timer(c, result < 0 ? 0 : timeout_ns + SLACK_NS);
}

struct check *check_start(
	uv_loop_t *loop, const char *target, int64_t timeout_ns, check_done *done, void *context)
{
	struct check *c = check_new(loop, done, context);
	struct error error;
	int result = check_target_parse(&c->work.target, target, &error);
	assert(result == 0);
	if (c->work.target.kind == CHECK_EXEC)
		begin_exec(loop, c, NULL, timeout_ns);
	else
		begin_thread(c, timeout_ns);
	return c;
}

struct check *check_command(uv_loop_t *loop, const char *command, const char *const *environment,
	int64_t timeout_ns, check_done *done, void *context)
{
	struct check *c = check_new(loop, done, context);
	check_target_command(&c->work.target, command);
	begin_exec(loop, c, environment, timeout_ns);
	return c;
}

void check_cancel(struct check *c)
{
	c->done = NULL;
	if (c->exec || c->has_thread) {
		abandon(c);
		return;
	}
	uv_timer_stop(&c->timer);
	finish(c);
}
