/* reader.h: what the files of the reader share: recording.c opens a recording, seeking.c
 * reads its samples, looks.c what was looked at besides. For the files of this directory
 * only. */
#ifndef FRAGSCOPE_READER_H
#define FRAGSCOPE_READER_H

#include "recording/codec.h"
#include "recording/recording.h"

#include <sqlite3.h>

enum {
	READER_NAME = 256,
	READER_ARENAS = 64,	   /* room for so many at first */
	READER_ARENAS_MAX = 65536, /* of one sample: what no process has */
};

/* The spans that stand for what was dropped, then the samples themselves. */
enum reader_phase { PHASE_HOURS, PHASE_MINUTES, PHASE_SAMPLES, PHASE_END };

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
	struct recorded_span span;
};

/* What could not be read: stretches of samples, from the beginning of the first to the
 * end of the last; INT64_MAX: there is nothing behind it. */
struct lost {
	unsigned stretches;
	int64_t from_ns, to_ns;
	bool spans; /* minutes or hours, too */
	uint64_t file_bytes,
		cut_bytes; /* of a file that is cut off: what is there, and not */
};

struct recording {
	char file[READER_NAME];
	sqlite3 *db;
	int version;
	struct codec_numbers numbers;
	unsigned count;
	struct reader_life *life;
	struct sample *sample;
	enum reader_phase phase;
	int64_t from_ns;  /* that was wished for */
	int64_t at_ns;	  /* of the last row that was read, or where the phase begins */
	int64_t until_ns; /* where it ends */
	unsigned passes;  /* over damaged spans */
	/* Where the seconds begin, and the minutes; INT64_MAX: there are none. */
	int64_t samples_ns, minutes_ns;
	sqlite3_stmt *select;
	bool has_row; /* SELECT stands on a row of a span that is not yet taken */
	bool is_done; /* SELECT has no further row; to step it would begin anew */
	bool is_only; /* no other phase follows this one */
	const struct recorded_span *span; /* of the last sample, or null */
	uint64_t rows;			  /* that were read, ever */
	sqlite3_stmt *fact, *look;
	struct lost lost;
	struct sample *sizes; /* null until they are asked for */
};

/* The -errno for what SQLite's CODE says, and FAULT. */
int reader_broken(struct recording *reader, int code, struct fault *fault);

/* The life with NUMBER in the file, or null. */
struct reader_life *reader_life(struct recording *reader, int64_t number);

#endif
