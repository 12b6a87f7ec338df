/*
 * value - one value, from the text that a person wrote and back.
 *
 * All parsers take the whole text (blanks around it and before the unit are passed over) and
 * return false when it is not of that kind or does not fit; `*value` is untouched then.
 */
#ifndef STANDPIPE_CONF_VALUE_H
#define STANDPIPE_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* true false yes no on off 1 0, in any case. */
bool value_bool(const char *text, bool *value);

/* Decimal digits with an optional sign. */
bool value_int(const char *text, int *value);

/* A decimal number; no infinities, no hexadecimal. */
bool value_real(const char *text, double *value);

/* Nanoseconds: "75" and "75s", "1.5m", "250ms", "2h", "10us", "5ns". To the nearest
 * nanosecond, within fifteen digits. */
bool value_duration(const char *text, int64_t *value_ns);

/* Bytes: "512", "64KiB", "1.5 MB". */
bool value_size(const char *text, int64_t *bytes);

/* Bits per second: "2Gbit/s", "100 Mbit", "2000000000". */
bool value_rate(const char *text, double *bit_s);

/* The same values as a person would write them: "75s", "250ms", "64KiB", "2Gbit/s"; spans of a
 * second and more always in seconds, so that they compare at a glance. Cut to fit. */
void value_show_real(double value, char *text, size_t size);
void value_show_duration(int64_t value_ns, char *text, size_t size);
void value_show_size(int64_t bytes, char *text, size_t size);
void value_show_rate(double bit_s, char *text, size_t size);

#endif
