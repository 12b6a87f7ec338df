#include "wire/switches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a switch sets. */
struct meaning {
	char letter;
	char variant; /* the first of the argument, where that tells which; or 0 */
	char second; /* the second, where that is needed too; or 0 */
	const char *name;
	const char *value; /* NULL: the argument */
};

static const struct meaning meanings[] = {
	{'B', 0, 0, "shared_buffers", NULL},
	{'e', 0, 0, "datestyle", "euro"},
	{'F', 0, 0, "fsync", "false"},
	{'f', 'b', 0, "enable_bitmapscan", "false"},
	{'f', 'h', 0, "enable_hashjoin", "false"},
	{'f', 'i', 0, "enable_indexscan", "false"},
	{'f', 'm', 0, "enable_mergejoin", "false"},
	{'f', 'n', 0, "enable_nestloop", "false"},
	{'f', 'o', 0, "enable_indexonlyscan", "false"},
	{'f', 's', 0, "enable_seqscan", "false"},
	{'f', 't', 0, "enable_tidscan", "false"},
	{'h', 0, 0, "listen_addresses", NULL},
	{'i', 0, 0, "listen_addresses", "*"},
	{'k', 0, 0, "unix_socket_directories", NULL},
	{'l', 0, 0, "ssl", "true"},
	{'N', 0, 0, "max_connections", NULL},
	{'O', 0, 0, "allow_system_table_mods", "true"},
	{'P', 0, 0, "ignore_system_indexes", "true"},
	{'p', 0, 0, "port", NULL},
	{'S', 0, 0, "work_mem", NULL},
	{'s', 0, 0, "log_statement_stats", "true"},
	{'t', 'e', 0, "log_executor_stats", "true"},
	{'t', 'p', 'a', "log_parser_stats", "true"},
	{'t', 'p', 'l', "log_planner_stats", "true"},
	{'W', 0, 0, "post_auth_delay", NULL},
};

#define WITH_ARGUMENT "BcCDdfhkNprStvW-"
#define IGNORED       "bCDEjnrTv"

/* What -d N sets, each from a level on; log_min_messages before all of them. */
static const struct {
	int from;
	const char *name, *value;
} debugging[] = {
	{2, "log_statement", "all"},
	{3, "debug_print_parse", "true"},
	{4, "debug_print_plan", "true"},
	{5, "debug_print_rewritten", "true"},
};

void wire_switches_init(struct wire_switches *s, const char *options)
{
	s->at = options;
	s->letters = NULL;
	s->level = s->told = 0;
}

static int is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* One word, its backslashes resolved, or 0. What is longer than any packet is cut. */
static int next_word(struct wire_switches *s, char word[STARTUP_PACKET_MAX])
{
	size_t len = 0;
	const char *at = s->at;
	while (is_space(*at))
		at++;
	if (!*at)
		return 0;
	for (; *at && !is_space(*at); at++) {
		if (*at == '\\' && at[1])
			at++;
		if (len + 1 < STARTUP_PACKET_MAX)
			word[len++] = *at;
	}
	word[len] = 0;
	s->at = at;
	return 1;
}

/* "name=value", with a dash wherever the name has an underscore, if one likes. */
static int split(char *setting, const char **name, const char **value)
{
	char *equals = strchr(setting, '=');
	if (!equals || equals == setting)
		return -1;
	*equals = 0;
	for (char *dash = setting; *dash; dash++)
		if (*dash == '-')
			*dash = '_';
	*name = setting;
	*value = equals + 1;
	return 1;
}

static int next_debugging(struct wire_switches *s, const char **name, const char **value)
{
	if (s->told == 0) {
		s->told = 1;
		*name = "log_min_messages";
		snprintf(s->value, sizeof(s->value), "debug%d", s->level);
		*value = s->level > 0 ? s->value : "notice";
		return 1;
	}
	size_t next = (size_t)s->told - 1;
	if (next == sizeof(debugging) / sizeof(debugging[0]) || debugging[next].from > s->level) {
		s->told = s->level = 0;
		return 0;
	}
	s->told++;
	*name = debugging[next].name;
	*value = debugging[next].value;
	return 1;
}

static int meaning_of(char letter, char *argument, const char **name, const char **value)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		const struct meaning *m = &meanings[i];
		if (m->letter != letter || (m->variant && argument[0] != m->variant) ||
			(m->second && argument[1] != m->second))
			continue;
		*name = m->name;
		*value = m->value ? m->value : argument;
		return 1;
	}
	return -1;
}

/* The switch at `letters`; 0 if it sets nothing. */
static int one_switch(struct wire_switches *s, const char **name, const char **value)
{
	char letter = *s->letters++;
	char *argument = s->argument;
	argument[0] = 0;
	if (strchr(WITH_ARGUMENT, letter)) {
		if (*s->letters)
			argument = s->word + (s->letters - s->word);
		else if (!next_word(s, argument))
			return -1;
		s->letters = NULL;
	} else if (!*s->letters) {
		s->letters = NULL;
	}
	if (strchr(IGNORED, letter))
		return 0;
	if (letter == 'c' || letter == '-')
		return split(argument, name, value);
	if (letter == 'd') {
		s->level = atoi(argument);
		return next_debugging(s, name, value);
	}
	return meaning_of(letter, argument, name, value);
}

int wire_switch_next(struct wire_switches *s, const char **name, const char **value)
{
	if (s->told && next_debugging(s, name, value))
		return 1;
	for (;;) {
		if (!s->letters) {
			if (!next_word(s, s->word))
				return 0;
			/* getopt ends here, and a word that it leaves is refused. */
			if (strcmp(s->word, "--") == 0)
				return next_word(s, s->word) ? -1 : 0;
			if (s->word[0] != '-' || !s->word[1])
				return -1;
			s->letters = s->word + 1;
		}
		int result = one_switch(s, name, value);
		if (result != 0)
			return result;
	}
}
