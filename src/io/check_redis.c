/* Redis over libcurl's connection, which does names, limits and TLS; hiredis has the protocol. */
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "io/check_work.h"

static int send_command(struct check_work *w, CURL *curl, int count, const char **words)
{
	char *command = NULL;
	int len = redisFormatCommandArgv(&command, count, words, NULL);
	if (len < 0)
		abort();
	int result = check_send(w, curl, command, (size_t)len);
	redisFreeCommand(command);
	return result;
}

static const char *mend_of(const char *text)
{
	if (strncmp(text, "WRONGPASS", 9) == 0 || strstr(text, "invalid password"))
		return "; is the user, and the password, right?";
	if (strncmp(text, "NOAUTH", 6) == 0)
		return "; it wants a password: redis://:PASSWORD@HOST";
	return "";
}

/* Reads one reply, which must be the status `expected`. */
static int expect(struct check_work *w, CURL *curl, redisReader *reader, const char *command,
	const char *expected)
{
	void *found = NULL;
	for (;;) {
		if (redisReaderGetReply(reader, &found) != REDIS_OK)
			return error_set(&w->error, "redis", 0,
				"%s: this is not Redis's protocol (%s)", w->target.name,
				reader->errstr);
		if (found)
			break;
		char bytes[4096];
		int got = check_receive(w, curl, bytes, sizeof(bytes), "reply");
		if (got < 0)
			return -1;
		if (got == 0)
			return error_set(&w->error, "redis", 0,
				"%s: closed the connection before it answered %s; does it want TLS "
				"(rediss://)?",
				w->target.name, command);
		redisReaderFeed(reader, bytes, (size_t)got);
	}
	redisReply *reply = found;
	int result = 0;
	if (reply->type == REDIS_REPLY_ERROR)
		result = error_set(&w->error, "redis", 0, "%s: %s was answered by: %.120s%s",
			w->target.name, command, reply->str, mend_of(reply->str));
	else if (reply->type != REDIS_REPLY_STATUS || strcmp(reply->str, expected) != 0)
		result = error_set(&w->error, "redis", 0, "%s: %s was not answered by %s",
			w->target.name, command, expected);
	freeReplyObject(reply);
	return result;
}

static int talk(struct check_work *w, CURL *curl, redisReader *reader)
{
	const struct check_target *t = &w->target;
	if (t->password) {
		bool named = t->user && *t->user;
		const char *words[] = {"AUTH", named ? t->user : t->password, t->password};
		if (send_command(w, curl, named ? 3 : 2, words) < 0 ||
			expect(w, curl, reader, "AUTH", "OK") < 0)
			return -1;
	}
	if (t->database != 0) {
		char number[16];
		snprintf(number, sizeof(number), "%d", t->database);
		if (send_command(w, curl, 2, (const char *[]){"SELECT", number}) < 0 ||
			expect(w, curl, reader, "SELECT", "OK") < 0)
			return -1;
	}
	if (send_command(w, curl, 1, (const char *[]){"PING"}) < 0)
		return -1;
	return expect(w, curl, reader, "PING", "PONG");
}

int check_work_redis(struct check_work *w)
{
	CURL *curl = check_connect(w);
	if (!curl)
		return -1;
	redisReader *reader = redisReaderCreate();
	if (!reader)
		abort();
	int result = talk(w, curl, reader);
	redisReaderFree(reader);
	curl_easy_cleanup(curl);
	return result;
}
