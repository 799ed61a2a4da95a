#include "analysis/prediction.h"

#include "base/machine.h"

bool predict_trim(const struct sample *sample, struct prediction *prediction)
{
	const struct figures *fig = &sample->fig;

	if (figure_has(fig, FIG_TRIMMABLE_BYTES)) {
		prediction->bytes = fig->v[FIG_TRIMMABLE_BYTES].u;
	} else if (figure_has(fig, FIG_DIRTY_BYTES)) {
		/* Pages that the allocator has kept are what it gives back. */
		prediction->bytes = fig->v[FIG_DIRTY_BYTES].u;
		if (figure_has(fig, FIG_MUZZY_BYTES))
			prediction->bytes += fig->v[FIG_MUZZY_BYTES].u;
	} else {
		return false;
	}
	prediction->faults = prediction->bytes / machine_page_bytes();
	return true;
}

uint64_t predict_forked(uint64_t bytes, uint64_t forked_bytes, uint64_t private_bytes)
{
	return forked_bytes && bytes > private_bytes ? bytes - private_bytes : 0;
}
