/*
 * settings - the table of all keys, the tables of the environments, and the rules between keys.
 */
#ifndef STANDPIPE_APP_SETTINGS_H
#define STANDPIPE_APP_SETTINGS_H

#include "app/config.h"

/* Every key: `*count` rows over struct config. The manual's list is checked against it. */
const struct setting *config_rows(int *count);

/* Applies the table of c->environment, and of c->mode. */
void config_presets(struct config *c);

/* Fills in what is still unset and follows from other values or from the machine. */
void config_derive(struct config *c);

/* Fills in what the gate's settings hold twice, or in another form. */
void config_fill_gate(struct config *c);

/* Contradictions between values that are each allowed: 0, or -1 with the mend. */
int config_rules(const struct config *c, struct error *error);

/* Notes who could come in, or could not, against one's wishes. */
void config_auth_notes(struct config *c);

/* Reads the URL (or the file or the PG* variables in its place) into c->url and c->gate. */
int config_database(struct config *c, struct error *error);

/* Adds to c->notes; beyond CONFIG_NOTES_MAX they are left out. */
__attribute__((format(printf, 2, 3))) void config_note(struct config *c, const char *format, ...);

/* A name in every environment: the variable's value, or NULL when it is not set or empty. */
const char *config_variable(const struct config *c, const char *name);

#endif
