/*
 * An answer of Cloud Monitoring or of the metadata server: the first byte says which. What is known is
 * a number that a page can show, and a token is one header's.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/cloud_series.h"
#include "target.h"

static void as_token(const char *text, size_t len)
{
	struct error error = {0};
	char *token = NULL;
	int64_t life_ns = 0;
	if (cloud_token_parse(text, len, &token, &life_ns, &error) == 0) {
		assert(token && *token && !strpbrk(token, "\r\n"));
		assert(life_ns > 0);
	} else {
		assert(!token && error_is_set(&error));
	}
	free(token);
}

static void as_series(enum cloud_metric metric, const char *text, size_t len)
{
	struct error error = {0};
	struct cloud_value value;
	if (cloud_series_parse(metric, text, len, &value, &error) < 0)
		assert(error_is_set(&error) && !value.known);
	else if (value.known)
		assert(isfinite(value.value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char message[64];
	if (size == 0)
		return 0;
	const char *text = (const char *)data + 1;
	unsigned which = data[0] % (CLOUD_METRIC_COUNT + 2U);
	if (which < CLOUD_METRIC_COUNT) {
		as_series((enum cloud_metric)which, text, size - 1);
	} else if (which == CLOUD_METRIC_COUNT) {
		as_token(text, size - 1);
	} else {
		cloud_message_parse(text, size - 1, message, sizeof(message));
		assert(strlen(message) < sizeof(message) && !strpbrk(message, "\r\n"));
	}
	return 0;
}
