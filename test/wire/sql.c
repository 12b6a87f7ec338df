#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "exact.h"
#include "wire/sql.h"

static uint32_t traits_of(const char *text)
{
	struct bytes in = exact(text, strlen(text));
	uint32_t traits = sql_traits(in);
	exact_free(in);
	return traits;
}

struct expected {
	const char *text;
	uint32_t traits;
};

static void check_all(const struct expected *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t traits = traits_of(list[i].text);
		if (traits != list[i].traits)
			fail_msg("%s\nhas %#x, not %#x", list[i].text, traits, list[i].traits);
	}
}

#define CHECK_ALL(list) check_all(list, sizeof(list) / sizeof((list)[0]))

static void commands_tell_what_they_may_leave_behind(void **state)
{
	static const struct expected list[] = {
		{"SET work_mem = '1MB'", SQL_SET},
		{"set session work_mem to 1", SQL_SET},
		{"  -- why\n /* a /* b */ c */ sEt work_mem = 1", SQL_SET},
		{"select 1; set work_mem = 1", SQL_SET},
		{"BEGIN;SET ROLE x;COMMIT", SQL_SET},
		{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", SQL_SET},
		{"SET SESSION AUTHORIZATION DEFAULT", SQL_SET | SQL_RESET},
		{"SET ROLE DEFAULT", SQL_SET | SQL_RESET},
		{"SET x TO DEFAULT", SQL_SET | SQL_RESET},
		{"SET TIME ZONE LOCAL", SQL_SET | SQL_RESET},
		{"SET SESSION TIME ZONE local;", SQL_SET | SQL_RESET},
		{"SET TIME ZONE 'local'", SQL_SET},
		{"SET x=DEFAULT;", SQL_SET | SQL_RESET},
		{"SET TIME ZONE 'UTC'", SQL_SET},
		{"SET LOCAL x TO DEFAULT", SQL_LOCAL},
		{"set local a.x=default", SQL_LOCAL},
		{"SET LOCAL TIME ZONE LOCAL", SQL_LOCAL},
		{"SET LOCAL x = 1; SELECT default", 0},
		{"SET LOCAL x = DEFAULT; SET y = DEFAULT", SQL_LOCAL | SQL_SET | SQL_RESET},
		{"set app.user_id = '1'", SQL_SET | SQL_CUSTOM},
		{"set session \"app\".\"user\" = '1'", SQL_SET | SQL_CUSTOM},
		{"RESET ALL", SQL_RESET},
		{"DISCARD ALL", SQL_DISCARD},
		{"LISTEN a", SQL_LISTEN},
		{"UNLISTEN *", SQL_UNLISTEN},
		{"CREATE TEMP TABLE t (n int)", SQL_TEMP},
		{"CREATE LOCAL TEMPORARY TABLE t AS SELECT 1", SQL_TEMP},
		{"create or replace temp view v as select 1", SQL_TEMP},
		{"CREATE TABLE pg_temp.t ()", SQL_TEMP},
		{"CREATE TABLE \"pg_temp\".t ()", SQL_TEMP},
		{"SELECT 1 INTO TEMP t", SQL_TEMP},
		{"explain analyze create temp table t as select 1", SQL_TEMP},
		{"DROP TABLE t", SQL_DROP},
		{"DECLARE c CURSOR WITH HOLD FOR SELECT 1", SQL_HOLD},
		{"CLOSE ALL", SQL_CLOSE},
		{"PREPARE a AS SELECT 1", SQL_PREPARE},
		{"EXECUTE a", SQL_EXECUTE},
		{"DEALLOCATE a", SQL_DEALLOCATE},
		{"LOAD 'x'", SQL_LOAD},
		{"CALL p()", SQL_RUN},
		{"DO $$ begin end $$", SQL_RUN},
	};
	CHECK_ALL(list);
}

static void functions_tell_it_too(void **state)
{
	static const struct expected list[] = {
		{"select set_config('work_mem', '1MB', false)", SQL_SET},
		{"select pg_catalog . set_config ('work_mem', $1, $2)", SQL_SET},
		{"select set_config('app.x', $1, false)", SQL_SET | SQL_CUSTOM},
		{"select set_config('app.x'::text, $1, false)", SQL_SET | SQL_CUSTOM},
		{"select set_config('app.' || 'x', $1, false)", SQL_SET | SQL_BOUND},
		{"select set_config($1, $2, false)", SQL_SET | SQL_BOUND},
		{"select set_config($1, $2, $3)", SQL_SET | SQL_BOUND},
		{"select set_config('a.b', f(1, (2)), 'f'), 1", SQL_SET | SQL_CUSTOM},
		{"select set_config(n, v, true) from s", 0},
		{"select set_config('app.x', '1', 't')", 0},
		{"select set_config('app.x', f(g('y')), True)", 0},
		{"select set_config('app.x', '1', not true)", SQL_SET | SQL_CUSTOM},
		{"select set_config('app.x', '1', true and false)", SQL_SET | SQL_CUSTOM},
		{"select set_config(set_config('a', 'b', true), '1', true)", SQL_SET | SQL_BOUND},
		{"select set_config('a.b', '1'", SQL_SET | SQL_CUSTOM},
		{"select set_config('a.b', '1', true), set_config('c', '2', false)", SQL_SET},
		{"select \"set_config\"('x', 'y', false)", SQL_SET},
		{"select pg_advisory_lock(1)", SQL_LOCK},
		{"select pg_try_advisory_lock_shared(1, 2)", SQL_LOCK},
		{"select pg_advisory_xact_lock(1)", 0},
		{"select pg_backend_pid()", SQL_PID},
		{"select pg_try_advisory_xact_lock_shared(1)", 0},
		{"select pg_advisory_unlock(1)", SQL_UNLOCK},
		{"SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
			SQL_UNLOCK | SQL_CLOSE | SQL_UNLISTEN | SQL_RESET},
	};
	CHECK_ALL(list);
}

static void a_procedures_body_is_looked_into(void **state)
{
	static const struct expected list[] = {
		{"do $$ begin set app.x = 1; end $$", SQL_RUN | SQL_SET | SQL_CUSTOM},
		{"do language plpgsql $a$ begin if x then reset y; end if; end $a$",
			SQL_RUN | SQL_RESET},
		{"do 'begin perform set_config($a$app.x$a$, x, false); end'",
			SQL_RUN | SQL_SET | SQL_CUSTOM},
		{"create function f() returns int as $$ begin set x = 1; end $$ language plpgsql",
			0},
	};
	CHECK_ALL(list);
}

static void most_texts_leave_nothing(void **state)
{
	static const struct expected list[] = {
		{"", 0},
		{"select 1", 0},
		{"UPDATE t SET a = 1, reset = 2", 0},
		{"insert into t values (1) on conflict do update set a = default", 0},
		{"SET LOCAL work_mem = 1", 0},
		{"SET LOCAL app.x = '1'", 0},
		{"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", 0},
		{"SET CONSTRAINTS ALL DEFERRED", 0},
		{"PREPARE TRANSACTION 'x'", 0},
		{"alter role x set work_mem = 1", 0},
		{"alter table t drop column temp", 0},
		{"select temp, temporary, hold, load from close", 0},
		{"select 'a; set x = 1', \"; set y = 1\"", 0},
		{"select $$; set x = 1$$, $a$ $b$; set y = 1 $a$", 0},
		{"select E'\\'; set x = 1', 'it''s; set y = 1'", 0},
		{"select 1 -- ; set x = 1", 0},
		{"select 1 /* ; set x = 1 /* */ ; set x = 1 */", 0},
		{"select a$b$; select b$", 0},
		{"declare c cursor for select 1 /* with */", 0},
		{"create table t (n int); insert into t values (1)", 0},
		{"select $1; select $2", 0},
		{"listener; settings; resetting", 0},
	};
	CHECK_ALL(list);
}

static void what_depends_on_how_quotes_are_read_is_told(void **state)
{
	assert_int_equal(traits_of("select 'a\\'; set x = 1; --'") & SQL_UNSURE, SQL_UNSURE);
	assert_int_equal(traits_of("select e'\x83\\'; set x = 1'") & SQL_UNSURE, SQL_UNSURE);
	assert_int_equal(traits_of("select 'a\\b'"), 0);
	assert_int_equal(traits_of("select e'a\\'b'"), 0);
}

static void gather(void *context, struct bytes name)
{
	char *all = context;
	snprintf(all + strlen(all), 256 - strlen(all), "%.*s,", (int)name.len,
		(const char *)name.at);
}

static void custom_settings_are_told_by_name(void **state)
{
	static const char text[] =
		"set app.one = 1; set session \"App\".two.three to 'x'; set plain = 1; set local "
		"a.b = 1;"
		"select set_config('app.four', 'x', false), set_config('app.five', 'x', true);"
		"do $$ begin set app.six = 1; end $$; reset app.seven; set app.eight to default";
	char names[256] = "";
	struct bytes in = EXACT(text);
	sql_settings(in, gather, names);
	exact_free(in);
	assert_string_equal(names, "app.one,App.two.three,app.four,app.six,app.eight,");
}

static bool is_custom(const char *name)
{
	struct bytes in = exact(name, strlen(name));
	bool is = sql_is_custom_name(in);
	exact_free(in);
	return is;
}

static void a_custom_name_is_words_with_dots(void **state)
{
	assert_true(is_custom("a.b"));
	assert_true(is_custom("_a1$.b.c2"));
	assert_false(is_custom("a"));
	assert_false(is_custom(""));
	assert_false(is_custom("."));
	assert_false(is_custom("a."));
	assert_false(is_custom(".a"));
	assert_false(is_custom("a..b"));
	assert_false(is_custom("1.5"));
	assert_false(is_custom("a.1"));
	assert_false(is_custom("a.b c"));
}

static const char *deallocates(const char *text, char name[SQL_NAME_MAX])
{
	struct bytes in = exact(text, strlen(text)), written;
	bool does = sql_deallocates(in, name, &written);
	if (does)
		assert_true(written.at >= in.at && written.at + written.len <= in.at + in.len);
	exact_free(in);
	return does ? name : NULL;
}

static void deallocate_among_other_statements_is_told_and_where_its_name_is(void **state)
{
	static const char text[] = "savepoint a;DEALLOCATE PREPARE \"x;\"\"y\" ;release a";
	char name[SQL_NAME_MAX];
	struct bytes written, in = {(const uint8_t *)text, strlen(text)};
	assert_true(sql_deallocates(in, name, &written));
	assert_string_equal(name, "x;\"y");
	assert_int_equal(written.len, strlen("\"x;\"\"y\""));
	assert_memory_equal(written.at, "\"x;\"\"y\"", written.len);
	assert_string_equal(deallocates("select ';deallocate b'; deallocate a", name), "a");
	assert_null(deallocates("deallocate a; deallocate b", name));
	assert_null(deallocates("deallocate a; deallocate all", name));
	assert_null(deallocates("select ';deallocate a'", name));
	assert_null(deallocates("select 'a\\'' ; deallocate a", name)); /* where does it end? */
	assert_null(deallocates("deallocate \"a", name));
}

static void deallocate_of_one_name_is_told(void **state)
{
	char name[SQL_NAME_MAX];
	assert_string_equal(deallocates("DEALLOCATE _pg3_0", name), "_pg3_0");
	assert_string_equal(deallocates(" deallocate prepare Foo ; ", name), "foo");
	assert_string_equal(deallocates("deallocate prepare", name), "prepare");
	assert_string_equal(deallocates("DEALLOCATE \"S_\"\"1\" -- done", name), "S_\"1");
	assert_string_equal(
		deallocates(
			"DEALLOCATE a23456789012345678901234567890123456789012345678901234567890"
			"1234567890",
			name),
		"a23456789012345678901234567890123456789012345678901234567890123");
	assert_null(deallocates("DEALLOCATE ALL", name));
	assert_null(deallocates("DEALLOCATE PREPARE ALL", name));
	assert_null(deallocates("DEALLOCATE a b", name));
	assert_null(deallocates("DEALLOCATE", name));
	assert_null(deallocates("select 1", name));
}

static const char *wanted(const char *text, char name[SQL_NAME_MAX])
{
	struct bytes in = exact(text, strlen(text));
	bool wants = sql_wants_alone(in, name);
	exact_free(in);
	return wants ? name : NULL;
}

static void the_database_that_a_text_wants_alone_is_told(void **state)
{
	char name[SQL_NAME_MAX];
	assert_string_equal(wanted("DROP DATABASE Shop", name), "shop");
	assert_string_equal(
		wanted("/* x */ drop database if exists \"Shop\" with (force);", name), "Shop");
	assert_string_equal(wanted("drop database if", name), "if");
	assert_string_equal(wanted("alter database shop rename to other", name), "shop");
	assert_string_equal(wanted("create database a template b", name), "b");
	assert_string_equal(
		wanted("create database a with owner = o template = \"B\" encoding 'utf8'", name),
		"B");
	assert_string_equal(wanted("create database a template 'b'", name), "b");
	assert_string_equal(wanted("create database a", name), "template1");
	assert_string_equal(wanted("create database template template default", name), "template1");
	assert_null(wanted("create database a template", name));
	assert_null(wanted("create database a template =", name));
	assert_null(wanted("create database", name));
	assert_null(wanted("drop database", name));
	assert_null(wanted("drop database if exists", name));
	assert_null(wanted("drop table database", name));
	assert_null(wanted("select 'drop database a'", name));
	assert_null(wanted("", name));
}

static const char *executes(const char *text, char name[SQL_NAME_MAX], char *written)
{
	struct bytes in = exact(text, strlen(text)), at;
	bool does = sql_executes(in, name, &at);
	if (does) {
		memcpy(written, at.at, at.len);
		written[at.len] = 0;
	}
	exact_free(in);
	return does ? name : NULL;
}

static void execute_of_one_name_is_told(void **state)
{
	char name[SQL_NAME_MAX], written[SQL_NAME_MAX];
	assert_string_equal(executes("EXECUTE Foo(1, 'a')", name, written), "foo");
	assert_string_equal(written, "Foo");
	assert_string_equal(
		executes("explain (costs off) execute \"A \"\"b\"(1)", name, written), "A \"b");
	assert_string_equal(written, "\"A \"\"b\"");
	assert_string_equal(executes("create table t as execute a; select 1", name, written), "a");
	assert_null(executes("execute a; execute b", name, written));
	assert_null(executes("execute \"a", name, written));
	assert_null(executes("execute", name, written));
	assert_null(executes("execute 'a'", name, written));
	assert_null(executes("select 'execute a' -- execute a", name, written));
	assert_int_equal(traits_of("explain execute a") & SQL_EXECUTE, SQL_EXECUTE);
}

static bool is_planned(const char *text)
{
	return sql_is_planned((struct bytes){(const uint8_t *)text, strlen(text)});
}

static void what_is_planned_is_told_by_its_first_word(void **state)
{
	assert_true(is_planned("select 1"));
	assert_true(is_planned(" /* x */ ((SELECT 1) union values (2))"));
	assert_true(is_planned("with a as (select 1) table a"));
	assert_true(is_planned("-- x\nInsert into t default values returning *"));
	assert_false(is_planned("fetch 2 from c"));
	assert_false(is_planned("execute a"));
	assert_false(is_planned("\"select\""));
	assert_false(is_planned("'"));
	assert_false(is_planned(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_tell_what_they_may_leave_behind),
		cmocka_unit_test(functions_tell_it_too),
		cmocka_unit_test(a_procedures_body_is_looked_into),
		cmocka_unit_test(most_texts_leave_nothing),
		cmocka_unit_test(what_depends_on_how_quotes_are_read_is_told),
		cmocka_unit_test(custom_settings_are_told_by_name),
		cmocka_unit_test(a_custom_name_is_words_with_dots),
		cmocka_unit_test(execute_of_one_name_is_told),
		cmocka_unit_test(what_is_planned_is_told_by_its_first_word),
		cmocka_unit_test(deallocate_of_one_name_is_told),
		cmocka_unit_test(deallocate_among_other_statements_is_told_and_where_its_name_is),
		cmocka_unit_test(the_database_that_a_text_wants_alone_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
