#include "analysis/arena_peaks.h"

static bool is_sound(const struct sample *sample)
{
	const struct figures *fig = &sample->fig;

	for (unsigned i = 0; i < sample->arena_count; i++)
		if (!figure_has(&sample->arena[i].fig, FIG_LIVE_BYTES))
			return false;
	if (figure_has(fig, FIG_IN_DOUBT_BYTES) && figure_has(fig, FIG_SYSTEM_BYTES) &&
	    fig->v[FIG_IN_DOUBT_BYTES].u > fig->v[FIG_SYSTEM_BYTES].u / 100)
		return false;
	return sample->arena_count > 0;
}

/* No arena lies at an address as small as an index. */
static uint64_t key_of(const struct arena_row *row)
{
	return row->addr ? row->addr : row->index;
}

/* Arenas are told in the same order for the most part: KEY is looked for from GUESS on.
 * ARENA_PEAKS_MOST: there is no room for it. */
static unsigned place_of(struct arena_extremes *extremes, uint64_t key, unsigned guess)
{
	for (unsigned i = 0; i < extremes->count; i++) {
		unsigned at = (guess + i) % extremes->count;

		if (extremes->arena[at].key == key)
			return at;
	}
	if (extremes->count == ARENA_PEAKS_MOST)
		return ARENA_PEAKS_MOST;
	extremes->arena[extremes->count].key = key;
	extremes->arena[extremes->count].most = 0;
	/* One that comes later held nothing before. */
	extremes->arena[extremes->count].least = extremes->readings ? 0 : UINT64_MAX;
	return extremes->count++;
}

void arena_peaks_add(struct arena_extremes *extremes, const struct sample *sample)
{
	uint64_t sum = 0;

	if (!is_sound(sample))
		return;
	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct arena_row *row = &sample->arena[i];
		uint64_t live = row->fig.v[FIG_LIVE_BYTES].u;
		unsigned at = place_of(extremes, key_of(row), i);

		sum += live;
		if (at == ARENA_PEAKS_MOST) {
			extremes->is_full = true;
			continue;
		}
		if (live > extremes->arena[at].most)
			extremes->arena[at].most = live;
		if (live < extremes->arena[at].least)
			extremes->arena[at].least = live;
	}
	if (sum > extremes->peak_bytes)
		extremes->peak_bytes = sum;
	extremes->readings++;
}

struct arena_peaks arena_peaks_of(const struct arena_extremes *extremes)
{
	struct arena_peaks peaks = {
		.is_known = extremes->readings > 1 && !extremes->is_full,
		.peak_bytes = extremes->peak_bytes,
	};

	for (unsigned i = 0; i < extremes->count; i++) {
		peaks.peaks_bytes += extremes->arena[i].most;
		peaks.swing_bytes += extremes->arena[i].most - extremes->arena[i].least;
	}
	return peaks;
}
