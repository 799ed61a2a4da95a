/* export.h: what `fragscope export` does: metrics of the processes of a host, for
 * Prometheus. */
#ifndef FRAGSCOPE_EXPORT_H
#define FRAGSCOPE_EXPORT_H

#include "analysis/rule.h"
#include "base/fault.h"
#include "engine/frontend.h"
#include "export/population.h"

#include <stdbool.h>
#include <stdint.h>

struct export_options {
	const struct frontend *frontend;
	struct selection_by by;
	const char *listen;   /* an address (listen.h); null: systemd's, or the usual one
				 unless there is a TEXTFILE */
	const char *textfile; /* null: none */
	const struct rules *rules; /* null: none */
	uint64_t top;
	bool by_pid, swap_in, events;
	double share; /* of one processor, for everything */
	int64_t interval_ns;
};

/* Until an end is asked for. 0, or -errno and FAULT. */
int export_run(const struct export_options *options, struct fault *fault);

#endif
