/*
 * engine_attempt - the engine's part that follows attempts to connect: how long each stage takes,
 * when to dial afresh, when to give up, and who is told how it ended.
 *
 * For engine.c alone; everyone else uses core/engine.h.
 */
#ifndef STANDPIPE_CORE_ENGINE_ATTEMPT_H
#define STANDPIPE_CORE_ENGINE_ATTEMPT_H

#include "core/engine.h"

void engine_attempt_begin(
	struct engine *e, int server, const struct breaker_pass *pass, instant now);

/* Its handshake has lost so many SYNs, by the kernel's count. Ignored when the attempt is over. */
void engine_attempt_syns(struct engine *e, int server, int lost);

/* It is in `stage` now. Ignored when the attempt is over. */
void engine_attempt_stage(struct engine *e, int server, enum stage stage, instant now);

/* It starts over with its first stage, and is more patient from now on. */
void engine_attempt_redial(struct engine *e, int server, instant now);

/* Tells everyone who counts attempts how this one ended, and remembers it. */
void engine_attempt_end(struct engine *e, int server, enum outcome outcome, instant now);

/* Whatever failed, the next attempt waits; and a server from before it proves nothing any more. */
void engine_back_off(struct engine *e, instant now);

/* May one that nothing else is in the way of begin? The database that refused may be spared it. */
bool engine_attempt_admit(struct engine *e, instant now);

/* When an attempt is to be dialled afresh or given up; INSTANT_NEVER if none is under way. */
instant engine_attempts_deadline(const struct engine *e);

#endif
