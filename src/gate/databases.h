/*
 * databases - what the pools have to do when clients create, drop and rename databases.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME and CREATE DATABASE ... TEMPLATE fail where anybody else
 * is connected, after PostgreSQL has waited 5 s for them to go (CountOtherDBBackends). Without a
 * pooler a client that has gone is not connected; so what the gate keeps open of that database must
 * go in that time. It goes only once the server has taken a while over such a text: who may not
 * drop the database is told so at once, and nobody loses a connection for it. Servers that a client
 * holds stay, as they do without a pooler.
 *
 * And who was refused a database or a role that was not there is not refused from memory once
 * somebody has made one.
 */
#ifndef STANDPIPE_GATE_DATABASES_H
#define STANDPIPE_GATE_DATABASES_H

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "gate/server.h"

/* A longer text is not looked at. */
#define DATABASES_TEXT_MAX 1024

void databases_init(struct hub *h);
void databases_close(struct hub *h);

/* Might a text that is about a database begin like this? For the way of every query: most don't. */
static inline bool databases_may_begin(struct bytes text)
{
	static const char others[] = "siufvetSIUFVET"; /* SELECT, INSERT, UPDATE, ... */
	return text.len > 0 && !memchr(others, text.at[0], sizeof(others) - 1);
}

/* The server's client is about to run this text there, or prepares it. */
void databases_note(struct server *s, struct bytes text);

/* A command was carried out: its tag. */
void databases_told(const struct server *s, const char *tag);

#endif
