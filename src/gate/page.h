/*
 * page - what the front door says while the service is not there: 503, Retry-After, and why, as
 * far as strangers may know it: no names, no addresses, no errors.
 */
#ifndef STANDPIPE_GATE_PAGE_H
#define STANDPIPE_GATE_PAGE_H

#include "gate/view.h"
#include "io/http.h"

#define PAGE_RETRY_MAX_S 60

/* HTML for those who would rather have it than JSON (Accept), else JSON. */
void page_answer(const struct gate_view *view, const struct http_request *request,
	struct http_response *response);

/* Does `accept`, a header's value or NULL, put text/html before application/json? */
bool page_prefers_html(const char *accept);

#endif
