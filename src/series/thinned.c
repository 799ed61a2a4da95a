#include "series/thinned.h"

#include "base/alloc_touched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SPACING_NS INT64_C(10000000000)

size_t packed_bytes(const struct sample *sample, bool bins)
{
	size_t unit = _Alignof(max_align_t);

	return (sample_packed_bytes(sample, bins) + unit - 1) / unit * unit;
}

int thinned_open(struct thinned *thinned, size_t bytes, int64_t keep_ns)
{
	*thinned = (struct thinned){
		.memory = alloc_touched(bytes),
		.bytes = bytes,
		.capacity = bytes / sizeof(struct sample),
		.spacing_ns = FIRST_SPACING_NS,
		.keep_ns = keep_ns,
	};
	thinned->place = alloc_touched(thinned->capacity * sizeof(*thinned->place));
	return thinned->memory && thinned->place ? 0 : -ENOMEM;
}

void thinned_close(struct thinned *thinned)
{
	free(thinned->memory);
	free(thinned->place);
}

static struct sample *nth(const struct thinned *thinned, size_t i)
{
	return (struct sample *)(void *)(thinned->memory + thinned->place[i]);
}

struct sample *thinned_at(const struct thinned *thinned, size_t back)
{
	return nth(thinned, thinned->count - 1 - back);
}

/* Whether LATER is SPAN_NS after EARLIER, or more; the clock never falls between them. */
static bool is_after(int64_t later_ns, int64_t earlier_ns, int64_t span_ns)
{
	return (uint64_t)later_ns - (uint64_t)earlier_ns >= (uint64_t)span_ns;
}

/* Moves sample FROM to the place of sample TO, which is at or before it. */
static void move(struct thinned *thinned, size_t from, size_t to)
{
	struct sample *sample = nth(thinned, from);
	size_t bytes = packed_bytes(sample, true);

	memmove(thinned->memory + thinned->used, sample, bytes);
	thinned->place[to] = thinned->used;
	sample_moved(nth(thinned, to));
	thinned->used += bytes;
}

/* Keeps every STEPth sample from FIRST on, and closes the ranks. */
static void keep(struct thinned *thinned, size_t first, size_t step)
{
	size_t kept = 0;

	thinned->used = 0;
	for (size_t i = first; i < thinned->count; i += step)
		move(thinned, i, kept++);
	thinned->count = kept;
}

static size_t count_expired(const struct thinned *thinned, int64_t now_ns)
{
	size_t expired = 0;

	while (expired < thinned->count &&
	       is_after(now_ns, nth(thinned, expired)->time_ns, thinned->keep_ns))
		expired++;
	return expired;
}

static void make_room(struct thinned *thinned, size_t bytes, int64_t now_ns)
{
	while (thinned->count && (thinned->bytes - thinned->used < bytes ||
				  thinned->count == thinned->capacity)) {
		size_t expired = count_expired(thinned, now_ns);

		if (expired) {
			keep(thinned, expired, 1);
		} else if (thinned->count < 3) {
			keep(thinned, 1, 1);
		} else {
			keep(thinned, 0, 2);
			thinned->spacing_ns *= 2;
		}
	}
}

void thinned_offer(struct thinned *thinned, const struct sample *sample)
{
	size_t bytes = packed_bytes(sample, true);

	if (bytes > thinned->bytes ||
	    (thinned->count && !is_after(sample->time_ns, thinned_at(thinned, 0)->time_ns,
					 thinned->spacing_ns)))
		return;
	make_room(thinned, bytes, sample->time_ns);
	sample_pack(thinned->memory + thinned->used, sample, true);
	thinned->place[thinned->count++] = thinned->used;
	thinned->used += bytes;
}
