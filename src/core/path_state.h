/*
 * path_state - what is known of the way to the database, in one word.
 */
#ifndef STANDPIPE_CORE_PATH_STATE_H
#define STANDPIPE_CORE_PATH_STATE_H

enum path_state {
	PATH_UNKNOWN, /* nothing has connected yet: egress may still be warming up */
	PATH_NORMAL,
	PATH_PRESSURE, /* utilisation over the threshold */
	PATH_SCALING, /* a step in connect latency under load, and for 30 s after one */
	PATH_OVERLOADED, /* utilisation over 0.9, or attempts timing out */
	PATH_STATE_COUNT
};

/* "unknown", "normal", "capacity_pressure", "scaling", "overloaded" */
const char *path_state_name(enum path_state state);

#endif
