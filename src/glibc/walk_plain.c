/* walk_plain.c: passes ordinary chunks, at the speed of copying memory. */
#include "base/bytes.h"
#include "glibc/walk_parts.h"

enum {
	PASS_AHEAD = 512, /* bytes fetched into the first-level cache */
	PASSED_MOST = WALK_WINDOW / GLIBC_MIN_CHUNK, /* chunks, at once */
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What is passed of the chain, and what does not change meanwhile. */
struct passing {
	uint64_t at;
	uint64_t before;
	uint64_t chunks;
	uint64_t free_chunks;
	uint64_t free_bytes;
	uint64_t largest_bytes;
	uint64_t unusable_bytes;

	uintptr_t base; /* where address 0 of the target would be, by the window */
	uint64_t until;
	uint64_t room_end; /* no chunk ends behind it */
	uint64_t forbidden;
	uint64_t unusable_for_bytes;
	uint64_t listed_max_bytes;
	uint64_t low, span_units; /* of the arena */
	uint64_t tcache_bytes;
	uint64_t other_page; /* the bits in which addresses on two pages differ */
	uint64_t *key;	     /* of walk.list, for the chunk before */
};

static inline uint64_t in_units(uint64_t bytes)
{
	return bytes / GLIBC_ALIGN | bytes << 60;
}

/* Whether more has to be known of the chunk of SIZE_FIELD, or of the one before it where
 * IS_FREE has all bits set. All of it at once: which of it is so is nothing that a
 * processor could foresee. */
static inline bool is_special(const struct passing *passing, const uint8_t *header,
			      uint64_t size_field, uint64_t is_free)
{
	uint64_t at = passing->at, bytes = size_field & ~(uint64_t)CHUNK_FLAGS;
	uint64_t crossing = (passing->before ^ (at - 1)) & passing->other_page;
	uint64_t unlike = bytes_u64(header) ^ (at - passing->before);
	uint64_t to = walk_reveal(at, bytes_u64(header + WALK_HEADER));

	return (is_free & (crossing | unlike)) | (size_field & passing->forbidden) |
	       (bytes - GLIBC_MIN_CHUNK > passing->room_end - at) |
	       !((bytes - passing->tcache_bytes) & ~(uint64_t)16) |
	       ((bytes <= passing->listed_max_bytes) &
		((to == 0) | (in_units(to - passing->low) < passing->span_units)));
}

static inline __attribute__((always_inline)) void pass_some(struct passing *result,
							    bool lists)
{
	struct passing passing = *result;

	while (passing.at < passing.until) {
		const uint8_t *header = (const uint8_t *)(passing.base + passing.at);
		uint64_t field = bytes_u64(header + 8);
		uint64_t is_free = (field & CHUNK_PREV_INUSE) - 1;
		uint64_t hole = (passing.at - passing.before) & is_free;

		if (is_special(&passing, header, field, is_free))
			break;
		__builtin_prefetch(header + PASS_AHEAD);
		if (lists)
			*passing.key++ = passing.before | (is_free & PIECE_FREE);
		passing.chunks++;
		passing.free_chunks -= is_free;
		passing.free_bytes += hole;
		passing.largest_bytes =
			hole > passing.largest_bytes ? hole : passing.largest_bytes;
		passing.unusable_bytes +=
			hole & -(uint64_t)(hole < passing.unusable_for_bytes);
		passing.before = passing.at;
		passing.at += field & ~(uint64_t)CHUNK_FLAGS;
	}
	*result = passing;
}

/* How far the chain may be passed without a look at what else is known. */
static uint64_t plain_until(const struct walk *walk, uint64_t end)
{
	const struct walk_arena *arena = walk->arena;
	uint64_t until = least(end - WALK_LINKED + 1, walk->until);

	until = least(until, walk_last_saved(walk) + WALK_SAVE_EVERY);
	until = least(until, walk->segment.stop - GLIBC_MIN_CHUNK + 1);
	if (walk->place.next_fast < arena->fast_count)
		until = least(until, arena->fast[walk->place.next_fast]);
	return until;
}

static void take_passed(struct walk *walk, const struct passing *passed)
{
	struct walk_place *place = &walk->place;
	struct walk_totals *totals = &walk->totals;

	if (!passed->chunks)
		return;
	place->before = passed->before;
	place->has_before_to = false;
	place->at = passed->at;
	place->fences = 0;
	if (walk->list) {
		place->noted += passed->chunks;
		place->listed = passed->before;
	}
	totals->chunks += passed->chunks;
	totals->free_chunks += passed->free_chunks;
	totals->free_bytes += passed->free_bytes;
	totals->free_resident_bytes += passed->free_bytes;
	totals->pinned_bytes += passed->free_bytes;
	totals->unusable_bytes += passed->unusable_bytes;
	if (passed->largest_bytes > totals->largest_bytes)
		totals->largest_bytes = passed->largest_bytes;
}

/* Ends the run of free chunks if the chunk before AT is in use. */
static bool end_run(struct walk *walk, uint64_t until)
{
	const struct walk_place *place = &walk->place;

	if (place->at >= until ||
	    !(bytes_u64(walk->buffer + (place->at - walk->window) + 8) &
	      CHUNK_PREV_INUSE))
		return false;
	walk_close_run(walk, place->before);
	return true;
}

static struct passing passing_of(const struct walk *walk)
{
	const struct walk_arena *arena = walk->arena;
	bool wants_free = arena->bins | arena->note_binned;

	return (struct passing){
		.at = walk->place.at,
		.before = walk->place.before,
		.base = (uintptr_t)walk->buffer - walk->window,
		.room_end = walk->segment.stop - GLIBC_MIN_CHUNK,
		.forbidden = walk_forbidden(arena),
		.unusable_for_bytes = arena->unusable_for_bytes,
		.listed_max_bytes = arena->listed_max_bytes,
		.low = arena->low,
		.span_units = (arena->high - arena->low) / GLIBC_ALIGN,
		.tcache_bytes = arena->layout->tcache.chunk_bytes,
		.other_page = wants_free ? UINT64_MAX : -walk_page_bytes(walk),
	};
}

/* Whether all that is passed can be listed: the chunk before is the next piece, and no
 * fencepost. */
static bool can_list(const struct walk *walk)
{
	const struct walk_place *place = &walk->place;

	return !walk->list || (place->before == place->listed && !place->fences &&
			       gather_room(walk->list, place->noted + PASSED_MOST));
}

void walk_pass_plain(struct walk *walk, uint64_t end)
{
	const struct walk_place *place = &walk->place;
	struct passing passing;

	if (place->before_is_fast || place->before_is_cached || walk->log ||
	    end - walk->window < WALK_LINKED || !can_list(walk))
		return;
	passing = passing_of(walk);
	passing.until = plain_until(walk, end);
	if (place->run && !end_run(walk, passing.until))
		return;
	if (walk->list) {
		passing.key = walk->list->key + place->noted;
		pass_some(&passing, true);
	} else {
		pass_some(&passing, false);
	}
	take_passed(walk, &passing);
}
