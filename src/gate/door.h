/*
 * door - the front door: who answers on the service's own port.
 *
 *   closed   (the command is not ready yet, or down) the gate answers: a short honest 503
 *   open     DOOR_RELAY: connections are relayed to 127.0.0.1:command_port, and those that the
 *            command refuses get the 503; DOOR_INHERIT: the gate accepts no more, the command,
 *            which has the same socket, does so for itself
 *
 * A connection that got a 503 is closed, and one that has asked nothing yet when the door opens
 * is, too: nobody is left talking to the gate when the service is there.
 */
#ifndef STANDPIPE_GATE_DOOR_H
#define STANDPIPE_GATE_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "gate/settings.h"
#include "io/http.h"

/* Connections relayed at once; more get the 503. */
#define DOOR_TUNNELS_MAX 4096

struct door_settings {
	enum door_mode mode; /* not DOOR_OFF */
	int listen_fd; /* borrowed: open until door_free */
	int command_port; /* for DOOR_RELAY */
};

struct door;

/* A closed door. `answer` says what there is to say (page_answer); the door adds Connection: close
 * itself. NULL with `error` if it can't be watched. */
struct door *door_new(uv_loop_t *loop, const struct door_settings *settings, http_handler *answer,
	void *context, struct error *error);

/* The command is ready. No effect when open. */
void door_open(struct door *d);
/* It is not. What is being relayed goes on until one side ends it. */
void door_close(struct door *d);
/* Accepts nothing until it is opened, closed or resumed: another does on the same socket. */
void door_pause(struct door *d);
void door_resume(struct door *d);
bool door_is_open(const struct door *d);

/* For DOOR_RELAY: the command listens there now. */
void door_set_command_port(struct door *d, int port);

/* Relayed connections now, and bytes of those that have ended, both ways. */
int door_tunnels(const struct door *d);
uint64_t door_bytes(const struct door *d);
/* 503s given. */
uint64_t door_refusals(const struct door *d);

/* Cuts what is relayed; the memory goes with the loop's next turn. NULL is let pass. */
void door_free(struct door *d);

#endif
