#include "sim/owner.h"

#include "sim/world.h"

void owner_conn_stage(struct world *w, int instance, int id, enum stage stage)
{
	if (w->arm->standpipe)
		gate_conn_stage(w, instance, id, stage);
}

void owner_conn_opened(struct world *w, int instance, int id)
{
	if (w->arm->standpipe)
		gate_conn_opened(w, instance, id);
	else
		service_conn_opened(w, instance, id);
}

void owner_conn_failed(struct world *w, int instance, int id, enum outcome outcome)
{
	if (w->arm->standpipe)
		gate_conn_failed(w, instance, id, outcome);
	else
		service_conn_failed(w, instance, id, outcome);
}

void owner_conn_lost(struct world *w, int instance, int id, enum outcome outcome, bool unused)
{
	if (w->arm->standpipe)
		gate_conn_lost(w, instance, id, outcome, unused);
	else
		service_conn_lost(w, instance, id, outcome);
}

void owner_conn_answered(struct world *w, int instance, int id)
{
	if (w->arm->standpipe)
		gate_conn_answered(w, instance, id);
	else
		service_conn_answered(w, instance, id);
}
