/*
 * standpipe - brings services and their PostgreSQL up through a path that is too narrow.
 *
 * main is a table of subcommands; each has its own file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "conf/nearest.h"

struct command {
	const char *name;
	const char *arguments;
	const char *help;
	int (*main)(int argc, char **argv);
};

static int help_main(int argc, char **argv);
static int version_main(int argc, char **argv);

static const struct command commands[] = {
	{"run", "[-c FILE] -- COMMAND...",
		"start COMMAND through the seven phases, behind the gate", run_main},
	{"serve", "[-c FILE]", "the gate alone: pooler, health, metrics", serve_main},
	{"check", "[-c FILE] [--serve] [--json]",
		"show the effective configuration, where it came from, and whether it fits",
		check_main},
	{"probe",
		"[-c FILE] [--count N] [--parallel K] [--interval T] [--timeout T] [--cloud] "
		"[--json] "
		"[URL]",
		"measure the path to the database: names, TCP, TLS, login, queries, and the advice",
		probe_main},
	{"lab",
		"SCENARIO [--json] [--arm NAME]... [--time-scale X] [--output FILE] [--picture "
		"FILE] [--logs DIR]",
		"storms and faults for real: PostgreSQL, an emulated connector, real processes",
		lab_main},
	{"sim",
		"SCENARIO [--seed SEED] [--runs K] [--jobs J] [--arm NAME]... [--json] "
		"[--output FILE] [--picture FILE] | --swarm N [--seed SEED] [--jobs J] [--json]",
		"the same scenario in virtual time, with thousands of instances", sim_main},
	{"help", "[COMMAND]", "show this, or how a command is used", help_main},
	{"version", "", "show the version", version_main},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

static void print_help(FILE *to)
{
	fprintf(to, "usage: standpipe COMMAND [ARGUMENTS]\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
	fprintf(to, "\nDATABASE_URL alone is enough of a configuration; man standpipe tells the "
		    "rest.\n");
}

int usage_error(const char *command, const char *format, ...)
{
	va_list args;
	fprintf(stderr, "standpipe%s%s: ", *command ? " " : "", command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	const struct command *known = find_command(command);
	if (known)
		fprintf(stderr, "\nusage: standpipe %s %s\n", known->name, known->arguments);
	else
		fprintf(stderr, "\nTry: standpipe help\n");
	return EXIT_USAGE;
}

int option_error(const char *command, int letter, char **argv)
{
	const char *option = argv[optind - 1];
	if (letter == ':')
		return usage_error(command, "%s needs a value", option);
	return usage_error(command, "unknown option %s", option);
}

int config_error(const struct error *error)
{
	fprintf(stderr, "standpipe: %s%s%s\n", error->origin, *error->origin ? ": " : "",
		error->text);
	return EXIT_USAGE;
}

static int unknown_command(const char *name)
{
	struct nearest nearest;
	nearest_init(&nearest, name);
	for (size_t i = 0; i < COMMANDS; i++)
		nearest_try(&nearest, commands[i].name);
	if (nearest.best)
		return usage_error("", "unknown command %s: did you mean %s?", name, nearest.best);
	return usage_error("", "unknown command %s", name);
}

static int help_main(int argc, char **argv)
{
	if (argc > 2)
		return usage_error("help", "unexpected argument %s", argv[2]);
	if (argc < 2) {
		print_help(stdout);
		return 0;
	}
	const struct command *command = find_command(argv[1]);
	if (!command)
		return unknown_command(argv[1]);
	printf("usage: standpipe %s %s\n\n%s\n", command->name, command->arguments, command->help);
	return 0;
}

static int version_main(int argc, char **argv)
{
	if (argc > 1)
		return usage_error("version", "unexpected argument %s", argv[1]);
	printf("standpipe %s\n", STANDPIPE_VERSION);
	return 0;
}

/* Where one of the three is closed, what is opened next would take its place: a socket that a
 * message is then written to, or what libuv refuses to close. Neither way of /dev/null can be used
 * the other way, so that who writes to it still hears of it. */
static void reserve_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* It becomes the lowest that is free, which is this one. */
		if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(EXIT_FAILURE);
	}
}

/* A full disk, or a reader that has gone: who reads half of a report must not take it for the
 * whole. */
static int with_output(int code)
{
	bool failed = fflush(stdout) != 0;
	if (!failed && !ferror(stdout))
		return code;
	fprintf(stderr, "standpipe: cannot write to the standard output%s%s\n", failed ? ": " : "",
		failed ? strerror(errno) : "");
	return code == 0 ? EXIT_FAILURE : code;
}

int main(int argc, char **argv)
{
	reserve_standard_files();
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	else if (!strcmp(name, "--version") || !strcmp(name, "-V"))
		name = "version";
	const struct command *command = find_command(name);
	if (!command)
		return unknown_command(name);
	return with_output(command->main(argc - 1, argv + 1));
}
