/*
 * backlog - in what order those who wait are served, and who is told at once that it would be in
 * vain.
 *
 * First come, first served, as long as everybody can be served in the time that is allowed. What is
 * judged is the queue of one group at run time: while the startup goes on everybody waits.
 *
 *   expected wait = those in the queue / releases a second   (core/rate: while somebody waits)
 *
 * A client that comes when its expected wait is longer than the allowed one is told so at once: an
 * error now is worth more to it than the same one a minute later.
 *
 * A queue *stands* when in the last BACKLOG_INTERVAL_NS even the shortest wait was over the target,
 * as in CoDel and "Fail at Scale" (Maurer, ACM Queue 2015). There, that alone is overload. Here it
 * is not: sixty clients on five servers stand in a queue all day and all are served. A queue that
 * stands and is longer than can be served in the allowed time is *overloaded*, and then, if the
 * order is adaptive:
 *
 *   - the newest is served first: a few are served at once, in place of all at the end of their time,
 *     when whoever asked them has given up. (One that waits without a limit has each fourth turn.)
 *   - the oldest is told that it is in vain when it has waited over twice the target and could not be
 *     served in the time that it has left even if nobody else came.
 *
 * until the queue is empty, or stands no more. The target is the setting or a tenth of the allowed
 * wait, whichever is longer: where that is 30 s, waits of 3 s are nobody's trouble.
 */
#ifndef STANDPIPE_CORE_BACKLOG_H
#define STANDPIPE_CORE_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "core/rate.h"

#define BACKLOG_INTERVAL_NS   (100 * NS_PER_MS)
#define BACKLOG_TARGET_PART   10 /* of the allowed wait */
#define BACKLOG_PATIENT_EVERY 4

enum backlog_order { BACKLOG_FIFO, BACKLOG_ADAPTIVE };

struct backlog_settings {
	enum backlog_order order;
	int64_t target_ns;
	bool rejects; /* tells whoever comes at once what would be in vain */
};

struct backlog {
	struct rate rate; /* of releases */
	instant released_at; /* the last, or when the queue began, or there were more to serve it */
	instant interval_until;
	int64_t least_ns; /* the oldest's wait whenever one was served in this interval */
	bool standing, overloaded;
	int turn;
	int64_t overloads; /* times */
};

enum backlog_verdict { BACKLOG_WAITS, BACKLOG_IN_VAIN };

/* Somebody waits where nobody did. Zeroed memory, but for this, is a new queue. */
void backlog_begins(struct backlog *q, instant now);

/* What serves it serves from now on, after a pause or as one more. */
void backlog_resumes(struct backlog *q, instant now);

/* A server became free while somebody waited. */
void backlog_released(struct backlog *q, instant now);

/* One of those who wait is given a server; the oldest of them has waited for `oldest_ns`. */
void backlog_served(struct backlog *q, const struct backlog_settings *settings, int64_t oldest_ns,
	int64_t allowed_ns, instant now);

/* One comes as the last of `waiting`. */
enum backlog_verdict backlog_arrives(struct backlog *q, const struct backlog_settings *settings,
	int waiting, int64_t allowed_ns);

/* Is the newest the next to be served? `patient`: the oldest waits without a limit. */
bool backlog_takes_newest(struct backlog *q, bool patient);

/* Is it in vain that the oldest of `waiting`, who has waited for `waited_ns`, waits on? */
bool backlog_oldest_in_vain(const struct backlog *q, const struct backlog_settings *settings,
	int waiting, int64_t waited_ns, int64_t allowed_ns);

/* The wait of the last of `waiting`; 0: not known. */
int64_t backlog_expected_ns(const struct backlog *q, int waiting);

#endif
