#include "report/milestones.h"

void milestones_init(struct milestones *m, int fitting, bool load)
{
	*m = (struct milestones){.fitting = fitting, .load = load};
}

static void recover(struct milestones *m, uint64_t now)
{
	if (m->fault_over_ns && m->up_again_ns && !m->recovered_ns)
		m->recovered_ns = now;
}

void milestones_up(struct milestones *m, int ready, int wanted, uint64_t now)
{
	m->ready = ready;
	m->wanted = wanted;
	if (!m->fit_ns && ready >= m->fitting)
		m->fit_ns = now;
	if (!m->all_ns && ready == wanted)
		m->all_ns = now;
	if (!m->fault_ns)
		return;
	if (ready < m->ready_before)
		m->up_again_ns = 0;
	else if (!m->up_again_ns)
		m->up_again_ns = now;
	if (!m->load)
		recover(m, now);
}

void milestones_fault(struct milestones *m, uint64_t now)
{
	m->fault_ns = now;
	m->ready_before = m->ready;
	m->up_again_ns = now;
}

void milestones_fault_over(struct milestones *m, uint64_t now)
{
	m->fault_over_ns = now;
	if (!m->load)
		recover(m, now);
}

void milestones_served(struct milestones *m, uint64_t begun_ns, uint64_t over_ns)
{
	/* A second in which some were down, or one before the fault, proves nothing. */
	if (m->up_again_ns && begun_ns >= m->up_again_ns)
		recover(m, over_ns > m->fault_over_ns ? over_ns : m->fault_over_ns);
}
