#include "recording/recorder.h"

#include "base/alloc_touched.h"
#include "recording/codec.h"
#include "recording/look_codec.h"
#include "recording/pool.h"
#include "recording/schema.h"
#include "recording/tiers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	POOL_BYTES = 4 << 20,
	SERVICE = 256,
	TIERS = 2,
	PAGE_BYTES = 4096,
	FULL_PARTS = 10,  /* of the largest size: one tenth is left free */
	DROPS_A_TURN = 8, /* when the file is too large */
	MAPS = 64,	  /* arenas of a life whose maps can refer to those before */
	LOOKS = MAPS + 1, /* the last one: free sizes */
	LOOK_BYTES = 512 << 10,
	DROP_PARTS = 8, /* an eighth of what there is goes each time */
	NAME_BYTES = PATH_MAX + 8,
};

static const int64_t whole_ns = INT64_C(300000000000); /* between two whole samples */
static const int64_t look_ns = INT64_C(3600000000000); /* the same of looks */
static const int64_t hour_ns = INT64_C(3600000000000);
static const int64_t tend_ns = INT64_C(60000000000); /* between two looks at the size */

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	ADD_LIFE,
	SEEN_LIFE,
	END_LIFE,
	ADD_FACT,
	COPY_FACTS,
	ADD_SAMPLE,
	ADD_WHOLE,
	ADD_TIER,
	ADD_EVENT,
	ADD_LOOK,
	ADD_OWNER,
	OLDEST,
	DROP_SAMPLES,
	DROP_WHOLES,
	DROP_MINUTES,
	DROP_EVENTS,
	DROP_LOOKS,
	DROP_OWNERS,
	OLDEST_MINUTE,
	PAGES,
	FREE_PAGES,
	STATEMENTS
};

static const char *const statements[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[ADD_LIFE] = "INSERT INTO life VALUES(NULL,?,?,?,?,?,NULL)",
	[SEEN_LIFE] = "UPDATE life SET last_ns=?2 WHERE life=?1",
	[END_LIFE] = "UPDATE life SET last_ns=?2, end=?3 WHERE life=?1",
	[ADD_FACT] = "INSERT OR REPLACE INTO fact VALUES(?,?,?,?)",
	[COPY_FACTS] =
		"INSERT INTO fact SELECT ?2,time_ns,name,value FROM fact WHERE life=?1",
	[ADD_SAMPLE] = "INSERT OR REPLACE INTO sample VALUES(?,?,?,?)",
	[ADD_WHOLE] = "INSERT OR REPLACE INTO whole VALUES(?,?)",
	[ADD_TIER] = "INSERT OR REPLACE INTO tier VALUES(?,?,?,?,?,?,?,?,?,?)",
	[ADD_EVENT] = "INSERT INTO event(time_ns,life,kind,bytes,json) VALUES(?,?,?,?,?)",
	[ADD_LOOK] = "INSERT INTO look(time_ns,life,kind,arena,data) VALUES(?,?,?,?,?)",
	[ADD_OWNER] = "INSERT OR REPLACE INTO owner VALUES(?,?,?,?,?,?,?)",
	[OLDEST] = "SELECT min(time_ns) FROM sample",
	[DROP_SAMPLES] = "DELETE FROM sample WHERE time_ns<?",
	[DROP_WHOLES] = "DELETE FROM whole WHERE time_ns<?",
	[DROP_MINUTES] = "DELETE FROM tier WHERE seconds=60 AND time_s<?/1000000000",
	[DROP_EVENTS] = "DELETE FROM event WHERE time_ns<?",
	[DROP_LOOKS] = "DELETE FROM look WHERE time_ns<?",
	[DROP_OWNERS] = "DELETE FROM owner WHERE time_ns<?",
	[OLDEST_MINUTE] = "SELECT min(time_s)*1000000000 FROM tier WHERE seconds=60",
	[PAGES] = "PRAGMA page_count",
	[FREE_PAGES] = "PRAGMA freelist_count",
};

/* What was written last of one kind of look at one arena: if the next one says the same,
 * its row refers to that. WRITTEN_NS 0: nothing. */
struct look_before {
	int64_t written_ns;
	uint64_t hash;
};

/* ROW is the life's row in the file. IS_NEW: the file does not have it yet; IS_PENDING:
 * it will, when the transaction is committed. */
struct life {
	bool is_used, is_new, is_pending;
	int64_t row;
	char service[SERVICE];
	struct recorder_life as;
	int64_t last_ns;     /* of its last sample; 0: none */
	int64_t whole_at_ns; /* when the last whole sample was written; 0: none in FILE */
	struct codec_state *state;
	struct tier tier[TIERS];
	struct look_before look[LOOKS];
};

struct recorder {
	struct recorder_options options;
	sqlite3 *db;
	sqlite3_stmt *statement[STATEMENTS];
	struct codec_numbers numbers;
	bool in_transaction;
	int64_t tended_ns;
	/* With O_PATH, whose end releases no lock of SQLite's: the file that is open and
	 * its log, wherever they were moved. Or -1. */
	int file_fd, log_fd;
	unsigned char *buf, *look_buf; /* of LOOK_BYTES; null: no looks are recorded */
	struct life *life;
};

/* ---- statements ---- */

/* What comes next refers to nothing that is in the file. */
static void forget_before(struct life *life)
{
	life->whole_at_ns = 0;
	memset(life->look, 0, sizeof(life->look));
}

static int fail(struct recorder *recorder, int code, struct fault *fault)
{
	int error = schema_fault(recorder->db, code, "write recording",
				 recorder->options.file, fault);

	if (recorder->in_transaction) {
		sqlite3_step(recorder->statement[ROLLBACK]);
		sqlite3_reset(recorder->statement[ROLLBACK]);
		recorder->in_transaction = false;
	}
	/* The log may be what fills the disk: what is in it goes to its place. */
	if (error == -ENOSPC)
		sqlite3_wal_checkpoint_v2(recorder->db, NULL, SQLITE_CHECKPOINT_TRUNCATE,
					  NULL, NULL);
	/* What the next samples would be told against is not in the file. */
	for (unsigned i = 0; i < recorder->options.lives; i++) {
		forget_before(&recorder->life[i]);
		recorder->life[i].is_new |= recorder->life[i].is_pending;
		recorder->life[i].is_pending = false;
	}
	return error;
}

/* Runs S, bound before. *VALUE, unless null, is its first column, or -1. */
static int run(struct recorder *recorder, enum statement s, int64_t *value,
	       struct fault *fault)
{
	sqlite3_stmt *statement = recorder->statement[s];
	int code = sqlite3_step(statement);

	if (value)
		*value = -1;
	if (value && code == SQLITE_ROW &&
	    sqlite3_column_type(statement, 0) != SQLITE_NULL)
		*value = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return code == SQLITE_DONE || code == SQLITE_ROW ? 0
							 : fail(recorder, code, fault);
}

static int open_file(struct recorder *recorder, bool append, struct fault *fault);

/* A file that could not be opened anew is tried again here. */
static int begin(struct recorder *recorder, struct fault *fault)
{
	int error = recorder->db ? 0 : open_file(recorder, true, fault);

	if (error || recorder->in_transaction)
		return error;
	error = run(recorder, BEGIN, NULL, fault);
	recorder->in_transaction = !error;
	return error;
}

static void bind_texts(sqlite3_stmt *statement, int at, const char *text)
{
	sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

/* ---- the file ---- */

static int set_up(struct recorder *recorder)
{
	static const char pragmas[] = "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; "
				      "PRAGMA synchronous=NORMAL;"
				      "PRAGMA secure_delete=OFF; PRAGMA cache_size=-1024;"
				      "PRAGMA temp_store=MEMORY;"
				      "PRAGMA wal_autocheckpoint=100;";

	sqlite3_busy_timeout(recorder->db, 1000);
	return sqlite3_exec(recorder->db, pragmas, NULL, NULL, NULL);
}

static int prepare(struct recorder *recorder)
{
	int code = SQLITE_OK;

	for (unsigned i = 0; i < STATEMENTS && code == SQLITE_OK; i++)
		code = sqlite3_prepare_v3(recorder->db, statements[i], -1,
					  SQLITE_PREPARE_PERSISTENT,
					  &recorder->statement[i], NULL);
	return code;
}

static void forget_files(struct recorder *recorder)
{
	if (recorder->file_fd >= 0)
		close(recorder->file_fd);
	if (recorder->log_fd >= 0)
		close(recorder->log_fd);
	recorder->file_fd = recorder->log_fd = -1;
}

static void close_file(struct recorder *recorder)
{
	for (unsigned i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(recorder->statement[i]);
		recorder->statement[i] = NULL;
	}
	sqlite3_close(recorder->db);
	recorder->db = NULL;
	forget_files(recorder);
	recorder->in_transaction = false;
}

/* A file without tables is new, as one that could not be made because the disk was full;
 * any other must be a recording, and becomes one of this version. */
static int make_tables(struct recorder *recorder, struct fault *fault)
{
	int version = 0, code;

	if (!schema_is_absent(recorder->db))
		version = schema_check(recorder->db, recorder->options.file, fault);
	if (version < 0)
		return version;
	code = sqlite3_exec(recorder->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = schema_upgrade(recorder->db, version);
	if (code == SQLITE_OK)
		code = sqlite3_exec(recorder->db, "COMMIT", NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = schema_numbers(recorder->db, &recorder->numbers);
	if (code == SQLITE_OK)
		code = prepare(recorder);
	return code == SQLITE_OK ? 0
				 : schema_fault(recorder->db, code, "write recording",
						recorder->options.file, fault);
}

static bool leads_to(const char *path, int fd)
{
	struct stat there, open;

	return fd >= 0 && !stat(path, &there) && !fstat(fd, &open) &&
	       there.st_dev == open.st_dev && there.st_ino == open.st_ino;
}

/* Whether the name still leads to the file that is open. */
static bool is_same_file(const struct recorder *recorder)
{
	return recorder->db && leads_to(recorder->options.file, recorder->file_fd);
}

/* NAME is of NAME_BYTES. */
static void name_beside(const char *file, const char *suffix, char *name)
{
	snprintf(name, NAME_BYTES, "%s%s", file, suffix);
}

static void remember_files(struct recorder *recorder)
{
	char log[NAME_BYTES];

	name_beside(recorder->options.file, "-wal", log);
	recorder->file_fd = open(recorder->options.file, O_PATH | O_CLOEXEC);
	recorder->log_fd = open(log, O_PATH | O_CLOEXEC);
}

static int open_file(struct recorder *recorder, bool append, struct fault *fault)
{
	const char *file = recorder->options.file;
	int code, error;

	if (!append && access(file, F_OK) == 0)
		return fault_set(
			fault, EXIT_FAILED, -EEXIST,
			"cannot record to '%s': it exists; name another file, or "
			"add --append to go on with it",
			file);
	code = sqlite3_open_v2(
		file, &recorder->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK)
		code = set_up(recorder);
	error = code == SQLITE_OK
			? make_tables(recorder, fault)
			: schema_fault(recorder->db, code, "record to", file, fault);
	if (error)
		close_file(recorder);
	else
		remember_files(recorder);
	return error;
}

/* ---- memory ---- */

static void release_life(struct life *life)
{
	free(life->state);
	life->state = NULL;
	for (unsigned i = 0; i < TIERS; i++)
		tier_release(&life->tier[i]);
}

/* What a life needs is taken when its place is first used, and stays for the next. */
static int take_life(struct life *life, unsigned arenas)
{
	static const unsigned seconds[TIERS] = {60, 3600};
	int error = 0;

	if (life->state)
		return 0;
	life->state = codec_new(arenas);
	for (unsigned i = 0; i < TIERS && !error; i++) {
		error = tier_init(&life->tier[i], seconds[i], arenas);
		life->tier[i].writes_all = seconds[i] == 3600;
	}
	if (life->state && !error)
		return 0;
	release_life(life);
	return -ENOMEM;
}

static void release(struct recorder *recorder)
{
	for (unsigned i = 0; recorder->life && i < recorder->options.lives; i++)
		release_life(&recorder->life[i]);
	free(recorder->life);
	free(recorder->buf);
	free(recorder->look_buf);
	free(recorder);
}

static struct recorder *take_recorder(const struct recorder_options *options)
{
	struct recorder *recorder = alloc_touched(sizeof(*recorder));

	if (!recorder)
		return NULL;
	recorder->options = *options;
	recorder->file_fd = recorder->log_fd = -1;
	recorder->buf = alloc_touched(codec_bound(options->arenas));
	recorder->life = alloc_touched(options->lives * sizeof(*recorder->life));
	if (options->looks)
		recorder->look_buf = alloc_touched(LOOK_BYTES);
	if (recorder->buf && recorder->life && (recorder->look_buf || !options->looks))
		return recorder;
	release(recorder);
	return NULL;
}

int recorder_open(struct recorder **recorder, const struct recorder_options *options,
		  struct fault *fault)
{
	int error = recorder_pool_use(POOL_BYTES);

	*recorder = error ? NULL : take_recorder(options);
	if (!*recorder)
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "cannot record to '%s': there is no memory for it",
				 options->file);
	error = open_file(*recorder, options->append, fault);
	if (error) {
		release(*recorder);
		*recorder = NULL;
	}
	return error;
}

void recorder_close(struct recorder *recorder)
{
	if (!recorder)
		return;
	if (recorder->db)
		close_file(recorder);
	release(recorder);
}

/* ---- lives ---- */

static int add_life(struct recorder *recorder, struct life *life, struct fault *fault)
{
	sqlite3_stmt *add = recorder->statement[ADD_LIFE];
	int error;

	bind_texts(add, 1, life->service);
	sqlite3_bind_int64(add, 2, life->as.pid);
	if (life->as.start_ns)
		sqlite3_bind_int64(add, 3, life->as.start_ns);
	else
		sqlite3_bind_null(add, 3);
	sqlite3_bind_int64(add, 4, life->as.time_ns);
	sqlite3_bind_int64(add, 5, life->as.time_ns);
	error = run(recorder, ADD_LIFE, NULL, fault);
	if (error)
		return error;
	life->row = sqlite3_last_insert_rowid(recorder->db);
	life->is_new = false;
	life->is_pending = true;
	return 0;
}

static struct life *find_place(struct recorder *recorder)
{
	for (unsigned i = 0; i < recorder->options.lives; i++)
		if (!recorder->life[i].is_used)
			return &recorder->life[i];
	return NULL;
}

int recorder_begin(struct recorder *recorder, const struct recorder_life *as,
		   unsigned *place, struct fault *fault)
{
	struct life *life = find_place(recorder);
	int error;

	if (!life)
		return fault_set(fault, EXIT_FAILED, -ENOSPC,
				 "cannot record process %d: %u are recorded already",
				 as->pid, recorder->options.lives);
	if (take_life(life, recorder->options.arenas))
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "cannot record process %d: there is no memory for it",
				 as->pid);
	error = begin(recorder, fault);
	if (error)
		return error;
	strncpy(life->service, as->service, SERVICE - 1);
	life->as = *as;
	life->as.service = life->service;
	error = add_life(recorder, life, fault);
	if (error)
		return error;
	life->is_used = true;
	life->last_ns = 0;
	forget_before(life);
	for (unsigned i = 0; i < TIERS; i++)
		tier_reset(&life->tier[i]);
	*place = (unsigned)(life - recorder->life);
	return 0;
}

/* Begins a transaction in which LIFE has a row. */
static int begin_life(struct recorder *recorder, struct life *life, struct fault *fault)
{
	int error = begin(recorder, fault);

	return !error && life->is_new ? add_life(recorder, life, fault) : error;
}

int recorder_fact(struct recorder *recorder, unsigned place, int64_t time_ns,
		  const char *name, const char *value, struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = begin_life(recorder, life, fault);
	sqlite3_stmt *add = recorder->statement[ADD_FACT];

	if (error)
		return error;
	sqlite3_bind_int64(add, 1, life->row);
	sqlite3_bind_int64(add, 2, time_ns);
	bind_texts(add, 3, name);
	bind_texts(add, 4, value);
	return run(recorder, ADD_FACT, NULL, fault);
}

/* ---- tiers ---- */

struct tier_target {
	struct recorder *recorder;
	const struct life *life;
	struct fault *fault;
};

static void bind_value(sqlite3_stmt *add, int at, enum figure f, union figure_value value)
{
	if (figure_info[f].unit == UNIT_RATIO)
		sqlite3_bind_double(add, at, value.d);
	else
		sqlite3_bind_int64(add, at, (sqlite3_int64)value.u);
}

/* Of megabytes whole bytes: SQLite keeps those in half the room. */
static double mean_of(const struct tier_span *span, enum figure f)
{
	double mean = span->sum / (double)span->count;
	bool is_whole = figure_info[f].unit == UNIT_BYTES && mean > 1e6 && mean < 1e15;

	return is_whole ? (double)(uint64_t)(mean + 0.5) : mean;
}

static int write_tier(const struct tier *tier, unsigned row, enum figure f,
		      const struct tier_span *span, void *context)
{
	struct tier_target *to = context;
	sqlite3_stmt *add = to->recorder->statement[ADD_TIER];

	sqlite3_clear_bindings(add);
	sqlite3_bind_int64(add, 1, tier->seconds);
	sqlite3_bind_int64(add, 2, tier->time_s);
	sqlite3_bind_int64(add, 3, to->life->row);
	sqlite3_bind_int64(add, 4, row ? (sqlite3_int64)tier->index[row] : -1);
	sqlite3_bind_int64(add, 5, to->recorder->numbers.number[f]);
	sqlite3_bind_int64(add, 6, (sqlite3_int64)span->count);
	if (span->count) {
		bind_value(add, 7, f, span->least);
		bind_value(add, 8, f, span->most);
		sqlite3_bind_double(add, 9, mean_of(span, f));
		bind_value(add, 10, f, span->last);
	}
	return run(to->recorder, ADD_TIER, NULL, to->fault);
}

static int flush_tiers(struct recorder *recorder, struct life *life, int64_t time_ns,
		       struct fault *fault)
{
	struct tier_target to = {recorder, life, fault};
	int error = 0;

	for (unsigned i = 0; i < TIERS && !error; i++)
		if (tier_is_over(&life->tier[i], time_ns))
			error = tier_flush(&life->tier[i], write_tier, &to);
	return error;
}

/* What the file says of LIFE ends here. */
static int end_life(struct recorder *recorder, struct life *life, int64_t time_ns,
		    const char *why, struct fault *fault)
{
	sqlite3_stmt *end = recorder->statement[END_LIFE];
	int error = flush_tiers(recorder, life, INT64_MAX, fault);

	if (error)
		return error;
	sqlite3_bind_int64(end, 1, life->row);
	sqlite3_bind_int64(end, 2, time_ns);
	bind_texts(end, 3, why);
	return run(recorder, END_LIFE, NULL, fault);
}

int recorder_end(struct recorder *recorder, unsigned place, int64_t time_ns,
		 const char *why, struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = begin_life(recorder, life, fault);

	if (!error)
		error = end_life(recorder, life, time_ns, why, fault);
	life->is_used = false;
	return error;
}

/* The name that the file has now, of PATH_MAX bytes; empty when it has none any more. */
static void find_name(const struct recorder *recorder, char *name)
{
	char entry[64];
	ssize_t length;

	snprintf(entry, sizeof(entry), "/proc/self/fd/%d", recorder->file_fd);
	length = readlink(entry, name, PATH_MAX - 1);
	name[length > 0 ? length : 0] = '\0';
	if (!leads_to(name, recorder->file_fd))
		*name = '\0';
}

/* Takes what SQLite has beside the file from under the name by which the next file would
 * find it; it goes beside TO, or away where TO is empty. */
static void put_away(const struct recorder *recorder, const char *suffix, const char *to)
{
	char name[NAME_BYTES], moved[NAME_BYTES];

	name_beside(recorder->options.file, suffix, name);
	name_beside(to, suffix, moved);
	if (!*to || rename(name, moved))
		unlink(name);
}

/* SQLite does not empty the log of a file that was moved when it closes it, and whoever
 * moved the file need not have moved the log. While another program reads the file the
 * log cannot be emptied: it goes where the file is. */
static void put_log_away(struct recorder *recorder)
{
	int code = sqlite3_wal_checkpoint_v2(recorder->db, NULL,
					     SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	char log[NAME_BYTES], moved[PATH_MAX] = "";

	name_beside(recorder->options.file, "-wal", log);
	if (!leads_to(log, recorder->log_fd))
		return;
	if (code != SQLITE_OK)
		find_name(recorder, moved);
	put_away(recorder, "-wal", moved);
	put_away(recorder, "-shm", "");
}

/* What is still to be said to the old file. It may be on a full disk: what it has is
 * whole all the same. */
static void leave_file(struct recorder *recorder)
{
	int error = begin(recorder, NULL);

	for (unsigned i = 0; i < recorder->options.lives && !error; i++) {
		struct life *life = &recorder->life[i];

		if (life->is_used && !life->is_new)
			error = end_life(recorder, life, life->last_ns,
					 "it goes on in another file", NULL);
	}
	if (!error)
		recorder_commit(recorder, recorder->tended_ns, NULL);
	put_log_away(recorder);
	close_file(recorder);
}

int recorder_reopen(struct recorder *recorder, struct fault *fault)
{
	if (is_same_file(recorder))
		return 0;
	if (recorder->db)
		leave_file(recorder);
	for (unsigned i = 0; i < recorder->options.lives; i++) {
		recorder->life[i].is_new = true;
		recorder->life[i].is_pending = false;
		forget_before(&recorder->life[i]);
		for (unsigned t = 0; t < TIERS && recorder->life[i].state; t++)
			tier_reset(&recorder->life[i].tier[t]);
	}
	return open_file(recorder, true, fault);
}

/* ---- samples ---- */

static int add_whole(struct recorder *recorder, const struct life *life, int64_t time_ns,
		     struct fault *fault)
{
	sqlite3_stmt *add = recorder->statement[ADD_WHOLE];

	sqlite3_bind_int64(add, 1, life->row);
	sqlite3_bind_int64(add, 2, time_ns);
	return run(recorder, ADD_WHOLE, NULL, fault);
}

static int add_sample(struct recorder *recorder, struct life *life,
		      const struct sample *sample, bool whole, struct fault *fault)
{
	sqlite3_stmt *add = recorder->statement[ADD_SAMPLE];
	size_t length;

	if (whole)
		codec_reset(life->state);
	length = codec_write(life->state, &recorder->numbers, sample, recorder->buf);
	if (!length)
		return fault_set(fault, EXIT_FAILED, -E2BIG,
				 "cannot record a sample of %u arenas: there is room for "
				 "%u",
				 sample->arena_count, recorder->options.arenas);
	sqlite3_bind_int64(add, 1, sample->time_ns);
	sqlite3_bind_int64(add, 2, life->row);
	sqlite3_bind_int64(add, 3, whole);
	sqlite3_bind_blob(add, 4, recorder->buf, (int)length, SQLITE_STATIC);
	return run(recorder, ADD_SAMPLE, NULL, fault);
}

static int seen(struct recorder *recorder, const struct life *life, int64_t time_ns,
		struct fault *fault)
{
	sqlite3_stmt *update = recorder->statement[SEEN_LIFE];

	sqlite3_bind_int64(update, 1, life->row);
	sqlite3_bind_int64(update, 2, time_ns);
	return run(recorder, SEEN_LIFE, NULL, fault);
}

/* Samples are told against those before them in the order of time: where a clock was set
 * back that would be others. The process is another life from there on. */
static int part_life(struct recorder *recorder, struct life *life, int64_t time_ns,
		     struct fault *fault)
{
	sqlite3_stmt *copy = recorder->statement[COPY_FACTS];
	int64_t old = life->row;
	int error =
		end_life(recorder, life, life->last_ns, "the clock was set back", fault);

	life->as.time_ns = time_ns;
	forget_before(life);
	if (!error)
		error = add_life(recorder, life, fault);
	if (error)
		return error;
	sqlite3_bind_int64(copy, 1, old);
	sqlite3_bind_int64(copy, 2, life->row);
	return run(recorder, COPY_FACTS, NULL, fault);
}

static int add_to_life(struct recorder *recorder, struct life *life,
		       const struct sample *sample, struct fault *fault)
{
	int64_t time_ns = sample->time_ns;
	bool whole = !life->whole_at_ns || time_ns - life->whole_at_ns >= whole_ns;
	int error = add_sample(recorder, life, sample, whole, fault);

	if (error || !whole)
		return error;
	error = add_whole(recorder, life, time_ns, fault);
	if (!error)
		error = seen(recorder, life, time_ns, fault);
	life->whole_at_ns = error ? 0 : time_ns;
	return error;
}

int recorder_sample(struct recorder *recorder, unsigned place,
		    const struct sample *sample, struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = begin_life(recorder, life, fault);

	if (!error && sample->time_ns <= life->last_ns)
		error = part_life(recorder, life, sample->time_ns, fault);
	if (!error)
		error = flush_tiers(recorder, life, sample->time_ns, fault);
	if (!error)
		error = add_to_life(recorder, life, sample, fault);
	if (error)
		return error;
	life->last_ns = sample->time_ns;
	for (unsigned i = 0; i < TIERS; i++)
		tier_add(&life->tier[i], sample);
	return 0;
}

int recorder_event(struct recorder *recorder, unsigned place, int64_t time_ns,
		   const char *kind, uint64_t bytes, const char *json,
		   struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = begin_life(recorder, life, fault);
	sqlite3_stmt *add = recorder->statement[ADD_EVENT];

	if (error)
		return error;
	sqlite3_bind_int64(add, 1, time_ns);
	sqlite3_bind_int64(add, 2, life->row);
	bind_texts(add, 3, kind);
	if (bytes)
		sqlite3_bind_int64(add, 4, (sqlite3_int64)bytes);
	else
		sqlite3_bind_null(add, 4);
	bind_texts(add, 5, json);
	return run(recorder, ADD_EVENT, NULL, fault);
}

/* ---- looks ---- */

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
	bind_texts(add, 3, kind);
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
				 life->as.pid, LOOK_BYTES);
	bind_look(add, life, kind, arena, time_ns);
	if (before && before->written_ns && before->hash == hash &&
	    time_ns >= before->written_ns && time_ns - before->written_ns < look_ns) {
		sqlite3_bind_null(add, 5);
		return run(recorder, ADD_LOOK, NULL, fault);
	}
	sqlite3_bind_blob(add, 5, recorder->look_buf, (int)length, SQLITE_STATIC);
	error = run(recorder, ADD_LOOK, NULL, fault);
	if (before)
		*before = (struct look_before){error ? 0 : time_ns, hash};
	return error;
}

int recorder_map(struct recorder *recorder, unsigned place, const struct heap_map *map,
		 struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = begin_life(recorder, life, fault);

	if (error)
		return error;
	return add_look(recorder, life, LOOK_MAP, (int)map->arena, map->time_ns,
			look_map_write(map, recorder->look_buf, LOOK_BYTES),
			map->arena < MAPS ? &life->look[map->arena] : NULL, fault);
}

int recorder_sizes(struct recorder *recorder, unsigned place, const struct sample *sample,
		   struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = begin_life(recorder, life, fault);

	if (error)
		return error;
	return add_look(recorder, life, LOOK_SIZES, LOOK_PROCESS, sample->time_ns,
			look_sizes_write(sample, recorder->look_buf, LOOK_BYTES),
			&life->look[MAPS], fault);
}

int recorder_owners(struct recorder *recorder, unsigned place,
		    const struct owners *owners, struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = begin_life(recorder, life, fault);

	if (error)
		return error;
	return add_look(recorder, life, LOOK_OWNERS, LOOK_PROCESS, owners->time_ns,
			look_owners_write(owners, recorder->look_buf, LOOK_BYTES), NULL,
			fault);
}

int recorder_owner(struct recorder *recorder, unsigned place, const struct owners *owners,
		   unsigned number, const char *path, struct fault *fault)
{
	const struct owner *owner = &owners->owner[number];
	struct life *life = &recorder->life[place];
	sqlite3_stmt *add;
	int error = begin_life(recorder, life, fault);

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
	bind_texts(add, 7, path);
	return run(recorder, ADD_OWNER, NULL, fault);
}

/* ---- what is dropped ---- */

static int drop(struct recorder *recorder, enum statement s, int64_t before_ns,
		struct fault *fault)
{
	sqlite3_bind_int64(recorder->statement[s], 1, before_ns);
	return run(recorder, s, NULL, fault);
}

static int drop_samples(struct recorder *recorder, int64_t before_ns, struct fault *fault)
{
	int error = drop(recorder, DROP_SAMPLES, before_ns, fault);

	return error ? error : drop(recorder, DROP_WHOLES, before_ns, fault);
}

/* And what has about their pace. */
static int drop_minutes(struct recorder *recorder, int64_t before_ns, struct fault *fault)
{
	static const enum statement drops[] = {DROP_MINUTES, DROP_EVENTS, DROP_LOOKS,
					       DROP_OWNERS};
	int error = 0;

	for (unsigned i = 0; i < sizeof(drops) / sizeof(drops[0]) && !error; i++)
		error = drop(recorder, drops[i], before_ns, fault);
	return error;
}

/* What is older than options.keep_ns; of a file with much of it an hour's worth a turn:
 * samples must not wait for that. */
static int drop_old(struct recorder *recorder, int64_t now_ns, struct fault *fault)
{
	int64_t before_ns = now_ns - recorder->options.keep_ns, oldest_ns;
	int error;

	if (!recorder->options.keep_ns)
		return 0;
	error = run(recorder, OLDEST, &oldest_ns, fault);
	if (error || oldest_ns < 0 || oldest_ns >= before_ns)
		return error;
	if (before_ns > oldest_ns + hour_ns)
		before_ns = oldest_ns + hour_ns;
	return drop_samples(recorder, before_ns, fault);
}

/* The oldest part of what began at FROM_NS. */
static int64_t part_end(int64_t from_ns, int64_t now_ns)
{
	return from_ns + (now_ns - from_ns) / DROP_PARTS;
}

/* The oldest samples; but while they are of the last hour only, the oldest minutes and
 * events first. Where these are no older either, samples and events alike: a program that
 * grows without a pause makes more events in an hour than a small file holds. *DONE:
 * nothing is left that could go. */
static int drop_oldest(struct recorder *recorder, int64_t now_ns, bool *done,
		       struct fault *fault)
{
	int64_t sample_ns, minute_ns;
	int error = run(recorder, OLDEST, &sample_ns, fault);

	if (!error)
		error = run(recorder, OLDEST_MINUTE, &minute_ns, fault);
	if (error)
		return error;
	if (sample_ns < 0 || sample_ns + hour_ns >= now_ns) {
		*done = minute_ns < 0 || minute_ns + hour_ns >= now_ns;
		if (!*done)
			return drop_minutes(recorder, part_end(minute_ns, now_ns), fault);
	}
	*done = sample_ns < 0 || sample_ns + tend_ns >= now_ns;
	if (*done)
		return 0;
	if (sample_ns + hour_ns >= now_ns)
		error = drop(recorder, DROP_EVENTS, part_end(sample_ns, now_ns), fault);
	return error ? error : drop_samples(recorder, part_end(sample_ns, now_ns), fault);
}

static int measure(struct recorder *recorder, uint64_t *used_bytes, struct fault *fault)
{
	int64_t pages = 0, free_pages = 0;
	int error = run(recorder, PAGES, &pages, fault);

	if (!error)
		error = run(recorder, FREE_PAGES, &free_pages, fault);
	*used_bytes = (uint64_t)(pages - free_pages) * PAGE_BYTES;
	return error;
}

static int drop_excess(struct recorder *recorder, int64_t now_ns, struct fault *fault)
{
	uint64_t max_bytes = recorder->options.max_bytes, used_bytes;
	bool done = false;
	int error;

	if (!max_bytes)
		return 0;
	error = measure(recorder, &used_bytes, fault);
	for (unsigned i = 0; i < DROPS_A_TURN && !error && !done; i++) {
		if (used_bytes < max_bytes - max_bytes / FULL_PARTS)
			break;
		error = drop_oldest(recorder, now_ns, &done, fault);
		if (!error)
			error = measure(recorder, &used_bytes, fault);
	}
	return error;
}

int recorder_commit(struct recorder *recorder, int64_t now_ns, struct fault *fault)
{
	int error = 0;

	if (!recorder->in_transaction)
		return 0;
	if (now_ns - recorder->tended_ns >= tend_ns || now_ns < recorder->tended_ns) {
		recorder->tended_ns = now_ns;
		error = drop_old(recorder, now_ns, fault);
		if (!error)
			error = drop_excess(recorder, now_ns, fault);
	}
	if (!error)
		error = run(recorder, COMMIT, NULL, fault);
	if (error)
		return error;
	recorder->in_transaction = false;
	for (unsigned i = 0; i < recorder->options.lives; i++)
		recorder->life[i].is_pending = false;
	return 0;
}
