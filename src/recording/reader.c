#include "recording/reader.h"

#include "recording/schema.h"

int reader_broken(struct recording *reader, int code, struct fault *fault)
{
	return schema_fault(reader->db, code, "read recording", reader->file, fault);
}

struct reader_life *reader_life(struct recording *reader, int64_t number)
{
	unsigned low = 0, high = reader->count;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (reader->life[mid].info.life < number)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < reader->count && reader->life[low].info.life == number)
		return &reader->life[low];
	return NULL;
}

const char *recording_fact(struct recording *reader, int64_t life, const char *name)
{
	int code = SQLITE_OK;

	if (!reader->fact)
		code = sqlite3_prepare_v2(reader->db,
					  "SELECT value FROM fact WHERE life=? AND name=?"
					  " ORDER BY time_ns DESC LIMIT 1",
					  -1, &reader->fact, NULL);
	if (code != SQLITE_OK)
		return NULL;
	sqlite3_reset(reader->fact);
	sqlite3_bind_int64(reader->fact, 1, life);
	sqlite3_bind_text(reader->fact, 2, name, -1, SQLITE_TRANSIENT);
	if (sqlite3_step(reader->fact) != SQLITE_ROW)
		return NULL;
	return (const char *)sqlite3_column_text(reader->fact, 0);
}
