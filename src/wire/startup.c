#include "wire/startup.h"

#include <string.h>

#define CODE_CANCEL 80877102
#define CODE_SSL    80877103
#define CODE_GSSENC 80877104

/* Pairs of non-empty name and value, ended by an empty name that ends the packet. */
static int are_terminated(struct bytes parameters)
{
	const uint8_t *at = parameters.at;
	const uint8_t *end = at + parameters.len;
	for (;;) {
		if (at == end)
			return 0;
		if (*at == 0)
			return at + 1 == end;
		for (int text = 0; text < 2; text++) {
			const uint8_t *zero = memchr(at, 0, (size_t)(end - at));
			if (!zero)
				return 0;
			at = zero + 1;
		}
	}
}

enum wire_result wire_startup_parse(struct bytes in, struct wire_startup *startup)
{
	if (in.len < 4)
		return WIRE_PARTIAL;
	uint32_t len = bytes_u32(in.at);
	if (len < 8 || len > STARTUP_PACKET_MAX)
		return WIRE_BAD;
	if (in.len < len)
		return WIRE_PARTIAL;
	*startup = (struct wire_startup){.len = len};
	uint32_t code = bytes_u32(in.at + 4);
	switch (code) {
	case CODE_SSL:
		startup->kind = WIRE_STARTUP_SSL;
		return len == 8 ? WIRE_OK : WIRE_BAD;
	case CODE_GSSENC:
		startup->kind = WIRE_STARTUP_GSSENC;
		return len == 8 ? WIRE_OK : WIRE_BAD;
	case CODE_CANCEL:
		if (len != 16)
			return WIRE_BAD;
		startup->kind = WIRE_STARTUP_CANCEL;
		startup->pid = bytes_u32(in.at + 8);
		startup->key = bytes_u32(in.at + 12);
		return WIRE_OK;
	default:
		break;
	}
	startup->kind = WIRE_STARTUP_SESSION;
	startup->major = (uint16_t)(code >> 16);
	startup->minor = (uint16_t)code;
	startup->parameters = (struct bytes){in.at + 8, len - 8};
	if (startup->major == 3 && !are_terminated(startup->parameters))
		return WIRE_BAD;
	return WIRE_OK;
}

int wire_pair_next(struct bytes *pairs, const char **name, const char **value)
{
	if (pairs->len == 0 || pairs->at[0] == 0)
		return 0;
	*name = (const char *)pairs->at;
	size_t used = strlen(*name) + 1;
	*value = *name + used;
	used += strlen(*value) + 1;
	pairs->at += used;
	pairs->len -= used;
	return 1;
}
