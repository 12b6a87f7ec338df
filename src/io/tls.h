/*
 * tls - what the gate shows to clients that ask for TLS: a certificate, its key, and whose
 * certificates it asks for in turn. Read from files, and read again when told to.
 *
 * TLS 1.2 at least, forward secrecy and authenticated encryption only, no renegotiation, no
 * compression, no resumption (libpq never asks for it, and each ticket is a write more).
 */
#ifndef STANDPIPE_IO_TLS_H
#define STANDPIPE_IO_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The first byte of a TLS handshake: of a client that does not ask first
 * (sslnegotiation=direct). */
#define TLS_FIRST_BYTE 0x16

/* The hash of a certificate for channel binding, at most (SHA-512's). */
#define TLS_BINDING_MAX 64

/* Names of files, borrowed; an empty one: none. */
struct tls_files {
	const char *cert; /* the certificate, then those between it and a known one: PEM */
	const char *key; /* its key: PEM, without a pass phrase; empty: in the same file */
	const char *client_ca; /* who signs clients' certificates: PEM; empty: none are asked for */
	const char *crl; /* which of those they have taken back: PEM; empty: none are looked for */
};

struct tls {
	SSL_CTX *context; /* NULL: nothing loaded */
};

#define TLS_INIT ((struct tls){0})

/* Reads the files. When all are good they take the place of what was loaded before, which those who
 * are connected keep; else -1 with `error` (the file in its origin), and what was loaded goes
 * on. */
int tls_load(struct tls *tls, const struct tls_files *files, struct error *error);

/* After all that tls_accept made is closed. */
void tls_release(struct tls *tls);

/* A server's end, for stream_encrypt: the handshake takes place in the first reads. Something must be
 * loaded. */
SSL *tls_accept(const struct tls *tls);

/* Says goodbye, if that can be said now, and frees it. NULL is let pass. */
void tls_close(SSL *ssl);

/* Why the last call failed, in words (static). Forgets it. */
const char *tls_reason(void);

/* Did the client name PostgreSQL's protocol (by ALPN, as PostgreSQL 17 has it)? */
bool tls_named_protocol(const SSL *ssl);

/* Has the client shown a certificate (one that is not trusted has ended the handshake) that names
 * `user`: by its subject's common name, or by an alternative name that is an e-mail address or a
 * DNS name, byte by byte? */
bool tls_names_user(const SSL *ssl, const char *user);

/* tls-server-end-point (RFC 5929) of the certificate that was shown on this connection: its hash;
 * returns the length, 0 where there is none (Ed25519 names no hash). */
size_t tls_binding(const SSL *ssl, unsigned char binding[TLS_BINDING_MAX]);

#endif
