#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/notify.h"

struct seen {
	struct notify *notify;
	int count, until;
	struct notify_message last;
	bool ready;
};

static void on_heard(void *context, const struct notify_message *message)
{
	struct seen *seen = context;
	seen->last = *message;
	seen->ready |= message->ready;
	if (++seen->count == seen->until)
		notify_free(seen->notify);
}

static bool parse(struct notify_message *m, const char *text)
{
	return notify_parse(m, text, strlen(text));
}

static void lines_are_read(void **state)
{
	struct notify_message m;
	assert_true(parse(&m, "READY=1"));
	assert_true(m.ready && !m.stopping && !*m.status);
	assert_true(parse(&m, "STATUS=warming up\nREADY=1\nMAINPID=7\n"));
	assert_true(m.ready);
	assert_string_equal(m.status, "warming up");
	assert_true(parse(&m, "STOPPING=1\n"));
	assert_true(m.stopping && !m.ready);
	assert_true(parse(&m, "RELOADING=1"));
	assert_true(m.reloading);
	/* It goes into logs: one line, whatever it holds, and not without end. */
	assert_true(parse(&m, "STATUS=a\tb\x1b[2J"));
	assert_string_equal(m.status, "a b [2J");
	char text[1000] = "STATUS=";
	memset(text + 7, 'x', sizeof(text) - 8);
	assert_true(parse(&m, text));
	assert_int_equal(strlen(m.status), NOTIFY_STATUS_MAX - 1);

	assert_false(parse(&m, ""));
	assert_false(parse(&m, "\n\n"));
	assert_false(parse(&m, "READY=0"));
	assert_false(parse(&m, "READY=11"));
	assert_false(parse(&m, "XREADY=1"));
	assert_false(parse(&m, "WATCHDOG=1"));
}

static void round_trip(const char *name)
{
	uv_loop_t loop;
	struct error error = {0};
	struct seen seen = {.until = 2};
	uv_loop_init(&loop);
	int fd = notify_bind(name, &error);
	if (fd < 0)
		fail_msg("%s", error.text);
	seen.notify = notify_new(&loop, fd, on_heard, &seen);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_send("STATUS=nearly", &error), 0);
	assert_int_equal(notify_send("BARRIER=1", &error), 0); /* means nothing to us */
	assert_int_equal(notify_send("READY=1\nSTATUS=there", &error), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(seen.count, 2);
	assert_true(seen.ready);
	assert_string_equal(seen.last.status, "there");
	assert_int_equal(uv_loop_close(&loop), 0);
	/* Nobody is there any more. */
	assert_int_equal(notify_send("READY=1", &error), -1);
	assert_non_null(strstr(error.text, name));
	unsetenv("NOTIFY_SOCKET");
}

static void by_path_and_by_abstract_name(void **state)
{
	char directory[] = "/tmp/sp-notify-XXXXXX", path[64], abstract[64];
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/notify", directory);
	snprintf(abstract, sizeof(abstract), "@standpipe-test-%d", (int)getpid());
	round_trip(path);
	round_trip(path); /* the one that was left is replaced */
	round_trip(abstract);
	unlink(path);
	rmdir(directory);
}

static void bad_names_are_refused(void **state)
{
	static const char *const bad[] = {"", "x", "relative/path", "@"};
	struct error error = {0};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(notify_bind(bad[i], &error), -1);
		assert_non_null(strstr(error.text, "use an absolute path"));
	}
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1", &error), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_read),
		cmocka_unit_test(by_path_and_by_abstract_name),
		cmocka_unit_test(bad_names_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
