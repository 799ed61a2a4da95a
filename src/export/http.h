/* http.h: answers scrapes: metrics, a landing page, and whether we are well. */
#ifndef FRAGSCOPE_EXPORT_HTTP_H
#define FRAGSCOPE_EXPORT_HTTP_H

#include "base/fault.h"
#include "export/exposition.h"
#include "view/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>

struct http;

/* Answers by a thread of its own what comes in at FD, which stays the caller's;
 * EXPOSITION is that thread's until http_end. SCRAPES is counted up. 0, or -errno and
 * FAULT. */
int http_begin(struct http **http, int fd, const struct exposition_options *options,
	       atomic_ulong *scrapes, struct fault *fault);
void http_end(struct http *http);

/* What a header Accept asks for: OpenMetrics only where it is preferred to plain text, or
 * as much. Null: no header. */
enum metrics_format http_format(const char *accept);

/* Whether a header Accept-Encoding takes gzip. */
bool http_takes_gzip(const char *accept);

#endif
