/* Connections are taken off a listening socket, with libuv's loop and with each of the reactor's backends. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/acceptor.h"
#include "io/reactor.h"

#define CROWD 100 /* more than a burst */

struct place {
	uv_loop_t loop;
	struct reactor reactor;
	struct acceptor *acceptor;
	struct sockaddr_in address;
	int fd;
	int taken;
	int pause_at; /* so many taken; 0: never */
};

static void on_taken(void *context, int fd)
{
	struct place *p = context;
	close(fd);
	if (++p->taken == p->pause_at)
		acceptor_pause(p->acceptor);
}

static void open_place(struct place *p, enum reactor_choice choice, bool on_reactor)
{
	struct error error;
	socklen_t len = sizeof(p->address);
	*p = (struct place){
		.address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	uv_loop_init(&p->loop);
	assert_int_equal(reactor_init(&p->reactor, &p->loop, choice, &error), 0);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->fd, (struct sockaddr *)&p->address, len), 0);
	assert_int_equal(listen(p->fd, CROWD * 2), 0);
	getsockname(p->fd, (struct sockaddr *)&p->address, &len);
	p->acceptor = on_reactor ? acceptor_new_on(&p->reactor, p->fd, on_taken, p, &error)
				 : acceptor_new(&p->loop, p->fd, on_taken, p, &error);
	assert_non_null(p->acceptor);
}

static void close_place(struct place *p)
{
	acceptor_free(p->acceptor);
	reactor_drain(&p->reactor);
	reactor_release(&p->reactor);
	assert_int_equal(uv_loop_close(&p->loop), 0);
	close(p->fd);
}

static void connect_some(const struct place *p, int count)
{
	for (int i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(
			connect(fd, (const struct sockaddr *)&p->address, sizeof(p->address)), 0);
		close(fd);
	}
}

static void turn_until(struct place *p, int taken)
{
	while (p->taken < taken)
		reactor_turn(&p->reactor, true);
}

static void run(enum reactor_choice choice, bool on_reactor)
{
	struct place p;
	open_place(&p, choice, on_reactor);
	connect_some(&p, 1);
	turn_until(&p, 1);
	connect_some(&p, CROWD);
	turn_until(&p, 1 + CROWD);

	/* It pauses itself: the others stay where they are, until it goes on. */
	p.pause_at = p.taken + 5;
	connect_some(&p, 20);
	turn_until(&p, p.pause_at);
	for (int i = 0; i < 10; i++)
		reactor_turn(&p.reactor, false);
	assert_int_equal(p.taken, p.pause_at);
	p.pause_at = 0;
	acceptor_resume(p.acceptor);
	turn_until(&p, 1 + CROWD + 20);

	/* It goes while one waits, or none. */
	connect_some(&p, 1);
	close_place(&p);
}

static void test_on_libuv(void **state)
{
	run(REACTOR_EPOLL, false);
}

static void test_on_epoll(void **state)
{
	run(REACTOR_EPOLL, true);
}

static void test_on_uring(void **state)
{
	run(REACTOR_URING, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_libuv),
		cmocka_unit_test(test_on_epoll),
		cmocka_unit_test(test_on_uring),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
