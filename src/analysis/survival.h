/* survival.h: which of the chunks that a sample of malloc's calls handed out are still in
 * use, looked at again and again, and what that says of all calls: for each stack the
 * bytes that it allocates in a second and that reach an age, with an interval.
 *
 * A chunk has reached an age when every look up to then found a chunk in use at its
 * address and of its size, and no burst saw it freed or its address handed out again. In
 * between it may have been freed and handed out again unseen. How often that happens to
 * the chunks of a stack is estimated, for each age by itself, by how often bursts see one
 * freed at whose address the next look finds a chunk of its size in use all the same; and
 * it is taken off. That errs to too often: what a burst sees freed has all the time until
 * the next look to be handed out again, twice as much as others on average.
 *
 * Bursts are short, and chunks that go together are all seen or none: that nothing was
 * seen at an age says little. So the figure takes it that old chunks go no more often
 * than young ones, and what was seen at a later age counts for the earlier one, too, as
 * far as the interval allows, which assumes no such thing. A cache that is full and
 * replaces what it drops at the same address is known by that at all ages. */
#ifndef FRAGSCOPE_SURVIVAL_H
#define FRAGSCOPE_SURVIVAL_H

#include <stdbool.h>
#include <stdint.h>

enum { SURVIVAL_AGES = 5 };

/* Ascending, in ns; the first is 0: all that was allocated. */
extern const int64_t survival_age_ns[SURVIVAL_AGES];

struct survival;

/* Takes all memory that is ever needed, for STACKS numbers of stacks and CHUNKS chunks at
 * a time. WATCHES_FREE: bursts see chunks freed; else how often they go unseen is
 * estimated by how often their addresses are handed out again. 0 or -ENOMEM. */
int survival_new(struct survival **survival, unsigned stacks, unsigned chunks,
		 bool watches_free);
void survival_free(struct survival *survival);

/* The chunks that may still be added. */
unsigned survival_room(const struct survival *survival);

/* ---- a burst: any number of the first three, and then the last ---- */

/* CHUNK, the address of its header, of BYTES, was handed out to STACK. False: no room. */
bool survival_add(struct survival *survival, uint64_t chunk, uint64_t bytes,
		  unsigned stack);

/* CHUNK was freed. */
void survival_freed(struct survival *survival, uint64_t chunk);

/* CHUNK was handed out again: nobody saw it freed. */
void survival_again(struct survival *survival, uint64_t chunk);

/* Or instead: the machine stood still meanwhile, nobody knows for how long it watched. */
void survival_drop_burst(struct survival *survival);

/* It began at START_NS and watched for WATCHED_NS; each chunk that was added stands for
 * WEIGHT calls. */
void survival_end_burst(struct survival *survival, int64_t start_ns, uint64_t watched_ns,
			double weight);

/* ---- a look at the heap: from low to high addresses within a stretch ---- */

void survival_begin_look(struct survival *survival);
void survival_begin_stretch(struct survival *survival);
void survival_see(struct survival *survival, uint64_t start, uint64_t end, bool in_use);

/* IS_WHOLE: what was not seen is no more. FORGET is told of each chunk that is not
 * followed any longer. */
void survival_end_look(struct survival *survival, int64_t now_ns, bool is_whole,
		       void (*forget)(uint64_t chunk, void *context), void *context);

/* ---- what that says ---- */

struct survival_rate {
	uint64_t samples; /* that have reached the age */
	/* Of its chunks that a look had found in use, how many bursts saw freed before
	 * the last look; and of how many that would not have been known without. */
	uint64_t freed, again;
	double bytes_per_s;
	double low, high; /* 95% */
};

/* Whether bursts were so long ago that chunks can have the age. */
bool survival_reached(const struct survival *survival, unsigned age);

/* Without the bursts there would have been DILATION times as many calls in their time. */
void survival_rate(const struct survival *survival, unsigned stack, unsigned age,
		   double dilation, struct survival_rate *rate);

#endif
