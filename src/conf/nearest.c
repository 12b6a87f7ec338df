#include "conf/nearest.h"

#include <stdint.h>
#include <string.h>

#define WORD_MAX 96

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The restricted Damerau-Levenshtein distance, with three rows of its matrix. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][WORD_MAX + 1];
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t cost = a[i - 1] != b[j - 1];
			row[j] = least(above[j - 1] + cost, least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], two_above[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

void nearest_init(struct nearest *n, const char *word)
{
	*n = (struct nearest){.word = word, .distance = SIZE_MAX};
}

void nearest_try(struct nearest *n, const char *known)
{
	size_t word_len = strlen(n->word), known_len = strlen(known);
	if (word_len > WORD_MAX || known_len > WORD_MAX)
		return;
	size_t d = distance(n->word, word_len, known, known_len);
	size_t longer = word_len > known_len ? word_len : known_len;
	if (d < n->distance && d * 2 < longer) {
		n->distance = d;
		n->best = known;
	}
}
