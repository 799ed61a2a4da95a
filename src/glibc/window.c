#include "glibc/window.h"

#include "base/bytes.h"
#include "base/machine.h"
#include "glibc/layout.h"

#include <string.h>

enum {
	HEADER = 16,
	FORWARD = 16,  /* where a free chunk's links lie (malloc.c, malloc_chunk) */
	BACKWARD = 24, /* and what of the one before it must point back */
	FREE_CHUNK = 32,
	FAST_MAX = 0xb0,
	ASKS = 512,   /* for one cell: more is made to mislead */
	STEPS = 96,   /* of a chain that is followed out of a cell */
	READS = 256,  /* for all chains of one */
	LOOKS = 4096, /* and in what was read */
};

static bool has(const struct window *window, uint64_t at, uint32_t bytes)
{
	return at >= window->base && at - window->base + bytes <= window->bytes;
}

static uint64_t word(const struct window *window, uint64_t at)
{
	return bytes_u64(window->buffer + (at - window->base));
}

static uint64_t bytes_of(uint64_t field)
{
	return field & ~(uint64_t)CHUNK_FLAGS;
}

/* A link of a binned chunk leads to another, or to the head of its list in the arena,
 * from 2.43 on at an odd multiple of 8. */
static bool can_be_link(uint64_t to)
{
	return to && !(to & (sizeof(to) - 1)) && !(to >> ADDRESS_BITS);
}

void window_begin(struct window *window)
{
	window->at = (window->base + GLIBC_ALIGN - 1) & -(uint64_t)GLIBC_ALIGN;
	window->size = 0;
	window->chained = window->asks = window->gave_up = window->found_any = false;
	window->asked = 0;
}

/* Whether FIELD at AT can be the size of a chunk at all. */
static bool can_be_chunk(const struct window *window, uint64_t at, uint64_t field)
{
	uint64_t forbidden =
		CHUNK_MMAPPED | 8 | (window->arena->non_main ? 0 : CHUNK_NON_MAIN);
	uint64_t bytes = bytes_of(field);

	return !(field & forbidden) && bytes >= GLIBC_MIN_CHUNK && at < window->stop &&
	       bytes <= window->stop - at;
}

/* Free chunks have one flag: none lies before another. */
static bool can_be_free(const struct window *window, uint64_t at, uint64_t field)
{
	return (field & (GLIBC_ALIGN - 1)) == CHUNK_PREV_INUSE &&
	       can_be_chunk(window, at, field) && bytes_of(field) < window->stop - at;
}

/* ---- fastbins ---- */

static void look_for_fast(struct window *window, uint64_t at, uint64_t field)
{
	const struct window_arena *arena = window->arena;
	uint64_t bytes = bytes_of(field), place = at + FORWARD, to;

	if (!window->found_fast || bytes > FAST_MAX ||
	    !(arena->fast_sizes >> bytes / GLIBC_ALIGN & 1) ||
	    !has(window, at, FREE_CHUNK) || !can_be_chunk(window, at, field))
		return;
	to = arena->safe_linking ? word(window, place) ^ place >> 12
				 : word(window, place);
	if (!to || to & (GLIBC_ALIGN - 1) || to < arena->low || to >= arena->high)
		return;
	if (has(window, at + bytes, HEADER) &&
	    !(word(window, at + bytes + 8) & CHUNK_PREV_INUSE))
		return;
	window->found_fast(window->context, at, bytes, to);
}

/* ---- binned chunks ---- */

/* The header behind the chunk at AT, and what its neighbour says of it: from the buffer,
 * or asked for. */
static void look_behind(struct window *window)
{
	uint64_t behind = window->at + window->size;

	window->has_header = has(window, behind, HEADER);
	if (window->has_header) {
		window->header[0] = word(window, behind);
		window->header[1] = word(window, behind + 8);
	}
}

static void look_back(struct window *window)
{
	uint64_t place = word(window, window->at + FORWARD) + BACKWARD;

	window->has_back = has(window, place, 8);
	if (window->has_back)
		window->back = word(window, place);
}

static bool is_behind_free(const struct window *window)
{
	return !(window->header[1] & CHUNK_PREV_INUSE) &&
	       window->header[0] == window->size;
}

static void take(struct window *window)
{
	window->found(window->context, window->at, window->size);
	window->at += window->size;
	window->chained = window->found_any = true;
	window->size = 0;
}

static void pass(struct window *window)
{
	window->at += GLIBC_ALIGN;
	window->chained = false;
	window->size = 0;
}

/* Whether the chunk at AT may be binned by all that the buffer says; then SIZE is its
 * size, and what is still to be asked is. */
static bool may_be_binned(struct window *window)
{
	uint64_t at = window->at, field = word(window, at + 8);

	if (!has(window, at, FREE_CHUNK) || !can_be_free(window, at, field))
		return false;
	if (!can_be_link(word(window, at + FORWARD)))
		return false;
	window->size = bytes_of(field);
	look_behind(window);
	if (window->has_header && !is_behind_free(window))
		return false;
	look_back(window);
	return !window->has_back || window->back == at;
}

/* Looks at each place where a chunk could begin; stops where it has to ask. */
static void seek(struct window *window)
{
	uint64_t limit = window->base + window->bytes;

	while (!window->chained && !window->asks) {
		if (window->at >= window->to || window->at + HEADER > limit) {
			window->at = window->to;
			return;
		}
		look_for_fast(window, window->at, word(window, window->at + 8));
		if (!may_be_binned(window))
			pass(window);
		else if (window->has_header && window->has_back)
			take(window);
		else
			window->asks = true;
	}
}

/* The chain goes on at AT with a chunk whose header behind is known. */
static void settle_link(struct window *window, uint64_t field)
{
	if (window->header[1] & CHUNK_PREV_INUSE) {
		look_for_fast(window, window->at, field);
		window->at += window->size;
		window->size = 0;
	} else if (is_behind_free(window) && can_be_free(window, window->at, field)) {
		take(window);
	} else {
		pass(window);
	}
}

/* Follows the chain; stops where it leaves the buffer. */
static void follow(struct window *window)
{
	while (window->chained && !window->asks) {
		uint64_t at = window->at, field;

		if (at >= window->to || !has(window, at, HEADER)) {
			window->at = window->to;
			return;
		}
		field = word(window, at + 8);
		if (!can_be_chunk(window, at, field)) {
			pass(window);
			return;
		}
		window->size = bytes_of(field);
		look_behind(window);
		if (window->has_header)
			settle_link(window, field);
		else if (can_be_free(window, at, field))
			window->asks = window->has_back = true;
		else
			window->at = window->to;
	}
}

unsigned window_wants(struct window *window, struct span span[WINDOW_SPANS])
{
	unsigned count = 0;

	while (window->at < window->to && !window->asks) {
		if (window->chained)
			follow(window);
		else
			seek(window);
	}
	if (!window->asks)
		return 0;
	window->gave_up = window->asked++ == ASKS;
	if (window->gave_up)
		return 0;
	if (!window->has_header)
		span[count++] = (struct span){window->at + window->size, window->header,
					      sizeof(window->header)};
	if (!window->has_back)
		span[count++] =
			(struct span){word(window, window->at + FORWARD) + BACKWARD,
				      &window->back, sizeof(window->back)};
	return count;
}

void window_feed(struct window *window, const bool *ok)
{
	bool had_header = window->has_header, was_chained = window->chained;

	window->asks = false;
	if (!had_header)
		window->has_header = *ok++;
	if (!window->has_back)
		window->has_back = *ok && window->back == window->at;
	if (window->has_header && was_chained) {
		settle_link(window, word(window, window->at + 8));
	} else if (window->has_header && window->has_back && is_behind_free(window)) {
		take(window);
	} else if (was_chained) {
		window->at = window->to;
	} else {
		pass(window);
	}
}

/* ---- cells without a binned chunk ---- */

/* A chain that is followed out of the cell. */
struct trail {
	const struct window *window;
	struct memory *memory;
	struct pages *pages;
	unsigned reads, looks;
	uint64_t cell; /* where the one begins that nothing is known of */
};

static bool read_words(struct trail *trail, uint64_t at, uint64_t *words, uint32_t bytes)
{
	const struct window *window = trail->window;

	if (has(window, at, bytes)) {
		memcpy(words, window->buffer + (at - window->base), bytes);
		trail->looks++;
		return true;
	}
	trail->reads++;
	return memory_fetch(trail->memory, trail->pages, at, words, bytes) == 0;
}

static bool is_binned(struct trail *trail, uint64_t at)
{
	uint64_t chunk[3], back;

	return read_words(trail, at, chunk, sizeof(chunk)) && can_be_link(chunk[2]) &&
	       read_words(trail, chunk[2] + BACKWARD, &back, sizeof(back)) && back == at;
}

/* Whether a common free chunk of BYTES, in which the cell begins, ends at END. */
static bool is_common(struct trail *trail, uint64_t end, uint64_t bytes)
{
	const struct window *window = trail->window;
	uint64_t at = end - bytes, header[2];

	return bytes <= window->common && at < trail->cell && at >= window->arena->low &&
	       !(at & (GLIBC_ALIGN - 1)) &&
	       read_words(trail, at, header, sizeof(header)) &&
	       bytes_of(header[1]) == bytes && can_be_free(window, at, header[1]) &&
	       is_binned(trail, at);
}

/* Follows the chain from AT on to a binned chunk; false where it breaks, or is long. */
static bool leads_to_binned(struct trail *trail, uint64_t at)
{
	uint64_t header[2], behind[2];

	if (!read_words(trail, at, header, sizeof(header)))
		return false;
	for (unsigned i = 0; i < STEPS; i++) {
		uint64_t bytes = bytes_of(header[1]);

		if (!can_be_chunk(trail->window, at, header[1]) ||
		    bytes == trail->window->stop - at ||
		    !read_words(trail, at + bytes, behind, sizeof(behind)))
			return false;
		if (!(behind[1] & CHUNK_PREV_INUSE))
			return behind[0] == bytes
				       ? is_binned(trail, at)
				       : is_common(trail, at + bytes, behind[0]);
		at += bytes;
		memcpy(header, behind, sizeof(header));
	}
	return false;
}

/* The first place in the window from which a chain leads to a binned chunk; 0: none. */
static uint64_t first_lit(struct trail *trail)
{
	const struct window *window = trail->window;
	uint64_t at = (window->from + GLIBC_ALIGN - 1) & -(uint64_t)GLIBC_ALIGN;

	for (; at < window->to && has(window, at, HEADER) && trail->reads < READS &&
	       trail->looks < LOOKS;
	     at += GLIBC_ALIGN) {
		uint64_t field = word(window, at + 8);

		if (!can_be_chunk(window, at, field))
			continue;
		/* The first step of most false ones is none. */
		if (has(window, at + bytes_of(field), HEADER) &&
		    !can_be_chunk(window, at + bytes_of(field),
				  word(window, at + bytes_of(field) + 8)))
			continue;
		if (leads_to_binned(trail, at))
			return at;
	}
	return 0;
}

bool window_is_lit(const struct window *window, struct memory *memory,
		   struct pages *pages)
{
	struct trail trail = {window, memory, pages, 0, 0, window->from};

	return first_lit(&trail) != 0;
}

bool window_is_lit_behind(const struct window *window, uint64_t cell,
			  struct memory *memory, struct pages *pages)
{
	struct trail trail = {window, memory, pages, 0, 0, cell};
	uint64_t at = first_lit(&trail);

	return at && (word(window, at + 8) & CHUNK_PREV_INUSE ||
		      is_common(&trail, at, word(window, at)));
}
