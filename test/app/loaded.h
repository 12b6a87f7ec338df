/* A configuration from texts, for the tests of app/. */
#ifndef STANDPIPE_TEST_APP_LOADED_H
#define STANDPIPE_TEST_APP_LOADED_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/config.h"

#define URL "DATABASE_URL=postgresql+asyncpg://shop:hush@db.internal/orders"

struct loaded {
	struct config config;
	struct error error;
	int result;
	char file[64];
};

/* `yaml` may be NULL: no file. `variables` is NULL-ended. */
static inline void loaded_init(
	struct loaded *l, enum config_mode mode, const char *yaml, const char *const *variables)
{
	strcpy(l->file, "/tmp/standpipe-config-XXXXXX");
	int fd = mkstemp(l->file);
	assert_true(fd >= 0);
	if (yaml)
		assert_int_equal(write(fd, yaml, strlen(yaml)), strlen(yaml));
	close(fd);
	struct config_options options = {l->file, variables, mode};
	error_init(&l->error);
	l->result = config_load(&l->config, &options, &l->error);
	unlink(l->file);
}

static inline void loaded_release(struct loaded *l)
{
	config_release(&l->config);
}

#endif
