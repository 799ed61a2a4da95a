/* schema.h: the tables of a recording, and the numbers that a file gives to figures. The
 * schema is released: docs/RECORDINGS.md has it. For the files of this directory only. */
#ifndef FRAGSCOPE_SCHEMA_H
#define FRAGSCOPE_SCHEMA_H

#include "base/fault.h"
#include "recording/codec.h"

#include <sqlite3.h>
#include <stdbool.h>

enum {
	SCHEMA_VERSION = 1,
	/* "FrSc", SQLite's application_id. */
	SCHEMA_APPLICATION = 0x46725363,
};

/* Makes the tables in an empty file and numbers the catalogue. SQLITE_OK or SQLite's
 * code. */
int schema_create(sqlite3 *db);

/* Whether DB has nothing in it yet. */
bool schema_is_absent(sqlite3 *db);

/* Whether DB is a recording that is understood here: 0, or -EPROTO and FAULT. */
int schema_check(sqlite3 *db, const char *file, struct fault *fault);

/* Numbers those figures of the catalogue that the file does not know. */
int schema_number_new(sqlite3 *db);

/* Reads the numbers; a figure without one has CODEC_FIGURES. */
int schema_numbers(sqlite3 *db, struct codec_numbers *numbers);

/* The -errno that stands for what DB's last call failed with, CODE; and FAULT: "cannot
 * WHAT 'FILE': why". */
int schema_fault(sqlite3 *db, int code, const char *what, const char *file,
		 struct fault *fault);

#endif
