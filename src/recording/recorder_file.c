/* recorder_file.c: the file of a recording: opening it, its statements, and where it and
 * its log go when the name leads to another. */
#include "recording/recorder_parts.h"
#include "recording/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = PATH_MAX + 8 };

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

/* ---- statements ---- */

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
		recorder_forget_before(&recorder->life[i]);
		recorder->life[i].is_new |= recorder->life[i].is_pending;
		recorder->life[i].is_pending = false;
	}
	return error;
}

int recorder_run(struct recorder *recorder, enum statement s, int64_t *value,
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

void recorder_close_file(struct recorder *recorder)
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

bool recorder_has_file(const struct recorder *recorder)
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

int recorder_open_file(struct recorder *recorder, bool append, struct fault *fault)
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
		recorder_close_file(recorder);
	else
		remember_files(recorder);
	return error;
}

int recorder_begin_transaction(struct recorder *recorder, struct fault *fault)
{
	int error = recorder->db ? 0 : recorder_open_file(recorder, true, fault);

	if (error || recorder->in_transaction)
		return error;
	error = recorder_run(recorder, BEGIN, NULL, fault);
	recorder->in_transaction = !error;
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
void recorder_put_log_away(struct recorder *recorder)
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
