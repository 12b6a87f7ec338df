#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "gate/log.h"

struct pipe_log {
	int fds[2];
	struct log log;
	struct secrets secrets;
	char text[1 << 17];
};

static int set_up(void **state)
{
	static struct pipe_log p;
	memset(&p, 0, sizeof(p));
	assert_int_equal(pipe(p.fds), 0);
	fcntl(p.fds[0], F_SETFL, O_NONBLOCK);
	log_init(&p.log, p.fds[1], LOG_FORMAT_AUTO, LOG_LEVEL_INFO, &p.secrets);
	*state = &p;
	return 0;
}

static int tear_down(void **state)
{
	struct pipe_log *p = *state;
	log_release(&p->log, 0);
	secrets_release(&p->secrets);
	close(p->fds[0]);
	close(p->fds[1]);
	return 0;
}

/* All that is in the pipe now. */
static const char *read_all(struct pipe_log *p)
{
	size_t len = 0;
	ssize_t n;
	while ((n = read(p->fds[0], p->text + len, sizeof(p->text) - 1 - len)) > 0)
		len += (size_t)n;
	p->text[len] = 0;
	return p->text;
}

static json_t *read_json(struct pipe_log *p)
{
	json_t *json = json_loads(read_all(p), 0, NULL);
	assert_non_null(json);
	return json;
}

static const char *text_of(json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static void a_line_is_an_object_that_cloud_logging_reads(void **state)
{
	struct pipe_log *p = *state;
	log_warning(&p->log, "path is scaling", field_text("from", "normal"), field_int("n", -3),
		field_s("took_s", 1500000000), field_bool("again", true), field_text("gone", NULL));
	assert_int_equal(strchr(read_all(p), '\n')[1], 0);
	json_t *json = json_loads(p->text, 0, NULL);
	assert_string_equal(text_of(json, "severity"), "WARNING");
	assert_string_equal(text_of(json, "message"), "path is scaling");
	assert_string_equal(text_of(json, "from"), "normal");
	assert_int_equal(json_integer_value(json_object_get(json, "n")), -3);
	assert_true(json_real_value(json_object_get(json, "took_s")) == 1.5);
	assert_true(json_is_true(json_object_get(json, "again")));
	assert_true(json_is_null(json_object_get(json, "gone")));
	/* 2024-05-06T07:08:09.123456789Z */
	const char *time = text_of(json, "time");
	assert_int_equal(strlen(time), 30);
	assert_int_equal(time[10], 'T');
	assert_int_equal(time[19], '.');
	assert_int_equal(time[29], 'Z');
	json_decref(json);
}

static void an_error_keeps_its_parts(void **state)
{
	struct pipe_log *p = *state;
	struct error error, none = {0};
	error_set(&error, "auth", 7, "password authentication failed for user \"app\"");
	error_sqlstate(&error, "28P01");
	error_origin(&error, "db:5432");
	log_error(&p->log, "connect failed", field_error(&error), field_error(&none));
	json_t *json = read_json(p), *e = json_object_get(json, "error");
	assert_string_equal(text_of(e, "stage"), "auth");
	assert_string_equal(text_of(e, "text"), "password authentication failed for user \"app\"");
	assert_string_equal(text_of(e, "sqlstate"), "28P01");
	assert_string_equal(text_of(e, "origin"), "db:5432");
	json_decref(json);
}

static void whatever_the_text_it_stays_one_line_of_json(void **state)
{
	struct pipe_log *p = *state;
	char all[256 + 1];
	for (int i = 0; i < 256; i++)
		all[i] = (char)(i + 1);
	log_info(&p->log, all, field_text("x", "a\nb\"c\\d\x01\xff"));
	json_t *json = read_json(p);
	assert_string_equal(text_of(json, "x"), "a\nb\"c\\d\x01\xef\xbf\xbd");
	json_decref(json);
}

static void secrets_never(void **state)
{
	struct pipe_log *p = *state;
	secrets_add(&p->secrets, "hun\"ter2");
	struct error error;
	error_set(&error, "x", 0, "bad password hun\"ter2");
	log_info(&p->log, "hun\"ter2", field_text("url", "postgresql://a:hun%22ter2@b"),
		field_error(&error));
	assert_null(strstr(read_all(p), "ter2"));
	assert_non_null(strstr(p->text, "postgresql://a:***@b"));
}

static void what_is_below_the_level_is_not_said(void **state)
{
	struct pipe_log *p = *state;
	log_debug(&p->log, "detail");
	assert_string_equal(read_all(p), "");
	p->log.level = LOG_LEVEL_ERROR;
	log_warning(&p->log, "hm");
	assert_string_equal(read_all(p), "");
}

static void a_line_too_long_leaves_fields_out_and_says_so(void **state)
{
	struct pipe_log *p = *state;
	char long_json[LOG_LINE_MAX + 2];
	memset(long_json, '1', sizeof(long_json) - 1);
	long_json[sizeof(long_json) - 1] = 0;
	log_info(&p->log, "m", field_json("context", long_json), field_int("after", 1));
	json_t *json = read_json(p);
	assert_null(json_object_get(json, "context"));
	assert_int_equal(json_integer_value(json_object_get(json, "after")), 1);
	assert_true(json_is_true(json_object_get(json, "cut")));
	json_decref(json);
	/* A message as bad as can be. */
	memset(long_json, 1, sizeof(long_json) - 1);
	log_info(&p->log, long_json, field_int("after", 1));
	json_decref(read_json(p));
}

static int count_lines(const char *text)
{
	int count = 0;
	for (; *text; text++)
		count += *text == '\n';
	return count;
}

static void nobody_reads_and_nothing_waits(void **state)
{
	struct pipe_log *p = *state;
	int written = 5000;
	for (int i = 0; i < written; i++)
		log_info(&p->log, "a line that is quite long, so that the pipe is full soon",
			field_int("i", i));
	uint64_t dropped = p->log.dropped;
	assert_true(dropped > 0);
	/* The flags of the pipe that others write to, too, are as they were. */
	assert_int_equal(fcntl(p->fds[1], F_GETFL) & O_NONBLOCK, 0);
	int lines = count_lines(read_all(p));
	log_info(&p->log, "read again");
	lines += count_lines(read_all(p)) - 2; /* without this one and the one about dropping */
	assert_int_equal(lines, written - (int)dropped);
	char *said = strstr(p->text, "\"dropped\":");
	assert_non_null(said);
	assert_int_equal(strtoull(said + 10, NULL, 10), dropped);
	assert_non_null(strstr(p->text, "read again"));
	assert_int_equal(p->log.dropped, 0);
}

static void sockets_do_not_wait_either(void **state)
{
	int fds[2];
	struct log log;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	log_init(&log, fds[1], LOG_FORMAT_JSON, LOG_LEVEL_INFO, NULL);
	for (int i = 0; i < 10000; i++)
		log_info(&log, "a line that is quite long, so that the socket is full soon");
	assert_true(log.dropped > 0);
	close(fds[0]);
	log_info(&log, "and its end is no harm");
	log_release(&log, 0);
	close(fds[1]);
}

static void text_is_for_people(void **state)
{
	struct pipe_log *p = *state;
	p->log.text = true;
	struct error error;
	error_set(&error, "tcp", 110, "timed out");
	log_info(&p->log, "phase \033[31mbegins", field_text("phase", "database"),
		field_text("why", "two words"), field_error(&error));
	const char *line = read_all(p);
	assert_non_null(
		strstr(line, "INFO    phase \\u001b[31mbegins phase=database why=\"two words\" "
			     "error=\"timed out\" stage=tcp\n"));
}

static void text_spares_people_long_objects(void **state)
{
	struct pipe_log *p = *state;
	char json[512];
	p->log.text = true;
	snprintf(json, sizeof(json), "{\"a\":\"%0400d\"}", 7);
	log_info(&p->log, "m", field_json("short", "{\"a\":1}"), field_json("long", json));
	assert_non_null(strstr(read_all(p), " m short={\"a\":1} long={...}\n"));
}

static void names_of_levels_and_formats(void **state)
{
	enum log_level level;
	enum log_format format;
	assert_true(log_level_from_name("warning", &level));
	assert_int_equal(level, LOG_LEVEL_WARNING);
	assert_false(log_level_from_name("loud", &level));
	assert_true(log_format_from_name("text", &format));
	assert_int_equal(format, LOG_FORMAT_TEXT);
	assert_false(log_format_from_name("xml", &format));
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void what_strangers_cause_is_counted_rather_than_written(void **state)
{
	struct pipe_log *p = *state;
	struct log_limit limit = {0};
	instant now = 5 * NS_PER_S;
	for (int second = 0; second < 3; second++, now += NS_PER_S) {
		int written = 0;
		for (int i = 0; i < 25; i++)
			written += log_limit_allows(&limit, now + i * NS_PER_MS);
		assert_int_equal(written, LOG_LIMIT_PER_S);
		log_limit_tell(&limit, &p->log, "them", now + NS_PER_S / 2);
		assert_string_equal(read_all(p), "");
	}
	log_limit_tell(&limit, &p->log, "them", now);
	json_t *line = read_json(p);
	assert_string_equal(text_of(line, "of"), "them");
	assert_int_equal(json_integer_value(json_object_get(line, "held_back")), 45);
	json_decref(line);
	log_limit_tell(&limit, &p->log, "them", now);
	assert_string_equal(read_all(p), "");
	assert_true(log_limit_allows(&limit, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_line_is_an_object_that_cloud_logging_reads),
		LOG_TEST(an_error_keeps_its_parts),
		LOG_TEST(whatever_the_text_it_stays_one_line_of_json),
		LOG_TEST(secrets_never),
		LOG_TEST(what_is_below_the_level_is_not_said),
		LOG_TEST(a_line_too_long_leaves_fields_out_and_says_so),
		LOG_TEST(nobody_reads_and_nothing_waits),
		cmocka_unit_test(sockets_do_not_wait_either),
		LOG_TEST(text_is_for_people),
		LOG_TEST(text_spares_people_long_objects),
		cmocka_unit_test(names_of_levels_and_formats),
		LOG_TEST(what_strangers_cause_is_counted_rather_than_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
