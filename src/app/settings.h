/*
 * settings - the table of all keys, the tables of the environments, and the rules between keys.
 */
#ifndef STANDPIPE_APP_SETTINGS_H
#define STANDPIPE_APP_SETTINGS_H

#include "app/config.h"

/* Every key: `*count` rows over struct config. The manual's list is checked against it. */
const struct setting *config_rows(int *count);

/* Of pool.mode, databases.NAME.mode and users.NAME.mode. */
extern const struct setting_choice config_pool_modes[];

/* Applies the table of c->environment, and of c->mode. */
void config_presets(struct config *c);

/* Fills in what is still unset and follows from other values or from the machine. */
void config_derive(struct config *c);

/* Fills in what the gate's settings hold twice, or in another form. */
void config_fill_gate(struct config *c);

/* Contradictions between values that are each allowed: 0, or -1 with the mend. */
int config_rules(const struct config *c, struct error *error);

/* The same of the circuit breaker's. */
int config_breaker_rules(const struct config *c, struct error *error);
void config_breaker_fill(struct config *c);

/* Of two keys that contradict each other, the one that somebody wrote is the one to name. */
const char *config_written(const struct config *c, const char *key, const char *other);

/* Notes who could come in, or could not, against one's wishes. */
void config_auth_notes(struct config *c);

/* Reads the URL (or the file or the PG* variables in its place) into c->url and c->gate. */
int config_database(struct config *c, struct error *error);

/* Reads `databases` and `users` into c->gate, after config_database. */
int config_pools(struct config *c, struct error *error);

/* The gate's own database and user are what c->gate says now. */
void config_pools_keep_own(struct config *c);

/* Registers the passwords of those. */
void config_pools_secrets(const struct config *c, struct secrets *secrets);

/* What stands for `key`, in a file if it is file:PATH; NULL with the error. */
const char *config_secret(struct config *c, const struct settings *s, const char *key,
	const char *text, struct error *error);

/* The URL that stands for `key`, or in a file. */
int config_url(struct config *c, const struct settings *s, const char *key, const char *text,
	struct url *url, struct error *error);

/* Does libpq, which is to connect with it, take it? */
int config_check_conninfo(
	const struct settings *s, const char *key, const char *conninfo, struct error *error);

/* Adds to c->notes; beyond CONFIG_NOTES_MAX they are left out. */
__attribute__((format(printf, 2, 3))) void config_note(struct config *c, const char *format, ...);

/* A name in every environment: the variable's value, or NULL when it is not set or empty. */
const char *config_variable(const struct config *c, const char *name);

#endif
