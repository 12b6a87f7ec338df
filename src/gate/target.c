#include "gate/target.h"

#include <stdio.h>
#include <string.h>

#define PORT_PLACE "$PORT"

static int port_of_command(const struct gate_settings *settings)
{
	if (settings->door_mode == DOOR_RELAY && settings->command_port > 0)
		return settings->command_port;
	return settings->door_port > 0 ? settings->door_port : 1;
}

int target_expand(const struct gate_settings *settings, const char *target, char out[TARGET_MAX],
	struct error *error)
{
	size_t len = 0;
	const char *place;
	*out = 0;
	do {
		place = strstr(target, PORT_PLACE);
		size_t before = place ? (size_t)(place - target) : strlen(target);
		int put = place ? snprintf(out + len, TARGET_MAX - len, "%.*s%d", (int)before,
					  target, port_of_command(settings))
				: snprintf(out + len, TARGET_MAX - len, "%s", target);
		if (put < 0 || (size_t)put >= TARGET_MAX - len)
			return error_set(
				error, "config", 0, "a target is longer than %d", TARGET_MAX);
		len += (size_t)put;
		target += before + strlen(PORT_PLACE);
	} while (place);
	return 0;
}
