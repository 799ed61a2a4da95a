/* looks.c: what was looked at besides the readings. */
#include "recording/look_codec.h"
#include "recording/reader.h"

#include <errno.h>
#include <string.h>

static int damaged_look(struct recording *reader, int error, int64_t time_ns,
			struct fault *fault)
{
	if (error == -EPROTO)
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot read recording '%s': what was looked at in "
				 "second %lld of the epoch is damaged",
				 reader->file, (long long)(time_ns / 1000000000));
	return fault_set(fault, EXIT_FAILED, error,
			 "cannot read recording '%s': there is no room for what was "
			 "looked at",
			 reader->file);
}

static int start_looks(struct recording *reader)
{
	static const char query[] = "SELECT time_ns,data FROM look WHERE life=?1 AND"
				    " kind=?2 AND arena=?3 AND time_ns<=?4"
				    " ORDER BY time_ns DESC";

	if (reader->look)
		return sqlite3_reset(reader->look);
	return sqlite3_prepare_v2(reader->db, query, -1, &reader->look, NULL);
}

/* Stands on the look that was as the one at AT_NS, which was at *TIME_NS. */
static int find_look(struct recording *reader, int64_t life, const char *kind, int arena,
		     int64_t at_ns, int64_t *time_ns, struct fault *fault)
{
	bool is_first = true;
	int code;

	if (reader->version < 2)
		return RECORDING_END;
	code = start_looks(reader);
	if (code != SQLITE_OK)
		return reader_broken(reader, code, fault);
	sqlite3_bind_int64(reader->look, 1, life);
	sqlite3_bind_text(reader->look, 2, kind, -1, SQLITE_STATIC);
	sqlite3_bind_int(reader->look, 3, arena);
	sqlite3_bind_int64(reader->look, 4, at_ns);
	while ((code = sqlite3_step(reader->look)) == SQLITE_ROW) {
		if (is_first)
			*time_ns = sqlite3_column_int64(reader->look, 0);
		is_first = false;
		if (sqlite3_column_type(reader->look, 1) == SQLITE_BLOB)
			return RECORDING_READ;
	}
	return code == SQLITE_DONE ? RECORDING_END : reader_broken(reader, code, fault);
}

static const unsigned char *look_data(struct recording *reader, size_t *length)
{
	const unsigned char *data = sqlite3_column_blob(reader->look, 1);

	*length = data ? (size_t)sqlite3_column_bytes(reader->look, 1) : 0;
	return data ? data : (const unsigned char *)"";
}

/* ERROR is what reading the look's data came to. */
static int end_look(struct recording *reader, int error, int64_t time_ns,
		    struct fault *fault)
{
	/* It holds on to what a recorder writes meanwhile. */
	sqlite3_reset(reader->look);
	return error ? damaged_look(reader, error, time_ns, fault) : RECORDING_READ;
}

int recording_map(struct recording *reader, int64_t life, int64_t at_ns,
		  struct heap_map *map, struct fault *fault)
{
	const unsigned char *data;
	int64_t time_ns = 0;
	size_t length;
	int result = find_look(reader, life, LOOK_MAP, (int)map->arena, at_ns, &time_ns,
			       fault);

	if (result != RECORDING_READ)
		return result;
	data = look_data(reader, &length);
	result = look_map_read(data, length, map);
	map->time_ns = time_ns;
	return end_look(reader, result, time_ns, fault);
}

/* With room for as many arenas as LENGTH bytes can hold. */
static int read_sizes(struct recording *reader, const unsigned char *data, size_t length)
{
	unsigned arenas = reader->sizes ? reader->sizes->arena_capacity : READER_ARENAS;
	int error = -ENOSPC;

	for (; error == -ENOSPC && arenas <= READER_ARENAS_MAX; arenas *= 4) {
		if (!reader->sizes || reader->sizes->arena_capacity < arenas) {
			sample_free(reader->sizes);
			reader->sizes = sample_new(arenas, true);
		}
		if (!reader->sizes)
			return -ENOMEM;
		sample_clear(reader->sizes);
		error = look_sizes_read(data, length, reader->sizes);
	}
	return error;
}

int recording_sizes(struct recording *reader, int64_t life, int64_t at_ns,
		    const struct sample **sample, struct fault *fault)
{
	const struct reader_life *whose = reader_life(reader, life);
	const unsigned char *data;
	int64_t time_ns = 0;
	size_t length;
	int result =
		find_look(reader, life, LOOK_SIZES, LOOK_PROCESS, at_ns, &time_ns, fault);

	if (result != RECORDING_READ)
		return result;
	data = look_data(reader, &length);
	result = read_sizes(reader, data, length);
	*sample = reader->sizes;
	if (!result && whose) {
		reader->sizes->time_ns = time_ns;
		reader->sizes->pid = whose->info.pid;
		strncpy(reader->sizes->comm, whose->info.service, SAMPLE_TEXT - 1);
	}
	return end_look(reader, result, time_ns, fault);
}

int recording_owners(struct recording *reader, int64_t life, int64_t at_ns,
		     struct owners *owners, struct fault *fault)
{
	const unsigned char *data;
	int64_t time_ns = 0;
	size_t length;
	int result = find_look(reader, life, LOOK_OWNERS, LOOK_PROCESS, at_ns, &time_ns,
			       fault);

	if (result != RECORDING_READ)
		return result;
	data = look_data(reader, &length);
	result = look_owners_read(data, length, owners);
	owners->time_ns = time_ns;
	return end_look(reader, result, time_ns, fault);
}
