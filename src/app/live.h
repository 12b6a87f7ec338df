/*
 * live - the configuration in force, and how another takes its place while the gate runs.
 *
 * It is read anew from the same file, with the variables that the process was started with and what
 * the console has set since; what a URL's file: names is read anew, too. What takes a restart to
 * change stays as it is.
 */
#ifndef STANDPIPE_APP_LIVE_H
#define STANDPIPE_APP_LIVE_H

#include "app/changes.h"
#include "app/config.h"
#include "gate/gate.h"
#include "gate/log.h"
#include "gate/secrets.h"

struct live {
	struct config_options options;
	/* Called for each configuration before it is in force: what is not the file's to say. */
	void (*complete)(struct config *config);
	struct config *config; /* in force; owned */
	struct changes changes; /* over the environment */
	struct secrets secrets; /* of it, and of the one before */
	struct log log; /* follows log.level */
};

/* Reads the first one. 0, or -1 with file, line or variable in the error's origin; live_release
 * after either. `options` is copied, what it points to is borrowed. */
int live_init(struct live *l, const struct config_options *options,
	void (*complete)(struct config *config), struct error *error);
void live_release(struct live *l);

/* For struct gate_source; `context` is the struct live. */
int live_reload(void *context, const struct gate_change *change, struct gate_reload *result,
	struct error *error);
void live_forget(void *context, const struct gate_settings *settings);

#endif
