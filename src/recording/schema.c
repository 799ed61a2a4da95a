#include "recording/schema.h"

#include <errno.h>
#include <string.h>

/* Of version I what it has and the one before had not. */
static const char *const versions[1 + SCHEMA_VERSION] = {
	[1] = "CREATE TABLE figure(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	      " unit TEXT NOT NULL, meaning TEXT NOT NULL);"
	      "CREATE TABLE life(life INTEGER PRIMARY KEY, service TEXT NOT NULL,"
	      " pid INTEGER NOT NULL, start_ns INTEGER, first_ns INTEGER NOT NULL,"
	      " last_ns INTEGER NOT NULL, end TEXT);"
	      "CREATE TABLE fact(life INTEGER NOT NULL, time_ns INTEGER NOT NULL,"
	      " name TEXT NOT NULL, value TEXT NOT NULL,"
	      " PRIMARY KEY(life, name, time_ns)) WITHOUT ROWID;"
	      "CREATE TABLE sample(time_ns INTEGER NOT NULL, life INTEGER NOT NULL,"
	      " whole INTEGER NOT NULL, data BLOB NOT NULL,"
	      " PRIMARY KEY(time_ns, life)) WITHOUT ROWID;"
	      "CREATE TABLE whole(life INTEGER NOT NULL, time_ns INTEGER NOT NULL,"
	      " PRIMARY KEY(life, time_ns)) WITHOUT ROWID;"
	      "CREATE TABLE tier(seconds INTEGER NOT NULL, time_s INTEGER NOT NULL,"
	      " life INTEGER NOT NULL, arena INTEGER NOT NULL, number INTEGER NOT NULL,"
	      " n INTEGER NOT NULL, min, max, mean REAL, last,"
	      " PRIMARY KEY(seconds, time_s, life, arena, number)) WITHOUT ROWID;"
	      "CREATE TABLE event(event INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL,"
	      " life INTEGER NOT NULL, kind TEXT NOT NULL, bytes INTEGER,"
	      " json TEXT NOT NULL);"
	      "CREATE INDEX event_time ON event(time_ns);"
	      "CREATE VIEW minute AS SELECT datetime(time_s, 'unixepoch') AS time, "
	      "service, "
	      "pid,"
	      " arena, name, n, min, max, mean, last FROM tier JOIN figure USING(number)"
	      " JOIN life USING(life) WHERE seconds = 60;"
	      "CREATE VIEW hour AS SELECT datetime(time_s, 'unixepoch') AS time, "
	      "service, pid,"
	      " arena, name, n, min, max, mean, last FROM tier JOIN figure USING(number)"
	      " JOIN life USING(life) WHERE seconds = 3600;",
	[2] = "CREATE TABLE look(look INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL,"
	      " life INTEGER NOT NULL, kind TEXT NOT NULL, arena INTEGER NOT NULL,"
	      " data BLOB);"
	      "CREATE INDEX look_time ON look(life, kind, arena, time_ns);"
	      "CREATE TABLE owner(life INTEGER NOT NULL, time_ns INTEGER NOT NULL,"
	      " rank INTEGER NOT NULL, unlocked_bytes INTEGER, chunks INTEGER NOT NULL,"
	      " bytes INTEGER NOT NULL, path TEXT NOT NULL,"
	      " PRIMARY KEY(life, time_ns, rank)) WITHOUT ROWID;",
};

static int number_one(sqlite3_stmt *insert, unsigned number, enum figure f)
{
	static const char *const unit[] = {
		[UNIT_BYTES] = "bytes",
		[UNIT_COUNT] = "count",
		[UNIT_RATIO] = "ratio",
		[UNIT_NS] = "ns",
	};
	const struct figure_info *info = &figure_info[f];
	int code;

	sqlite3_bind_int64(insert, 1, number);
	sqlite3_bind_text(insert, 2, info->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(insert, 3, unit[info->unit], -1, SQLITE_STATIC);
	sqlite3_bind_text(insert, 4, info->meaning, -1, SQLITE_STATIC);
	code = sqlite3_step(insert);
	sqlite3_reset(insert);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Numbers those figures of the catalogue that the file does not know. */
static int number_new(sqlite3 *db)
{
	struct codec_numbers numbers;
	sqlite3_stmt *insert;
	int code = schema_numbers(db, &numbers);
	unsigned next = numbers.count;

	if (code != SQLITE_OK)
		return code;
	code = sqlite3_prepare_v2(db, "INSERT INTO figure VALUES(?,?,?,?)", -1, &insert,
				  NULL);
	for (unsigned f = 0; code == SQLITE_OK && f < FIG_COUNT; f++)
		if (numbers.number[f] == CODEC_FIGURES)
			code = next < CODEC_FIGURES ? number_one(insert, next++, f)
						    : SQLITE_FULL;
	sqlite3_finalize(insert);
	return code;
}

static int set_version(sqlite3 *db)
{
	char *pragma = sqlite3_mprintf("PRAGMA application_id=%d; PRAGMA user_version=%d",
				       SCHEMA_APPLICATION, SCHEMA_VERSION);
	int code = pragma ? sqlite3_exec(db, pragma, NULL, NULL, NULL) : SQLITE_NOMEM;

	sqlite3_free(pragma);
	return code;
}

int schema_upgrade(sqlite3 *db, int version)
{
	int code = version < SCHEMA_VERSION ? set_version(db) : SQLITE_OK;

	while (code == SQLITE_OK && version++ < SCHEMA_VERSION)
		code = sqlite3_exec(db, versions[version], NULL, NULL, NULL);
	return code == SQLITE_OK ? number_new(db) : code;
}

/* The number that QUERY gives, or -1. */
static int64_t ask(sqlite3 *db, const char *query, int *code)
{
	sqlite3_stmt *select;
	int64_t value = -1;

	*code = sqlite3_prepare_v2(db, query, -1, &select, NULL);
	if (*code != SQLITE_OK)
		return -1;
	*code = sqlite3_step(select);
	if (*code == SQLITE_ROW)
		value = sqlite3_column_int64(select, 0);
	sqlite3_finalize(select);
	if (*code == SQLITE_ROW || *code == SQLITE_DONE)
		*code = SQLITE_OK;
	return value;
}

bool schema_is_absent(sqlite3 *db)
{
	int code;

	return ask(db, "SELECT count(*) FROM sqlite_master", &code) == 0 &&
	       ask(db, "PRAGMA application_id", &code) == 0;
}

int schema_check(sqlite3 *db, const char *file, struct fault *fault)
{
	int code;
	int64_t application = ask(db, "PRAGMA application_id", &code), version = 0;

	if (code == SQLITE_OK)
		version = ask(db, "PRAGMA user_version", &code);
	if (code != SQLITE_OK)
		return schema_fault(db, code, "read recording", file, fault);
	if (application != SCHEMA_APPLICATION)
		return fault_set(fault, EXIT_FAILED, -EPROTO,
				 "cannot read recording '%s': it is a database of "
				 "another program",
				 file);
	if (version < 1 || version > SCHEMA_VERSION)
		return fault_set(fault, EXIT_FAILED, -EPROTO,
				 "cannot read recording '%s': its format is version %lld "
				 "and this fragscope reads 1 to %d: use a newer one",
				 file, (long long)version, SCHEMA_VERSION);
	return (int)version;
}

static void number_found(struct codec_numbers *numbers, int64_t number, const char *name)
{
	if (number < 0 || number >= CODEC_FIGURES || !name)
		return;
	if ((unsigned)number >= numbers->count)
		numbers->count = (unsigned)number + 1;
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (!strcmp(figure_info[f].name, name)) {
			numbers->number[f] = (unsigned)number;
			numbers->figure[number] = f;
		}
}

int schema_numbers(sqlite3 *db, struct codec_numbers *numbers)
{
	sqlite3_stmt *select;
	int code;

	numbers->count = 0;
	for (unsigned f = 0; f < FIG_COUNT; f++)
		numbers->number[f] = CODEC_FIGURES;
	for (unsigned i = 0; i < CODEC_FIGURES; i++)
		numbers->figure[i] = FIG_COUNT;
	code = sqlite3_prepare_v2(db, "SELECT number, name FROM figure", -1, &select,
				  NULL);
	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(select)) == SQLITE_ROW)
		number_found(numbers, sqlite3_column_int64(select, 0),
			     (const char *)sqlite3_column_text(select, 1));
	sqlite3_finalize(select);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

int schema_fault(sqlite3 *db, int code, const char *what, const char *file,
		 struct fault *fault)
{
	int system = 0, error;

	/* Of other faults it may be an old one. */
	if (db && ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN))
		system = sqlite3_system_errno(db);
	error = system ? -system : -EIO;
	switch (code & 0xff) {
	case SQLITE_FULL:
		error = -ENOSPC;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		error = -EPROTO;
		break;
	case SQLITE_NOMEM:
		error = -ENOMEM;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		error = -EBUSY;
		break;
	default:
		break;
	}
	return fault_set(fault, EXIT_FAILED, error, "cannot %s '%s': %s", what, file,
			 error == -EPROTO   ? "the file is damaged"
			 : error == -ENOSPC ? "there is no space left for it"
			 : system	    ? strerror(system)
					    : sqlite3_errstr(code));
}
