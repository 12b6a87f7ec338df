#include "app/changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct change {
	struct change *next;
	size_t name_len;
	char text[]; /* NAME=value */
};

static struct change **find(const struct changes *all, const char *name, size_t len)
{
	struct change **at = (struct change **)&all->first;
	while (*at && ((*at)->name_len != len || memcmp((*at)->text, name, len) != 0))
		at = &(*at)->next;
	return at;
}

const char *changes_get(const struct changes *all, const char *name)
{
	const struct change *change = *find(all, name, strlen(name));
	return change ? change->text + change->name_len + 1 : NULL;
}

void changes_put(struct changes *all, const char *name, const char *value)
{
	struct change *added = NULL;
	size_t len = strlen(name);
	if (value) {
		size_t size = len + strlen(value) + 2;
		added = malloc(sizeof(*added) + size);
		if (!added)
			abort();
		added->name_len = len;
		snprintf(added->text, size, "%s=%s", name, value);
	}
	struct change **at = find(all, name, len), *old = *at;
	if (old) {
		*at = old->next;
		free(old);
	}
	if (added) {
		added->next = all->first;
		all->first = added;
	}
}

const char **changes_over(const struct changes *all, const char *const *environment)
{
	size_t count = 1, size = 0;
	for (const char *const *at = environment; *at; at++)
		count++;
	for (const struct change *change = all->first; change; change = change->next) {
		count++;
		size += strlen(change->text) + 1;
	}
	const char **over = malloc(count * sizeof(*over) + size);
	if (!over)
		abort();
	char *text = (char *)(over + count);
	size_t len = 0;
	for (const char *const *at = environment; *at; at++)
		if (!*find(all, *at, strcspn(*at, "=")))
			over[len++] = *at;
	for (const struct change *change = all->first; change; change = change->next) {
		over[len++] = text;
		text = stpcpy(text, change->text) + 1;
	}
	over[len] = NULL;
	return over;
}

void changes_release(struct changes *all)
{
	while (all->first) {
		struct change *change = all->first;
		all->first = change->next;
		free(change);
	}
}
