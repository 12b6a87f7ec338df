#include "gate/statement.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"
#include "wire/sql.h"

#define SLOTS_MIN 64
#define NAMES_MIN 2 /* of most clients, which idle with one or none: 512 bytes each is the limit */

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* FNV-1a, 64 bits: short keys, no secret, and equality is always checked. */
static uint64_t hash_bytes(uint64_t hash, const void *at, size_t len)
{
	const uint8_t *byte = at;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
	return hash;
}

#define HASH_START UINT64_C(0xcbf29ce484222325)

void statement_name(const struct statement *s, char name[STATEMENT_NAME_MAX])
{
	snprintf(name, STATEMENT_NAME_MAX, STATEMENT_PREFIX "%llu", (unsigned long long)s->id);
}

uint32_t statement_shape(struct bytes row_description)
{
	uint64_t hash = HASH_START;
	if (row_description.len < 2)
		return STATEMENT_SHAPE_UNKNOWN;
	struct bytes rest = {row_description.at + 2, row_description.len - 2};
	for (int count = bytes_u16(row_description.at); count > 0; count--) {
		struct message_column c;
		if (message_parse_column(&rest, &c) != 0)
			return STATEMENT_SHAPE_UNKNOWN;
		hash = hash_bytes(hash, c.name, strlen(c.name) + 1);
		hash = hash_bytes(hash, &c.type, sizeof(c.type));
		hash = hash_bytes(hash, &c.size, sizeof(c.size));
		hash = hash_bytes(hash, &c.modifier, sizeof(c.modifier));
	}
	uint32_t shape = (uint32_t)(hash ^ hash >> 32);
	return shape > STATEMENT_SHAPE_NONE ? shape : ~shape;
}

/* ---- the registry ---- */

void statements_init(struct statements *all, int servers_max, size_t bytes_max)
{
	*all = (struct statements){
		.slot_count = SLOTS_MIN,
		.generation = 1,
		.bytes_max = bytes_max,
		.servers_max = servers_max,
	};
	all->slots = must(calloc(all->slot_count, sizeof(struct statement *)));
	all->shelves = must(calloc((size_t)servers_max, sizeof(*all->shelves)));
}

void statements_release(struct statements *all)
{
	for (size_t i = 0; i < all->slot_count; i++) {
		struct statement *next;
		for (struct statement *s = all->slots[i]; s; s = next) {
			next = s->next;
			free(s->places);
			free(s);
		}
	}
	for (int i = 0; i < all->servers_max; i++)
		free(all->shelves[i].held);
	free(all->shelves);
	free(all->slots);
	*all = (struct statements){0};
}

static void grow(struct statements *all)
{
	size_t count = all->slot_count * 2;
	struct statement **slots = must(calloc(count, sizeof(struct statement *)));
	for (size_t i = 0; i < all->slot_count; i++) {
		struct statement *next;
		for (struct statement *s = all->slots[i]; s; s = next) {
			next = s->next;
			s->next = slots[s->hash & (count - 1)];
			slots[s->hash & (count - 1)] = s;
		}
	}
	free(all->slots);
	all->slots = slots;
	all->slot_count = count;
}

static size_t size_of(size_t query_len, size_t types_len)
{
	return sizeof(struct statement) + query_len + types_len;
}

struct statement *statements_intern(
	struct statements *all, const char *query, struct bytes types, uint64_t reading)
{
	size_t query_len = strlen(query) + 1;
	uint64_t hash = hash_bytes(HASH_START, query, query_len);
	hash = hash_bytes(hash, types.at, types.len);
	hash = hash_bytes(hash, &reading, sizeof(reading));
	struct statement **slot = &all->slots[hash & (all->slot_count - 1)];
	for (struct statement *s = *slot; s; s = s->next) {
		if (s->hash == hash && s->query_len == query_len && s->types_len == types.len &&
			s->reading == reading && s->generation == all->generation &&
			memcmp(s->bytes, query, query_len) == 0 &&
			memcmp(s->bytes + query_len, types.at, types.len) == 0) {
			s->refs++;
			return s;
		}
	}
	size_t size = size_of(query_len, types.len);
	if (size > all->bytes_max - all->bytes)
		return NULL;
	struct statement *s = must(malloc(size));
	*s = (struct statement){
		.next = *slot,
		.hash = hash,
		.id = ++all->last_id,
		.refs = 1,
		.query_len = (uint32_t)query_len,
		.types_len = (uint32_t)types.len,
		.traits = sql_traits((struct bytes){(const uint8_t *)query, query_len - 1}),
		.reading = reading,
		.generation = all->generation,
		.places = must(calloc((size_t)all->servers_max, sizeof(uint16_t))),
	};
	memcpy(s->bytes, query, query_len);
	memcpy(s->bytes + query_len, types.at, types.len);
	*slot = s;
	all->bytes += size;
	if (++all->count > all->slot_count)
		grow(all);
	return s;
}

void statements_outdate(struct statements *all)
{
	all->generation++;
}

static bool is_anywhere(const struct statements *all, const struct statement *s)
{
	for (int i = 0; i < all->servers_max; i++)
		if (s->places[i])
			return true;
	return false;
}

static void free_if_unused(struct statements *all, struct statement *s)
{
	if (s->refs > 0 || is_anywhere(all, s))
		return;
	struct statement **at = &all->slots[s->hash & (all->slot_count - 1)];
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	all->count--;
	all->bytes -= size_of(s->query_len, s->types_len);
	free(s->places);
	free(s);
}

struct statement *statement_hold(struct statement *s)
{
	s->refs++;
	return s;
}

void statements_drop(struct statements *all, struct statement *s)
{
	assert(s->refs > 0);
	s->refs--;
	free_if_unused(all, s);
}

/* ---- shelves ---- */

#define SHELF_MIN 8
#define SHELF_MAX 32768

void statements_put(struct statements *all, struct statement *s, int server)
{
	struct statement_shelf *shelf = &all->shelves[server];
	if (s->places[server] == 0) {
		if (shelf->count == shelf->size) {
			assert(shelf->size < SHELF_MAX);
			shelf->size = shelf->size ? shelf->size * 2 : SHELF_MIN;
			shelf->held = must(
				realloc(shelf->held, shelf->size * sizeof(*shelf->held)));
		}
		shelf->held[shelf->count++].statement = s;
		s->places[server] = shelf->count;
	}
	statements_touch(all, s, server);
}

void statements_take(struct statements *all, struct statement *s, int server)
{
	struct statement_shelf *shelf = &all->shelves[server];
	uint16_t place = s->places[server];
	if (!place)
		return;
	shelf->held[place - 1] = shelf->held[--shelf->count];
	if (place <= shelf->count) /* the last one took its place */
		shelf->held[place - 1].statement->places[server] = place;
	s->places[server] = 0;
}

int statements_on(const struct statements *all, int server)
{
	return all->shelves[server].count;
}

struct statement *statements_oldest(const struct statements *all, int server)
{
	const struct statement_shelf *shelf = &all->shelves[server];
	const struct statement_held *oldest = NULL;
	for (int i = 0; i < shelf->count; i++)
		if (!oldest || shelf->held[i].used < oldest->used)
			oldest = &shelf->held[i];
	return oldest ? oldest->statement : NULL;
}

struct statement *statements_find(const struct statements *all, int server, uint64_t id)
{
	const struct statement_shelf *shelf = &all->shelves[server];
	for (int i = 0; i < shelf->count; i++)
		if (shelf->held[i].statement->id == id)
			return shelf->held[i].statement;
	return NULL;
}

int statements_give_up(struct statements *all, int server)
{
	struct statement_shelf *shelf = &all->shelves[server];
	int given_up = 0;
	for (int i = shelf->count; i-- > 0;) {
		struct statement *s = shelf->held[i].statement;
		if (s->refs > 0)
			continue;
		statements_take(all, s, server); /* the last one, seen already, is here now */
		free_if_unused(all, s);
		given_up++;
	}
	return given_up;
}

void statements_forget_server(struct statements *all, int server)
{
	struct statement_shelf *shelf = &all->shelves[server];
	while (shelf->count > 0) {
		struct statement *s = shelf->held[--shelf->count].statement;
		s->places[server] = 0;
		free_if_unused(all, s);
	}
	free(shelf->held);
	*shelf = (struct statement_shelf){.uses = shelf->uses};
}

/* ---- a client's names: open addressing, linear probing ---- */

static uint32_t slot_of(const struct statement_names *names, const char *name)
{
	uint32_t at = (uint32_t)hash_bytes(HASH_START, name, strlen(name)) & (names->size - 1);
	while (names->entries[at].name && strcmp(names->entries[at].name, name) != 0)
		at = (at + 1) & (names->size - 1);
	return at;
}

struct statement *statement_names_find(const struct statement_names *names, const char *name)
{
	return names->size ? names->entries[slot_of(names, name)].statement : NULL;
}

static void resize(struct statement_names *names, uint32_t size)
{
	struct statement_names larger = {
		.entries = must(calloc(size, sizeof(struct statement_entry))),
		.count = names->count,
		.size = size,
		.last_serial = names->last_serial,
	};
	for (uint32_t i = 0; i < names->size; i++)
		if (names->entries[i].name)
			larger.entries[slot_of(&larger, names->entries[i].name)] =
				names->entries[i];
	free(names->entries);
	*names = larger;
}

const struct statement_entry *statement_names_entry(
	const struct statement_names *names, const char *name)
{
	const struct statement_entry *entry = names->size ? &names->entries[slot_of(names, name)]
							  : NULL;
	return entry && entry->name ? entry : NULL;
}

void statement_names_restore(struct statement_names *names, const char *name,
	struct statement *statement, uint32_t serial)
{
	if ((names->count + 1) * 4 > names->size * 3)
		resize(names, names->size ? names->size * 2 : NAMES_MIN);
	struct statement_entry *entry = &names->entries[slot_of(names, name)];
	assert(!entry->name);
	*entry = (struct statement_entry){must(strdup(name)), statement, serial, statement->shape};
	names->count++;
}

uint32_t statement_names_add(
	struct statement_names *names, const char *name, struct statement *statement)
{
	statement_names_restore(names, name, statement, ++names->last_serial);
	return names->last_serial;
}

static void remove_at(struct statement_names *names, struct statements *all, uint32_t at)
{
	free(names->entries[at].name);
	/* The analyzer sees two names of one statement and one reference; each name has its own. */
	statements_drop(all, names->entries[at].statement); /* NOLINT(clang-analyzer-unix.Malloc) */
	names->entries[at] = (struct statement_entry){0};
	names->count--;
	/* Those behind it may have been pushed on by it: put them where they belong now. */
	for (uint32_t i = (at + 1) & (names->size - 1); names->entries[i].name;
		i = (i + 1) & (names->size - 1)) {
		struct statement_entry moved = names->entries[i];
		names->entries[i] = (struct statement_entry){0};
		names->entries[slot_of(names, moved.name)] = moved;
	}
}

void statement_names_remove(struct statement_names *names, struct statements *all, const char *name)
{
	if (names->size == 0)
		return;
	uint32_t at = slot_of(names, name);
	if (names->entries[at].name)
		remove_at(names, all, at);
}

void statement_names_replace(struct statement_names *names, struct statements *all,
	const char *name, struct statement *statement)
{
	struct statement_entry *entry = &names->entries[slot_of(names, name)];
	assert(entry->name);
	statements_drop(all, entry->statement);
	entry->statement = statement;
}

bool statement_names_shape(
	struct statement_names *names, const char *name, uint32_t serial, uint32_t shape)
{
	if (names->size == 0)
		return false;
	struct statement_entry *entry = &names->entries[slot_of(names, name)];
	if (!entry->name || entry->serial != serial)
		return false;
	entry->shape = shape;
	return true;
}

void statement_names_undo(
	struct statement_names *names, struct statements *all, const char *name, uint32_t serial)
{
	const struct statement_entry *entry = statement_names_entry(names, name);
	if (entry && entry->serial == serial)
		statement_names_remove(names, all, name);
}

void statement_names_clear_before(
	struct statement_names *names, struct statements *all, uint32_t serial)
{
	if (!serial) {
		statement_names_clear(names, all);
		return;
	}
	for (uint32_t i = 0; i < names->size;) {
		/* Removing moves others about, perhaps to here. */
		if (names->entries[i].name && names->entries[i].serial < serial)
			remove_at(names, all, i);
		else
			i++;
	}
}

void statement_names_clear(struct statement_names *names, struct statements *all)
{
	for (uint32_t i = 0; i < names->size; i++) {
		if (names->entries[i].name) {
			free(names->entries[i].name);
			statements_drop(all, names->entries[i].statement);
		}
	}
	free(names->entries);
	*names = (struct statement_names){.last_serial = names->last_serial};
}
