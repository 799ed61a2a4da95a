/* test_owners.c: who holds what in saved heaps, which have no roots: every chunk is
 * found, lists that are planted are followed, a sample keeps to its memory; and damaged
 * heaps are survived, the same ones in every run.
 *
 * FRAGSCOPE_MUTATIONS=COUNT sets how many for each image. */
#include "damage.h"
#include "saved.h"

#include "glibc/parts.h"
#include "owners/owners.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MUTATIONS = 150, /* of each image */
	EDITS_MAX = 4,
	LIMIT = 1000000, /* reads: an undamaged image takes some thousand */
	PROBES = 20000,
	NOBODY = 65534,
};

#define PLENTY (UINT64_C(64) << 20)

static struct saved saved[SAVED_MAX];
static int saved_count;

/* A saved heap that is looked through. */
struct bench {
	const struct saved *saved;
	struct image_memory memory;
	struct heap *heap;
};

static void progress(double done, void *context)
{
	(void)context;
	assert_true(done >= 0 && done <= 1);
}

static void open_bench(struct bench *bench, const struct saved *one)
{
	const struct heap_options options = {.threads = 1, .survey = true};
	const struct image *image = one->image;
	struct fault fault;

	memset(bench, 0, sizeof(*bench));
	bench->saved = one;
	image_memory_init(&bench->memory, image);
	assert_int_equal(heap_new(&bench->heap, &bench->memory.memory, image->instance,
				  image->instance_count, &options, &fault),
			 0);
}

static int search(struct bench *bench, const struct owners_options *options,
		  struct owners *owners, struct fault *fault)
{
	uint64_t chunk[OWNERS_MAX];
	atomic_ulong beats = 0;
	int error = heap_look(bench->heap, fault);

	memset(owners, 0, sizeof(*owners));
	return error ? error
		     : owners_find(owners, chunk, options, NULL, bench->heap,
				   &bench->saved->image->regions, &bench->memory.memory,
				   &beats, progress, NULL, fault);
}

static const struct owners_options all = {
	.live = true,
	.arena = BLOCKERS_ALL_ARENAS,
	.to_bytes = UINT64_MAX,
	.memory_bytes = PLENTY,
};

/* ---- what must hold of every answer ---- */

static bool adds_up(const struct owners *owners, uint64_t memory_bytes)
{
	uint64_t sought =
		owners->sampled_chunks ? owners->sampled_chunks : owners->asked_chunks;
	uint64_t sum = 0;

	for (unsigned i = 0; i < owners->count; i++) {
		const struct owner *owner = &owners->owner[i];

		sum += owner->asked_chunks;
		if (!owner->step_count || owner->step_count > OWNER_STEPS ||
		    !owner->name[0] || owner->share < 0 || owner->share > 1 ||
		    owner->share_low > owner->share || owner->share > owner->share_high)
			return false;
	}
	return owners->count <= OWNERS_MAX && sum <= sought &&
	       owners->asked_chunks <= owners->live_chunks &&
	       owners->rooted_chunks <= sought && owners->table_bytes <= memory_bytes;
}

/* ---- undamaged heaps ---- */

/* What malloc itself counts as in use, thread caches apart, is what is found. */
static void every_chunk_is_found(void **state)
{
	struct owners owners;
	struct fault fault;

	(void)state;
	for (int i = 0; i < saved_count; i++) {
		struct bench bench;

		open_bench(&bench, &saved[i]);
		assert_int_equal(search(&bench, &all, &owners, &fault), 0);
		assert_int_equal(owners.status, STATUS_COMPLETE);
		assert_true(adds_up(&owners, PLENTY));
		assert_int_equal(owners.asked_chunks, owners.live_chunks);
		assert_int_equal(owners.asked_bytes, owners.live_bytes);
		assert_int_equal(owners.rooted_chunks, 0);
		assert_true(owners.live_bytes > 0);
		assert_int_equal(bench.memory.outside, 0);
		heap_free(bench.heap);
	}
}

/* The table of BENCH's pieces; the caller frees it. */
static void read_chunks(struct bench *bench, bool with_words, struct chunks *chunks)
{
	enum sample_status status;
	char missing[SAMPLE_TEXT];
	uint64_t doubt_bytes;
	struct fault fault;

	*chunks = (struct chunks){.limit_bytes = PLENTY};
	assert_int_equal(heap_look(bench->heap, &fault), 0);
	assert_int_equal(chunks_read(chunks, with_words, bench->heap,
				     &bench->saved->image->regions, &status, missing,
				     &doubt_bytes, &fault),
			 0);
}

/* ---- pieces ---- */

enum { PIECES_ROOM = 1 << 20 };

struct seen {
	const struct heap *heap;
	struct piece piece[PIECES_ROOM];
	bool cached[PIECES_ROOM];
	unsigned count, segments;
	bool had_lists;
};

static int see_begin(void *context, const struct heap_segment *segment)
{
	struct seen *seen = context;

	(void)segment;
	seen->segments++;
	seen->had_lists |= seen->heap->gather != NULL;
	return 0;
}

static int see_piece(void *context, const struct piece *piece, bool cached)
{
	struct seen *seen = context;

	assert_true(piece->end > piece->start);
	assert_true(seen->count < PIECES_ROOM);
	seen->piece[seen->count] = *piece;
	seen->cached[seen->count++] = cached;
	return 0;
}

static int see_end(void *context)
{
	(void)context;
	return 0;
}

static void see_pieces(struct bench *bench, uint64_t spare_bytes, struct seen *seen)
{
	const struct heap_piece_visitor visitor = {
		.begin = see_begin,
		.piece = see_piece,
		.end = see_end,
		.context = seen,
		.spare_bytes = spare_bytes,
	};
	enum sample_status status;
	char missing[SAMPLE_TEXT];
	uint64_t doubt_bytes;
	struct fault fault;

	seen->heap = bench->heap;
	seen->count = seen->segments = 0;
	seen->had_lists = false;
	assert_int_equal(heap_look(bench->heap, &fault), 0);
	assert_int_equal(heap_pieces(bench->heap, &bench->saved->image->regions, &visitor,
				     &status, missing, &doubt_bytes, &fault),
			 0);
	assert_int_equal(status, STATUS_COMPLETE);
	assert_int_equal(doubt_bytes, 0);
}

static void same_pieces(const struct seen *one, const struct seen *other)
{
	assert_int_equal(one->segments, other->segments);
	assert_int_equal(one->count, other->count);
	for (unsigned i = 0; i < one->count; i++) {
		assert_int_equal(one->piece[i].start, other->piece[i].start);
		assert_int_equal(one->piece[i].end, other->piece[i].end);
		assert_int_equal(one->piece[i].kind, other->piece[i].kind);
		assert_int_equal(one->cached[i], other->cached[i]);
	}
}

/* Read once or twice, the heap has the same pieces; read once, where there is memory for
 * the lists. Where there is not, they take none from who is shown the pieces. */
static void pieces_are_read_once(void **state)
{
	struct seen *once = malloc(sizeof(*once)), *twice = malloc(sizeof(*twice));

	(void)state;
	assert_true(once && twice);
	for (int i = 0; i < saved_count; i++) {
		uint64_t reads[2];
		struct bench bench;

		open_bench(&bench, &saved[i]);
		see_pieces(&bench, 0, twice);
		reads[0] = bench.memory.reads;
		see_pieces(&bench, PLENTY, once);
		reads[1] = bench.memory.reads - reads[0];
		same_pieces(once, twice);
		assert_true(once->had_lists && !twice->had_lists);
		assert_true(reads[1] < reads[0]);
		see_pieces(&bench, 1 << 14, once);
		same_pieces(once, twice);
		assert_false(once->had_lists);
		heap_free(bench.heap);
	}
	free(once);
	free(twice);
}

static uint32_t slow_at(const struct chunks *chunks, uint64_t addr)
{
	for (uint32_t n = 0; n < chunks->segment_count; n++) {
		const struct segment *segment = &chunks->segment[n];

		if (addr < segment->start || addr >= segment->end)
			continue;
		for (uint32_t i = segment->first;; i++)
			if (addr < chunk_addr(chunks, i + 1))
				return i;
	}
	return NO_CHUNK;
}

/* Alone and by the hundred, an address is found where a walk finds it. */
static void addresses_are_found(void **state)
{
	uint64_t random = 1, addr[CHUNKS_AT_ONCE];
	uint32_t at[CHUNKS_AT_ONCE];
	struct chunks chunks;
	struct bench bench;

	(void)state;
	open_bench(&bench, &saved[0]);
	read_chunks(&bench, false, &chunks);
	assert_true(chunks.segment_count > 1);
	for (unsigned n = 0; n < PROBES; n += CHUNKS_AT_ONCE) {
		for (unsigned i = 0; i < CHUNKS_AT_ONCE; i++) {
			const struct segment *segment =
				&chunks.segment[damage_random(&random) %
						chunks.segment_count];
			uint64_t bytes = segment->end - segment->start + 64;

			addr[i] = segment->start - 32 + damage_random(&random) % bytes;
		}
		chunks_at_all(&chunks, addr, CHUNKS_AT_ONCE, at);
		for (unsigned i = 0; i < CHUNKS_AT_ONCE; i += 16) {
			assert_int_equal(at[i], slow_at(&chunks, addr[i]));
			assert_int_equal(chunks_at(&chunks, addr[i]), at[i]);
		}
	}
	chunks_free(&chunks);
	heap_free(bench.heap);
}

/* Nothing gone unlocks nothing; what is gone in two halves unlocks no more than at once.
 */
static void forecasts_add_up(void **state)
{
	(void)state;
	for (int n = 0; n < saved_count; n++) {
		uint64_t whole, sum = 0;
		struct chunks chunks;
		struct bench bench;
		struct pages *pages;
		uint8_t *gone;

		open_bench(&bench, &saved[n]);
		read_chunks(&bench, false, &chunks);
		pages = pages_new(&bench.memory.memory, 64);
		gone = calloc(chunks.count + 1, 1);
		assert_non_null(gone);
		assert_int_equal(chunks_unlocked(&chunks, pages, 12, gone), 0);
		for (unsigned half = 0; half < 2; half++) {
			for (uint32_t i = 0; i < chunks.count; i++)
				gone[i] = chunk_is_live(&chunks, i) &&
					  (i < chunks.count / 2) == !half;
			sum += chunks_unlocked(&chunks, pages, 12, gone);
		}
		for (uint32_t i = 0; i < chunks.count; i++)
			gone[i] = chunk_is_live(&chunks, i);
		whole = chunks_unlocked(&chunks, pages, 12, gone);
		assert_true(whole > 0 && sum <= whole);
		free(gone);
		pages_free(pages);
		chunks_free(&chunks);
		heap_free(bench.heap);
	}
}

/* The size of which there are most chunks in use. */
static uint64_t usual_bytes(const struct chunks *chunks)
{
	uint64_t best = 0;
	unsigned most = 0;

	for (uint32_t i = 0; i < chunks->count; i++) {
		unsigned alike = 0;

		if (!chunk_is_live(chunks, i))
			continue;
		for (uint32_t k = i; k < chunks->count; k++)
			alike += chunk_is_live(chunks, k) &&
				 chunk_bytes(chunks, k) == chunk_bytes(chunks, i);
		if (alike > most) {
			most = alike;
			best = chunk_bytes(chunks, i);
		}
	}
	return best;
}

/* Makes the chunks of one size a list, in which nothing else is a pointer. How many. */
static uint64_t plant_list(struct bench *bench)
{
	struct chunks chunks;
	uint64_t *last = NULL, links = 0, bytes;

	read_chunks(bench, false, &chunks);
	bytes = usual_bytes(&chunks);
	for (uint32_t i = 0; i < chunks.count; i++) {
		uint64_t addr = chunk_addr(&chunks, i) + CHUNK_HEADER;
		uint8_t *data = image_at(bench->saved->image, addr, bytes - CHUNK_HEADER);

		if (!data || !chunk_is_live(&chunks, i) ||
		    chunk_bytes(&chunks, i) != bytes)
			continue;
		memset(data, 0, bytes - CHUNK_HEADER);
		if (last)
			*last = addr;
		last = (uint64_t *)data;
		links++;
	}
	chunks_free(&chunks);
	return links;
}

static void a_list_is_folded(void **state)
{
	const struct owner *best = NULL;
	struct owners owners;
	struct bench bench;
	struct fault fault;
	uint64_t links;

	(void)state;
	open_bench(&bench, &saved[1]);
	links = plant_list(&bench);
	assert_true(links > 10);
	assert_int_equal(search(&bench, &all, &owners, &fault), 0);
	for (unsigned i = 0; i < owners.count; i++) {
		const struct owner *owner = &owners.owner[i];

		if (owner->step[owner->step_count - 1].is_linked &&
		    (!best || owner->asked_chunks > best->asked_chunks))
			best = owner;
	}
	assert_non_null(best);
	assert_int_equal(best->asked_chunks, links);
	assert_int_equal(best->root, OWNER_UNREFERENCED);
	heap_free(bench.heap);
}

/* ---- words ---- */

struct edges {
	struct edge *edge;
	uint32_t count;
	uint64_t bytes, reads;
	bool had_words;
};

/* The pointers from chunk to chunk, and how many reads they took. */
static struct edges find_edges(struct bench *bench, bool with_words)
{
	struct pages *pages;
	struct roots *roots = NULL;
	atomic_ulong beats = 0;
	struct chunks chunks;
	struct edges found;
	struct scan scan;
	uint64_t reads;

	read_chunks(bench, with_words, &chunks);
	pages = pages_new(&bench->memory.memory, 64);
	assert_non_null(pages);
	assert_int_equal(
		roots_new(&roots, NULL, &chunks, &bench->memory.memory, pages, &beats),
		0);
	scan = (struct scan){.chunks = &chunks,
			     .roots = roots,
			     .memory = &bench->memory.memory,
			     .pages = pages,
			     .threads = 2};
	found.had_words = chunks.words != NULL;
	reads = bench->memory.reads;
	assert_int_equal(scan_all(&scan, progress, NULL), 0);
	assert_null(chunks.words);
	found.reads = bench->memory.reads - reads;
	found.edge = scan.edge;
	found.count = scan.edges;
	found.bytes = scan.bytes;
	scan.edge = NULL;
	scan_free(&scan);
	roots_free(roots);
	chunks_free(&chunks);
	pages_free(pages);
	return found;
}

/* What the walks met is what is found where all is read again, at the same places. */
static void words_met_are_those_read(void **state)
{
	(void)state;
	for (int i = 0; i < saved_count; i++) {
		struct edges met, read;
		struct bench bench;

		open_bench(&bench, &saved[i]);
		plant_list(&bench);
		read = find_edges(&bench, false);
		met = find_edges(&bench, true);
		assert_true(met.had_words && !read.had_words);
		assert_true(met.reads < read.reads);
		assert_int_equal(met.bytes, read.bytes);
		assert_int_equal(met.count, read.count);
		assert_true(met.count > 0);
		assert_memory_equal(met.edge, read.edge, met.count * sizeof(*met.edge));
		free(met.edge);
		free(read.edge);
		heap_free(bench.heap);
	}
}

static void search_with(const struct saved *one, unsigned threads, struct owners *owners)
{
	struct owners_options options = all;
	struct bench bench;
	struct fault fault;

	options.threads = threads;
	open_bench(&bench, one);
	assert_int_equal(search(&bench, &options, owners, &fault), 0);
	heap_free(bench.heap);
}

/* However many look, and whoever of them is first. */
static void threads_find_the_same(void **state)
{
	static struct owners alone, together;

	(void)state;
	for (int i = 0; i < saved_count; i++) {
		search_with(&saved[i], 1, &alone);
		assert_true(alone.count > 0 && alone.scanned_bytes > 0);
		for (unsigned threads = 2; threads <= OWNERS_THREADS; threads++) {
			search_with(&saved[i], threads, &together);
			assert_int_equal(together.scanned_bytes, alone.scanned_bytes);
			assert_int_equal(together.table_bytes, alone.table_bytes);
			assert_int_equal(together.count, alone.count);
			for (unsigned k = 0; k < alone.count; k++) {
				const struct owner *one = &alone.owner[k];
				const struct owner *other = &together.owner[k];

				assert_string_equal(other->name, one->name);
				assert_int_equal(other->step_count, one->step_count);
				assert_int_equal(other->asked_bytes, one->asked_bytes);
				assert_int_equal(other->shared_chunks,
						 one->shared_chunks);
				assert_int_equal(other->unlocked_bytes,
						 one->unlocked_bytes);
			}
		}
	}
}

/* In a process of its own, which may start no thread. */
static void search_alone(void)
{
	const struct rlimit none = {1, 1};
	struct owners_options options = all;
	static struct owners owners;
	struct bench bench;
	struct fault fault;
	bool is_said;

	if (setrlimit(RLIMIT_NPROC, &none) || (!getuid() && setuid(NOBODY)))
		_exit(1);
	options.threads = 2;
	open_bench(&bench, &saved[0]);
	is_said = search(&bench, &options, &owners, &fault) == -EAGAIN &&
		  strstr(fault.text, "--threads 1");
	heap_free(bench.heap);
	options.threads = 1;
	open_bench(&bench, &saved[0]);
	_exit(is_said && !search(&bench, &options, &owners, &fault) ? 0 : 1);
}

static void without_threads_one_does(void **state)
{
	int status;
	pid_t child;

	(void)state;
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		search_alone();
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* With ever less memory: all, a sample, or an error that says so. */
static void memory_is_bounded(void **state)
{
	struct owners_options options = all;
	unsigned sampled = 0, refused = 0;
	struct owners owners;
	struct fault fault;

	(void)state;
	for (int i = 0; i < saved_count; i++) {
		struct bench bench;

		open_bench(&bench, &saved[i]);
		for (uint64_t bytes = 1 << 20; bytes >= 1 << 14; bytes = bytes * 7 / 8) {
			int error;

			options.memory_bytes = bytes;
			error = search(&bench, &options, &owners, &fault);
			assert_true(!error || error == -ENOSPC);
			refused += error != 0;
			if (error)
				continue;
			assert_true(adds_up(&owners, bytes));
			sampled += owners.sampled_chunks != 0;
		}
		heap_free(bench.heap);
	}
	assert_true(sampled > 0);
	assert_true(refused > 0);
}

/* ---- roots ---- */

/* What the roots take of the memory is there for others when they are gone. */
static void memory_of_roots_is_given_back(void **state)
{
	struct roots *roots = NULL;
	atomic_ulong beats = 0;
	struct chunks chunks;
	struct bench bench;
	uint64_t used;

	(void)state;
	open_bench(&bench, &saved[0]);
	read_chunks(&bench, false, &chunks);
	used = chunks.used_bytes;
	assert_int_equal(
		roots_new(&roots, NULL, &chunks, &bench.memory.memory, NULL, &beats), 0);
	assert_true(chunks.used_bytes > used);
	roots_free(roots);
	assert_int_equal(chunks.used_bytes, used);
	chunks_free(&chunks);
	heap_free(bench.heap);
}

/* ---- damaged heaps ---- */

static void mutate(struct damage *damage, uint64_t seed)
{
	uint64_t random = seed;
	unsigned edits = 1 + damage_random(&random) % EDITS_MAX;

	for (unsigned i = 0; i < edits; i++) {
		uint64_t draw = damage_random(&random);

		damage_apply(damage, &(struct edit){draw, draw >> 8, draw >> 16,
						    damage_random(&random)});
	}
}

/* Half of them by what pins, some with little memory, most with several threads. */
static unsigned run_mutation(struct bench *bench, struct damage *damage, uint64_t seed)
{
	static struct owners owners;
	struct owners_options options = all;
	struct fault fault = {.text = ""};
	bool ok;
	int error;

	options.live = seed & 1;
	options.threads = 1 + seed % OWNERS_THREADS;
	if (seed % 5 == 0)
		options.memory_bytes = (uint64_t)(16 + seed % 700) << 10;
	bench->memory.reads = bench->memory.looks = bench->memory.outside = 0;
	mutate(damage, seed);
	error = search(bench, &options, &owners, &fault);
	damage_undo(damage);
	ok = error ? error != -ETIMEDOUT && fault.text[0]
		   : adds_up(&owners, options.memory_bytes);
	if (!ok || bench->memory.outside)
		print_error("%s: seed %" PRIu64 ": error %d, %s, %" PRIu64
			    " reads of what is not resident\n",
			    bench->saved->name, seed, error, fault.text,
			    bench->memory.outside);
	return !ok || bench->memory.outside;
}

static void damaged_heaps_are_survived(void **state)
{
	const char *text = getenv("FRAGSCOPE_MUTATIONS");
	unsigned count = text ? (unsigned)strtoul(text, NULL, 10) : MUTATIONS;
	unsigned failures = 0;

	(void)state;
	for (int i = 0; i < saved_count; i++) {
		struct damage *damage = damage_new(saved[i].image);
		struct bench bench;

		assert_non_null(damage);
		open_bench(&bench, &saved[i]);
		bench.memory.limit = LIMIT;
		for (unsigned n = 0; n < count; n++)
			failures += run_mutation(&bench, damage, (uint64_t)i << 32 | n);
		heap_free(bench.heap);
		damage_free(damage);
	}
	assert_int_equal(failures, 0);
}

static int load(void **state)
{
	char why[SAVED_PATH];

	(void)state;
	saved_count = saved_load(saved, why);
	if (saved_count < 0)
		print_error("%s: %s\n", why, strerror(-saved_count));
	return saved_count < 0 ? -1 : 0;
}

static int unload(void **state)
{
	(void)state;
	saved_free(saved, saved_count);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_chunk_is_found),
		cmocka_unit_test(pieces_are_read_once),
		cmocka_unit_test(addresses_are_found),
		cmocka_unit_test(forecasts_add_up),
		cmocka_unit_test(threads_find_the_same),
		cmocka_unit_test(without_threads_one_does),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(memory_of_roots_is_given_back),
		cmocka_unit_test(damaged_heaps_are_survived),
		cmocka_unit_test(a_list_is_folded),
		cmocka_unit_test(words_met_are_those_read),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
