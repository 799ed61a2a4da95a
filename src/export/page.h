/* page.h: the texts that scrapes are answered with: written once a look at the processes,
 * however many ask, and kept for as long as a slow reader of one needs it. */
#ifndef FRAGSCOPE_EXPORT_PAGE_H
#define FRAGSCOPE_EXPORT_PAGE_H

#include "export/exposition.h"

#include <stdbool.h>
#include <stddef.h>

struct mhd;
struct MHD_Response;
struct metric_pages;

/* All memory for texts. MHD and EXPOSITION stay the caller's. 0 or -ENOMEM. */
int metric_pages_new(struct metric_pages **pages, const struct mhd *mhd,
		     struct exposition *exposition, size_t bytes);

/* No response is in use any more. */
void metric_pages_free(struct metric_pages *pages);

/* The response with what is known now, in FORMAT, and GZIP. Owned by PAGES: to be queued
 * at once. Null: there is none, and no room. For one thread. */
struct MHD_Response *metric_pages_response(struct metric_pages *pages,
					   enum metrics_format format, bool gzip);

#endif
