/*
 * commands - the subcommands of `standpipe`, each in a file of its own. argv[0] is the
 * subcommand's name. They return the process's exit code; 2 is a usage or configuration error.
 */
#ifndef STANDPIPE_APP_COMMANDS_H
#define STANDPIPE_APP_COMMANDS_H

#include "base/error.h"

#define EXIT_USAGE 2

int run_main(int argc, char **argv);
int serve_main(int argc, char **argv);
int check_main(int argc, char **argv);
int probe_main(int argc, char **argv);
int lab_main(int argc, char **argv);
int sim_main(int argc, char **argv);

/* Prints "standpipe COMMAND: ..." and how to get help on stderr. Returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int usage_error(const char *command, const char *format, ...);

/* getopt_long, silent and with ':' for a value that is missing, met `letter`, ':' or '?': the same
 * for that. */
int option_error(const char *command, int letter, char **argv);

/* Prints "standpipe: ORIGIN: TEXT" on stderr. Returns EXIT_USAGE. */
int config_error(const struct error *error);

#endif
