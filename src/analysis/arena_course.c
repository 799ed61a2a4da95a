#include "analysis/arena_course.h"

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
 * ARENA_COURSE_MOST: there is no room for it. */
static unsigned place_of(struct arena_course *course, uint64_t key, unsigned guess)
{
	for (unsigned i = 0; i < course->count; i++) {
		unsigned at = (guess + i) % course->count;

		if (course->arena[at].key == key)
			return at;
	}
	if (course->count == ARENA_COURSE_MOST)
		return ARENA_COURSE_MOST;
	course->arena[course->count].key = key;
	course->arena[course->count].most = 0;
	/* One that comes later held nothing before. */
	course->arena[course->count].least = course->readings ? 0 : UINT64_MAX;
	return course->count++;
}

void arena_course_add(struct arena_course *course, const struct sample *sample)
{
	uint64_t sum = 0;

	if (!is_sound(sample))
		return;
	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct arena_row *row = &sample->arena[i];
		uint64_t live = row->fig.v[FIG_LIVE_BYTES].u;
		unsigned at = place_of(course, key_of(row), i);

		sum += live;
		if (at == ARENA_COURSE_MOST) {
			course->is_full = true;
			continue;
		}
		if (live > course->arena[at].most)
			course->arena[at].most = live;
		if (live < course->arena[at].least)
			course->arena[at].least = live;
	}
	if (sum > course->peak_bytes)
		course->peak_bytes = sum;
	course->readings++;
}

struct arena_peaks arena_course_peaks(const struct arena_course *course)
{
	struct arena_peaks peaks = {
		.is_known = course->readings > 1 && !course->is_full,
		.peak_bytes = course->peak_bytes,
	};

	for (unsigned i = 0; i < course->count; i++) {
		peaks.peaks_bytes += course->arena[i].most;
		peaks.swing_bytes += course->arena[i].most - course->arena[i].least;
	}
	return peaks;
}
