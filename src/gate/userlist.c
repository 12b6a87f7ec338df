#include "gate/userlist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- secrets ---- */

enum secret_kind secret_kind_of(const char *text)
{
	struct scram_verifier v;
	if (!*text)
		return SECRET_NONE;
	if (strncmp(text, SCRAM_NAME "$", strlen(SCRAM_NAME) + 1) == 0)
		return scram_verifier_parse(text, &v) == 0 ? SECRET_VERIFIER : SECRET_BROKEN;
	if (strncmp(text, "md5", 3) == 0 && strlen(text) == 35 &&
		strspn(text + 3, "0123456789abcdef") == 32)
		return SECRET_MD5;
	return SECRET_PASSWORD;
}

const char *secret_fault(enum secret_kind kind)
{
	switch (kind) {
	case SECRET_MD5:
		return "the stored password is an MD5 hash, which SCRAM can't be checked against: "
		       "set it again with password_encryption = scram-sha-256";
	case SECRET_BROKEN:
		return "the stored password begins like a SCRAM verifier and is none";
	case SECRET_NONE:
		return "no password is stored";
	case SECRET_VERIFIER:
	case SECRET_PASSWORD:
		break;
	}
	return NULL;
}

int userlist_verifier(struct userlist_user *user, struct scram_verifier *v)
{
	if (user->kind == SECRET_VERIFIER)
		return scram_verifier_parse(user->secret, v);
	if (user->kind != SECRET_PASSWORD)
		return -1;
	if (!user->made) {
		/* It takes milliseconds: at a user's first login rather than for all of a file. */
		user->made = malloc(sizeof(*user->made));
		if (!user->made)
			abort();
		if (scram_verifier_make(user->secret, user->made) != 0) {
			free(user->made);
			user->made = NULL;
			return -1;
		}
	}
	*v = *user->made;
	return 0;
}

/* ---- the file ---- */

struct reading {
	struct userlist list;
	const char *path;
	int line, size;
	struct error *error;
};

__attribute__((format(printf, 2, 3))) static int fail(struct reading *r, const char *format, ...)
{
	char text[ERROR_TEXT_MAX], origin[ERROR_ORIGIN_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_set(r->error, "auth", 0, "%s", text);
	if (r->line > 0)
		snprintf(origin, sizeof(origin), "%.110s:%d", r->path, r->line);
	else
		snprintf(origin, sizeof(origin), "%.120s", r->path);
	error_origin(r->error, origin);
	return -1;
}

static int read_text(struct reading *r)
{
	struct stat about;
	struct userlist *u = &r->list;
	int fd = open(r->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(r, "can't be read: %s", strerror(errno));
	if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) ||
		about.st_size > USERLIST_FILE_MAX) {
		close(fd);
		return fail(r, "is no file, or larger than %d MiB", USERLIST_FILE_MAX >> 20);
	}
	size_t size = (size_t)about.st_size;
	u->text = malloc(size + 1);
	if (!u->text)
		abort();
	ssize_t got = 1;
	while (u->text_len < size && got > 0) {
		got = read(fd, u->text + u->text_len, size - u->text_len);
		if (got > 0)
			u->text_len += (size_t)got;
	}
	int problem = got < 0 ? errno : 0;
	close(fd);
	u->text[u->text_len] = 0;
	if (problem)
		return fail(r, "can't be read: %s", strerror(problem));
	if (memchr(u->text, 0, u->text_len))
		return fail(r, "has a zero byte in it");
	return 0;
}

/* A quoted text at `*at`, which moves behind it; unquoted in place. NULL: there is none. */
static char *quoted(char **at)
{
	char *from = *at + strspn(*at, " \t"), *text, *to;
	if (*from != '"')
		return NULL;
	text = to = ++from;
	for (;; from++) {
		if (*from == 0)
			return NULL;
		if (*from == '"' && *++from != '"')
			break;
		*to++ = *from;
	}
	*at = from;
	*to = 0;
	return text;
}

static int take_line(struct reading *r, char *line)
{
	struct userlist *u = &r->list;
	char *at = line + strspn(line, " \t\r");
	if (!*at || *at == ';' || *at == '#')
		return 0;
	char *name = quoted(&at);
	char *secret = name ? quoted(&at) : NULL;
	if (!secret)
		return fail(r, "must be \"name\" \"secret\", both in double quotes");
	if (!*name)
		return fail(r, "the name is empty");
	if (strlen(secret) > USERLIST_SECRET_MAX)
		return fail(r, "the secret is longer than %d bytes", USERLIST_SECRET_MAX);
	if (u->count == r->size) {
		r->size = r->size ? 2 * r->size : 16;
		u->list = realloc(u->list, (size_t)r->size * sizeof(*u->list));
		if (!u->list)
			abort();
	}
	enum secret_kind kind = secret_kind_of(secret);
	u->list[u->count++] = (struct userlist_user){
		.name = name, .secret = secret, .kind = kind, .line = r->line};
	if (kind == SECRET_MD5 || kind == SECRET_BROKEN) {
		if (u->unusable++ == 0)
			u->unusable_line = r->line;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct userlist_user *one = a, *other = b;
	int order = strcmp(one->name, other->name);
	return order ? order : one->line - other->line;
}

static int read_all(struct reading *r)
{
	struct userlist *u = &r->list;
	if (read_text(r) != 0)
		return -1;
	for (char *line = u->text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		r->line++;
		if (take_line(r, line) != 0)
			return -1;
	}
	if (u->count > 0)
		qsort(u->list, (size_t)u->count, sizeof(*u->list), by_name);
	for (int i = 1; i < u->count; i++) {
		if (strcmp(u->list[i - 1].name, u->list[i].name) != 0)
			continue;
		r->line = u->list[i].line;
		return fail(r, "\"%.60s\" is there already, in line %d", u->list[i].name,
			u->list[i - 1].line);
	}
	return 0;
}

int userlist_load(struct userlist *u, const char *path, struct error *error)
{
	struct reading r = {.list = USERLIST_INIT, .path = path, .error = error};
	if (read_all(&r) != 0) {
		userlist_release(&r.list);
		return -1;
	}
	userlist_release(u);
	*u = r.list;
	return 0;
}

void userlist_release(struct userlist *u)
{
	for (int i = 0; i < u->count; i++) {
		if (u->list[i].made)
			explicit_bzero(u->list[i].made, sizeof(*u->list[i].made));
		free(u->list[i].made);
	}
	if (u->text)
		explicit_bzero(u->text, u->text_len);
	free(u->text);
	free(u->list);
	*u = USERLIST_INIT;
}

struct userlist_user *userlist_find(const struct userlist *u, const char *name)
{
	int low = 0, high = u->count;
	while (low < high) {
		int middle = low + (high - low) / 2;
		int order = strcmp(u->list[middle].name, name);
		if (order == 0)
			return &u->list[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
