#include "wire/frame.h"

enum wire_result frame_parse(struct bytes in, struct frame *frame)
{
	if (in.len < FRAME_HEADER)
		return WIRE_PARTIAL;
	uint32_t len = bytes_u32(in.at + 1);
	if (len < 4 || len > FRAME_MAX)
		return WIRE_BAD;
	frame->type = in.at[0];
	frame->len = len + 1;
	return WIRE_OK;
}
