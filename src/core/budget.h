/*
 * budget - how many connections the database and the path can give, the fleet may use, and this
 * instance may open. Arithmetic only; the sources of the numbers are in BUDGET's settings.
 *
 *   usable = max_connections - superuser_reserved - reserved - agents
 *   fleet  = min(floor(usable x margin) - buffer, floor(path_limit x path_share))
 *   share  = floor(floor(fleet / instances), at most the pool's size + overflow,
 *                  / processes), at least 1
 *
 * A plan fits when instances x processes x share <= fleet and usable > 0.
 */
#ifndef STANDPIPE_CORE_BUDGET_H
#define STANDPIPE_CORE_BUDGET_H

#include <stdbool.h>

struct budget_settings {
	int max_connections; /* until the server says its own */
	int superuser_reserved; /* superuser_reserved_connections */
	int reserved; /* reserved_connections (PostgreSQL 16) */
	int agents; /* held by the database's own agents */
	double margin; /* share of usable that the fleet may use, 0..1 */
	int buffer; /* held back for the path's scaling */
	int path_limit; /* connections that the path carries */
	double path_share; /* share of them that the fleet may use, 0..1 */
	int instances; /* of the fleet, this one included */
	int siblings; /* other processes of this instance, which have an equal part of its share */
	int pool_size;
	int pool_overflow;
};

struct budget {
	struct budget_settings settings;
	int usable;
	int by_database; /* floor(usable x margin) - buffer, never below 0 */
	int by_path; /* floor(path_limit x path_share) */
	int fleet; /* the smaller of the two */
	int share; /* this process's, 1 or more */
	int needed; /* instances x processes x share */
	bool fits;
};

void budget_init(struct budget *b, const struct budget_settings *settings);

/* Other settings from now on; the server's own numbers, if it said them, are to be told again. */
void budget_configure(struct budget *b, const struct budget_settings *settings);

/* The server said its own numbers; a negative one leaves the setting as it is. */
void budget_learn(struct budget *b, int max_connections, int superuser_reserved, int reserved);

#endif
