#include "recording/recording.h"

#include "recording/reader.h"
#include "recording/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool recording_is_database(const char *file)
{
	char head[16] = "";
	struct stat status;
	ssize_t got;
	int fd;

	/* What is read from a pipe is not there any more for who reads its rows. */
	if (stat(file, &status) || !S_ISREG(status.st_mode))
		return false;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, head, sizeof(head));
	if (fd >= 0)
		close(fd);
	return got == (ssize_t)sizeof(head) && !memcmp(head, "SQLite format 3", 16);
}

/* ---- lives ---- */

static char *column_copy(sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	return text ? strdup(text) : NULL;
}

static int add_life(struct recording *reader, sqlite3_stmt *row)
{
	struct reader_life *more = reallocarray(reader->life, reader->count + 1,
						sizeof(*more)),
			   *life;

	if (!more)
		return -ENOMEM;
	reader->life = more;
	life = &more[reader->count];
	*life = (struct reader_life){0};
	life->service = column_copy(row, 1);
	life->end = column_copy(row, 6);
	life->info = (struct recorded_life){
		.life = sqlite3_column_int64(row, 0),
		.service = life->service ? life->service : "",
		.pid = sqlite3_column_int(row, 2),
		.start_ns = sqlite3_column_int64(row, 3),
		.first_ns = sqlite3_column_int64(row, 4),
		.last_ns = sqlite3_column_int64(row, 5),
		.end = life->end,
	};
	reader->count++;
	return 0;
}

static int read_lives(struct recording *reader, struct fault *fault)
{
	sqlite3_stmt *select;
	int code = sqlite3_prepare_v2(
		    reader->db,
		    "SELECT life,service,pid,start_ns,first_ns,last_ns,end"
		    " FROM life ORDER BY life",
		    -1, &select, NULL),
	    error = 0;

	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(select);
		if (code == SQLITE_ROW)
			error = add_life(reader, select);
		if (error)
			break;
	}
	sqlite3_finalize(select);
	if (error)
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot read recording '%s': there is no memory for it",
				 reader->file);
	return code == SQLITE_DONE ? 0 : reader_broken(reader, code, fault);
}

unsigned recording_lives(const struct recording *reader)
{
	return reader->count;
}

const struct recorded_life *recording_life(const struct recording *reader, unsigned i)
{
	return i < reader->count ? &reader->life[i].info : NULL;
}

/* Its life with NUMBER, or null. */
/* ---- facts ---- */

int recording_facts(struct recording *reader, int64_t life,
		    int (*visit)(const char *name, const char *value, void *context),
		    void *context)
{
	sqlite3_stmt *select;
	int result = 0;

	/* With max(), the other column is of the row that has it. */
	if (sqlite3_prepare_v2(reader->db,
			       "SELECT name,value,max(time_ns) FROM fact WHERE life=?"
			       " GROUP BY name ORDER BY name",
			       -1, &select, NULL) != SQLITE_OK)
		return -EPROTO;
	sqlite3_bind_int64(select, 1, life);
	while (!result && sqlite3_step(select) == SQLITE_ROW)
		result = visit((const char *)sqlite3_column_text(select, 0),
			       (const char *)sqlite3_column_text(select, 1), context);
	sqlite3_finalize(select);
	return result;
}

/* ---- events ---- */

static bool take_event(struct recording *reader, sqlite3_stmt *row,
		       struct recorded_event *event)
{
	const struct reader_life *life =
		reader_life(reader, sqlite3_column_int64(row, 1));

	reader->rows++;
	*event = (struct recorded_event){
		.time_ns = sqlite3_column_int64(row, 0),
		.life = life ? &life->info : NULL,
		.kind = (const char *)sqlite3_column_text(row, 2),
		.bytes = (uint64_t)sqlite3_column_int64(row, 3),
		.json = (const char *)sqlite3_column_text(row, 4),
	};
	return event->life && event->kind && event->json;
}

int recording_events(struct recording *reader, int64_t from_ns, int64_t to_ns,
		     unsigned most,
		     int (*visit)(const struct recorded_event *event, void *context),
		     void *context, struct fault *fault)
{
	static const char all[] = "SELECT time_ns,life,kind,bytes,json FROM event WHERE"
				  " time_ns>=? AND time_ns<=? ORDER BY time_ns,event",
			  latest[] = "SELECT time_ns,life,kind,bytes,json FROM event"
				     " WHERE event IN (SELECT event FROM event WHERE"
				     " time_ns>=? AND time_ns<=?"
				     " ORDER BY time_ns DESC LIMIT ?)"
				     " ORDER BY time_ns,event";
	struct recorded_event event;
	sqlite3_stmt *select;
	int result = 0, code;

	code = sqlite3_prepare_v2(reader->db, most ? latest : all, -1, &select, NULL);
	if (code != SQLITE_OK)
		return reader_broken(reader, code, fault);
	sqlite3_bind_int64(select, 1, from_ns);
	sqlite3_bind_int64(select, 2, to_ns);
	if (most)
		sqlite3_bind_int64(select, 3, most);
	while (!result && (code = sqlite3_step(select)) == SQLITE_ROW)
		if (take_event(reader, select, &event))
			result = visit(&event, context);
	sqlite3_finalize(select);
	if (result || code == SQLITE_DONE)
		return result;
	return reader_broken(reader, code, fault);
}

/* Where the lives were: not of each sample. */
static void read_origins(struct recording *reader)
{
	for (unsigned i = 0; i < reader->count; i++) {
		struct reader_life *life = &reader->life[i];
		const char *host = recording_fact(reader, life->info.life, "host");

		life->origin.started_ns = life->info.start_ns;
		if (host)
			strncpy(life->origin.host, host, SAMPLE_TEXT - 1);
	}
}

/* ---- opening ---- */

/* FILE as a URI of an unchanging database; free it with sqlite3_free. Null: no memory. */
static char *unchanging_uri(const char *file)
{
	char escaped[3 * READER_NAME], *to = escaped;

	for (; *file; file++)
		if (strchr("?#%", *file))
			to += sprintf(to, "%%%02X", *file);
		else
			*to++ = *file;
	*to = '\0';
	return sqlite3_mprintf("file:%s?immutable=1", escaped);
}

/* Whether somebody has FILE open, or left it so: its log is there. */
static bool has_log(const char *file)
{
	char log[READER_NAME + 8];

	snprintf(log, sizeof(log), "%s-wal", file);
	return access(log, F_OK) == 0;
}

/* Opened is what has been read. */
static int try_file(struct recording *reader)
{
	return sqlite3_exec(reader->db, "SELECT 1 FROM life LIMIT 1", NULL, NULL, NULL);
}

static int64_t header_pages(const char *file)
{
	unsigned char head[32];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, head, sizeof(head));

	if (fd >= 0)
		close(fd);
	return got == (ssize_t)sizeof(head) ? (int64_t)head[28] << 24 | head[29] << 16 |
						      head[30] << 8 | head[31]
					    : 0;
}

/* SQLite refuses a file that is shorter than it says, unless it may be written to without
 * its tables being trusted; nothing is written here. What is missing is told in the
 * end. */
static int try_cut_file(struct recording *reader)
{
	enum { PAGE_BYTES = 4096 }; /* of all recordings */
	int64_t whole_bytes = header_pages(reader->file) * PAGE_BYTES;
	struct stat status;

	if (stat(reader->file, &status) || status.st_size >= whole_bytes)
		return SQLITE_CORRUPT;
	reader->lost.file_bytes = (uint64_t)status.st_size;
	reader->lost.cut_bytes = (uint64_t)(whole_bytes - status.st_size);
	sqlite3_db_config(reader->db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, NULL);
	return try_file(reader);
}

static int open_file(struct recording *reader, const char *name, int flags)
{
	int code =
		sqlite3_open_v2(name, &reader->db,
				SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | flags, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_busy_timeout(reader->db, 1000);
	if (code == SQLITE_OK)
		code = try_file(reader);
	return (code & 0xff) == SQLITE_CORRUPT ? try_cut_file(reader) : code;
}

/* Readers of a file that is being written share an index beside it, which they make where
 * there is none. Where nothing may be written only a file without a log can be read. */
static int open_database(struct recording *reader)
{
	int code = open_file(reader, reader->file, 0);
	char *uri;

	if ((code & 0xff) != SQLITE_CANTOPEN || access(reader->file, R_OK) != 0 ||
	    has_log(reader->file))
		return code;
	uri = unchanging_uri(reader->file);
	if (!uri)
		return SQLITE_NOMEM;
	sqlite3_close(reader->db);
	code = open_file(reader, uri, SQLITE_OPEN_URI);
	sqlite3_free(uri);
	return code;
}

static int start(struct recording *reader, struct fault *fault)
{
	int code = open_database(reader), error;

	/* A database of another program has no table of that name: the check says so. */
	if (code != SQLITE_OK && code != SQLITE_ERROR)
		return reader_broken(reader, code, fault);
	error = schema_check(reader->db, reader->file, fault);
	if (error < 0)
		return error;
	reader->version = error;
	code = schema_numbers(reader->db, &reader->numbers);
	if (code != SQLITE_OK)
		return reader_broken(reader, code, fault);
	error = read_lives(reader, fault);
	if (error)
		return error;
	read_origins(reader);
	return recording_seek(reader, INT64_MIN, fault);
}

int recording_open(struct recording **reader, const char *file, struct fault *fault)
{
	struct recording *r = calloc(1, sizeof(*r));
	int error;

	*reader = NULL;
	if (r)
		r->sample = sample_new(READER_ARENAS, false);
	if (!r || !r->sample || strlen(file) >= READER_NAME) {
		free(r);
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "cannot read recording '%s': there is no memory for it, "
				 "or its name is too long",
				 file);
	}
	memcpy(r->file, file, strlen(file) + 1);
	error = start(r, fault);
	if (error) {
		recording_close(r);
		return error;
	}
	*reader = r;
	return 0;
}

void recording_close(struct recording *reader)
{
	if (!reader)
		return;
	sqlite3_finalize(reader->select);
	sqlite3_finalize(reader->fact);
	sqlite3_finalize(reader->look);
	sqlite3_close(reader->db);
	for (unsigned i = 0; i < reader->count; i++) {
		free(reader->life[i].service);
		free(reader->life[i].end);
		free(reader->life[i].state);
	}
	free(reader->life);
	sample_free(reader->sample);
	sample_free(reader->sizes);
	free(reader);
}
