/*
 * probe - asks checks on a real loop, for test/e2e/test_check.py:
 *
 *   probe TIMEOUT_MS TARGET [CANCEL_MS]
 *
 * Prints "ok", "cancelled", or the error: stage, code, SQLSTATE, origin and text, tabs between. With
 * CANCEL_MS the check is cancelled after that time. TARGET "!COMMAND" goes to check_command.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/instant.h"
#include "io/check.h"

static void on_done(void *context, const struct error *error)
{
	*(int *)context += 1;
	if (error)
		printf("%s\t%d\t%s\t%s\t%s\n", error->stage, error->code, error->sqlstate,
			error->origin, error->text);
	else
		puts("ok");
}

static void on_cancel(uv_timer_t *timer)
{
	check_cancel(timer->data);
	puts("cancelled");
	uv_close((uv_handle_t *)timer, NULL);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fputs("usage: probe TIMEOUT_MS TARGET [CANCEL_MS]\n", stderr);
		return 64;
	}
	int called = 0;
	int64_t timeout_ns = atoll(argv[1]) * NS_PER_MS;
	uv_loop_t *loop = uv_default_loop();
	struct check *check;
	struct error error;
	if (argv[2][0] == '!') {
		static const char *const environment[] = {"PATH=/usr/bin:/bin", "ONLY=this", NULL};
		check = check_command(loop, argv[2] + 1, environment, timeout_ns, on_done, &called);
	} else if (check_validate(argv[2], &error) < 0) {
		printf("%s\t%d\t\t\t%s\n", error.stage, error.code, error.text);
		return 2;
	} else {
		check = check_start(loop, argv[2], timeout_ns, on_done, &called);
	}
	uv_timer_t timer;
	if (argc > 3) {
		uv_timer_init(loop, &timer);
		timer.data = check;
		uv_timer_start(&timer, on_cancel, (uint64_t)atoll(argv[3]), 0);
	}
	uv_run(loop, UV_RUN_DEFAULT);
	/* Everything is given back: the loop can be closed, and LeakSanitizer is content. */
	if (uv_loop_close(loop) != 0)
		return 70;
	return called == (argc > 3 ? 0 : 1) ? 0 : 71;
}
