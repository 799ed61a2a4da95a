/* recorder_parts.h: what the parts of a recorder share: its state, the file and its
 * statements (recorder_file.c), looks (recorder_looks.c), and what is dropped
 * (recorder_drop.c). For recorder*.c only. */
#ifndef FRAGSCOPE_RECORDER_PARTS_H
#define FRAGSCOPE_RECORDER_PARTS_H

#include "recording/codec.h"
#include "recording/recorder.h"
#include "recording/tiers.h"

#include <sqlite3.h>
#include <string.h>

enum {
	RECORDER_SERVICE = 256,
	RECORDER_TIERS = 2,
	RECORDER_MAPS = 64, /* arenas of a life whose maps can refer to those before */
	RECORDER_LOOKS = RECORDER_MAPS + 1, /* the last one: free sizes */
	RECORDER_LOOK_BYTES = 512 << 10,
};

/* Between two looks at the size of the file. */
#define RECORDER_TEND_NS INT64_C(60000000000)

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
	char service[RECORDER_SERVICE];
	struct recorder_life as;
	int64_t last_ns;     /* of its last sample; 0: none */
	int64_t whole_at_ns; /* when the last whole sample was written; 0: none in FILE */
	struct codec_state *state;
	struct tier tier[RECORDER_TIERS];
	struct look_before look[RECORDER_LOOKS];
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
	unsigned char *buf;
	unsigned char *look_buf; /* RECORDER_LOOK_BYTES; null: no looks are recorded */
	struct life *life;
};

/* What comes next refers to nothing that is in the file. */
static inline void recorder_forget_before(struct life *life)
{
	life->whole_at_ns = 0;
	memset(life->look, 0, sizeof(life->look));
}

static inline void recorder_bind_text(sqlite3_stmt *statement, int at, const char *text)
{
	sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

/* ---- recorder_file.c ---- */

/* Opens the file that options name; one that exists only if APPEND. 0, or -errno and
 * FAULT. */
int recorder_open_file(struct recorder *recorder, bool append, struct fault *fault);
void recorder_close_file(struct recorder *recorder);

/* Whether the name still leads to the file that is open. */
bool recorder_has_file(const struct recorder *recorder);

/* Before a file that was moved or removed is closed: its log. */
void recorder_put_log_away(struct recorder *recorder);

/* Unless there is one. A file that could not be opened anew is tried again here. */
int recorder_begin_transaction(struct recorder *recorder, struct fault *fault);

/* Runs S, bound before. *VALUE, unless null, is its first column, or -1. Where it fails
 * the transaction is undone. */
int recorder_run(struct recorder *recorder, enum statement s, int64_t *value,
		 struct fault *fault);

/* ---- recorder.c ---- */

/* Begins a transaction in which LIFE has a row. */
int recorder_begin_life(struct recorder *recorder, struct life *life,
			struct fault *fault);

/* ---- recorder_drop.c ---- */

/* What is older than options.keep_ns; of a file with much of it an hour's worth a turn:
 * samples must not wait for that. */
int recorder_drop_old(struct recorder *recorder, int64_t now_ns, struct fault *fault);

/* What is too much for options.max_bytes. */
int recorder_drop_excess(struct recorder *recorder, int64_t now_ns, struct fault *fault);

#endif
