#include "app/check_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct plan_row row_for(const struct budget_settings *settings, int instances)
{
	struct budget budget;
	struct budget_settings changed = *settings;
	changed.instances = instances;
	budget_init(&budget, &changed);
	struct plan_row row = {.instances = instances, .fits = budget.fits};
	int most = settings->pool_size + settings->pool_overflow;
	row.wanted_fits = budget.fits && (long)instances * most <= budget.fleet;
	if (!budget.fits)
		return row;
	row.connections = budget.share;
	row.size = budget.share < settings->pool_size ? budget.share : settings->pool_size;
	row.overflow = row.connections - row.size;
	return row;
}

__attribute__((format(printf, 2, 3))) static void say(struct plan *p, const char *format, ...)
{
	size_t used = strlen(p->sentence);
	va_list args;
	va_start(args, format);
	vsnprintf(p->sentence + used, sizeof(p->sentence) - used, format, args);
	va_end(args);
}

static const char *plural(int count)
{
	return count == 1 ? "" : "s";
}

static void say_misfit(struct plan *p)
{
	const struct budget *b = &p->budget;
	int instances = b->settings.instances;
	say(p,
		"IT DOES NOT FIT: %d instance%s need%s at least %d connection%s, but the fleet may "
		"use %d. ",
		instances, plural(instances), instances == 1 ? "s" : "", instances,
		plural(instances), b->fleet);
	if (b->usable <= 0)
		say(p,
			"The database keeps all of its %d connections to itself: raise "
			"max_connections (database.connection_limit).",
			b->settings.max_connections);
	else if (b->by_database <= b->by_path)
		say(p, "The database is the bound: raise max_connections "
		       "(database.connection_limit), lower budget.buffer, or ");
	else
		say(p, "The path is the bound: widen it (path.connections), or ");
	if (b->usable > 0 && b->fleet > 0)
		say(p, "run at most %d instance%s (budget.instances).", b->fleet, plural(b->fleet));
	else if (b->usable > 0)
		say(p, "lower what is held back.");
}

static void say_fit(struct plan *p)
{
	const struct budget *b = &p->budget;
	int instances = b->settings.instances;
	int most = b->settings.pool_size + b->settings.pool_overflow;
	say(p,
		"It fits: %d instance%s of %d connection%s each need%s %d of the %d that the fleet "
		"may use.",
		instances, plural(instances), b->share, plural(b->share), instances == 1 ? "s" : "",
		b->needed, b->fleet);
	if (b->share < most)
		say(p,
			" Each gets %d of the %d that its pool asks for; without the gate the "
			"fleet "
			"would ask for %d.",
			b->share, most, p->wanted);
}

void plan_init(struct plan *p, const struct budget_settings *settings)
{
	static const int instances[PLAN_ROWS] = {1, 2, 5, 10, 20, 50};
	*p = (struct plan){
		.wanted = settings->instances * (settings->pool_size + settings->pool_overflow)};
	budget_init(&p->budget, settings);
	for (int i = 0; i < PLAN_ROWS; i++)
		p->rows[i] = row_for(settings, instances[i]);
	if (p->budget.fits)
		say_fit(p);
	else
		say_misfit(p);
}
