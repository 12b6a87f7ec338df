#include "gate/auth.h"

void auth_init(struct auth *a, const struct auth_settings *settings, struct log *log)
{
	*a = (struct auth){.settings = settings, .log = log, .tls = TLS_INIT};
}

int auth_load(struct auth *a, struct error *error)
{
	if (a->settings->tls_mode != TLS_OFF && tls_load(&a->tls, &a->settings->tls, error) != 0)
		return -1;
	return 0;
}

int auth_reload(struct auth *a, const struct auth_settings *settings, struct error *error)
{
	a->settings = settings;
	if (auth_load(a, error) != 0) {
		log_error(a->log, "could not be read again: what was read before stays in force",
			field_error(error));
		return -1;
	}
	return 0;
}

void auth_release(struct auth *a)
{
	tls_release(&a->tls);
}

bool auth_has_tls(const struct auth *a)
{
	return a->settings->tls_mode != TLS_OFF && a->tls.context;
}
