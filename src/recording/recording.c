#include "recording/recording.h"

#include "recording/codec.h"
#include "recording/look_codec.h"
#include "recording/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_NAME = 256,
	ARENAS = 64,	    /* room for so many at first */
	ARENAS_MAX = 65536, /* of one sample: what no process has */
};

/* The spans that stand for what was dropped, then the samples themselves. */
enum phase { PHASE_HOURS, PHASE_MINUTES, PHASE_SAMPLES, PHASE_END };

/* One life, and the last sample of it: the next one is told against it. It can be read
 * (HAS_WHOLE) from the first whole sample on. */
struct reader_life {
	struct recorded_life info;
	char *service, *end;
	char source[16], allocator[SAMPLE_TEXT];
	struct origin origin;
	bool has_whole;
	struct codec_state *state;
	struct figures tier_fig; /* what the last span said */
};

struct recording {
	char file[FILE_NAME];
	sqlite3 *db;
	int version;
	struct codec_numbers numbers;
	unsigned count;
	struct reader_life *life;
	struct sample *sample;
	enum phase phase;
	int64_t from_ns;
	/* Where the seconds begin, and the minutes; INT64_MAX: there are none. */
	int64_t samples_ns, minutes_ns;
	sqlite3_stmt *select;
	bool has_row; /* SELECT stands on a row of a span that is not yet taken */
	bool is_done; /* SELECT has no further row; to step it would begin anew */
	sqlite3_stmt *fact, *look;
	struct sample *sizes; /* null until they are asked for */
};

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

static int broken(struct recording *reader, int code, struct fault *fault)
{
	return schema_fault(reader->db, code, "read recording", reader->file, fault);
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
	return code == SQLITE_DONE ? 0 : broken(reader, code, fault);
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
static struct reader_life *find_life(struct recording *reader, int64_t number)
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

/* ---- facts ---- */

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

int recording_events(struct recording *reader, int64_t from_ns, int64_t to_ns,
		     int (*visit)(const struct recorded_event *event, void *context),
		     void *context, struct fault *fault)
{
	struct recorded_event event;
	const struct reader_life *life;
	sqlite3_stmt *select;
	int result = 0, code;

	code = sqlite3_prepare_v2(reader->db,
				  "SELECT time_ns,life,kind,bytes,json FROM event WHERE"
				  " time_ns>=? AND time_ns<=? ORDER BY time_ns,event",
				  -1, &select, NULL);
	if (code != SQLITE_OK)
		return broken(reader, code, fault);
	sqlite3_bind_int64(select, 1, from_ns);
	sqlite3_bind_int64(select, 2, to_ns);
	while (!result && (code = sqlite3_step(select)) == SQLITE_ROW) {
		life = find_life(reader, sqlite3_column_int64(select, 1));
		event.time_ns = sqlite3_column_int64(select, 0);
		event.kind = (const char *)sqlite3_column_text(select, 2);
		event.bytes = (uint64_t)sqlite3_column_int64(select, 3);
		event.json = (const char *)sqlite3_column_text(select, 4);
		if (!life || !event.kind || !event.json)
			continue;
		event.life = &life->info;
		result = visit(&event, context);
	}
	sqlite3_finalize(select);
	if (result || code == SQLITE_DONE)
		return result;
	return broken(reader, code, fault);
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
	char escaped[3 * FILE_NAME], *to = escaped;

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
	char log[FILE_NAME + 8];

	snprintf(log, sizeof(log), "%s-wal", file);
	return access(log, F_OK) == 0;
}

static int open_file(struct recording *reader, const char *name, int flags)
{
	int code =
		sqlite3_open_v2(name, &reader->db,
				SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | flags, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_busy_timeout(reader->db, 1000);
	/* Opened is what has been read. */
	if (code == SQLITE_OK)
		code = sqlite3_exec(reader->db, "SELECT 1 FROM life LIMIT 1", NULL, NULL,
				    NULL);
	return code;
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
		return broken(reader, code, fault);
	error = schema_check(reader->db, reader->file, fault);
	if (error < 0)
		return error;
	reader->version = error;
	code = schema_numbers(reader->db, &reader->numbers);
	if (code != SQLITE_OK)
		return broken(reader, code, fault);
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
		r->sample = sample_new(ARENAS, false);
	if (!r || !r->sample || strlen(file) >= FILE_NAME) {
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

/* ---- where to begin ---- */

/* The number that QUERY gives of AT, or OTHERWISE when it gives none. */
static int ask(struct recording *reader, const char *query, int64_t at, int64_t otherwise,
	       int64_t *value, struct fault *fault)
{
	sqlite3_stmt *select;
	int code = sqlite3_prepare_v2(reader->db, query, -1, &select, NULL);

	*value = otherwise;
	if (code == SQLITE_OK) {
		if (sqlite3_bind_parameter_count(select))
			sqlite3_bind_int64(select, 1, at);
		code = sqlite3_step(select);
	}
	if (code == SQLITE_ROW && sqlite3_column_type(select, 0) != SQLITE_NULL)
		*value = sqlite3_column_int64(select, 0);
	sqlite3_finalize(select);
	return code == SQLITE_ROW || code == SQLITE_DONE ? 0
							 : broken(reader, code, fault);
}

static int64_t to_ns(int64_t time_s)
{
	return time_s == INT64_MAX ? time_s : time_s * 1000000000;
}

/* Spans of SECONDS that end before NS, where something finer begins, start before this.
 */
static int64_t spans_end(int64_t ns, int64_t seconds)
{
	return ns == INT64_MAX ? ns : ns - (seconds - 1) * 1000000000;
}

static int select_phase(struct recording *reader, enum phase phase, int64_t from_ns,
			int64_t to, struct fault *fault)
{
	static const char *const query[] = {
		[PHASE_HOURS] =
			"SELECT time_s,life,arena,number,n,last,mean FROM tier WHERE"
			" seconds=3600 AND time_s>=? AND time_s<?"
			" ORDER BY time_s,life,arena",
		[PHASE_MINUTES] =
			"SELECT time_s,life,arena,number,n,last,mean FROM tier WHERE"
			" seconds=60 AND time_s>=? AND time_s<?"
			" ORDER BY time_s,life,arena",
		[PHASE_SAMPLES] = "SELECT time_ns,life,whole,data FROM sample WHERE"
				  " time_ns>=? AND time_ns<? ORDER BY time_ns,life",
	};
	int64_t unit = phase == PHASE_SAMPLES ? 1 : 1000000000;
	int code;

	sqlite3_finalize(reader->select);
	reader->select = NULL;
	reader->has_row = reader->is_done = false;
	reader->phase = phase;
	if (phase == PHASE_END)
		return 0;
	code = sqlite3_prepare_v2(reader->db, query[phase], -1, &reader->select, NULL);
	if (code != SQLITE_OK)
		return broken(reader, code, fault);
	sqlite3_bind_int64(reader->select, 1, from_ns / unit);
	sqlite3_bind_int64(reader->select, 2, to == INT64_MAX ? to : to / unit);
	return 0;
}

/* To read a life at FROM_NS its last whole sample before must be read first; of a life
 * that ended before, nothing need be. */
static int first_whole(struct recording *reader, int64_t from_ns, int64_t *first_ns,
		       struct fault *fault)
{
	return ask(reader,
		   "SELECT min(at) FROM (SELECT life, max(time_ns) AS at FROM whole WHERE"
		   " time_ns<=?1 GROUP BY life) AS before WHERE at>=?1-600000000000 OR"
		   " EXISTS(SELECT 1 FROM whole WHERE whole.life=before.life AND"
		   " time_ns>?1)",
		   from_ns, from_ns, first_ns, fault);
}

/* A minute that has no row of a figure is as the span before: of what was counted in that
 * hour it has a part. */
static void begin_minutes(struct recording *reader)
{
	for (unsigned i = 0; i < reader->count; i++)
		for (unsigned f = 0; f < FIG_COUNT; f++)
			if (figure_info[f].is_since)
				reader->life[i].tier_fig.v[f].u /= 60;
}

static int next_phase(struct recording *reader, struct fault *fault)
{
	int64_t first_ns = INT64_MIN;
	int error = 0;

	switch (reader->phase) {
	case PHASE_HOURS:
		begin_minutes(reader);
		return select_phase(reader, PHASE_MINUTES, reader->from_ns,
				    spans_end(reader->samples_ns, 60), fault);
	case PHASE_MINUTES:
		if (reader->from_ns > reader->samples_ns)
			error = first_whole(reader, reader->from_ns, &first_ns, fault);
		return error ? error
			     : select_phase(reader, PHASE_SAMPLES, first_ns, INT64_MAX,
					    fault);
	default:
		return select_phase(reader, PHASE_END, 0, 0, fault);
	}
}

int recording_seek(struct recording *reader, int64_t from_ns, struct fault *fault)
{
	int64_t minutes_s, hours_to_ns;
	int error = ask(reader, "SELECT min(time_ns) FROM sample", 0, INT64_MAX,
			&reader->samples_ns, fault);

	if (!error)
		error = ask(reader, "SELECT min(time_s) FROM tier WHERE seconds=60", 0,
			    INT64_MAX, &minutes_s, fault);
	if (error)
		return error;
	reader->from_ns = from_ns;
	reader->minutes_ns = to_ns(minutes_s);
	for (unsigned i = 0; i < reader->count; i++) {
		reader->life[i].has_whole = false;
		figures_clear(&reader->life[i].tier_fig);
	}
	hours_to_ns = reader->minutes_ns < reader->samples_ns ? reader->minutes_ns
							      : reader->samples_ns;
	hours_to_ns = spans_end(hours_to_ns, 3600);
	return select_phase(reader, PHASE_HOURS, from_ns, hours_to_ns, fault);
}

/* ---- samples ---- */

static int grow(struct recording *reader, unsigned arenas)
{
	struct sample *larger = arenas <= ARENAS_MAX ? sample_new(arenas, false) : NULL;

	if (!larger)
		return -ENOMEM;
	sample_free(reader->sample);
	reader->sample = larger;
	return 0;
}

/* A state of LIFE with room for ARENAS rows that says what it said. */
static int grow_state(struct reader_life *life, unsigned arenas)
{
	struct codec_state *larger = codec_new(arenas);
	unsigned capacity;

	if (!larger)
		return -ENOMEM;
	capacity = larger->row_capacity;
	if (life->state && life->state->row_capacity <= capacity) {
		memcpy(larger, life->state,
		       sizeof(*larger) +
			       life->state->row_capacity * sizeof(larger->row[0]));
		larger->row_capacity = capacity;
	}
	free(life->state);
	life->state = larger;
	return 0;
}

static int decode(struct recording *reader, struct reader_life *life, int64_t time_ns)
{
	const unsigned char *data = sqlite3_column_blob(reader->select, 3);
	size_t length = (size_t)sqlite3_column_bytes(reader->select, 3);
	unsigned arenas = 0;
	int error = -ENOSPC;

	if (!life->state && grow_state(life, ARENAS))
		return -ENOMEM;
	if (sqlite3_column_int(reader->select, 2))
		codec_reset(life->state);
	for (unsigned tries = 0; tries < 2 && error == -ENOSPC; tries++) {
		sample_clear(reader->sample);
		reader->sample->time_ns = time_ns;
		reader->sample->pid = life->info.pid;
		reader->sample->origin = life->origin;
		error = codec_read(life->state, &reader->numbers, data, length,
				   reader->sample, &arenas);
		if (error == -ENOSPC &&
		    (grow(reader, arenas + ARENAS) || grow_state(life, arenas + ARENAS)))
			return -ENOMEM;
	}
	return error;
}

static int damaged(struct recording *reader, int64_t time_ns, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -EPROTO,
			 "cannot read recording '%s': it is damaged at second %lld of "
			 "the epoch; what comes before was read",
			 reader->file, (long long)(time_ns / 1000000000));
}

/* The next of the samples: RECORDING_READ, RECORDING_END or -errno. */
static int next_sample(struct recording *reader, unsigned *index, struct fault *fault)
{
	struct reader_life *life;
	int64_t time_ns;
	int code, error;

	while ((code = sqlite3_step(reader->select)) == SQLITE_ROW) {
		time_ns = sqlite3_column_int64(reader->select, 0);
		life = find_life(reader, sqlite3_column_int64(reader->select, 1));
		if (!life)
			continue;
		life->has_whole |= sqlite3_column_int(reader->select, 2) != 0;
		if (!life->has_whole)
			continue;
		error = decode(reader, life, time_ns);
		if (error == -ENOMEM)
			return fault_set(fault, EXIT_FAILED, error,
					 "cannot read recording '%s': there is no memory "
					 "for it",
					 reader->file);
		if (error)
			return damaged(reader, time_ns, fault);
		*index = (unsigned)(life - reader->life);
		if (time_ns >= reader->from_ns)
			return RECORDING_READ;
	}
	return code == SQLITE_DONE ? RECORDING_END : broken(reader, code, fault);
}

/* ---- minutes and hours ---- */

/* Of what each sample counts since the one before, a span has the sum. */
static uint64_t counted_in_span(sqlite3_stmt *row)
{
	double sum = (double)sqlite3_column_int64(row, 4) * sqlite3_column_double(row, 6);

	return sum > 0 && sum < 0x1p63 ? (uint64_t)(sum + 0.5) : 0;
}

static void span_figure(struct recording *reader, struct reader_life *life)
{
	int64_t number = sqlite3_column_int64(reader->select, 3);
	unsigned f = number >= 0 && number < CODEC_FIGURES
			     ? reader->numbers.figure[number]
			     : FIG_COUNT;

	/* Arenas are not built anew from spans: their rows are for those who ask the
	 * file. */
	if (f >= FIG_COUNT || sqlite3_column_int64(reader->select, 2) >= 0)
		return;
	if (!sqlite3_column_int64(reader->select, 4))
		figure_drop(&life->tier_fig, f);
	else if (figure_info[f].is_since)
		figure_set(&life->tier_fig, f, counted_in_span(reader->select));
	else if (figure_info[f].unit == UNIT_RATIO)
		figure_set_ratio(&life->tier_fig, f,
				 sqlite3_column_double(reader->select, 5));
	else
		figure_set(&life->tier_fig, f,
			   (uint64_t)sqlite3_column_int64(reader->select, 5));
}

static void span_texts(struct recording *reader, struct reader_life *life)
{
	const char *source = recording_fact(reader, life->info.life, "source"),
		   *allocator;

	strncpy(life->source, source ? source : "heap", sizeof(life->source) - 1);
	allocator = recording_fact(reader, life->info.life, "allocator");
	strncpy(life->allocator, allocator ? allocator : "", SAMPLE_TEXT - 1);
}

static void span_sample(struct recording *reader, struct reader_life *life,
			int64_t time_s)
{
	struct sample *sample = reader->sample;

	if (!life->source[0])
		span_texts(reader, life);
	sample_clear(sample);
	sample->time_ns = to_ns(time_s);
	sample->pid = life->info.pid;
	sample->origin = life->origin;
	strncpy(sample->comm, life->info.service, SAMPLE_TEXT - 1);
	memcpy(sample->allocator, life->allocator, SAMPLE_TEXT);
	for (unsigned s = SOURCE_HEAP; s <= SOURCE_PRELOAD; s++)
		if (!strcmp(life->source, sample_source_name(s)))
			sample->source = s;
	sample->fig = life->tier_fig;
}

/* The next span: all rows of one time and life are one sample. */
static int next_span(struct recording *reader, unsigned *index, struct fault *fault)
{
	struct reader_life *life = NULL;
	int64_t time_s = 0, number = 0;
	int code = SQLITE_DONE;

	if (!reader->is_done)
		code = reader->has_row ? SQLITE_ROW : sqlite3_step(reader->select);
	reader->has_row = false;
	for (; code == SQLITE_ROW; code = sqlite3_step(reader->select)) {
		bool same = life && sqlite3_column_int64(reader->select, 0) == time_s &&
			    sqlite3_column_int64(reader->select, 1) == number;

		if (life && !same) {
			reader->has_row = true;
			break;
		}
		time_s = sqlite3_column_int64(reader->select, 0);
		number = sqlite3_column_int64(reader->select, 1);
		life = find_life(reader, number);
		if (life)
			span_figure(reader, life);
	}
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return broken(reader, code, fault);
	reader->is_done = code == SQLITE_DONE;
	if (!life)
		return RECORDING_END;
	span_sample(reader, life, time_s);
	*index = (unsigned)(life - reader->life);
	return RECORDING_READ;
}

int recording_next(struct recording *reader, const struct sample **sample, unsigned *life,
		   struct fault *fault)
{
	int result = RECORDING_END;

	while (result == RECORDING_END && reader->phase != PHASE_END) {
		result = reader->phase == PHASE_SAMPLES ? next_sample(reader, life, fault)
							: next_span(reader, life, fault);
		if (result == RECORDING_END) {
			int error = next_phase(reader, fault);

			if (error)
				return error;
		}
	}
	*sample = reader->sample;
	return result;
}

/* ---- looks ---- */

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
		return broken(reader, code, fault);
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
	return code == SQLITE_DONE ? RECORDING_END : broken(reader, code, fault);
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
	int64_t time_ns;
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
	unsigned arenas = reader->sizes ? reader->sizes->arena_capacity : ARENAS;
	int error = -ENOSPC;

	for (; error == -ENOSPC && arenas <= ARENAS_MAX; arenas *= 4) {
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
	const struct reader_life *whose = find_life(reader, life);
	const unsigned char *data;
	int64_t time_ns;
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
	int64_t time_ns;
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
