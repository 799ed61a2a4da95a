/* seeking.c: the samples of a recording in the order of time, from any instant on. */
#include "base/text.h"
#include "recording/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	return code == SQLITE_ROW || code == SQLITE_DONE
		       ? 0
		       : reader_broken(reader, code, fault);
}

static bool is_damage(int code)
{
	return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/* Where the next whole sample behind AFTER_NS is: reading can begin there. */
static int64_t next_whole(struct recording *reader, int64_t after_ns)
{
	struct fault unread;
	int64_t whole_ns;

	if (ask(reader, "SELECT min(time_ns) FROM whole WHERE time_ns>?", after_ns,
		INT64_MAX, &whole_ns, &unread))
		return INT64_MAX;
	return whole_ns;
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

int recording_last(struct recording *reader, int64_t *last_ns, struct fault *fault)
{
	int error = ask(reader, "SELECT max(time_ns) FROM sample", 0, INT64_MIN, last_ns,
			fault);

	for (unsigned i = 0; i < reader->count; i++)
		if (reader->life[i].info.last_ns > *last_ns)
			*last_ns = reader->life[i].info.last_ns;
	return error;
}

static int select_phase(struct recording *reader, enum reader_phase phase,
			int64_t from_ns, int64_t to, struct fault *fault)
{
	static const char *const query[] = {
		[PHASE_HOURS] = "SELECT time_s,life,arena,number,n,last,mean,min,max "
				"FROM tier WHERE"
				" seconds=3600 AND time_s>=? AND time_s<?"
				" ORDER BY time_s,life,arena",
		[PHASE_MINUTES] = "SELECT time_s,life,arena,number,n,last,mean,min,max "
				  "FROM tier WHERE"
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
	reader->at_ns = from_ns;
	reader->until_ns = to;
	if (phase == PHASE_END)
		return 0;
	code = sqlite3_prepare_v2(reader->db, query[phase], -1, &reader->select, NULL);
	if (code != SQLITE_OK)
		return reader_broken(reader, code, fault);
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

/* ---- samples ---- */

static int grow(struct recording *reader, unsigned arenas)
{
	struct sample *larger =
		arenas <= READER_ARENAS_MAX ? sample_new(arenas, false) : NULL;

	if (!larger)
		return -ENOMEM;
	sample_free(reader->sample);
	reader->sample = larger;
	return 0;
}

/* A state of LIFE with room for READER_ARENAS rows that says what it said. */
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

	if (!life->state && grow_state(life, READER_ARENAS))
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
		if (error == -ENOSPC && (grow(reader, arenas + READER_ARENAS) ||
					 grow_state(life, arenas + READER_ARENAS)))
			return -ENOMEM;
	}
	return error;
}

/* Samples from FROM_NS on are lost; where reading goes on is not known yet. */
static void lose(struct recording *reader, int64_t from_ns)
{
	if (!reader->lost.stretches++)
		reader->lost.from_ns = from_ns;
	reader->lost.to_ns = INT64_MAX;
}

/* A part of the file cannot be read: goes on behind it. */
static int pass_over(struct recording *reader, struct fault *fault)
{
	int64_t whole_ns = next_whole(reader, reader->at_ns);

	if (reader->lost.to_ns != INT64_MAX || !reader->lost.stretches)
		lose(reader, reader->at_ns);
	for (unsigned i = 0; i < reader->count; i++)
		reader->life[i].has_whole = false;
	if (whole_ns == INT64_MAX)
		return RECORDING_END;
	return select_phase(reader, PHASE_SAMPLES, whole_ns, INT64_MAX, fault);
}

/* The row that SELECT stands on. True: it is a sample, of *INDEX. */
static int take_row(struct recording *reader, unsigned *index, bool *is_sample)
{
	int64_t time_ns = sqlite3_column_int64(reader->select, 0);
	struct reader_life *life =
		reader_life(reader, sqlite3_column_int64(reader->select, 1));
	int error;

	reader->rows++;
	reader->at_ns = time_ns;
	*is_sample = false;
	if (!life)
		return 0;
	life->has_whole |= sqlite3_column_int(reader->select, 2) != 0;
	if (!life->has_whole)
		return 0;
	error = decode(reader, life, time_ns);
	if (error == -ENOMEM)
		return error;
	/* The samples up to its next whole one are told against this one. */
	life->has_whole = !error;
	if (error)
		lose(reader, time_ns);
	else if (reader->lost.to_ns == INT64_MAX)
		reader->lost.to_ns = time_ns;
	*index = (unsigned)(life - reader->life);
	*is_sample = !error && time_ns >= reader->from_ns;
	return 0;
}

/* The next of the samples: RECORDING_READ, RECORDING_END or -errno. */
static int next_sample(struct recording *reader, unsigned *index, struct fault *fault)
{
	bool is_sample;
	int code, error = 0;

	while (!error) {
		code = sqlite3_step(reader->select);
		if (is_damage(code)) {
			error = pass_over(reader, fault);
			continue;
		}
		if (code != SQLITE_ROW)
			return code == SQLITE_DONE ? RECORDING_END
						   : reader_broken(reader, code, fault);
		if (take_row(reader, index, &is_sample))
			return fault_set(fault, EXIT_FAILED, -ENOMEM,
					 "cannot read recording '%s': there is no memory "
					 "for it",
					 reader->file);
		if (is_sample)
			return RECORDING_READ;
	}
	return error;
}

/* ---- minutes and hours ---- */

/* Of what each sample counts since the one before, a span has the sum. */
static uint64_t counted_in_span(sqlite3_stmt *row)
{
	double sum = (double)sqlite3_column_int64(row, 4) * sqlite3_column_double(row, 6);

	return sum > 0 && sum < 0x1p63 ? (uint64_t)(sum + 0.5) : 0;
}

static void take_figure(struct figures *fig, enum figure f, sqlite3_stmt *row, int column)
{
	if (figure_info[f].unit == UNIT_RATIO)
		figure_set_ratio(fig, f, sqlite3_column_double(row, column));
	else
		figure_set(fig, f, (uint64_t)sqlite3_column_int64(row, column));
}

/* What has no row in a span was all along what it was at the end of the one before. */
static void begin_span(struct reader_life *life)
{
	life->span.low = life->span.high = life->tier_fig;
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_has(&life->tier_fig, f))
			life->span.mean[f] = figure_number(&life->tier_fig, f);
}

static void span_figure(struct recording *reader, struct reader_life *life)
{
	sqlite3_stmt *row = reader->select;
	int64_t number = sqlite3_column_int64(row, 3);
	unsigned f = number >= 0 && number < CODEC_FIGURES
			     ? reader->numbers.figure[number]
			     : FIG_COUNT;

	/* Arenas are not built anew from spans: their rows are for those who ask the
	 * file. */
	if (f >= FIG_COUNT || sqlite3_column_int64(row, 2) >= 0)
		return;
	if (!sqlite3_column_int64(row, 4)) {
		figure_drop(&life->tier_fig, f);
		figure_drop(&life->span.low, f);
		figure_drop(&life->span.high, f);
		return;
	}
	if (figure_info[f].is_since)
		figure_set(&life->tier_fig, f, counted_in_span(row));
	else
		take_figure(&life->tier_fig, f, row, 5);
	life->span.mean[f] = sqlite3_column_double(row, 6);
	take_figure(&life->span.low, f, row, 7);
	take_figure(&life->span.high, f, row, 8);
}

const struct recorded_span *recording_span(const struct recording *reader)
{
	return reader->span;
}

uint64_t recording_rows(const struct recording *reader)
{
	return reader->rows;
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

/* All rows of one time and life are one span: *LIFE is null when there is no further one.
 * SQLite's code. */
static int read_span(struct recording *reader, struct reader_life **life, int64_t *time_s)
{
	int64_t number = 0;
	int code = SQLITE_DONE;

	*life = NULL;
	if (!reader->is_done)
		code = reader->has_row ? SQLITE_ROW : sqlite3_step(reader->select);
	reader->has_row = false;
	for (; code == SQLITE_ROW; code = sqlite3_step(reader->select)) {
		bool same = *life && sqlite3_column_int64(reader->select, 0) == *time_s &&
			    sqlite3_column_int64(reader->select, 1) == number;

		reader->rows++;
		if (*life && !same) {
			reader->has_row = true;
			break;
		}
		*time_s = sqlite3_column_int64(reader->select, 0);
		number = sqlite3_column_int64(reader->select, 1);
		reader->at_ns = to_ns(*time_s);
		if (!same)
			*life = reader_life(reader, number);
		if (*life && !same)
			begin_span(*life);
		if (*life)
			span_figure(reader, *life);
	}
	return code;
}

/* A part of the spans cannot be read: goes on behind it, where figures are absent until
 * there is a row of them. */
static int pass_over_spans(struct recording *reader, struct fault *fault)
{
	enum { PASSES = 2000 }; /* what is tried of a file that is nothing but damage */
	int64_t step_ns =
		(reader->phase == PHASE_HOURS ? 3600 : 60) * INT64_C(1000000000);

	reader->lost.spans = true;
	if (reader->at_ns == INT64_MIN && reader->phase == PHASE_MINUTES)
		reader->at_ns = reader->minutes_ns;
	for (unsigned i = 0; i < reader->count; i++)
		figures_clear(&reader->life[i].tier_fig);
	if (reader->at_ns == INT64_MIN || reader->at_ns >= reader->until_ns ||
	    reader->at_ns > INT64_MAX - step_ns || ++reader->passes > PASSES)
		return RECORDING_END;
	return select_phase(reader, reader->phase, reader->at_ns + step_ns,
			    reader->until_ns, fault);
}

/* The next span: all rows of one time and life are one sample. */
static int next_span(struct recording *reader, unsigned *index, struct fault *fault)
{
	struct reader_life *life;
	int64_t time_s = 0;
	int code, error;

	while (is_damage(code = read_span(reader, &life, &time_s))) {
		error = pass_over_spans(reader, fault);
		if (error)
			return error;
	}
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return reader_broken(reader, code, fault);
	reader->is_done = code == SQLITE_DONE;
	if (!life)
		return RECORDING_END;
	span_sample(reader, life, time_s);
	reader->span = &life->span;
	*index = (unsigned)(life - reader->life);
	return RECORDING_READ;
}

/* ---- one phase after another ---- */

/* Minutes have what moved: what all figures were before, the hour has that is before the
 * one in which reading begins. */
static int select_minutes(struct recording *reader, int64_t from_ns, int64_t to_ns,
			  struct fault *fault)
{
	const int64_t hour_ns = INT64_C(3600000000000);
	int64_t hour = from_ns > reader->minutes_ns ? from_ns : reader->minutes_ns;
	unsigned life;
	int result = 0;

	if (hour > 0) {
		hour -= hour % hour_ns;
		result = select_phase(reader, PHASE_HOURS, hour - hour_ns, hour, fault);
		while (!result)
			result = next_span(reader, &life, fault);
	}
	if (result < 0)
		return result;
	begin_minutes(reader);
	return select_phase(reader, PHASE_MINUTES, hour, to_ns, fault);
}

static int next_phase(struct recording *reader, struct fault *fault)
{
	int64_t first_ns = INT64_MIN;
	int error = 0;

	if (reader->is_only)
		return select_phase(reader, PHASE_END, 0, 0, fault);
	switch (reader->phase) {
	case PHASE_HOURS:
		return select_minutes(reader, reader->from_ns,
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

static void forget(struct recording *reader)
{
	reader->is_only = false;
	reader->span = NULL;
	for (unsigned i = 0; i < reader->count; i++) {
		reader->life[i].has_whole = false;
		figures_clear(&reader->life[i].tier_fig);
	}
}

int recording_seek_spans(struct recording *reader, unsigned seconds, int64_t from_ns,
			 int64_t to_ns, struct fault *fault)
{
	int error;

	forget(reader);
	reader->from_ns = from_ns;
	error = seconds == 60 ? select_minutes(reader, from_ns, to_ns, fault)
			      : select_phase(reader, PHASE_HOURS, from_ns, to_ns, fault);
	reader->is_only = true;
	return error;
}

int recording_seek(struct recording *reader, int64_t from_ns, struct fault *fault)
{
	int64_t minutes_s = INT64_MAX, hours_to_ns;
	int error = ask(reader, "SELECT min(time_ns) FROM sample", 0, INT64_MAX,
			&reader->samples_ns, fault);

	/* Where the beginning is damaged: what a whole sample is left of. */
	if (error == -EPROTO) {
		reader->samples_ns = next_whole(reader, INT64_MIN);
		error = 0;
	}
	if (!error)
		error = ask(reader, "SELECT min(time_s) FROM tier WHERE seconds=60", 0,
			    INT64_MAX, &minutes_s, fault);
	if (error == -EPROTO)
		reader->lost.spans = true;
	else if (error)
		return error;
	reader->from_ns = from_ns;
	reader->minutes_ns = to_ns(minutes_s);
	forget(reader);
	hours_to_ns = reader->minutes_ns < reader->samples_ns ? reader->minutes_ns
							      : reader->samples_ns;
	hours_to_ns = spans_end(hours_to_ns, 3600);
	return select_phase(reader, PHASE_HOURS, from_ns, hours_to_ns, fault);
}

/* ---- what is lost ---- */

static void time_text(struct text *text, int64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	char buf[32];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) &&
	    strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm))
		text_string(text, buf);
}

static void cut_text(struct text *text, const struct lost *lost)
{
	text_string(text, "; its end is cut off (");
	text_u64(text, lost->file_bytes >> 10);
	text_string(text, "K of ");
	text_u64(text, (lost->file_bytes + lost->cut_bytes) >> 10);
	text_string(text, "K are there)");
}

static void stretches_text(struct text *text, const struct lost *lost)
{
	text_string(text, "; readings are lost from ");
	if (lost->from_ns == INT64_MIN)
		text_string(text, "its beginning");
	else
		time_text(text, lost->from_ns);
	text_string(text, " to ");
	if (lost->to_ns == INT64_MAX)
		text_string(text, "its end");
	else
		time_text(text, lost->to_ns);
	if (lost->stretches < 2)
		return;
	text_string(text, ", in ");
	text_u64(text, lost->stretches);
	text_string(text, " places");
}

/* All that could be read was read: what could not is said now. */
static int end_reading(struct recording *reader, struct fault *fault)
{
	const struct lost *lost = &reader->lost;
	char buf[FAULT_TEXT / 2];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	if (!lost->stretches && !lost->spans && !lost->cut_bytes)
		return RECORDING_END;
	if (lost->cut_bytes)
		cut_text(&text, lost);
	if (lost->stretches)
		stretches_text(&text, lost);
	if (lost->spans)
		text_string(&text, "; some minutes or hours are lost");
	return fault_set(fault, EXIT_FAILED, -EPROTO,
			 "recording '%s' is damaged%s; everything else was read",
			 reader->file, buf);
}

int recording_next(struct recording *reader, const struct sample **sample, unsigned *life,
		   struct fault *fault)
{
	int result = RECORDING_END;

	while (result == RECORDING_END && reader->phase != PHASE_END) {
		reader->span = NULL;
		result = reader->phase == PHASE_SAMPLES ? next_sample(reader, life, fault)
							: next_span(reader, life, fault);
		/* Minutes are read from the beginning of an hour on. */
		if (result == RECORDING_READ && reader->span &&
		    reader->sample->time_ns < reader->from_ns) {
			result = RECORDING_END;
			continue;
		}
		if (result == RECORDING_END) {
			int error = next_phase(reader, fault);

			if (error)
				return error;
		}
	}
	*sample = reader->sample;
	return result == RECORDING_END && !reader->is_only ? end_reading(reader, fault)
							   : result;
}
