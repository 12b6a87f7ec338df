/*
 * profile - what a session's settings are, shared by all sessions whose settings are the same.
 *
 * PostgreSQL lets a client set parameters in its startup packet and tells it the values that
 * matter to drivers (ParameterStatus). In transaction mode both must follow the client to whatever
 * server it gets. A profile is the set of (name, value) pairs that differ from what our own login
 * has; a thousand connections of one service share one. A server knows which profile it is in, and
 * is moved to another by one query, sent ahead of the client's own.
 */
#ifndef STANDPIPE_GATE_PROFILE_H
#define STANDPIPE_GATE_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* The most pairs, and the most bytes of all of them, in one profile. */
#define PROFILE_PAIRS_MAX 64
#define PROFILE_BYTES_MAX 8192

struct profile {
	struct profile *next;
	uint32_t refs;
	/* Names what of it decides how a text of SQL is read: search_path, DateStyle and so on. The
	 * same number, the same values; 0: none of them. */
	uint64_t reading;
	struct profile *part; /* a reference: the profile of those alone; NULL: itself, or none */
	/* Messages from AuthenticationOk's end to BackendKeyData: ParameterStatus for each value
	 * that the server reports in this profile. Empty until a server has been in it. */
	struct buffer welcome;
	struct buffer pairs; /* name, zero, value, zero, ... sorted by name */
};

/* No profile's reading has this bit. */
#define PROFILE_READING_OWN (UINT64_C(1) << 63)

struct profiles {
	struct profile *first;
	uint64_t last_reading;
	struct profile *base; /* no pairs: as the gate itself logs in */
};

void profiles_init(struct profiles *all);
void profiles_release(struct profiles *all);

/* Every function that returns a profile returns a reference; drop it when done. */
struct profile *profile_hold(struct profile *p);
void profile_drop(struct profiles *all, struct profile *p);

/* The profile of `base`'s pairs and one more, which replaces one of the same name; a reference. */
struct profile *profile_with(
	struct profiles *all, const struct profile *base, const char *name, const char *value);

/* The pairs that a startup packet sets besides user, database and the like; `options` is taken
 * apart into what its switches set (wire/switches.h). 0, or -1 with `error` if it is malformed or
 * too large. */
int profile_parse_startup(struct bytes parameters, struct buffer *pairs, struct error *error);

/* Both in one. NULL with `error`. */
struct profile *profile_from_startup(
	struct profiles *all, struct bytes parameters, struct error *error);

/* The profile of these pairs (name, zero, value, zero, in any order; the last of a name counts), or
 * NULL if they are too many. */
struct profile *profile_from_pairs(struct profiles *all, struct bytes pairs);

/* Appends the text as a literal of SQL that means its bytes whatever the session's settings. */
void profile_literal(struct buffer *out, const char *text);

/* Takes the pair of this name out of `pairs` and puts it into `to`. False: there is none. */
bool profile_take_pair(struct buffer *pairs, const char *name, struct buffer *to);

/* The value that it gives to a parameter, borrowed; NULL: none of its own. */
const char *profile_value(const struct profile *p, const char *name);

/* The same as the server reports it, if it has: DateStyle "German, DMY" for "german". */
const char *profile_reported(const struct profile *p, const char *name);

/* Is it a parameter that the server reports and that a session can set? */
bool profile_is_settable(const char *name);

/* Appends the SQL that takes a session from anything to the profile. */
void profile_sql(const struct profile *p, struct buffer *out);

#endif
