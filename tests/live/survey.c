/* survey.c: looks at the heap of a process without a verb around it; JSON on standard
 * output, the exit status is a verb's.
 *
 *   survey PID map ARENA CELLS [FROM TO]    addresses in hex
 *   survey PID pins ARENA                   -1: all arenas
 *   survey PID steady COUNT                 so many looks of both kinds, a line for each
 *   survey PID recorded FILE ARENA          of its last life in a recording; free chunks
 *                                           by their size, too
 *   survey PID guess ADDR                   of a chunk's memory, in hex; text
 */
#include "analysis/free_sizes.h"
#include "base/output.h"
#include "recording/recording.h"
#include "source/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CELLS = 1 << 16, CHUNKS = 1 << 18 };

static void print_kinds(const struct map_cell *cell)
{
	printf("{\"from\":%" PRIu64 ",\"to\":%" PRIu64, cell->from, cell->to);
	for (unsigned k = 0; k < MAP_KINDS; k++)
		printf(",\"%s\":%" PRIu64, map_kind_name(k), cell->bytes[k]);
	printf(",\"top\":%" PRIu64 ",\"resident\":%" PRIu64 ",\"largest\":%" PRIu64
	       ",\"live_chunks\":%u,\"free_chunks\":%u,\"cached_chunks\":%u}",
	       cell->top_bytes, cell->resident_bytes, cell->largest_free_bytes,
	       cell->live_chunks, cell->free_chunks, cell->cached_chunks);
}

static void print_map(const struct heap_map *map)
{
	printf("{\"status\":\"%s\",\"missing\":\"%s\",\"read_ns\":%" PRId64
	       ",\"cell_bytes\":%" PRIu64 ",\"total\":",
	       sample_status_name(map->status), map->missing, map->read_ns,
	       map->cell_bytes);
	print_kinds(&map->total);
	printf(",\"cells\":[");
	for (unsigned i = 0; i < map->cell_count; i++) {
		printf("%s", i ? "," : "");
		print_kinds(&map->cell[i]);
	}
	printf("],\"chunks\":");
	if (!map->has_chunks)
		printf("null");
	for (unsigned i = 0; i < map->chunk_count; i++)
		printf("%s[%" PRIu64 ",%" PRIu64 ",\"%s\"]", i ? "," : "[",
		       map->chunk[i].addr, map->chunk[i].bytes,
		       map_chunk_kind_name(map->chunk[i].kind));
	printf("%s}\n", map->chunk_count ? "]" : "");
}

static void print_blocker(const struct blocker *blocker, const char *before)
{
	printf("%s{\"addr\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"chunks\":%" PRIu64
	       ",\"cached_chunks\":%" PRIu64 ",\"arena\":%u,\"unlocked_bytes\":%" PRIu64
	       ",\"unlocked_free_bytes\":%" PRIu64 "}",
	       before, blocker->addr, blocker->bytes, blocker->chunks,
	       blocker->cached_chunks, blocker->arena, blocker->unlocked_bytes,
	       blocker->unlocked_free_bytes);
}

static void print_blockers(const struct blockers *blockers)
{
	printf("{\"status\":\"%s\",\"missing\":\"%s\",\"read_ns\":%" PRId64
	       ",\"pinning_chunks\":%" PRIu64 ",\"pinning_bytes\":%" PRIu64
	       ",\"pinned_bytes\":%" PRIu64 ",\"best\":[",
	       sample_status_name(blockers->status), blockers->missing, blockers->read_ns,
	       blockers->pinning_chunks, blockers->pinning_bytes, blockers->pinned_bytes);
	for (unsigned i = 0; i < blockers->best_count; i++)
		print_blocker(&blockers->best[i], i ? "," : "");
	printf("],\"tail\":[");
	for (unsigned i = 0; i < blockers->tail_count; i++)
		print_blocker(&blockers->tail[i], i ? "," : "");
	printf("],\"tail_arena\":%u,\"tail_top_bytes\":%" PRIu64 ",\"steps\":[",
	       blockers->tail_arena, blockers->tail_top_bytes);
	for (unsigned i = 0; i < blockers->step_count; i++) {
		const struct blockers_step *step = &blockers->step[i];

		printf("%s{\"from\":%" PRIu64 ",\"chunks\":%" PRIu64 ",\"bytes\":%" PRIu64
		       ",\"hole_bytes\":%" PRIu64 ",\"hole_resident_bytes\":%" PRIu64 "}",
		       i ? "," : "", step->from, step->chunks, step->bytes,
		       step->hole_bytes, step->hole_resident_bytes);
	}
	printf("]}\n");
}

static int look_at_map(struct source *source, int count, char **words,
		       struct fault *fault)
{
	struct heap_map *map = heap_map_new(strtoul(words[1], NULL, 10), CHUNKS);
	int error;

	if (!map)
		return -1;
	map->arena = strtoul(words[0], NULL, 10);
	map->from = count > 2 ? strtoull(words[2], NULL, 16) : 0;
	map->to = count > 3 ? strtoull(words[3], NULL, 16) : 0;
	error = source_map(source, map, fault);
	if (!error)
		print_map(map);
	heap_map_free(map);
	return error;
}

static int print_recorded(struct recording *recording, int64_t life, unsigned arena,
			  struct fault *fault)
{
	struct heap_map *map = heap_map_new(RECORDING_CELLS, 0);
	const struct sample *sample;
	struct free_sizes sizes;
	int result;

	if (!map)
		return -1;
	map->arena = arena;
	result = recording_map(recording, life, INT64_MAX, map, fault);
	if (result == RECORDING_READ)
		print_map(map);
	heap_map_free(map);
	if (result == RECORDING_READ)
		result = recording_sizes(recording, life, INT64_MAX, &sample, fault);
	if (result != RECORDING_READ || !free_sizes_of(sample, (int)arena, &sizes))
		return -1;
	printf("{\"chunks\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"top\":%" PRIu64 "}\n",
	       sizes.chunks, sizes.bytes, sizes.top_bytes);
	return 0;
}

static int look_at_recorded(const char *file, const char *arena, struct fault *fault)
{
	struct recording *recording;
	unsigned lives;
	int error = recording_open(&recording, file, fault);

	if (error)
		return error;
	*fault->text = '\0';
	lives = recording_lives(recording);
	error = lives ? print_recorded(recording,
				       recording_life(recording, lives - 1)->life,
				       strtoul(arena, NULL, 10), fault)
		      : -1;
	recording_close(recording);
	return error;
}

static int find_blockers(struct source *source, const char *arena, struct fault *fault)
{
	static struct blockers blockers;
	int error;

	blockers.arena = atoi(arena);
	error = source_blockers(source, &blockers, fault);
	if (!error)
		print_blockers(&blockers);
	return error;
}

static int look_again(struct source *source, unsigned long count, struct fault *fault)
{
	static struct blockers blockers = {.arena = BLOCKERS_ALL_ARENAS};
	struct heap_map *map = heap_map_new(100, 1000);
	int error = map ? 0 : -1;

	for (unsigned long i = 0; i < count && !error; i++) {
		error = source_map(source, map, fault);
		if (!error)
			error = source_blockers(source, &blockers, fault);
		if (!error)
			error = output_write(STDOUT_FILENO, "look\n", 5);
	}
	heap_map_free(map);
	return error;
}

static int identity(struct source *source, const char *addr, struct fault *fault)
{
	char words[CHUNK_IDENTITY];
	int error = source_identify(source, strtoull(addr, NULL, 16) - 16, words);

	if (error)
		return fault_set(fault, EXIT_FAILED, error, "%s", strerror(-error));
	puts(words);
	return 0;
}

int main(int argc, char **argv)
{
	const struct source_options options = {
		.threads = 1, .survey = true, .map_cells = CELLS, .map_chunks = CHUNKS};
	struct source *source;
	struct fault fault = {.text = "usage", .status = EXIT_USAGE};
	int error = -1;

	if (argc < 4 || source_open(&source, atoi(argv[1]), &options, &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		return fault.status;
	}
	if (strcmp(argv[2], "map") == 0 && argc > 4)
		error = look_at_map(source, argc - 3, argv + 3, &fault);
	else if (strcmp(argv[2], "pins") == 0)
		error = find_blockers(source, argv[3], &fault);
	else if (strcmp(argv[2], "steady") == 0)
		error = look_again(source, strtoul(argv[3], NULL, 10), &fault);
	else if (strcmp(argv[2], "recorded") == 0 && argc > 4)
		error = look_at_recorded(argv[3], argv[4], &fault);
	else if (strcmp(argv[2], "guess") == 0)
		error = identity(source, argv[3], &fault);
	if (error)
		fprintf(stderr, "%s\n", fault.text);
	source_close(source);
	return error ? (int)fault.status : EXIT_DONE;
}
