#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "loaded.h"

#include "base/instant.h"

#define S(seconds) ((seconds)*NS_PER_S)

struct environment_table {
	const char *name;
	int64_t timeouts_s[DEADLINE_COUNT];
	int size, overflow, buffer, path_limit;
	bool monitoring, capacity_aware;
	double threshold, baseline_bit_s;
	int64_t scaling_s, scaling_buffer_s;
	int retries;
	int64_t base_s, cap_s;
};

/* BEHAVIOUR's tables: initialization, table_setup, connection, pool, health_check; and so on. */
static const struct environment_table tables[] = {
	{"development", {30, 15, 20, 30, 10}, 5, 10, 0, 1000, false, false, 1.0, 0, 0, 0, 3, 1, 10},
	{"test", {20, 10, 15, 20, 5}, 5, 10, 0, 1000, false, false, 1.0, 0, 0, 0, 3, 1, 10},
	{"staging", {75, 25, 35, 90, 20}, 10, 15, 5, 50, true, true, 0.7, 2e9, 30, 20, 5, 2, 30},
	{"production", {90, 45, 60, 90, 30}, 10, 15, 5, 50, true, true, 0.7, 2e9, 30, 20, 5, 2, 30},
};

static void check_table(const struct environment_table *t, const struct engine_settings *e)
{
	for (int kind = 0; kind < DEADLINE_COUNT; kind++)
		assert_int_equal(e->deadlines.base_ns[kind], S(t->timeouts_s[kind]));
	assert_int_equal(e->budget.pool_size, t->size);
	assert_int_equal(e->budget.pool_overflow, t->overflow);
	assert_int_equal(e->budget.buffer, t->buffer);
	assert_int_equal(e->budget.path_limit, t->path_limit);
	assert_int_equal(e->path.limit, t->path_limit);
	assert_true(e->budget.path_share == t->threshold);
	assert_true(e->path.threshold == t->threshold);
	assert_int_equal(e->path.monitoring, t->monitoring);
	assert_int_equal(e->deadlines.capacity_aware, t->capacity_aware);
	assert_true(e->path.baseline_bit_s == t->baseline_bit_s);
	assert_int_equal(e->path.scaling_ns, S(t->scaling_s));
	assert_int_equal(e->deadlines.scaling_buffer_ns, S(t->scaling_buffer_s));
	assert_int_equal(e->retry.retries, t->retries);
	assert_int_equal(e->retry.base_ns, S(t->base_s));
	assert_int_equal(e->retry.cap_ns, S(t->cap_s));
	assert_true(e->retry.factor == 2);
	/* The same everywhere. */
	assert_int_equal(e->server_life_ns, S(3600));
	assert_int_equal(e->budget.max_connections, 100);
	assert_true(e->budget.margin == 0.8);
	assert_true(e->breaker.enabled);
	assert_int_equal(e->breaker.failure_threshold, 3);
	assert_int_equal(e->breaker.open_ns, S(60));
	assert_int_equal(e->startup.timeout_ns[PHASE_DATABASE], S(t->timeouts_s[0]));
	assert_int_equal(e->startup.timeout_ns[PHASE_CACHE], S(t->timeouts_s[4]));
}

static void each_environment_has_its_table(void **state)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		char variable[64];
		snprintf(variable, sizeof(variable), "ENVIRONMENT=%s", tables[i].name);
		const char *const variables[] = {variable, URL, NULL};
		struct loaded l;
		loaded_init(&l, CONFIG_RUN, NULL, variables);
		assert_int_equal(l.result, 0);
		assert_string_equal(l.config.gate.environment, tables[i].name);
		check_table(&tables[i], &l.config.gate.engine);
		loaded_release(&l);
	}
}

static void database_url_alone_is_enough(void **state)
{
	const char *const variables[] = {URL, NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, 0);
	const struct gate_settings *g = &l.config.gate;
	assert_string_equal(g->environment, "development");
	assert_string_equal(g->conninfo, "postgresql://shop:hush@db.internal/orders");
	assert_string_equal(g->host, "db.internal:5432");
	assert_string_equal(g->user, "shop");
	assert_string_equal(g->database, "orders");
	assert_int_equal(g->servers_max, 15);
	assert_int_equal(g->clients_max, 10000);
	assert_int_equal(g->engine.ping_after_ns, S(30));
	assert_int_equal(g->engine.dial_patience_ns, 1200 * NS_PER_MS);
	assert_string_equal(g->listen_host, "127.0.0.1");
	assert_int_equal(g->listen_port, 0);
	assert_int_equal(g->admin_port, 9180);
	assert_int_equal(g->door_mode, DOOR_OFF);
	assert_int_equal(l.config.grace_ns, S(8));
	assert_true(strlen(g->instance) > 0);
	const bool critical[PHASE_COUNT] = {true, true, true, false, true, false, true};
	const bool wanted[PHASE_COUNT] = {true, true, true, false, true, false, true};
	assert_memory_equal(g->engine.startup.critical, critical, sizeof(critical));
	assert_memory_equal(g->engine.startup.wanted, wanted, sizeof(wanted));
	loaded_release(&l);
}

static void variables_win_over_the_file_and_the_file_over_the_table(void **state)
{
	const char *yaml = "environment: staging\n"
			   "timeouts:\n"
			   "  initialization: 100s\n"
			   "  connection: 10\n"
			   "pool: {size: 3}\n";
	const char *const variables[] = {
		URL, "DB_INITIALIZATION_TIMEOUT=120", "DB_MAX_OVERFLOW=4", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, yaml, variables);
	assert_int_equal(l.result, 0);
	const struct engine_settings *e = &l.config.gate.engine;
	assert_int_equal(e->deadlines.base_ns[DEADLINE_INITIALIZATION], S(120));
	assert_int_equal(e->deadlines.base_ns[DEADLINE_CONNECTION], S(10));
	assert_int_equal(e->deadlines.base_ns[DEADLINE_TABLE_SETUP], S(25));
	assert_int_equal(e->budget.pool_size, 3);
	assert_int_equal(e->budget.pool_overflow, 4);
	const struct settings *s = &l.config.settings;
	assert_string_equal(
		settings_origin(s, "timeouts.initialization")->text, "DB_INITIALIZATION_TIMEOUT");
	assert_non_null(strstr(settings_origin(s, "timeouts.connection")->text, ":4"));
	assert_string_equal(settings_origin(s, "timeouts.table_setup")->text, "staging");
	assert_string_equal(settings_origin(s, "breaker.probes")->text, "default");
	loaded_release(&l);
}

static void the_variable_environment_wins_over_the_file_s(void **state)
{
	const char *const variables[] = {URL, "ENVIRONMENT=production", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, "environment: test\n", variables);
	assert_int_equal(l.result, 0);
	assert_int_equal(l.config.environment, ENVIRONMENT_PRODUCTION);
	assert_int_equal(l.config.gate.engine.deadlines.base_ns[DEADLINE_POOL], S(90));
	loaded_release(&l);
}

static void all_the_known_variables_are_read(void **state)
{
	const char *const variables[] = {URL, "DB_INITIALIZATION_TIMEOUT=11",
		"DB_TABLE_SETUP_TIMEOUT=12", "DB_CONNECTION_TIMEOUT=13", "DB_POOL_TIMEOUT=14",
		"DB_HEALTH_CHECK_TIMEOUT=15", "VPC_MONITORING_ENABLED=true",
		"VPC_CAPACITY_AWARE_TIMEOUTS=true", "VPC_CAPACITY_THRESHOLD=0.6",
		"CIRCUIT_BREAKER_ENABLED=false", "CIRCUIT_BREAKER_FAILURE_THRESHOLD=7",
		"CIRCUIT_BREAKER_TIMEOUT=30", "DB_POOL_SIZE=2", "DB_MAX_OVERFLOW=1", "PORT=8080",
		"REDIS_URL=redis://cache:6379/0", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, 0);
	const struct gate_settings *g = &l.config.gate;
	for (int kind = 0; kind < DEADLINE_COUNT; kind++)
		assert_int_equal(g->engine.deadlines.base_ns[kind], S(11 + kind));
	assert_true(g->engine.path.monitoring);
	assert_true(g->engine.deadlines.capacity_aware);
	assert_true(g->engine.path.threshold == 0.6);
	assert_true(g->engine.budget.path_share == 0.6);
	assert_false(g->engine.breaker.enabled);
	assert_int_equal(g->engine.breaker.failure_threshold, 7);
	assert_int_equal(g->engine.breaker.open_ns, S(30));
	assert_int_equal(g->servers_max, 3);
	assert_int_equal(g->door_port, 8080);
	assert_int_equal(g->door_mode, DOOR_RELAY);
	assert_string_equal(g->cache, "redis://cache:6379/0");
	assert_true(g->engine.startup.wanted[PHASE_CACHE]);
	assert_int_equal(g->engine.startup.timeout_ns[PHASE_CACHE], S(15));
	loaded_release(&l);
}

static void a_relay_waits_for_the_command_s_port_unless_told_otherwise(void **state)
{
	const char *const variables[] = {
		URL, "PORT=8080", "STANDPIPE_DOOR_COMMAND_PORT=8081", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, 0);
	assert_string_equal(l.config.gate.ready, "tcp://127.0.0.1:$PORT");
	loaded_release(&l);
	loaded_init(&l, CONFIG_RUN, "startup: {ready: notify}\n", variables);
	assert_string_equal(l.config.gate.ready, "notify");
	loaded_release(&l);
	loaded_init(&l, CONFIG_RUN, "startup: {ready: \"\"}\n", variables);
	assert_string_equal(l.config.gate.ready, "");
	loaded_release(&l);
	const char *const no_door[] = {URL, NULL};
	loaded_init(&l, CONFIG_RUN, NULL, no_door);
	assert_string_equal(l.config.gate.ready, "");
	loaded_release(&l);
}

static void serve_listens_where_people_expect_a_pooler_and_has_no_door(void **state)
{
	const char *const variables[] = {URL, "PORT=8080", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_SERVE, NULL, variables);
	assert_int_equal(l.result, 0);
	assert_int_equal(l.config.gate.listen_port, 6432);
	assert_int_equal(l.config.gate.door_mode, DOOR_OFF);
	assert_false(l.config.gate.engine.startup.wanted[PHASE_SERVICES]);
	loaded_release(&l);
}

static void libpq_s_variables_work_without_a_url(void **state)
{
	const char *const variables[] = {"PGHOST=db.internal", "PGPORT=5433", "PGUSER=shop",
		"PGPASSWORD=hu sh", "PGDATABASE=orders", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, 0);
	assert_string_equal(
		l.config.gate.conninfo, "postgresql://shop:hu%20sh@db.internal:5433/orders");
	assert_string_equal(l.config.gate.host, "db.internal:5433");
	assert_false(l.config.has_url);
	loaded_release(&l);
}

static void what_the_url_leaves_open_comes_from_libpq_s_variables(void **state)
{
	const char *const variables[] = {"DATABASE_URL=postgresql://shop@/",
		"PGHOST=/cloudsql/a:b:c", "PGPASSWORD=hush", "PGUSER=other", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, 0);
	assert_string_equal(
		l.config.gate.conninfo, "postgresql://shop:hush@%2Fcloudsql%2Fa%3Ab%3Ac/shop");
	assert_string_equal(l.config.gate.database, "shop");
	assert_string_equal(l.config.gate.host, "/cloudsql/a:b:c/.s.PGSQL.5432");
	loaded_release(&l);
}

static void a_url_may_be_in_a_secret_s_file(void **state)
{
	char path[] = "/tmp/standpipe-secret-XXXXXX", variable[128];
	int fd = mkstemp(path);
	assert_int_equal(write(fd, "postgresql://u:hush@h/d\n", 24), 24);
	close(fd);
	snprintf(variable, sizeof(variable), "DATABASE_URL=file:%s", path);
	const char *const variables[] = {variable, NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, 0);
	assert_string_equal(l.config.gate.conninfo, "postgresql://u:hush@h/d");
	loaded_release(&l);
	unlink(path);
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, -1);
	assert_string_equal(l.error.origin, "DATABASE_URL");
	assert_non_null(strstr(l.error.text, "can't be read: No such file"));
	loaded_release(&l);
}

/* Refused at line `line` of the file (0: at a variable, or nowhere), with that text in it. */
static void refused(const char *yaml, const char *variable, int line, const char *part)
{
	const char *const variables[] = {URL, variable, NULL};
	char place[96];
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, yaml, variables);
	if (l.result == 0)
		fail_msg("accepted: %s", yaml);
	if (!strstr(l.error.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, l.error.text);
	snprintf(place, sizeof(place), "%s:%d", l.file, line);
	if (line > 0)
		assert_string_equal(l.error.origin, place);
	else if (variable)
		assert_memory_equal(l.error.origin, variable, strlen(l.error.origin));
	else
		assert_string_equal(l.error.origin, "");
	loaded_release(&l);
}

static void contradictions_are_refused_with_the_mend(void **state)
{
	refused("path:\n  threshold: 0\n", NULL, 2, "must be a number from 0.05 to 1");
	refused("pool:\n  size: 0\n  overflow: 0\n", NULL, 2, "make one of them 1 or more");
	refused("pool:\n  keep: 16\n", NULL, 2, "pool.keep (16) is more than");
	refused("breaker:\n  threshold: 0\n", NULL, 2, "breaker.enabled: false");
	refused("retry:\n  base: 20s\n", NULL, 2, "retry.cap (10s) is less than retry.base (20s)");
	refused("retry:\n  cap: 500ms\n", NULL, 2, "retry.cap (0.5s) is less than retry.base (1s)");
	refused("timeouts:\n  cap: 20s\n", NULL, 2,
		"timeouts.cap (20s) is less than timeouts.initialization (30s)");
	refused(NULL, "DB_INITIALIZATION_TIMEOUT=300", 0,
		"timeouts.cap (240s) is less than timeouts.initialization (300s)");
	refused("door:\n  mode: inherit\n", NULL, 2, "set PORT or door.port");
	refused("door:\n  mode: relay\n", NULL, 2, "set PORT or door.port");
	refused("door:\n  port: 9180\n", NULL, 2, "door.port and admin.port are both 9180");
	refused("listen:\n  port: 8080\n", "PORT=8080", 0, "are both 8080");
	refused("door:\n  port: 80\n  command_port: 80\n", NULL, 3, "both 80");
}

static void cap_zero_is_no_cap(void **state)
{
	const char *const variables[] = {URL, "DB_INITIALIZATION_TIMEOUT=300", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, "timeouts: {cap: 0}\n", variables);
	assert_int_equal(l.result, 0);
	loaded_release(&l);
}

static void bad_checks_are_refused_at_their_place(void **state)
{
	refused("startup:\n  dependencies:\n    - gopher://x\n", NULL, 3, "startup.dependencies: ");
	refused("startup:\n  ready: soon\n", NULL, 2, "startup.ready: ");
	refused("startup:\n  cache: tcp://h:1\n", NULL, 2, "redis:// or rediss://");
	refused("startup:\n  websocket: http://h\n", NULL, 2, "ws://");
	refused("startup:\n  required: [\"A B\"]\n", NULL, 2, "not the name of a variable");
}

static void without_a_database_nothing_starts(void **state)
{
	const char *const variables[] = {"HOME=/", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, -1);
	assert_non_null(strstr(l.error.text, "set DATABASE_URL"));
	loaded_release(&l);
}

static void a_bad_url_is_told_without_its_password(void **state)
{
	const char *const urls[] = {"DATABASE_URL=mysql://u:hush@h/d",
		"DATABASE_URL=postgresql://u:hush/x@h/d", "DATABASE_URL=postgresql://u:hush%zz@h/d",
		"DATABASE_URL=postgresql://u:hush@h/d?sslnegotiation=direct"};
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		const char *const variables[] = {urls[i], NULL};
		struct loaded l;
		loaded_init(&l, CONFIG_RUN, NULL, variables);
		if (l.result < 0) /* a newer libpq takes the last one */
			assert_string_equal(l.error.origin, "DATABASE_URL");
		assert_null(strstr(l.error.text, "hush"));
		loaded_release(&l);
	}
}

static bool has_note(const struct config *c, const char *part)
{
	for (int i = 0; i < c->notes_count; i++) {
		if (strstr(c->notes[i], part))
			return true;
	}
	return false;
}

static void what_is_worth_knowing_is_noted(void **state)
{
	const char *const variables[] = {
		"DATABASE_URL=postgresql+asyncpg://u:p@h/d?prepared_statement_cache_size=0",
		"ENVIRONMENT=production", "STANDPIPE_POL_SIZE=3",
		"STANDPIPE_PORT=tcp://10.0.0.1:80", "STANDPIPE_SERVICE_HOST=10.0.0.1",
		"STANDPIPE_PORT_80_TCP_ADDR=10.0.0.1", "STANDPIPE_POOL_KEEP=2", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, 0);
	assert_true(has_note(&l.config, "libpq does not know prepared_statement_cache_size"));
	assert_true(has_note(&l.config, "STANDPIPE_POL_SIZE: no such variable; did you mean "
					"STANDPIPE_POOL_SIZE?"));
	assert_true(has_note(&l.config, "budget.instances is 1 by default"));
	assert_int_equal(l.config.notes_count, 3);
	loaded_release(&l);
}

static void hosts_to_listen_on_are_a_list(void **state)
{
	static const struct {
		const char *hosts, *said; /* NULL: nothing is said of it */
	} cases[] = {
		{"127.0.0.1, ::1,localhost", NULL},
		{"127.0.0.1, 10.0.0.5", "whoever reaches port 6432 of 127.0.0.1, 10.0.0.5 is"},
		{"*", "whoever reaches"},
		{"127.0.0.1, *", "leave the others out"},
		{"127.0.0.1,,::1", "a host between two commas is empty"},
		{"::1,127.0.0.1, ::1", "names ::1 twice"},
		{"a,b,c,d,e,f,g,h,i", "names more than 8 hosts"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char pair[128];
		snprintf(pair, sizeof(pair), "STANDPIPE_LISTEN_HOST=%s", cases[i].hosts);
		const char *const variables[] = {"DATABASE_URL=postgresql://u@h/d", pair,
			"STANDPIPE_AUTH_REMOTE=trust", NULL};
		struct loaded l;
		loaded_init(&l, CONFIG_SERVE, NULL, variables);
		if (i < 3) {
			assert_int_equal(l.result, 0);
			assert_int_equal(
				has_note(&l.config, cases[i].said ? cases[i].said : "whoever"),
				cases[i].said != NULL);
		} else {
			assert_int_equal(l.result, -1);
			assert_non_null(strstr(l.error.text, cases[i].said));
		}
		loaded_release(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_environment_has_its_table),
		cmocka_unit_test(database_url_alone_is_enough),
		cmocka_unit_test(variables_win_over_the_file_and_the_file_over_the_table),
		cmocka_unit_test(the_variable_environment_wins_over_the_file_s),
		cmocka_unit_test(all_the_known_variables_are_read),
		cmocka_unit_test(a_relay_waits_for_the_command_s_port_unless_told_otherwise),
		cmocka_unit_test(serve_listens_where_people_expect_a_pooler_and_has_no_door),
		cmocka_unit_test(libpq_s_variables_work_without_a_url),
		cmocka_unit_test(what_the_url_leaves_open_comes_from_libpq_s_variables),
		cmocka_unit_test(a_url_may_be_in_a_secret_s_file),
		cmocka_unit_test(contradictions_are_refused_with_the_mend),
		cmocka_unit_test(cap_zero_is_no_cap),
		cmocka_unit_test(bad_checks_are_refused_at_their_place),
		cmocka_unit_test(without_a_database_nothing_starts),
		cmocka_unit_test(a_bad_url_is_told_without_its_password),
		cmocka_unit_test(what_is_worth_knowing_is_noted),
		cmocka_unit_test(hosts_to_listen_on_are_a_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
