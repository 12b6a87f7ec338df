/* The circuit breaker's keys: what counts, and what contradicts itself. */
#include "app/settings.h"
#include "base/instant.h"

/* 0, or -1: it is no outcome, or not one that may count. */
static int add_failure(
	const struct config *c, const char *name, uint32_t *failures, struct error *error)
{
	enum outcome outcome;
	if (!outcome_from_name(name, &outcome) || outcome == OUTCOME_OK)
		return settings_error(&c->settings, "breaker.failures", error,
			"\"%.40s\" is no way to fail: use timeout, refused, unreachable, reset, "
			"dns, "
			"full, starting, shutdown, token or protocol",
			name);
	if (outcome_is_permanent(outcome))
		return settings_error(&c->settings, "breaker.failures", error,
			"%s can't count: it says nothing of the path, and waiting does not mend it",
			name);
	*failures |= 1U << outcome;
	return 0;
}

static int read_failures(const struct config *c, uint32_t *failures, struct error *error)
{
	*failures = 0;
	for (int i = 0; i < c->breaker_failures.count; i++)
		if (add_failure(c, c->breaker_failures.list[i], failures, error) < 0)
			return -1;
	return 0;
}

int config_breaker_rules(const struct config *c, struct error *error)
{
	const struct settings *s = &c->settings;
	const struct breaker_settings *b = &c->gate.engine.breaker;
	const struct probe_settings *p = &c->gate.engine.probe;
	uint32_t failures;
	if (b->enabled && b->failure_threshold == 0)
		return settings_error(s, "breaker.threshold", error,
			"0 failures would hold the breaker open for ever: use 1 or more, or "
			"breaker.enabled: false");
	if (b->open_max_ns < b->open_ns)
		return settings_error(s,
			config_written(c, "breaker.timeout_max", "breaker.timeout"), error,
			"breaker.timeout_max (%.10gs) is less than breaker.timeout (%.10gs): raise "
			"it, or lower the other",
			s_from_ns(b->open_max_ns), s_from_ns(b->open_ns));
	if (b->minimum > b->window)
		return settings_error(s, config_written(c, "breaker.minimum", "breaker.window"),
			error,
			"breaker.minimum (%d) is more than breaker.window (%d), so that no rate "
			"would "
			"ever be looked at: lower it, or raise the other",
			b->minimum, b->window);
	if (p->interval_ns > 0 && p->interval_max_ns < p->interval_ns)
		return settings_error(s,
			config_written(c, "breaker.probe_interval_max", "breaker.probe_interval"),
			error,
			"breaker.probe_interval_max (%.10gs) is less than breaker.probe_interval "
			"(%.10gs): raise it, or lower the other",
			s_from_ns(p->interval_max_ns), s_from_ns(p->interval_ns));
	return read_failures(c, &failures, error);
}

void config_breaker_fill(struct config *c)
{
	struct error none; /* the rules have been looked at */
	read_failures(c, &c->gate.engine.breaker.failures, &none);
}
