/* kernel.h: the kernel's figures, which every source of a live process has in its rows.
 */
#ifndef FRAGSCOPE_KERNEL_H
#define FRAGSCOPE_KERNEL_H

#include "source/driver.h"
#include "target/maps.h"

/* Sets RSS, PSS, swap and huge pages; with the option quick, from the kernel's counters,
 * RSS and swap alone. 0, or -errno and FAULT. */
int source_usage(struct source *source, struct sample *sample, struct fault *fault);

/* The same, QUICK or exact whatever SOURCE's options say: exact figures take a walk of
 * all page tables. */
int source_usage_by(struct source *source, struct sample *sample, bool quick,
		    struct fault *fault);

/* Sets the number of mappings. 0, or -errno and FAULT. */
int source_mappings(struct source *source, struct sample *sample, struct fault *fault);

/* Fills FAULT: /proc/PID/NAME could not be read. Returns ERROR. */
int source_unreadable(const struct source *source, const char *name, int error,
		      struct fault *fault);

#endif
