/*
 * switches - the `options` of a startup packet: a command line of a server's switches, and the
 * settings that they stand for.
 *
 * As PostgreSQL reads them: words by pg_split_opts, switches by getopt as process_postgres_switches
 * asks it to. Switches that it ignores from a client are ignored here.
 */
#ifndef STANDPIPE_WIRE_SWITCHES_H
#define STANDPIPE_WIRE_SWITCHES_H

#include "wire/startup.h"

struct wire_switches {
	const char *at; /* borrowed: what is left of the options */
	const char *letters; /* what is left of a word of several switches, in `word`; or NULL */
	int level; /* -d's, while its settings are told */
	int told; /* how many of them were */
	char value[16]; /* the one of them that is told */
	char word[STARTUP_PACKET_MAX];
	char argument[STARTUP_PACKET_MAX]; /* a switch's, if it is a word of its own */
};

/* Begins. `options` must stay. */
void wire_switches_init(struct wire_switches *s, const char *options);

/* The next setting; 1, 0 at the end, or -1 for what PostgreSQL would refuse. The texts are valid
 * until the next call. */
int wire_switch_next(struct wire_switches *s, const char **name, const char **value);

#endif
