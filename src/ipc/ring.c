#include "ipc/ring.h"

#include <stdatomic.h>

/* The sampler is linked with this file: nothing here may call libc. */

enum { CHECK_SEED = 0x9e37 };

size_t ring_sample_bytes(const struct ring_sample *sample)
{
	if (sample->arenas_told > RING_ARENAS)
		return 0;
	return offsetof(struct ring_sample, arena) +
	       sample->arenas_told * sizeof(sample->arena[0]);
}

/* Every word is mixed into the sum at its place: neither swapped words nor words of an
 * older sample go unseen. */
uint64_t ring_check(const struct ring_sample *sample)
{
	const uint64_t *word = (const uint64_t *)(const void *)sample;
	size_t words = ring_sample_bytes(sample) / sizeof(*word);
	uint64_t sum = CHECK_SEED;

	for (size_t i = 0; i < words; i++) {
		sum = (sum ^ word[i]) * UINT64_C(0x9fb21c651e98df25);
		sum ^= sum >> 29;
	}
	return sum;
}

/* Word by word, and not by a call that the host may have put its own in the place of. */
static void copy_words(void *to, const void *from, size_t bytes)
{
	volatile uint64_t *into = to;
	const uint64_t *word = from;

	for (size_t i = 0; i < bytes / sizeof(*word); i++)
		into[i] = word[i];
}

void ring_publish(void *ring, struct ring_sample *sample)
{
	struct ring_header *header = ring;
	uint64_t number = header->published;
	struct ring_slot *slot = (void *)((char *)ring + RING_HEADER_BYTES +
					  number % RING_SLOTS * (size_t)RING_SLOT_BYTES);

	sample->number = number;
	__atomic_store_n(&slot->sequence, 2 * number + 1, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_release);
	copy_words(&slot->sample, sample, ring_sample_bytes(sample));
	slot->check = ring_check(sample);
	__atomic_store_n(&slot->sequence, 2 * number + 2, __ATOMIC_RELEASE);
	__atomic_store_n(&header->published, number + 1, __ATOMIC_RELEASE);
}
