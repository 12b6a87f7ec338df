#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/tree.h"

static struct arena arena;
static struct error error;

static const struct tree_node *parse(const char *text)
{
	arena_release(&arena);
	error_init(&error);
	return tree_parse(&arena, "x.yaml", text, strlen(text), &error);
}

static void refused(const char *text, const char *origin, const char *part)
{
	assert_null(parse(text));
	assert_string_equal(error.origin, origin);
	if (!strstr(error.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, error.text);
}

static void every_node_knows_its_line_and_text(void **state)
{
	const struct tree_node *root = parse("# a comment\n"
					     "pool:\n"
					     "  size: 5\n"
					     "  mode: off\n"
					     "list:\n"
					     "  - one\n"
					     "  - \"two: 2\"\n"
					     "empty:\n");
	assert_non_null(root);
	assert_int_equal(root->count, 3);
	const struct tree_node *pool = tree_get(root, "pool");
	assert_int_equal(pool->kind, TREE_MAPPING);
	assert_int_equal(pool->key_line, 2);
	const struct tree_node *size = tree_get(pool, "size");
	assert_string_equal(size->text, "5");
	assert_int_equal(size->line, 3);
	assert_int_equal(size->column, 9);
	assert_string_equal(size->file, "x.yaml");
	assert_string_equal(tree_get(pool, "mode")->text, "off");
	const struct tree_node *list = tree_get(root, "list");
	assert_int_equal(list->kind, TREE_LIST);
	assert_int_equal(list->count, 2);
	assert_string_equal(list->first->text, "one");
	assert_null(list->first->key);
	assert_string_equal(list->first->next->text, "two: 2");
	assert_int_equal(list->first->next->line, 7);
	assert_int_equal(tree_get(root, "empty")->kind, TREE_NOTHING);
	assert_null(tree_get(root, "missing"));
}

static void an_empty_file_is_an_empty_mapping(void **state)
{
	const char *const empty[] = {"", "\n", "# only this\n", "---\n", "~\n", "{}\n"};
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		const struct tree_node *root = parse(empty[i]);
		assert_non_null(root);
		assert_int_equal(root->kind, TREE_MAPPING);
		assert_int_equal(root->count, 0);
	}
}

static void a_quoted_null_is_a_text(void **state)
{
	const struct tree_node *root = parse("a: \"\"\nb: 'null'\nc: null\n");
	assert_string_equal(tree_get(root, "a")->text, "");
	assert_string_equal(tree_get(root, "b")->text, "null");
	assert_int_equal(tree_get(root, "c")->kind, TREE_NOTHING);
}

static void what_is_not_yaml_is_told_with_the_parser_s_words_and_line(void **state)
{
	refused("pool:\n\tsize: 1\n", "x.yaml:2", "cannot start any token");
	refused("a: 1\nb: [1, 2\n", "x.yaml:3", "not YAML");
	refused("a: 1\n b: 2\n", "x.yaml:2", "not YAML");
	refused("a: \"x\n", "x.yaml:2", "not YAML");
	refused("a: 1\nb: \xff\xfe\n", "x.yaml:2", "UTF-8");
	refused("a: 1\nb: \"\\0\"\n", "x.yaml:2", "zero byte");
}

static void a_key_that_is_there_twice_is_refused(void **state)
{
	refused("pool:\n  size: 1\n  keep: 1\n  size: 2\n", "x.yaml:4",
		"size: is there twice (first in line 2)");
}

static void keys_are_texts(void **state)
{
	refused("[a, b]: 1\n", "x.yaml:1", "a key must be a text");
	refused("? {a: 1}\n: 2\n", "x.yaml:1", "a key must be a text");
	refused("\"\": 2\n", "x.yaml:1", "not empty");
}

static void the_root_is_a_mapping(void **state)
{
	refused("- a\n- b\n", "x.yaml:1",
		"the file: must be a mapping (key: value lines), not a list");
	refused("just words\n", "x.yaml:1", "not a text");
}

static void aliases_and_more_documents_are_refused(void **state)
{
	refused("a: &x [1]\nb: *x\n", "x.yaml:2", "aliases");
	refused("a: &x [*x]\n", "x.yaml:1", "aliases");
	refused("a: 1\n---\nb: 1\n", "x.yaml:2", "more than one document");
	assert_non_null(parse("a: &unused 1\n"));
}

static void depth_and_number_of_values_are_limited(void **state)
{
	char deep[64] = "a: ";
	memset(deep + 3, '[', TREE_DEPTH_MAX);
	memset(deep + 3 + TREE_DEPTH_MAX, ']', TREE_DEPTH_MAX);
	assert_non_null(parse(deep));
	memset(deep + 3, '[', TREE_DEPTH_MAX + 1);
	memset(deep + 4 + TREE_DEPTH_MAX, ']', TREE_DEPTH_MAX + 1);
	refused(deep, "x.yaml:1", "nested too deeply: more than 16 levels");
	char *many = malloc(TREE_NODES_MAX * 4 + 20);
	strcpy(many, "a:\n");
	char *at = many + 3;
	for (int i = 0; i <= TREE_NODES_MAX; i++)
		at = stpcpy(at, "- 1\n");
	refused(many, "x.yaml:20000", "more than 20000 values");
	free(many);
}

static void a_file_is_read_from_disk_and_its_size_is_limited(void **state)
{
	char path[] = "/tmp/standpipe-tree-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a: 1\n", 5), 5);
	const struct tree_node *root = tree_load(&arena, path, &error);
	assert_non_null(root);
	assert_string_equal(tree_get(root, "a")->text, "1");
	assert_int_equal(ftruncate(fd, TREE_FILE_MAX + 1), 0);
	assert_null(tree_load(&arena, path, &error));
	assert_non_null(strstr(error.text, "larger than 1 MiB"));
	close(fd);
	unlink(path);
	assert_null(tree_load(&arena, path, &error));
	assert_string_equal(error.origin, path);
	assert_non_null(strstr(error.text, "No such file"));
	assert_null(tree_load(&arena, "/tmp", &error));
}

static int release(void **state)
{
	arena_release(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_node_knows_its_line_and_text),
		cmocka_unit_test(an_empty_file_is_an_empty_mapping),
		cmocka_unit_test(a_quoted_null_is_a_text),
		cmocka_unit_test(what_is_not_yaml_is_told_with_the_parser_s_words_and_line),
		cmocka_unit_test(a_key_that_is_there_twice_is_refused),
		cmocka_unit_test(keys_are_texts),
		cmocka_unit_test(the_root_is_a_mapping),
		cmocka_unit_test(aliases_and_more_documents_are_refused),
		cmocka_unit_test(depth_and_number_of_values_are_limited),
		cmocka_unit_test(a_file_is_read_from_disk_and_its_size_is_limited),
	};
	return cmocka_run_group_tests(tests, NULL, release);
}
