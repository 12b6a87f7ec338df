#include "core/history.h"

/* Bits set, by halves: the compiler's builtin is a call into its library on plain x86-64. */
static int bits_set(uint64_t word)
{
	word -= word >> 1 & UINT64_C(0x5555555555555555);
	word = (word & UINT64_C(0x3333333333333333)) + (word >> 2 & UINT64_C(0x3333333333333333));
	word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (int)(word * UINT64_C(0x0101010101010101) >> 56);
}

void history_add(struct history *h, bool failed)
{
	h->failed = h->failed << 1 | failed;
	if (h->count < HISTORY_MAX)
		h->count++;
}

int history_failures(const struct history *h, int last)
{
	uint64_t mask = last < HISTORY_MAX ? (UINT64_C(1) << last) - 1 : UINT64_MAX;
	return bits_set(h->failed & mask);
}

void history_text(const struct history *h, char mark, char text[HISTORY_MAX + 1])
{
	for (int i = 0; i < h->count; i++)
		text[i] = h->failed >> (h->count - 1 - i) & 1 ? mark : '.';
	text[h->count] = 0;
}
