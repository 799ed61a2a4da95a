/* replay.c: the lines of a recording, and samples from its rows. */
#include "source/replay.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/text.h"
#include "recording/recording.h"
#include "source/recording.h"
#include "source/span.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_NAME = 256,
	DESCRIPTION = 1024,
	ARENAS = 64,	    /* room for so many at first */
	ARENAS_MAX = 65536, /* of one sample: what no process has */
};

/* The file, line by line: the text from FROM to TO of BUF is read and not yet given. */
struct lines {
	int fd;
	bool is_own; /* the descriptor is ours to close */
	bool ended;
	uint64_t number; /* of the line that comes next; the first is 1 */
	size_t from, to;
	char buf[RECORDING_LINE + 1];
};

/* NEXT is the row that was read last: it ended the sample before it. BINS are those of
 * SAMPLE's rows, whose pointers are null where a row has none; null: there is no room for
 * them yet, and no row had any. */
struct replay {
	char file[FILE_NAME];
	struct recording *recording; /* null: the file is text */
	struct time_span span;
	bool is_csv, is_tail; /* ... without a header */
	struct lines lines;
	struct csv_columns columns;
	struct passed_over passed;
	struct recorded next;
	bool has_next;
	bool is_building; /* SAMPLE has begun, and may have more arenas */
	uint64_t rows;
	int result; /* once it is not 0, of all further calls, with FAULT */
	struct fault fault;
	struct sample *sample;
	struct arena_bins *bins;
	char description[DESCRIPTION];
};

/* ---- lines ---- */

/* Reads more behind what is there. 0 or -errno; at the end ENDED is set. */
static int lines_fill(struct lines *lines)
{
	ssize_t got;

	if (lines->from) {
		memmove(lines->buf, lines->buf + lines->from, lines->to - lines->from);
		lines->to -= lines->from;
		lines->from = 0;
	}
	got = read(lines->fd, lines->buf + lines->to, RECORDING_LINE - lines->to);
	if (got < 0)
		return -errno;
	lines->ended = !got;
	lines->to += (size_t)got;
	return 0;
}

/* The newline that ends the first line of what is there, or null. In CSV one that stands
 * in quotes does not. */
static char *line_end(struct lines *lines, bool quotes)
{
	bool quoted = false;

	for (size_t i = lines->from; i < lines->to; i++) {
		quoted ^= quotes && lines->buf[i] == '"';
		if (lines->buf[i] == '\n' && !quoted)
			return &lines->buf[i];
	}
	return NULL;
}

static uint64_t count_newlines(const char *from, const char *to)
{
	uint64_t count = 0;

	for (; from < to; from++)
		count += *from == '\n';
	return count;
}

/* The next line, without its end, in *LINE, which is null at the end of the file; PLACE
 * is told its number. 0 or -errno and PLACE's fault. */
static int lines_next(struct lines *lines, bool quotes, char **line,
		      struct recording_place *place)
{
	char *end;
	int error;

	*line = NULL;
	place->line = lines->number;
	while (!(end = line_end(lines, quotes)) && !lines->ended) {
		if (lines->to - lines->from == RECORDING_LINE)
			return place_fault(place, "it is longer than any row");
		error = lines_fill(lines);
		if (error == -EINTR)
			return error;
		if (error)
			return fault_set(place->fault, EXIT_FAILED, error,
					 "cannot read recording '%s': %s", place->file,
					 strerror(-error));
	}
	if (lines->from == lines->to)
		return 0;
	*line = lines->buf + lines->from;
	if (!end)
		return place_fault(place,
				   "it is cut short: it has no newline at its end");
	lines->number += count_newlines(*line, end + 1);
	lines->from = (size_t)(end + 1 - lines->buf);
	if (memchr(*line, '\0', (size_t)(end - *line)))
		return place_fault(place, "it is no text");
	*end = '\0';
	if (end > *line && end[-1] == '\r')
		end[-1] = '\0';
	return 0;
}

/* ---- rows ---- */

static bool is_blank(const char *line)
{
	return !line[strspn(line, " \t")];
}

static void row_clear(struct recorded *row)
{
	/* The bins are most of a row, and most rows have none. */
	if (row->has_bins)
		memset(&row->bins, 0, sizeof(row->bins));
	memset(row, 0, offsetof(struct recorded, bins));
	row->classes.count = 0;
}

/* LINE, which it changes, becomes REPLAY->next. */
static int take_row(struct replay *replay, char *line, struct recording_place *place)
{
	struct recorded *row = &replay->next;
	int error;

	row_clear(row);
	row->line = place->line;
	error = replay->is_csv ? csv_read_row(line, &replay->columns, row, place)
			       : json_read_row(line, row, &replay->passed, place);
	replay->has_next = !error;
	replay->rows += !error;
	return error;
}

/* Reads the next row into REPLAY->next; at the end of the file there is none. */
static int read_row(struct replay *replay, struct recording_place *place)
{
	char *line;
	int error;

	replay->has_next = false;
	do {
		error = lines_next(&replay->lines, replay->is_csv, &line, place);
		if (error || !line)
			return error;
	} while (is_blank(line));
	return take_row(replay, line, place);
}

/* ---- samples ---- */

static bool is_arena(const struct recorded *row)
{
	return row->seen >> FIELD_ARENA & 1;
}

/* Makes the sample larger; what is in it stays. */
static int grow(struct replay *replay, unsigned arenas, bool with_bins)
{
	struct sample *old = replay->sample, *larger = sample_new(arenas, with_bins);
	struct arena_bins *bins = larger && with_bins ? larger->arena[0].bins : NULL;
	bool had;

	if (!larger)
		return -ENOMEM;
	/* There is room: it cannot fail. */
	if (old)
		(void)sample_copy(larger, old);
	for (unsigned i = 0; old && i < old->arena_count; i++) {
		had = old->arena[i].bins;
		larger->arena[i].bins = had ? larger->arena[i].bins : NULL;
	}
	sample_free(old);
	replay->sample = larger;
	replay->bins = bins;
	return 0;
}

static int make_room(struct replay *replay, const struct recording_place *place)
{
	struct sample *sample = replay->sample;
	unsigned capacity = sample->arena_capacity;
	bool with_bins =
		replay->bins || replay->next.has_bins || replay->next.classes.count;
	int error = 0;

	if (sample->arena_count == ARENAS_MAX)
		return place_fault(place, "a sample of more than %d arenas", ARENAS_MAX);
	if (sample->arena_count == capacity)
		capacity *= 2;
	if (capacity != sample->arena_capacity || with_bins != !!replay->bins)
		error = grow(replay, capacity, with_bins);
	return error ? fault_set(place->fault, EXIT_FAILED, error, "out of memory") : 0;
}

static int start_sample(struct replay *replay, const struct recording_place *place)
{
	const struct recorded *row = &replay->next;
	struct sample *sample = replay->sample;
	int error;

	for (unsigned i = 0; replay->bins && i < sample->arena_count; i++)
		sample->arena[i].bins = &replay->bins[i];
	sample_clear(sample);
	error = make_room(replay, place);
	if (error)
		return error;
	sample = replay->sample;
	sample->time_ns = row->time_ns;
	sample->pid = row->pid;
	sample->source = row->source;
	sample->status = row->status;
	sample->fig = row->fig;
	memcpy(sample->comm, row->comm, sizeof(sample->comm));
	memcpy(sample->allocator, row->allocator, sizeof(sample->allocator));
	sample->origin = row->origin;
	memcpy(sample->missing, row->missing, sizeof(sample->missing));
	if (row->classes.count)
		*sample->classes = row->classes;
	return 0;
}

static int add_arena(struct replay *replay, const struct recording_place *place)
{
	const struct recorded *row = &replay->next;
	struct sample *sample;
	struct arena_row *arena;
	int error = make_room(replay, place);

	if (error)
		return error;
	sample = replay->sample;
	arena = &sample->arena[sample->arena_count];
	*arena = (struct arena_row){
		.index = row->arena,
		.addr = row->arena_addr,
		.status = row->status,
		.fig = row->fig,
	};
	if (row->has_bins) {
		arena->bins = &replay->bins[sample->arena_count];
		*arena->bins = row->bins;
	}
	/* The row of the process has it only when that one is partial. */
	if (!*sample->missing)
		memcpy(sample->missing, row->missing, sizeof(sample->missing));
	sample->arena_count++;
	return 0;
}

/* Whether the row that was read last is an arena of the sample that is being made. */
static bool belongs(const struct replay *replay)
{
	const struct recorded *row = &replay->next;

	return is_arena(row) && row->pid == replay->sample->pid &&
	       row->time_ns == replay->sample->time_ns;
}

static int keep_end(struct replay *replay, int result, const struct fault *fault)
{
	replay->result = result;
	replay->fault = *fault;
	return result;
}

static int end_of_file(struct replay *replay)
{
	struct fault fault;

	fault_set(&fault, EXIT_DONE, 0, "recording '%s' ends after %llu rows",
		  replay->file, (unsigned long long)replay->rows);
	return keep_end(replay, SOURCE_ENDED, &fault);
}

static int interrupted(const struct replay *replay, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -EINTR,
			 "interrupted while waiting for recording '%s'", replay->file);
}

/* Finds the row that the next sample begins with. What comes instead is kept. */
static int begin_sample(struct replay *replay, struct recording_place *place)
{
	int error = replay->has_next ? 0 : read_row(replay, place);

	while (!error && replay->is_tail && !replay->sample->time_ns &&
	       replay->has_next && is_arena(&replay->next))
		error = read_row(replay, place);
	if (error)
		return error == -EINTR ? error : keep_end(replay, error, place->fault);
	if (!replay->has_next)
		return end_of_file(replay);
	if (is_arena(&replay->next)) {
		place->line = replay->next.line;
		error = place_fault(place, "the row of an arena without one of its "
					   "process before it");
		return keep_end(replay, error, place->fault);
	}
	error = start_sample(replay, place);
	if (error)
		return keep_end(replay, error, place->fault);
	replay->is_building = true;
	return 0;
}

/* Adds the rows of arenas. What is wrong with a row behind the sample is for the next
 * call: the sample itself is good. */
static int complete_sample(struct replay *replay, struct recording_place *place)
{
	int error;

	do {
		error = read_row(replay, place);
		if (error == -EINTR)
			return error;
		if (!error && replay->has_next && !belongs(replay))
			break;
		if (!error && replay->has_next)
			error = add_arena(replay, place);
		else if (!error)
			error = end_of_file(replay);
		if (error < 0)
			keep_end(replay, error, place->fault);
	} while (!error);
	replay->is_building = false;
	return 0;
}

/* The samples of a database are whole as they come. */
static int next_recorded(struct replay *replay, const struct sample **sample)
{
	struct fault fault;
	unsigned life;
	int result = recording_next(replay->recording, sample, &life, &fault);

	if (result == RECORDING_END)
		return end_of_file(replay);
	if (result)
		return keep_end(replay, result, &fault);
	replay->rows += 1 + (*sample)->arena_count;
	return 0;
}

static int next_of_file(struct replay *replay, const struct sample **sample,
			struct fault *fault)
{
	struct fault own;
	struct recording_place place = {replay->file, 0, &own};
	int result = replay->result;

	if (!result && replay->recording) {
		result = next_recorded(replay, sample);
	} else {
		if (!result && !replay->is_building)
			result = begin_sample(replay, &place);
		if (!result)
			result = complete_sample(replay, &place);
		if (!result)
			*sample = replay->sample;
	}
	if (!result)
		return 0;
	if (result == -EINTR)
		interrupted(replay, fault);
	else if (fault)
		*fault = replay->fault;
	return result;
}

/* What the span is can be said when the first sample is known; a database is read from
 * there on. *AGAIN: SAMPLE is not in it. */
static int check_span(struct replay *replay, const struct sample *sample, bool *again)
{
	struct time_span *span = &replay->span;
	struct fault fault;
	int error = 0;

	*again = false;
	if (!span->is_known) {
		error = span_resolve(span, sample->time_ns, &fault);
		if (!error && replay->recording)
			error = recording_seek(replay->recording, span->from_ns, &fault);
		*again = replay->recording != NULL;
	}
	if (error)
		return keep_end(replay, error, &fault);
	*again |= sample->time_ns < span->from_ns;
	return !*again && sample->time_ns >= span->to_ns ? end_of_file(replay) : 0;
}

int replay_next(struct replay *replay, const struct sample **sample, struct fault *fault)
{
	bool again = false;
	int result;

	do {
		result = next_of_file(replay, sample, fault);
		if (!result)
			result = check_span(replay, *sample, &again);
	} while (!result && again);
	if (result && result != -EINTR && fault)
		*fault = replay->fault;
	return result;
}

/* ---- opening ---- */

static int cannot_open(const char *name, int error, struct fault *fault)
{
	return fault_set(fault,
			 error == -EACCES || error == -EPERM ? EXIT_NOT_PERMITTED
							     : EXIT_NO_SOURCE,
			 error, "cannot open recording '%s': %s", name, strerror(-error));
}

static int open_file(struct replay *replay, const char *file, struct fault *fault)
{
	struct stat status;
	int error = 0;

	replay->lines.fd = STDIN_FILENO;
	if (strcmp(file, "-") != 0) {
		replay->lines.fd = open(file, O_RDONLY | O_CLOEXEC);
		replay->lines.is_own = replay->lines.fd >= 0;
	}
	if (replay->lines.fd < 0 || fstat(replay->lines.fd, &status))
		error = -errno;
	else if (S_ISDIR(status.st_mode))
		error = -EISDIR;
	return error ? cannot_open(replay->file, error, fault) : 0;
}

/* What some editors put before the text to say that it is UTF-8. */
static char *skip_mark(char *line)
{
	return strncmp(line, "\xef\xbb\xbf", 3) ? line : line + 3;
}

/* The first line tells the format; in JSON it is a row already. */
static int read_head(struct replay *replay, struct recording_place *place)
{
	char *line;
	int error;

	do {
		error = lines_next(&replay->lines, false, &line, place);
		if (error)
			return error;
		if (!line)
			return fault_set(place->fault, EXIT_NO_SOURCE, -ENODATA,
					 "recording '%s' is empty", place->file);
		line = skip_mark(line);
	} while (is_blank(line));
	replay->is_csv = line[strspn(line, " \t")] != '{';
	/* A header begins with a name, a row with a date. */
	replay->is_tail = replay->is_csv && *line >= '0' && *line <= '9';
	if (replay->is_tail) {
		error = csv_take_columns(line, &replay->columns, place);
		return error ? error : take_row(replay, line, place);
	}
	if (replay->is_csv)
		return csv_read_header(line, &replay->columns, &replay->passed, place);
	return take_row(replay, line, place);
}

static int open_text(struct replay *replay, const char *file, struct fault *fault)
{
	struct recording_place place = {replay->file, 0, fault};
	int error;

	passed_over_init(&replay->passed);
	replay->lines.number = 1;
	error = open_file(replay, file, fault);
	if (!error && grow(replay, ARENAS, false))
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	if (!error)
		error = read_head(replay, &place);
	return error == -EINTR ? interrupted(replay, fault) : error;
}

static int set_up(struct replay *replay, const char *file, struct fault *fault)
{
	bool is_database;
	int error = span_split(file, &replay->span, fault);

	if (error)
		return error;
	file = replay->span.file;
	is_database = strcmp(file, "-") != 0 && recording_is_database(file);
	snprintf(replay->file, sizeof(replay->file), "%s",
		 strcmp(file, "-") ? file : "standard input");
	error = is_database ? recording_open(&replay->recording, file, fault)
			    : open_text(replay, file, fault);
	/* What cannot be opened as a recording is no source. */
	if (error && fault->status == EXIT_FAILED)
		fault->status = EXIT_NO_SOURCE;
	return error;
}

int replay_open(struct replay **replay, const char *file, struct fault *fault)
{
	struct replay *new = alloc_touched(sizeof(*new));
	struct fault own = {0};
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	error = set_up(new, file, fault ? fault : &own);
	if (error)
		replay_close(new);
	else
		*replay = new;
	return error;
}

void replay_close(struct replay *replay)
{
	if (!replay)
		return;
	if (replay->lines.is_own)
		close(replay->lines.fd);
	recording_close(replay->recording);
	sample_free(replay->sample);
	free(replay);
}

bool replay_is_tail(const struct replay *replay)
{
	return replay->is_tail;
}

/* From when to when there are readings, as far as the span that is asked for is known. */
static void describe_times(struct replay *replay, struct text *text)
{
	int64_t from_ns = INT64_MAX, to_ns;
	struct fault unread;

	if (recording_last(replay->recording, &to_ns, &unread))
		return;
	for (unsigned i = 0; i < recording_lives(replay->recording); i++) {
		const struct recorded_life *life = recording_life(replay->recording, i);

		if (life->first_ns < from_ns)
			from_ns = life->first_ns;
	}
	if (replay->span.is_known && replay->span.from_ns > from_ns)
		from_ns = replay->span.from_ns;
	if (replay->span.is_known && replay->span.to_ns < to_ns)
		to_ns = replay->span.to_ns;
	if (from_ns > to_ns)
		return;
	text_string(text, ", ");
	clock_local_date(text, from_ns);
	text_string(text, " to ");
	clock_local_date(text, to_ns);
}

const char *replay_describe(struct replay *replay)
{
	const struct passed_over *passed = &replay->passed;
	struct text text;

	text_init(&text, replay->description, sizeof(replay->description));
	text_string(&text, "recording '");
	text_string(&text, replay->file);
	text_char(&text, '\'');
	if (replay->recording)
		describe_times(replay, &text);
	else if (replay->is_tail)
		text_string(&text, ", CSV without a header: its columns are taken to be "
				   "those of this version");
	else
		text_string(&text, replay->is_csv ? ", CSV" : ", JSON");
	if (passed->count) {
		text_string(&text, "; ignored, as this version knows no such figure: ");
		text_string(&text, passed->buf);
		text_string(&text, passed->names.overflow ? ", ..." : "");
	}
	return replay->description;
}
