#include "lab/users.h"

#include <math.h>
#include <stdlib.h>

#include "lab/fetch.h"

/* Requests of the last so many seconds are told apart. */
#define SECONDS 4096

/* The requests that came within one of the scenario's seconds. */
struct second {
	int64_t number;
	int came, served_at_once; /* by their first try */
};

struct user {
	struct users *users;
	struct user *next; /* in the list of those who wait for their next try, or of free ones */
	struct user *more, *before; /* in the list of those who wait for an answer */
	int64_t second;
	int tries_left;
	uint64_t again_ns; /* the next try */
	struct fetch *fetch;
};

struct users {
	struct users_settings settings;
	uv_timer_t timer;
	struct random random;
	uint64_t begun_ns, next_ns; /* the first request may come; the next one comes */
	struct users_count count;
	struct user *asking;
	struct user *first, **last; /* wait for their next try, in its order: all wait as long */
	int64_t judged; /* seconds that were judged when they were over */
	struct second seconds[SECONDS];
};

static uint64_t wall_ns(const struct users *u, double span_ns)
{
	return (uint64_t)(span_ns * u->settings.time_scale);
}

static uint64_t second_ns(const struct users *u)
{
	return wall_ns(u, 1e9);
}

static struct second *second_of(struct users *u, int64_t number)
{
	struct second *s = &u->seconds[number % SECONDS];

	if (s->number != number)
		*s = (struct second){.number = number};
	return s;
}

/* Once it is over, and so are its requests. */
static void judge(struct users *u, int64_t number, uint64_t now)
{
	const struct second *s = second_of(u, number);
	uint64_t begun_ns = u->begun_ns + (uint64_t)number * second_ns(u);

	if (s->came > 0 && s->served_at_once == s->came && now >= begun_ns + second_ns(u))
		u->settings.second(u->settings.context, begun_ns);
}

static void finish(struct user *user, bool served, uint64_t now)
{
	struct users *u = user->users;

	u->count.waiting--;
	u->count.served += served;
	u->count.lost += !served;
	if (served && user->tries_left == u->settings.load->retries)
		second_of(u, user->second)->served_at_once++;
	judge(u, user->second, now);
	free(user);
}

static void fail(struct user *user, uint64_t now)
{
	struct users *u = user->users;

	if (user->tries_left-- == 0) {
		finish(user, false, now);
		return;
	}
	user->again_ns = now + second_ns(u);
	user->next = NULL;
	*u->last = user;
	u->last = &user->next;
}

static void unlink_asking(struct user *user)
{
	*(user->before ? &user->before->more : &user->users->asking) = user->more;
	if (user->more)
		user->more->before = user->before;
}

static void answered(void *context, int status, const char *body)
{
	struct user *user = context;
	uint64_t now = uv_hrtime();

	(void)body;
	user->fetch = NULL;
	unlink_asking(user);
	if (status >= 200 && status < 300)
		finish(user, true, now);
	else
		fail(user, now);
}

static void ask(struct user *user, uint64_t now)
{
	struct users *u = user->users;
	const struct instance *at = fleet_draw(u->settings.fleet, &u->random);
	double timeout_ms = ceil((double)wall_ns(u, (double)u->settings.load->timeout_ns) / 1e6);

	if (!at) {
		fail(user, now);
		return;
	}
	user->before = NULL;
	user->more = u->asking;
	if (u->asking)
		u->asking->before = user;
	u->asking = user;
	user->fetch = fetch_start(u->settings.loop, at->port, u->settings.load->path,
		(int)timeout_ms, FETCH_STATUS_ONLY, answered, user);
}

static void come(struct users *u, uint64_t now)
{
	int64_t number = (int64_t)((now - u->begun_ns) / second_ns(u));

	second_of(u, number)->came++;
	if (u->count.waiting == USERS_MAX) {
		u->count.lost++;
		u->count.turned_away++;
		return;
	}
	struct user *user = calloc(1, sizeof *user);
	if (!user)
		abort();
	user->users = u;
	user->second = number;
	user->tries_left = u->settings.load->retries;
	u->count.waiting++;
	ask(user, now);
}

static void draw_next(struct users *u)
{
	double gap_s = -log(1 - random_unit(&u->random)) / u->settings.load->rate;

	u->next_ns += wall_ns(u, gap_s * 1e9);
}

static void due(uv_timer_t *timer)
{
	struct users *u = timer->data;
	uint64_t now = uv_hrtime();

	for (; u->next_ns <= now; draw_next(u))
		come(u, u->next_ns);
	while (u->first && u->first->again_ns <= now) {
		struct user *user = u->first;
		u->first = user->next;
		if (!u->first)
			u->last = &u->first;
		ask(user, now);
	}
	/* All that came in them may have been answered within them. */
	while (u->begun_ns + (uint64_t)(u->judged + 1) * second_ns(u) <= now)
		judge(u, u->judged++, now);
	uint64_t next = u->next_ns;
	if (u->first && u->first->again_ns < next)
		next = u->first->again_ns;
	uint64_t wait_ms = (next - now) / 1000000;
	uv_timer_start(timer, due, wait_ms < 1 ? 1 : wait_ms, 0);
}

struct users *users_new(const struct users_settings *settings)
{
	struct users *u = calloc(1, sizeof *u);

	if (!u)
		abort();
	u->settings = *settings;
	u->last = &u->first;
	random_init(&u->random, settings->seed);
	u->begun_ns = uv_hrtime() + wall_ns(u, (double)settings->load->at_ns);
	u->next_ns = u->begun_ns;
	draw_next(u);
	uv_timer_init(settings->loop, &u->timer);
	u->timer.data = u;
	uv_timer_start(&u->timer, due, (u->next_ns - uv_hrtime()) / 1000000 + 1, 0);
	return u;
}

struct users_count users_count(const struct users *u)
{
	return u->count;
}

void users_stop(struct users *u)
{
	struct user *user;

	uv_timer_stop(&u->timer);
	while ((user = u->asking)) {
		fetch_cancel(user->fetch);
		u->asking = user->more;
		free(user);
	}
	while ((user = u->first)) {
		u->first = user->next;
		free(user);
	}
	u->last = &u->first;
	u->count.waiting = 0;
}

static void timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void users_free(struct users *u)
{
	if (!u)
		return;
	users_stop(u);
	uv_close((uv_handle_t *)&u->timer, timer_closed);
}
