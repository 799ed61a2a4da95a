#include "series/store.h"

#include "base/alloc_touched.h"

#include <errno.h>
#include <stdlib.h>

int store_open(struct store *store, size_t bytes, bool bins, struct thinned *older)
{
	*store = (struct store){
		.memory = alloc_touched(bytes),
		.bytes = bytes,
		.capacity = bytes / sizeof(struct sample),
		.bins = bins,
		.older = older,
	};
	store->place = alloc_touched(store->capacity * sizeof(*store->place));
	return store->memory && store->place ? 0 : -ENOMEM;
}

void store_close(struct store *store)
{
	free(store->memory);
	free(store->place);
}

struct sample *store_at(const struct store *store, size_t back)
{
	size_t slot = (store->head + store->capacity - 1 - back) % store->capacity;

	return (struct sample *)(void *)(store->memory + store->place[slot]);
}

/* Drops the oldest until BYTES at AT are free. Those that lie in the way are the oldest
 * ones, since samples are stored in order round the ring. */
static void make_room(struct store *store, size_t at, size_t bytes)
{
	while (store->count) {
		const struct sample *oldest = store_at(store, store->count - 1);
		size_t place = (size_t)((const char *)oldest - store->memory);

		if (store->count < store->capacity && (place < at || place >= at + bytes))
			break;
		thinned_offer(store->older, oldest);
		store->count--;
	}
}

int store_add(struct store *store, const struct sample *sample)
{
	size_t bytes = packed_bytes(sample, store->bins);
	size_t at = store->used_to;

	if (bytes > store->bytes)
		return -ENOSPC;
	if (bytes > store->bytes - at) {
		/* What lies from here to the end is older than what lies at the start. */
		make_room(store, at, store->bytes - at);
		at = 0;
	}
	make_room(store, at, bytes);
	sample_pack(store->memory + at, sample, store->bins);
	store->place[store->head] = at;
	store->head = (store->head + 1) % store->capacity;
	store->count++;
	store->used_to = at + bytes;
	return 0;
}
