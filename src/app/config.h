/*
 * config - the effective configuration: defaults, then the environment's table, then the YAML
 * file, then variables; each later one wins, and every value knows which one it came from.
 *
 * DATABASE_URL alone is enough. All texts live in the config's arena until config_release.
 */
#ifndef STANDPIPE_APP_CONFIG_H
#define STANDPIPE_APP_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "conf/arena.h"
#include "conf/setting.h"
#include "conf/url.h"
#include "gate/log.h"
#include "gate/secrets.h"
#include "gate/settings.h"

#define CONFIG_NOTES_MAX 32

enum environment {
	ENVIRONMENT_DEVELOPMENT,
	ENVIRONMENT_TEST,
	ENVIRONMENT_STAGING,
	ENVIRONMENT_PRODUCTION,
	ENVIRONMENT_COUNT
};

/* What the configuration is for: a few defaults differ. */
enum config_mode {
	CONFIG_RUN, /* with a command: the gate listens on any free port, and relays $PORT */
	CONFIG_SERVE, /* the gate alone: it listens on 6432, and has no door unless told so */
};

struct config_options {
	const char *file; /* -c; NULL: $STANDPIPE_CONFIG, ./standpipe.yaml, /etc/standpipe.yaml */
	const char *const *environment; /* NAME=value, NULL-ended; borrowed for the config's life */
	enum config_mode mode;
	const char *url; /* the database's, wherever else one is written; NULL: as written */
	bool only_variables; /* no file is looked for where none is named */
};

struct config {
	struct gate_settings gate; /* all filled in, but has_command and command_environment */
	enum environment environment;
	int64_t grace_ns; /* between SIGTERM and SIGKILL to the command */
	enum log_format log_format;
	enum log_level log_level;

	/* As given, for those that know what they came from. */
	enum config_mode mode;
	const char *file; /* the YAML file that was read; NULL: none */
	const char *database_url; /* the text, a file: reference, or empty; secret */
	struct url url; /* as the service wrote it; empty parts without one */
	bool has_url; /* there was one, in DATABASE_URL or in the file */
	struct url login; /* the same with what variables and defaults add: complete */
	const char *address; /* of the database, for people: "db.internal:5432" */
	enum pool_mode pool_mode;
	bool pre_ping;
	int64_t ping_after_ns;
	struct setting_texts required, dependencies, breaker_failures;
	struct setting_texts console_admins, console_readers;
	const char *notes[CONFIG_NOTES_MAX]; /* worth knowing, but no errors */
	int notes_count;

	struct settings settings; /* every value with its origin */
	const struct tree_node *databases, *users; /* as written; NULL: not at all */
	struct settings *entries; /* of those, one each; the prefix tells whose */
	int entries_count;
	struct arena arena;
	const char *const *variables; /* the environment, borrowed */
};

/* 0, or -1 with file, line or variable in the error's origin. After either, config_release. */
int config_load(struct config *c, const struct config_options *options, struct error *error);

void config_release(struct config *c);

/* Registers what must never be shown: the passwords in all of its URLs. */
void config_secrets(const struct config *c, struct secrets *secrets);

/* What the command is to find the gate by. */
struct config_command {
	const char *gate_host; /* "127.0.0.1" */
	int gate_port;
	int command_port; /* to listen on, when the door relays; else 0 */
	const char *const *extra; /* NAME=value, NULL-ended, or NULL; they win */
};

/* The command's environment, NULL-ended, in the config's arena: the present one, with DATABASE_URL
 * (if there was a URL), PGHOST, PGPORT, PGUSER, PGDATABASE and PGSSLMODE leading to the gate, PORT
 * replaced by command_port, and without what is only Standpipe's or only the real server's. */
const char *const *config_command_environment(
	struct config *c, const struct config_command *command);

/* "development", "test", "staging", "production" */
const char *environment_name(enum environment environment);

#endif
