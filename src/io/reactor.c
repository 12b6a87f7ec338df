#include "io/reactor.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "io/backend.h"

int reactor_init(
	struct reactor *r, uv_loop_t *loop, enum reactor_choice choice, struct error *error)
{
	*r = (struct reactor){.loop = loop, .scratch = malloc(REACTOR_READ)};
	if (!r->scratch)
		abort();
	r->ready_last = &r->ready;
	r->alarm_ms = UINT64_MAX;
	r->alarm = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->alarm < 0) {
		error_set(error, "loop", errno, "can't have a timer: %s", strerror(errno));
		free(r->scratch);
		return -1;
	}
	r->backend = &backend_uring;
	if (choice != REACTOR_EPOLL && r->backend->init(r) == 0)
		return 0;
	r->backend = &backend_epoll;
	if (r->backend->init(r) == 0)
		return 0;
	error_set(error, "loop", errno, "can't wait for events: %s", strerror(errno));
	close(r->alarm);
	free(r->scratch);
	return -1;
}

void reactor_release(struct reactor *r)
{
	assert(r->streams == 0);
	r->backend->release(r);
	close(r->alarm);
	free(r->scratch);
}

const char *reactor_backend(const struct reactor *r)
{
	return r->backend->name;
}

/* ---- the lists ---- */

void reactor_list(struct stream *s)
{
	struct reactor *r = s->reactor;
	if (s->listed)
		return;
	s->listed = true;
	s->next = NULL;
	*r->ready_last = s;
	r->ready_last = &s->next;
	r->ready_count++;
}

void reactor_unlist(struct stream *s)
{
	struct reactor *r = s->reactor;
	if (!s->listed)
		return;
	struct stream **at = &r->ready;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	if (!*at)
		r->ready_last = at;
	s->listed = false;
	r->ready_count--;
}

void stream_gone(struct stream *s)
{
	s->next = s->reactor->closing;
	s->reactor->closing = s;
}

/* Each that is there now once: who goes on and on comes again after the others. */
static void work_on(struct reactor *r)
{
	r->may_shake = true;
	for (int left = r->ready_count; left > 0 && r->ready; left--) {
		struct stream *s = r->ready;
		reactor_unlist(s);
		stream_work(s);
	}
	r->may_shake = false;
}

static void let_go(struct reactor *r)
{
	while (r->closing) {
		struct stream *s = r->closing;
		r->closing = s->next;
		r->streams--;
		s->closed(s);
	}
}

/* ---- what is no stream ---- */

int reactor_watch(struct reactor *r, struct reactor_watch *w)
{
	return r->backend->watch(r, w);
}

void reactor_unwatch(struct reactor *r, struct reactor_watch *w)
{
	r->backend->unwatch(r, w);
}

/* ---- turning ---- */

/* libuv's clock counts the milliseconds of CLOCK_MONOTONIC. */
static void set_alarm(struct reactor *r, uint64_t at_ms)
{
	struct itimerspec at = {.it_value = {.tv_sec = (time_t)(at_ms / 1000),
					.tv_nsec = (long)(at_ms % 1000) * 1000000L}};
	timerfd_settime(r->alarm, TFD_TIMER_ABSTIME, &at, NULL);
	r->alarm_ms = at_ms;
}

/* Is there nothing to do but to wait? Then the alarm is set for libuv's nearest timer. It is left as it
 * is if it rings before that: an alarm set anew some times a second costs less than a wait with a
 * timeout in each turn (1 us of the 20 that a transaction takes at least). */
static bool may_wait(struct reactor *r)
{
	if (r->stopped || r->ready || r->closing)
		return false;
	int timeout_ms = uv_loop_alive(r->loop) ? uv_backend_timeout(r->loop) : -1;
	if (timeout_ms > 0 && uv_now(r->loop) + (uint64_t)timeout_ms < r->alarm_ms)
		set_alarm(r, uv_now(r->loop) + (uint64_t)timeout_ms);
	return timeout_ms != 0;
}

void reactor_turn(struct reactor *r, bool wait)
{
	if (r->before_wait)
		r->before_wait(r->context);
	r->backend->wait(r, wait && may_wait(r));
	uv_update_time(r->loop);
	r->turns++;
	bool due = r->backend->dispatch(r);
	work_on(r);
	let_go(r);
	/* 0 also when a handle is to be closed, or to be watched from now on. */
	if (due || uv_backend_timeout(r->loop) == 0)
		uv_run(r->loop, UV_RUN_NOWAIT);
}

void reactor_run(struct reactor *r)
{
	while (!r->stopped)
		reactor_turn(r, true);
	r->stopped = false;
}

void reactor_stop(struct reactor *r)
{
	r->stopped = true;
}

void reactor_drain(struct reactor *r)
{
	r->before_wait = NULL;
	while (r->streams > 0 || uv_loop_alive(r->loop))
		reactor_turn(r, true);
}
