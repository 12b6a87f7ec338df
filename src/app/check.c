#include "app/check.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "gate/auth.h"

/* The exit code when the configuration is valid, but the plan does not fit the capacity. */
#define EXIT_MISFIT 1

#define KEY_WIDTH       31
#define VALUE_WIDTH_MAX 60 /* a longer value pushes its origin aside */

/* Of the longest value that is not too long, and of its column's title. */
static int value_width(const struct settings *s)
{
	int width = (int)strlen("VALUE");
	for (int i = 0; i < s->count; i++) {
		int len = (int)strlen(settings_show(s, i));
		if (len > width && len <= VALUE_WIDTH_MAX)
			width = len;
	}
	return width;
}

static void print_rows_of(const struct settings *s, int width)
{
	for (int i = 0; i < s->count; i++) {
		bool set = s->origins[i].source != SETTING_UNSET;
		const char *value = set ? settings_show(s, i) : "";
		const char *key = arena_format(s->arena, "%s%s", s->prefix, s->rows[i].key);
		printf("%-*s%-*s  %s\n", KEY_WIDTH, key, width, *value ? value : "-",
			s->origins[i].text);
	}
}

static void print_settings(const struct config *c)
{
	int width = value_width(&c->settings);
	printf("%-*s%-*s  %s\n", KEY_WIDTH, "KEY", width, "VALUE", "FROM");
	print_rows_of(&c->settings, width);
	for (int i = 0; i < c->entries_count; i++)
		print_rows_of(&c->entries[i], width);
}

static void print_capacity(const struct plan *plan)
{
	const struct budget *b = &plan->budget;
	const struct budget_settings *s = &b->settings;
	printf("%-*s%6d  = %d max_connections - %d superuser - %d reserved - %d agents\n",
		KEY_WIDTH, "usable connections", b->usable, s->max_connections,
		s->superuser_reserved, s->reserved, s->agents);
	printf("%-*s%6d  = floor(%d x %g) - %d buffer\n", KEY_WIDTH, "the database can give",
		b->by_database, b->usable, s->margin, s->buffer);
	printf("%-*s%6d  = floor(%d x %g)\n", KEY_WIDTH, "the path can carry", b->by_path,
		s->path_limit, s->path_share);
	printf("%-*s%6d  = the smaller of the two\n", KEY_WIDTH, "the fleet may use", b->fleet);
	printf("%-*s%6d\n", KEY_WIDTH, "instances", s->instances);
	printf("%-*s%6d  at least 1, at most pool.size + pool.overflow = %d\n", KEY_WIDTH,
		"share of each", b->share, s->pool_size + s->pool_overflow);
}

static void print_rows(const struct plan *plan)
{
	printf("%9s  %-16s  %s\n", "INSTANCES", "CONNECTIONS EACH",
		"POOL THAT FITS (size + overflow)");
	for (int i = 0; i < PLAN_ROWS; i++) {
		const struct plan_row *row = &plan->rows[i];
		if (row->fits)
			printf("%9d  %16d  %d + %d\n", row->instances, row->connections, row->size,
				row->overflow);
		else
			printf("%9d  %16s  does not fit\n", row->instances, "-");
	}
}

void check_print_table(const struct config *c, const struct plan *plan)
{
	printf("Environment %s; file: %s; database: %s at %s\n\n", environment_name(c->environment),
		c->file ? c->file : "none", c->gate.database, c->address);
	print_settings(c);
	printf("\nCAPACITY\n");
	print_capacity(plan);
	printf("\n");
	print_rows(plan);
	printf("\n%s\n", plan->sentence);
	for (int i = 0; i < c->notes_count; i++)
		printf("Note: %s\n", c->notes[i]);
}

int check_main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"serve", no_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	struct config_options options = {.environment = (const char *const *)environ};
	bool json = false;
	int letter;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, "+:c:", long_options, NULL)) >= 0) {
		if (letter == 'c')
			options.file = optarg;
		else if (letter == 'j')
			json = true;
		else if (letter == 's')
			options.mode = CONFIG_SERVE;
		else
			return option_error("check", letter, argv);
	}
	if (optind < argc)
		return usage_error("check", "unexpected argument %s", argv[optind]);

	struct config config;
	struct error error;
	error_init(&error);
	int code = 0;
	if (config_load(&config, &options, &error) < 0 ||
		auth_check(&config.gate.auth, &error) < 0) {
		if (json)
			check_print_error_json(&error);
		code = config_error(&error);
	} else {
		struct plan plan;
		plan_init(&plan, &config.gate.engine.budget);
		if (json)
			check_print_json(&config, &plan);
		else
			check_print_table(&config, &plan);
		if (!plan.budget.fits)
			code = EXIT_MISFIT;
	}
	config_release(&config);
	return code;
}
