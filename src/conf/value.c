#include "conf/value.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/instant.h"

#define NUMBER_MAX 40 /* characters of a number */

struct unit {
	const char *name;
	double factor;
};

static const char *skip_blanks(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

/* [+-] digits [. digits]; `*end` is after it and after blanks. */
static bool parse_number(const char *text, double *value, const char **end)
{
	char number[NUMBER_MAX + 1];
	text = skip_blanks(text);
	size_t len = strspn(text, "+-") ? 1 : 0, digits = 0;
	for (; isdigit((unsigned char)text[len]); len++)
		digits++;
	if (text[len] == '.') {
		for (len++; isdigit((unsigned char)text[len]); len++)
			digits++;
	}
	if (digits == 0 || len > NUMBER_MAX)
		return false;
	memcpy(number, text, len);
	number[len] = 0;
	*value = strtod(number, NULL);
	*end = skip_blanks(text + len);
	return true;
}

static bool ends_with_blanks(const char *text)
{
	return *skip_blanks(text) == 0;
}

/* The factor of the unit that the rest of a text is; without one, that of the first unit. */
static bool parse_unit(const char *text, const struct unit *units, double *factor)
{
	size_t len = strcspn(text, " \t");
	if (!ends_with_blanks(text + len))
		return false;
	if (len == 0) {
		*factor = units[0].factor;
		return true;
	}
	for (const struct unit *unit = units; unit->name; unit++) {
		if (strlen(unit->name) == len && !strncmp(unit->name, text, len)) {
			*factor = unit->factor;
			return true;
		}
	}
	return false;
}

static bool parse_with_unit(const char *text, const struct unit *units, double *value)
{
	double number, factor;
	const char *rest;
	if (!parse_number(text, &number, &rest) || !parse_unit(rest, units, &factor))
		return false;
	*value = number * factor;
	return true;
}

static bool parse_whole(const char *text, const struct unit *units, int64_t *value)
{
	double number;
	if (!parse_with_unit(text, units, &number) || fabs(number) >= 9.2e18)
		return false;
	*value = llround(number);
	return true;
}

bool value_bool(const char *text, bool *value)
{
	static const struct {
		const char *name;
		bool value;
	} names[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false}, {"on", true},
		{"off", false}, {"1", true}, {"0", false}};
	text = skip_blanks(text);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i].name);
		if (!strncasecmp(text, names[i].name, len) && ends_with_blanks(text + len)) {
			*value = names[i].value;
			return true;
		}
	}
	return false;
}

bool value_int(const char *text, int *value)
{
	text = skip_blanks(text);
	if (!isdigit((unsigned char)text[strspn(text, "+-") ? 1 : 0]))
		return false;
	char *end;
	errno = 0;
	long number = strtol(text, &end, 10);
	if (errno || number < INT_MIN || number > INT_MAX || !ends_with_blanks(end))
		return false;
	*value = (int)number;
	return true;
}

bool value_real(const char *text, double *value)
{
	static const struct unit none[] = {{"", 1}, {NULL, 0}};
	return parse_with_unit(text, none, value);
}

bool value_duration(const char *text, int64_t *value_ns)
{
	static const struct unit units[] = {{"s", 1e9}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6},
		{"m", 60e9}, {"h", 3600e9}, {NULL, 0}};
	return parse_whole(text, units, value_ns);
}

bool value_size(const char *text, int64_t *bytes)
{
	static const struct unit units[] = {{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9},
		{"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {NULL, 0}};
	return parse_whole(text, units, bytes);
}

bool value_rate(const char *text, double *bit_s)
{
	static const struct unit units[] = {{"bit/s", 1}, {"kbit/s", 1e3}, {"Mbit/s", 1e6},
		{"Gbit/s", 1e9}, {"bit", 1}, {"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9},
		{NULL, 0}};
	return parse_with_unit(text, units, bit_s);
}

/* Twelve significant digits, without the zeros at the end. */
static void show(double value, const char *unit, char *text, size_t size)
{
	snprintf(text, size, "%.12g%s", value, unit);
}

void value_show_real(double value, char *text, size_t size)
{
	show(value, "", text, size);
}

void value_show_duration(int64_t value_ns, char *text, size_t size)
{
	double value = (double)value_ns;
	if (value_ns % NS_PER_MS == 0 && (llabs(value_ns) >= NS_PER_S || value_ns == 0))
		show(value / 1e9, "s", text, size);
	else if (value_ns % NS_PER_US == 0 && llabs(value_ns) >= NS_PER_MS)
		show(value / 1e6, "ms", text, size);
	else if (value_ns % NS_PER_US == 0)
		show(value / 1e3, "us", text, size);
	else
		show(value, "ns", text, size);
}

void value_show_size(int64_t bytes, char *text, size_t size)
{
	static const char *const names[] = {"GiB", "MiB", "KiB"};
	for (int i = 0, shift = 30; i < 3; i++, shift -= 10) {
		if (bytes != 0 && bytes % (INT64_C(1) << shift) == 0) {
			show((double)(bytes >> shift), names[i], text, size);
			return;
		}
	}
	show((double)bytes, "B", text, size);
}

void value_show_rate(double bit_s, char *text, size_t size)
{
	if (bit_s >= 1e9)
		show(bit_s / 1e9, "Gbit/s", text, size);
	else if (bit_s >= 1e6)
		show(bit_s / 1e6, "Mbit/s", text, size);
	else
		show(bit_s, "bit/s", text, size);
}
