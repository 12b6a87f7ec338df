#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/metrics.h"
#include "gate/pools.h"
#include "instance.h"

/*
 * A strict reader of Prometheus' text format 0.0.4: HELP, then TYPE, then the samples of that
 * family and no other; each name and label set once; counters end in _total; a histogram's buckets
 * grow, end in +Inf and agree with _count.
 */
#define FAMILIES_MAX 128
#define SAMPLES_MAX  1024

struct reader {
	char *families[FAMILIES_MAX];
	int family_count;
	char *samples[SAMPLES_MAX]; /* name with labels */
	double values[SAMPLES_MAX];
	int sample_count;
	char help[128], name[128], type[16]; /* of the family being read */
	double bucket; /* the last one */
};

static bool is_name(const char *name, size_t len)
{
	if (len == 0 || isdigit((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	return true;
}

/* {key="value",...}: its length. */
static size_t labels_len(const char *at)
{
	const char *begin = at;
	if (*at != '{')
		return 0;
	do {
		at++;
		size_t len = strcspn(at, "=");
		assert_true(is_name(at, len));
		at += len;
		assert_memory_equal(at, "=\"", 2);
		for (at += 2; *at != '"'; at++) {
			assert_true(*at && *at != '\n');
			if (*at != '\\')
				continue;
			at++;
			assert_true(*at == '\\' || *at == '"' || *at == 'n');
		}
		at++;
	} while (*at == ',');
	assert_int_equal(*at, '}');
	return (size_t)(at + 1 - begin);
}

static void read_comment(struct reader *r, const char *line)
{
	char kind[8], name[128], rest[256];
	assert_int_equal(sscanf(line, "# %7s %127s %255[^\n]", kind, name, rest), 3);
	assert_true(is_name(name, strlen(name)));
	if (strcmp(kind, "HELP") == 0) {
		for (int f = 0; f < r->family_count; f++)
			assert_string_not_equal(r->families[f], name);
		assert_true(r->family_count < FAMILIES_MAX);
		r->families[r->family_count++] = strdup(name);
		strcpy(r->help, name);
		return;
	}
	assert_string_equal(kind, "TYPE");
	assert_string_equal(r->help, name);
	strcpy(r->name, name);
	snprintf(r->type, sizeof(r->type), "%.15s", rest);
	assert_true(strcmp(rest, "gauge") == 0 || strcmp(rest, "counter") == 0 ||
		    strcmp(rest, "histogram") == 0);
	size_t len = strlen(name);
	bool total = len > 6 && strcmp(name + len - 6, "_total") == 0;
	assert_int_equal(total, strcmp(rest, "counter") == 0);
	assert_memory_equal(name, "standpipe_", 10);
}

static double find(const struct reader *r, const char *sample)
{
	for (int s = 0; s < r->sample_count; s++)
		if (strcmp(r->samples[s], sample) == 0)
			return r->values[s];
	fail_msg("no sample %s", sample);
	return 0;
}

static void read_histogram_part(struct reader *r, const char *suffix, size_t len, double value)
{
	if (strncmp(suffix, "_bucket", len) == 0 && len == 7) {
		const char *sample = r->samples[r->sample_count - 1];
		const char *le = strstr(sample, "le=\"");
		assert_non_null(le);
		bool first = strstr(sample, "le=\"0.001048576\"") != NULL;
		assert_true(first || value >= r->bucket);
		r->bucket = value;
	} else if (strncmp(suffix, "_count", len) == 0 && len == 6) {
		assert_true(value == r->bucket);
	} else {
		assert_true(len == 4 && strncmp(suffix, "_sum", len) == 0);
	}
}

static void read_sample(struct reader *r, const char *line)
{
	size_t name_len = strcspn(line, "{ ");
	assert_true(is_name(line, name_len));
	size_t len = name_len + labels_len(line + name_len);
	assert_int_equal(line[len], ' ');
	char *end;
	double value = strtod(line + len + 1, &end);
	assert_int_equal(*end, 0);
	for (int s = 0; s < r->sample_count; s++)
		assert_false(
			strlen(r->samples[s]) == len && strncmp(r->samples[s], line, len) == 0);
	assert_true(r->sample_count < SAMPLES_MAX);
	r->samples[r->sample_count] = strndup(line, len);
	r->values[r->sample_count++] = value;
	size_t family_len = strlen(r->name);
	assert_memory_equal(line, r->name, family_len);
	if (strcmp(r->type, "histogram") == 0)
		read_histogram_part(r, line + family_len, name_len - family_len, value);
	else
		assert_int_equal(name_len, family_len);
}

static void read_text(struct reader *r, char *text)
{
	memset(r, 0, sizeof(*r));
	assert_int_equal(text[strlen(text) - 1], '\n');
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (line[0] == '#')
			read_comment(r, line);
		else
			read_sample(r, line);
	}
}

static void release(struct reader *r)
{
	for (int f = 0; f < r->family_count; f++)
		free(r->families[f]);
	for (int s = 0; s < r->sample_count; s++)
		free(r->samples[s]);
}

static struct instance i;

static void read_metrics(struct reader *r)
{
	char *text = metrics_text(&i.view);
	assert_null(strstr(text, "s3cr3t"));
	read_text(r, text);
	free(text);
}

static void the_format_holds_from_the_first_moment(void **state)
{
	struct reader r;
	instance_init(&i);
	read_metrics(&r);
	assert_true(find(&r, "standpipe_startup_complete") == 0);
	assert_true(find(&r, "standpipe_phase_status{phase=\"init\",status=\"pending\"}") == 1);
	assert_true(find(&r, "standpipe_path_state{state=\"unknown\"}") == 1);
	assert_true(find(&r, "standpipe_availability{state=\"unavailable\"}") == 1);
	assert_true(find(&r, "standpipe_process_start_time_seconds") == 1714979289);
	assert_true(find(&r, "standpipe_connect_seconds_count{stage=\"total\"}") == 0);
	release(&r);
	i.view.connect_times = NULL;
	read_metrics(&r);
	release(&r);
	instance_release(&i);
}

static void values_are_those_of_the_engine(void **state)
{
	struct reader r;
	instance_init(&i);
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_failed(&i, 2.0, OUTCOME_FULL, "53300", "too many clients");
	instance_step(&i, 40.0, (struct engine_event){.kind = EVENT_TICK});
	instance_connected(&i, 41.0);
	histogram_add(&i.connect_times[STAGE_TCP], 3 * NS_PER_MS);
	histogram_add(&i.connect_times[STAGE_TCP], 400 * NS_PER_S);
	i.view.counters = (struct gate_counters){.clients = 2,
		.transactions = 7,
		.bytes_out = 99,
		.asked = 5,
		.pinned = 3,
		.pinned_by = {[PIN_LISTEN] = 2, [PIN_LOCK] = 1}};
	read_metrics(&r);
	assert_true(
		find(&r, "standpipe_phase_status{phase=\"database\",status=\"in_progress\"}") == 1);
	assert_true(find(&r, "standpipe_phase_duration_seconds{phase=\"database\"}") == 40);
	assert_true(find(&r, "standpipe_connect_attempts_total{outcome=\"full\"}") == 1);
	assert_true(find(&r, "standpipe_connect_attempts_total{outcome=\"ok\"}") == 1);
	assert_true(find(&r, "standpipe_pool_servers{state=\"idle\"}") == 1);
	assert_true(find(&r, "standpipe_budget_fleet") == 35);
	assert_true(find(&r, "standpipe_breaker_state{state=\"closed\"}") == 1);
	assert_true(find(&r, "standpipe_transactions_total") == 7);
	assert_true(find(&r, "standpipe_session_questions_total") == 5);
	assert_true(find(&r, "standpipe_clients_pinned") == 3);
	assert_true(find(&r, "standpipe_clients_pinned_by{reason=\"listen\"}") == 2);
	assert_true(find(&r, "standpipe_clients_pinned_by{reason=\"cursor\"}") == 0);
	assert_true(find(&r, "standpipe_bytes_total{direction=\"out\"}") == 99);
	assert_true(
		find(&r, "standpipe_connect_seconds_bucket{stage=\"tcp\",le=\"0.002097152\"}") ==
		0);
	assert_true(
		find(&r, "standpipe_connect_seconds_bucket{stage=\"tcp\",le=\"0.004194304\"}") ==
		1);
	assert_true(find(&r, "standpipe_connect_seconds_bucket{stage=\"tcp\",le=\"+Inf\"}") == 2);
	assert_true(find(&r, "standpipe_connect_seconds_sum{stage=\"tcp\"}") == 400.003);
	release(&r);
	instance_release(&i);
}

static void labels_are_escaped(void **state)
{
	struct reader r;
	instance_init(&i);
	i.settings.instance = "a\"b\\c\nd\xff";
	read_metrics(&r);
	assert_true(find(&r, "standpipe_build_info{version=\"0.1.0\",name="
			     "\"a\\\"b\\\\c\\nd\xef\xbf\xbd\","
			     "environment=\"production\"}") == 1);
	release(&r);
	instance_release(&i);
}

static void pools_of_one_database_and_user_are_one_sample(void **state)
{
	struct reader r;
	struct gate_pool a = {.database = "x\"y", .user = "u"}, b = a,
			 c = {.database = "z", .user = "u"};
	struct gate_pool *by_group[] = {&a, NULL, &b, &c};
	struct pools pools = {.by_group = by_group, .size = 4, .top = 4};
	a.stats = (struct pool_stats){.xact_count = 1, .query_ns = NS_PER_S / 2};
	b.stats = (struct pool_stats){.xact_count = 2, .query_ns = NS_PER_S};
	instance_init(&i);
	i.view.pools = &pools;
	read_metrics(&r);
	assert_true(
		find(&r, "standpipe_pool_transactions_total{database=\"x\\\"y\",user=\"u\"}") == 3);
	assert_true(
		find(&r, "standpipe_pool_query_seconds_total{database=\"x\\\"y\",user=\"u\"}") ==
		1.5);
	assert_true(find(&r, "standpipe_pool_transactions_total{database=\"z\",user=\"u\"}") == 0);
	release(&r);
	instance_release(&i);
}

static void of_several_workers_each_sample_names_its_own(void **state)
{
	struct reader r;
	instance_init(&i);
	i.settings.workers = 3;
	i.settings.worker = 2;
	read_metrics(&r);
	assert_true(find(&r, "standpipe_startup_complete{worker=\"2\"}") == 0);
	assert_true(find(&r, "standpipe_path_state{worker=\"2\",state=\"unknown\"}") == 1);
	for (int s = 0; s < r.sample_count; s++)
		assert_non_null(strstr(r.samples[s], "{worker=\"2\""));
	release(&r);
	instance_release(&i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_format_holds_from_the_first_moment),
		cmocka_unit_test(of_several_workers_each_sample_names_its_own),
		cmocka_unit_test(values_are_those_of_the_engine),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(pools_of_one_database_and_user_are_one_sample),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
