/* recorder_looks.c: maps, free sizes and owners in a recording. */
#include "recording/look_codec.h"
#include "recording/recorder_parts.h"

#include <errno.h>

/* Between two whole looks. */
#define WHOLE_NS INT64_C(3600000000000)

/* FNV-1a. */
static uint64_t hash_of(const unsigned char *data, size_t length)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static void bind_look(sqlite3_stmt *add, const struct life *life, const char *kind,
		      int arena, int64_t time_ns)
{
	sqlite3_bind_int64(add, 1, time_ns);
	sqlite3_bind_int64(add, 2, life->row);
	recorder_bind_text(add, 3, kind);
	sqlite3_bind_int(add, 4, arena);
}

/* LENGTH bytes of the recorder's buffer. BEFORE: null, or what it may refer to; for an
 * hour at most, as what that is may be dropped. */
static int add_look(struct recorder *recorder, const struct life *life, const char *kind,
		    int arena, int64_t time_ns, size_t length, struct look_before *before,
		    struct fault *fault)
{
	sqlite3_stmt *add = recorder->statement[ADD_LOOK];
	uint64_t hash = hash_of(recorder->look_buf, length);
	int error;

	if (!length)
		return fault_set(fault, EXIT_FAILED, -E2BIG,
				 "cannot record a look at process %d: it takes more than "
				 "%d bytes",
				 life->as.pid, RECORDER_LOOK_BYTES);
	bind_look(add, life, kind, arena, time_ns);
	if (before && before->written_ns && before->hash == hash &&
	    time_ns >= before->written_ns && time_ns - before->written_ns < WHOLE_NS) {
		sqlite3_bind_null(add, 5);
		return recorder_run(recorder, ADD_LOOK, NULL, fault);
	}
	sqlite3_bind_blob(add, 5, recorder->look_buf, (int)length, SQLITE_STATIC);
	error = recorder_run(recorder, ADD_LOOK, NULL, fault);
	if (before)
		*before = (struct look_before){error ? 0 : time_ns, hash};
	return error;
}

int recorder_map(struct recorder *recorder, unsigned place, const struct heap_map *map,
		 struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = recorder_begin_life(recorder, life, fault);

	if (error)
		return error;
	return add_look(recorder, life, LOOK_MAP, (int)map->arena, map->time_ns,
			look_map_write(map, recorder->look_buf, RECORDER_LOOK_BYTES),
			map->arena < RECORDER_MAPS ? &life->look[map->arena] : NULL,
			fault);
}

int recorder_sizes(struct recorder *recorder, unsigned place, const struct sample *sample,
		   struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = recorder_begin_life(recorder, life, fault);

	if (error)
		return error;
	return add_look(recorder, life, LOOK_SIZES, LOOK_PROCESS, sample->time_ns,
			look_sizes_write(sample, recorder->look_buf, RECORDER_LOOK_BYTES),
			&life->look[RECORDER_MAPS], fault);
}

int recorder_owners(struct recorder *recorder, unsigned place,
		    const struct owners *owners, struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = recorder_begin_life(recorder, life, fault);

	if (error)
		return error;
	return add_look(
		recorder, life, LOOK_OWNERS, LOOK_PROCESS, owners->time_ns,
		look_owners_write(owners, recorder->look_buf, RECORDER_LOOK_BYTES), NULL,
		fault);
}

int recorder_owner(struct recorder *recorder, unsigned place, const struct owners *owners,
		   unsigned number, const char *path, struct fault *fault)
{
	const struct owner *owner = &owners->owner[number];
	struct life *life = &recorder->life[place];
	sqlite3_stmt *add;
	int error = recorder_begin_life(recorder, life, fault);

	if (error)
		return error;
	add = recorder->statement[ADD_OWNER];
	sqlite3_bind_int64(add, 1, life->row);
	sqlite3_bind_int64(add, 2, owners->time_ns);
	sqlite3_bind_int64(add, 3, number + 1);
	if (owners->sampled_chunks)
		sqlite3_bind_null(add, 4);
	else
		sqlite3_bind_int64(add, 4, (sqlite3_int64)owner->unlocked_bytes);
	sqlite3_bind_int64(add, 5, (sqlite3_int64)owner->asked_chunks);
	sqlite3_bind_int64(add, 6, (sqlite3_int64)owner->asked_bytes);
	recorder_bind_text(add, 7, path);
	return recorder_run(recorder, ADD_OWNER, NULL, fault);
}
