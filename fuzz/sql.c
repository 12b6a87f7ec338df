/* A text of SQL. */
#include <assert.h>
#include <string.h>

#include "exact.h"
#include "target.h"
#include "wire/sql.h"

static void note(void *context, struct bytes name)
{
	assert(sql_is_custom_name(name));
	*(bool *)context = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text = exact(data, size);
	char name[SQL_NAME_MAX];
	bool custom = false;
	uint32_t traits = sql_traits(text);
	sql_settings(text, note, &custom);
	assert(custom == ((traits & SQL_CUSTOM) != 0));
	struct bytes written;
	if (sql_deallocates(text, name, &written)) {
		assert(written.at >= text.at && written.len > 0 &&
			written.at + written.len <= text.at + text.len);
		assert(strlen(name) < SQL_NAME_MAX);
		assert(traits & SQL_DEALLOCATE);
	}
	exact_free(text);
	return 0;
}
