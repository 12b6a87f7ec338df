#include "lab/progress.h"

#include <stdio.h>
#include <unistd.h>

#define TERMINAL_EVERY_NS (UINT64_C(300) * 1000000)
#define LINE_EVERY_NS     (UINT64_C(5) * 1000000000)

void progress_init(struct progress *p)
{
	*p = (struct progress){.terminal = isatty(STDERR_FILENO)};
}

void progress_begin(struct progress *p, const char *title)
{
	p->title = title;
	p->next_ns = p->terminal ? 0 : uv_hrtime() + LINE_EVERY_NS;
}

void progress_show(struct progress *p, struct storm *storm, const struct scenario *s)
{
	uint64_t now = uv_hrtime();

	if (!p->title || now < p->next_ns)
		return;
	p->next_ns = now + (p->terminal ? TERMINAL_EVERY_NS : LINE_EVERY_NS);
	struct storm_progress at = storm_progress(storm);
	fprintf(stderr,
		"%s%s %3.0f s: %d of %d up, %d starting, %d waiting; %d starts, %d failed; "
		"%d connections, %lld refused",
		p->terminal ? "\r" : "", p->title, at.elapsed_s, at.ready, at.wanted, at.starting,
		at.waiting, at.starts, at.failed, at.connections, (long long)at.refused);
	if (at.connector_instances)
		fprintf(stderr, "; %d flows of %d", at.flows,
			at.connector_instances * s->path.flows);
	if (s->load.rate > 0)
		fprintf(stderr, "; %lld requests served, %lld lost", (long long)at.served,
			(long long)at.lost);
	fputs(p->terminal ? "\x1b[K" : "\n", stderr);
	p->shown = true;
}

void progress_end(struct progress *p)
{
	if (p->shown && p->terminal)
		fputs("\r\x1b[K", stderr);
	p->shown = false;
	p->title = NULL;
}
