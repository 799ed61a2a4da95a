#include "ipc/ring.h"

#include <stdatomic.h>

/* The sampler is linked with this file: nothing here may call libc. */

enum { CHECK_SEED = 0x9e37 };

/* The parts of a sample that are in use, as offsets and counts of words. */
enum { PARTS = 2 };

struct ring_part {
	size_t offset, words;
};

static void find_parts(const struct ring_sample *sample, struct ring_part part[PARTS])
{
	const size_t word = sizeof(uint64_t);

	part[0].offset = 0;
	part[0].words = (offsetof(struct ring_sample, arena) +
			 sample->arenas_filled * sizeof(sample->arena[0])) /
			word;
	part[1].offset = offsetof(struct ring_sample, class) / word;
	part[1].words = sample->classes_filled * sizeof(sample->class[0]) / word;
}

bool ring_is_possible(const struct ring_sample *sample)
{
	return sample->arenas_filled <= RING_ARENAS &&
	       sample->classes_filled <= RING_CLASSES;
}

/* Every word is mixed into the sum at its place: neither swapped words nor words of an
 * older sample go unseen. */
uint64_t ring_check(const struct ring_sample *sample)
{
	const uint64_t *word = (const uint64_t *)(const void *)sample;
	struct ring_part part[PARTS];
	uint64_t sum = CHECK_SEED;

	find_parts(sample, part);
	for (unsigned p = 0; p < PARTS; p++)
		for (size_t i = 0; i < part[p].words; i++) {
			sum = (sum ^ word[part[p].offset + i]) *
			      UINT64_C(0x9fb21c651e98df25);
			sum ^= sum >> 29;
		}
	return sum;
}

/* Word by word, and not by a call that the host may have put its own in the place of. */
void ring_copy(struct ring_sample *to, const struct ring_sample *from)
{
	volatile uint64_t *into = (volatile uint64_t *)(void *)to;
	const uint64_t *word = (const uint64_t *)(const void *)from;
	struct ring_part part[PARTS];

	find_parts(from, part);
	for (unsigned p = 0; p < PARTS; p++)
		for (size_t i = 0; i < part[p].words; i++)
			into[part[p].offset + i] = word[part[p].offset + i];
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
	ring_copy(&slot->sample, sample);
	slot->check = ring_check(sample);
	__atomic_store_n(&slot->sequence, 2 * number + 2, __ATOMIC_RELEASE);
	__atomic_store_n(&header->published, number + 1, __ATOMIC_RELEASE);
}
