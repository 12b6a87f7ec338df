/* Other settings in the place of those in force. */
#include "gate/gate_inside.h"

void gate_forget_outdated(struct gate *g)
{
	while (g->outdated_count > 0)
		g->options->source.forget(
			g->options->source.context, g->outdated[--g->outdated_count]);
}

static void put_in_force(struct gate *g, const struct gate_reload *reload)
{
	struct error error;
	g->outdated[g->outdated_count++] = g->settings;
	g->settings = reload->settings;
	hub_configure(&g->hub, g->settings);
	gate_listeners_care(g);
	auth_reload(&g->hub.auth, &g->settings->auth, &error); /* which has logged it */
	log_info(g->log, "the configuration has been read anew",
		field_text("changed", *reload->changed ? reload->changed : "nothing"));
	if (*reload->kept)
		log_warning(g->log, "needs a restart, and stays as it is until then",
			field_text("keys", reload->kept));
	if (g->settings->servers_max > g->hub.memory.servers_max)
		log_warning(g->log, "without a restart there is no room for so many servers",
			field_int("servers", g->settings->servers_max),
			field_int("room", g->hub.memory.servers_max));
}

static int read_anew(struct gate *g, const struct gate_change *change, struct error *error)
{
	struct gate_reload reload;
	bool starting = g->hub.engine.startup.begun && !startup_is_over(&g->hub.engine.startup);
	if (!starting)
		gate_forget_outdated(g);
	if (g->outdated_count == GATE_OUTDATED_MAX) {
		error_set(error, "config", 0,
			"read anew %d times during the startup: try again "
			"when it is over",
			g->outdated_count);
		log_error(g->log, "the configuration stays as it is", field_error(error));
		return -1;
	}
	gate_manager_reloading(g);
	int result = g->options->source.reload(g->options->source.context, change, &reload, error);
	if (result == 0)
		put_in_force(g, &reload);
	else
		log_error(g->log, "the configuration is wrong, and stays as it is",
			field_error(error));
	if (!starting)
		gate_forget_outdated(g);
	gate_manager_ready(g);
	return result;
}

int gate_reload(void *context, struct error *error)
{
	return read_anew(context, NULL, error);
}

int gate_set(void *context, const char *key, const char *value, struct error *error)
{
	const struct gate_change change = {key, value};
	return read_anew(context, &change, error);
}
