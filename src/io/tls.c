#include "io/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* For TLS 1.2; those of 1.3 are all as good. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"

/* As ALPN has a list of names: each after its length. */
static const unsigned char protocol[] = "\x0apostgresql";
#define PROTOCOL_LEN (sizeof(protocol) - 1)

/* ---- loading ---- */

/* What OpenSSL complained of first, which is nearest to the cause. */
const char *tls_reason(void)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	if (code && ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
	ERR_clear_error();
	return reason ? reason : "OpenSSL does not say why";
}

static int complain(struct error *error, const char *file, const char *what)
{
	error_set(error, "tls", 0, "%s: %s", what, tls_reason());
	error_origin(error, file);
	return -1;
}

/* A server has nobody to ask. */
static int no_pass_phrase(char *to, int size, int writing, void *context)
{
	return 0;
}

/* PostgreSQL's protocol, or none named at all: a client of another protocol has been misled. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
	const unsigned char *offered, unsigned int offered_len, void *context)
{
	unsigned char *match;
	int result = SSL_select_next_proto(
		&match, chosen_len, protocol, PROTOCOL_LEN, offered, offered_len);
	if (result != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*chosen = match;
	return SSL_TLSEXT_ERR_OK;
}

static int ask_for_certificates(SSL_CTX *context, const char *file, struct error *error)
{
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
	if (!names || SSL_CTX_load_verify_locations(context, file, NULL) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return complain(error, file, "the clients' certificate authorities can't be used");
	}
	SSL_CTX_set_client_CA_list(context, names); /* takes them */
	/* Asked for, not required: who must show one is auth's to say. A bad one ends the
	 * handshake. */
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, NULL);
	return 0;
}

/* As PostgreSQL does: each authority of the chain must have a list, and one that has expired is
 * none. */
static int look_for_revoked(SSL_CTX *context, const char *file, struct error *error)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
	if (!lookup || X509_load_crl_file(lookup, file, X509_FILETYPE_PEM) < 1)
		return complain(error, file, "the list of revoked certificates can't be used");
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return 0;
}

static int fill(SSL_CTX *context, const struct tls_files *files, struct error *error)
{
	const char *key = *files->key ? files->key : files->cert;
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					     SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(context, 0);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	/* An idle client holds no buffers of OpenSSL's, which would be 34 kB. */
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_default_passwd_cb(context, no_pass_phrase);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	if (SSL_CTX_set_cipher_list(context, CIPHERS) != 1)
		return complain(error, files->cert, "OpenSSL has none of the ciphers");
	if (SSL_CTX_use_certificate_chain_file(context, files->cert) != 1)
		return complain(error, files->cert, "the certificate can't be used");
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		return complain(error, key, "the key can't be used");
	if (SSL_CTX_check_private_key(context) != 1)
		return complain(error, key, "the key is not the certificate's");
	if (*files->client_ca && ask_for_certificates(context, files->client_ca, error) != 0)
		return -1;
	return *files->crl ? look_for_revoked(context, files->crl, error) : 0;
}

int tls_load(struct tls *tls, const struct tls_files *files, struct error *error)
{
	ERR_clear_error();
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (!context)
		return complain(error, files->cert, "OpenSSL can't begin");
	if (fill(context, files, error) != 0) {
		SSL_CTX_free(context);
		return -1;
	}
	SSL_CTX_free(tls->context); /* whoever is connected holds it, too */
	tls->context = context;
	return 0;
}

void tls_release(struct tls *tls)
{
	SSL_CTX_free(tls->context);
	*tls = TLS_INIT;
}

/* ---- a connection ---- */

SSL *tls_accept(const struct tls *tls)
{
	assert(tls->context);
	SSL *ssl = SSL_new(tls->context);
	if (!ssl)
		abort();
	SSL_set_accept_state(ssl);
	return ssl;
}

void tls_close(SSL *ssl)
{
	if (!ssl)
		return;
	ERR_clear_error();
	if (SSL_is_init_finished(ssl))
		SSL_shutdown(ssl); /* the answer is not waited for */
	SSL_free(ssl);
	ERR_clear_error();
}

bool tls_named_protocol(const SSL *ssl)
{
	const unsigned char *name;
	unsigned int len;
	SSL_get0_alpn_selected(ssl, &name, &len);
	return len > 0;
}

static bool is_text(const ASN1_STRING *string, const char *text)
{
	unsigned char *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, string);
	/* A zero within it would end a text too early: as long as it says, or it is another. */
	bool same = len >= 0 && (size_t)len == strlen(text) && memcmp(utf8, text, (size_t)len) == 0;
	OPENSSL_free(utf8);
	return same;
}

static bool is_common_name(const X509 *cert, const char *user)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (place < 0)
		return false;
	/* With several, which one is meant nobody can tell. */
	if (X509_NAME_get_index_by_NID(subject, NID_commonName, place) >= 0)
		return false;
	return is_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)), user);
}

static bool is_alternative_name(const X509 *cert, const char *user)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool found = false;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_EMAIL || name->type == GEN_DNS)
			found = is_text(name->d.ia5, user);
	}
	GENERAL_NAMES_free(names);
	return found;
}

bool tls_names_user(const SSL *ssl, const char *user)
{
	const X509 *cert = SSL_get0_peer_certificate(ssl);
	if (!cert || SSL_get_verify_result(ssl) != X509_V_OK)
		return false;
	return is_common_name(cert, user) || is_alternative_name(cert, user);
}

size_t tls_binding(const SSL *ssl, unsigned char binding[TLS_BINDING_MAX])
{
	X509 *cert = SSL_get_certificate(ssl);
	unsigned int len = 0;
	int digest;
	if (!cert || X509_get_signature_info(cert, &digest, NULL, NULL, NULL) != 1)
		return 0;
	if (digest == NID_md5 || digest == NID_sha1)
		digest = NID_sha256; /* as the RFC has it */
	const EVP_MD *hash = EVP_get_digestbynid(digest);
	if (!hash || EVP_MD_get_size(hash) > TLS_BINDING_MAX ||
		X509_digest(cert, hash, binding, &len) != 1)
		return 0;
	return len;
}
