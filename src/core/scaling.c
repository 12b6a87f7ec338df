#include "core/scaling.h"

#include <stddef.h>

static struct scaling_event *current(struct scaling *s)
{
	return &s->events[(s->begun - 1) % SCALING_KEPT];
}

static struct scaling_reading read_now(const struct scaling_sight *sight)
{
	return (struct scaling_reading){
		.connections = sight->connections,
		.bit_s = sight->bit_s,
		.connect_ns = quantiles_median(sight->connects, 0, SCALING_RECENT),
		.tcp_ns = quantiles_median(sight->handshakes, 0, SCALING_RECENT),
	};
}

static int64_t usual_connect(const struct scaling_sight *sight)
{
	return quantiles_median(sight->connects, SCALING_RECENT, QUANTILES_SAMPLES);
}

static bool has_stepped(const struct scaling_sight *sight, int64_t last_ns)
{
	int64_t before_ns = usual_connect(sight);
	int64_t newest_ns = quantiles_median(sight->connects, 0, 1);
	/* A quick one is no sign, whatever slow ones came shortly before it. */
	return sight->connects->held > SCALING_RECENT && newest_ns >= last_ns &&
	       (double)last_ns > SCALING_STEP_FACTOR * (double)before_ns &&
	       last_ns - before_ns > SCALING_STEP_LEAST_NS;
}

static void keep_most(struct scaling_reading *most, const struct scaling_reading *reading)
{
	if (reading->connections > most->connections)
		most->connections = reading->connections;
	if (reading->bit_s > most->bit_s)
		most->bit_s = reading->bit_s;
	if (reading->connect_ns > most->connect_ns)
		most->connect_ns = reading->connect_ns;
	if (reading->tcp_ns > most->tcp_ns)
		most->tcp_ns = reading->tcp_ns;
}

static void begin(struct scaling *s, const struct scaling_sight *sight, instant now)
{
	s->begun++;
	*current(s) = (struct scaling_event){
		.began_at = now,
		.ended_at = -1,
		.before =
			{
				.connections = sight->connections,
				.bit_s = sight->bit_s,
				.connect_ns = usual_connect(sight),
				.tcp_ns = quantiles_median(
					sight->handshakes, SCALING_RECENT, QUANTILES_SAMPLES),
			},
	};
}

void scaling_init(struct scaling *s)
{
	*s = (struct scaling){.until = -1, .quick_at = -1};
}

void scaling_tick(struct scaling *s, const struct scaling_sight *sight, instant now)
{
	if (s->until < 0 || now < s->until)
		return;
	struct scaling_event *e = current(s);
	e->after = read_now(sight);
	e->ended_at = s->quick_at >= 0 ? s->quick_at : s->until;
	s->ended++;
	s->until = -1;
}

void scaling_look(struct scaling *s, const struct scaling_sight *sight, instant now)
{
	scaling_tick(s, sight, now);
	struct scaling_reading reading = read_now(sight);
	if (sight->loaded && has_stepped(sight, reading.connect_ns)) {
		if (s->until < 0)
			begin(s, sight, now);
		s->until = instant_add(now, sight->hold_ns);
	}
	if (s->until < 0)
		return;
	struct scaling_event *e = current(s);
	keep_most(&e->during, &reading);
	int64_t half_ns = e->before.connect_ns + (e->during.connect_ns - e->before.connect_ns) / 2;
	if (reading.connect_ns >= half_ns)
		s->quick_at = -1;
	else if (s->quick_at < 0)
		s->quick_at = now;
}

const struct scaling_event *scaling_event_at(const struct scaling *s, int age)
{
	if (age < 0 || age >= SCALING_KEPT || age >= s->begun)
		return NULL;
	return &s->events[(s->begun - 1 - age) % SCALING_KEPT];
}
