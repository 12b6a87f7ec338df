#include "gate/holds.h"

#include <stdlib.h>
#include <string.h>

void holds_release(struct holds *holds)
{
	while (holds->first) {
		struct hold *hold = holds->first;
		holds->first = hold->next;
		free(hold);
	}
}

static struct hold *find(const struct holds *holds, const char *database)
{
	struct hold *hold = holds->first;
	while (hold && strcmp(hold->database, database) != 0)
		hold = hold->next;
	return hold;
}

bool holds_is_paused(const struct holds *holds, const char *database)
{
	const struct hold *hold = find(holds, database);
	return holds->paused || (hold && hold->paused);
}

enum pool_hold holds_of(const struct holds *holds, const char *database)
{
	if (holds_is_paused(holds, database))
		return HOLD_CLOSE;
	return holds->suspended ? HOLD_ASSIGN : HOLD_NONE;
}

bool holds_is_disabled(const struct holds *holds, const char *database)
{
	const struct hold *hold = find(holds, database);
	return hold && hold->disabled;
}

struct hold *holds_note(struct holds *holds, const char *database)
{
	struct hold *hold = find(holds, database);
	if (hold)
		return hold;
	size_t len = strlen(database) + 1;
	hold = calloc(1, sizeof(*hold) + len);
	if (!hold)
		abort();
	memcpy(hold->database, database, len);
	hold->next = holds->first;
	holds->first = hold;
	return hold;
}
