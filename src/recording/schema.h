/* schema.h: the tables of a recording, and the numbers that a file gives to figures. The
 * schema is released: docs/RECORDINGS.md has it. For the files of this directory only. */
#ifndef FRAGSCOPE_SCHEMA_H
#define FRAGSCOPE_SCHEMA_H

#include "base/fault.h"
#include "recording/codec.h"

#include <sqlite3.h>
#include <stdbool.h>

enum {
	SCHEMA_VERSION = 2,
	/* "FrSc", SQLite's application_id. */
	SCHEMA_APPLICATION = 0x46725363,
};

/* Makes a file of VERSION, 0 for an empty one, one of this version, and numbers those
 * figures of the catalogue that it does not know. SQLITE_OK or SQLite's code. */
int schema_upgrade(sqlite3 *db, int version);

/* Whether DB has nothing in it yet. */
bool schema_is_absent(sqlite3 *db);

/* The version of DB, if it is a recording that is understood here; or -EPROTO and FAULT.
 */
int schema_check(sqlite3 *db, const char *file, struct fault *fault);

/* Reads the numbers; a figure without one has CODEC_FIGURES. */
int schema_numbers(sqlite3 *db, struct codec_numbers *numbers);

/* The -errno that stands for what DB's last call failed with, CODE; and FAULT: "cannot
 * WHAT 'FILE': why". */
int schema_fault(sqlite3 *db, int code, const char *what, const char *file,
		 struct fault *fault);

#endif
