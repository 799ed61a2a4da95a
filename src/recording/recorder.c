#include "recording/recorder.h"

#include "base/alloc_touched.h"
#include "recording/pool.h"
#include "recording/recorder_parts.h"

#include <errno.h>
#include <stdlib.h>

enum { POOL_BYTES = 4 << 20 };

static const int64_t whole_ns = INT64_C(300000000000); /* between two whole samples */

/* ---- memory ---- */

static void release_life(struct life *life)
{
	free(life->state);
	life->state = NULL;
	for (unsigned i = 0; i < RECORDER_TIERS; i++)
		tier_release(&life->tier[i]);
}

/* What a life needs is taken when its place is first used, and stays for the next. */
static int take_life(struct life *life, unsigned arenas)
{
	static const unsigned seconds[RECORDER_TIERS] = {60, 3600};
	int error = 0;

	if (life->state)
		return 0;
	life->state = codec_new(arenas);
	for (unsigned i = 0; i < RECORDER_TIERS && !error; i++) {
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
		recorder->look_buf = alloc_touched(RECORDER_LOOK_BYTES);
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
	error = recorder_open_file(*recorder, options->append, fault);
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
		recorder_close_file(recorder);
	release(recorder);
}

/* ---- lives ---- */

static int add_life(struct recorder *recorder, struct life *life, struct fault *fault)
{
	sqlite3_stmt *add = recorder->statement[ADD_LIFE];
	int error;

	recorder_bind_text(add, 1, life->service);
	sqlite3_bind_int64(add, 2, life->as.pid);
	if (life->as.start_ns)
		sqlite3_bind_int64(add, 3, life->as.start_ns);
	else
		sqlite3_bind_null(add, 3);
	sqlite3_bind_int64(add, 4, life->as.time_ns);
	sqlite3_bind_int64(add, 5, life->as.time_ns);
	error = recorder_run(recorder, ADD_LIFE, NULL, fault);
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
	error = recorder_begin_transaction(recorder, fault);
	if (error)
		return error;
	strncpy(life->service, as->service, RECORDER_SERVICE - 1);
	life->as = *as;
	life->as.service = life->service;
	error = add_life(recorder, life, fault);
	if (error)
		return error;
	life->is_used = true;
	life->last_ns = 0;
	recorder_forget_before(life);
	for (unsigned i = 0; i < RECORDER_TIERS; i++)
		tier_reset(&life->tier[i]);
	*place = (unsigned)(life - recorder->life);
	return 0;
}

int recorder_begin_life(struct recorder *recorder, struct life *life, struct fault *fault)
{
	int error = recorder_begin_transaction(recorder, fault);

	return !error && life->is_new ? add_life(recorder, life, fault) : error;
}

int recorder_fact(struct recorder *recorder, unsigned place, int64_t time_ns,
		  const char *name, const char *value, struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = recorder_begin_life(recorder, life, fault);
	sqlite3_stmt *add = recorder->statement[ADD_FACT];

	if (error)
		return error;
	sqlite3_bind_int64(add, 1, life->row);
	sqlite3_bind_int64(add, 2, time_ns);
	recorder_bind_text(add, 3, name);
	recorder_bind_text(add, 4, value);
	return recorder_run(recorder, ADD_FACT, NULL, fault);
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
	return recorder_run(to->recorder, ADD_TIER, NULL, to->fault);
}

static int flush_tiers(struct recorder *recorder, struct life *life, int64_t time_ns,
		       struct fault *fault)
{
	struct tier_target to = {recorder, life, fault};
	int error = 0;

	for (unsigned i = 0; i < RECORDER_TIERS && !error; i++)
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
	recorder_bind_text(end, 3, why);
	return recorder_run(recorder, END_LIFE, NULL, fault);
}

int recorder_end(struct recorder *recorder, unsigned place, int64_t time_ns,
		 const char *why, struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = recorder_begin_life(recorder, life, fault);

	if (!error)
		error = end_life(recorder, life, time_ns, why, fault);
	life->is_used = false;
	return error;
}

/* What is still to be said to the old file. It may be on a full disk: what it has is
 * whole all the same. */
static void leave_file(struct recorder *recorder)
{
	int error = recorder_begin_transaction(recorder, NULL);

	for (unsigned i = 0; i < recorder->options.lives && !error; i++) {
		struct life *life = &recorder->life[i];

		if (life->is_used && !life->is_new)
			error = end_life(recorder, life, life->last_ns,
					 "it goes on in another file", NULL);
	}
	if (!error)
		recorder_commit(recorder, recorder->tended_ns, NULL);
	recorder_put_log_away(recorder);
	recorder_close_file(recorder);
}

int recorder_reopen(struct recorder *recorder, struct fault *fault)
{
	if (recorder_has_file(recorder))
		return 0;
	if (recorder->db)
		leave_file(recorder);
	for (unsigned i = 0; i < recorder->options.lives; i++) {
		recorder->life[i].is_new = true;
		recorder->life[i].is_pending = false;
		recorder_forget_before(&recorder->life[i]);
		for (unsigned t = 0; t < RECORDER_TIERS && recorder->life[i].state; t++)
			tier_reset(&recorder->life[i].tier[t]);
	}
	return recorder_open_file(recorder, true, fault);
}

/* ---- samples ---- */

static int add_whole(struct recorder *recorder, const struct life *life, int64_t time_ns,
		     struct fault *fault)
{
	sqlite3_stmt *add = recorder->statement[ADD_WHOLE];

	sqlite3_bind_int64(add, 1, life->row);
	sqlite3_bind_int64(add, 2, time_ns);
	return recorder_run(recorder, ADD_WHOLE, NULL, fault);
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
	return recorder_run(recorder, ADD_SAMPLE, NULL, fault);
}

static int seen(struct recorder *recorder, const struct life *life, int64_t time_ns,
		struct fault *fault)
{
	sqlite3_stmt *update = recorder->statement[SEEN_LIFE];

	sqlite3_bind_int64(update, 1, life->row);
	sqlite3_bind_int64(update, 2, time_ns);
	return recorder_run(recorder, SEEN_LIFE, NULL, fault);
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
	recorder_forget_before(life);
	if (!error)
		error = add_life(recorder, life, fault);
	if (error)
		return error;
	sqlite3_bind_int64(copy, 1, old);
	sqlite3_bind_int64(copy, 2, life->row);
	return recorder_run(recorder, COPY_FACTS, NULL, fault);
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
	int error = recorder_begin_life(recorder, life, fault);

	if (!error && sample->time_ns <= life->last_ns)
		error = part_life(recorder, life, sample->time_ns, fault);
	if (!error)
		error = flush_tiers(recorder, life, sample->time_ns, fault);
	if (!error)
		error = add_to_life(recorder, life, sample, fault);
	if (error)
		return error;
	life->last_ns = sample->time_ns;
	for (unsigned i = 0; i < RECORDER_TIERS; i++)
		tier_add(&life->tier[i], sample);
	return 0;
}

int recorder_event(struct recorder *recorder, unsigned place, int64_t time_ns,
		   const char *kind, uint64_t bytes, const char *json,
		   struct fault *fault)
{
	struct life *life = &recorder->life[place];
	int error = recorder_begin_life(recorder, life, fault);
	sqlite3_stmt *add = recorder->statement[ADD_EVENT];

	if (error)
		return error;
	sqlite3_bind_int64(add, 1, time_ns);
	sqlite3_bind_int64(add, 2, life->row);
	recorder_bind_text(add, 3, kind);
	if (bytes)
		sqlite3_bind_int64(add, 4, (sqlite3_int64)bytes);
	else
		sqlite3_bind_null(add, 4);
	recorder_bind_text(add, 5, json);
	return recorder_run(recorder, ADD_EVENT, NULL, fault);
}

int recorder_commit(struct recorder *recorder, int64_t now_ns, struct fault *fault)
{
	int error = 0;

	if (!recorder->in_transaction)
		return 0;
	if (now_ns - recorder->tended_ns >= RECORDER_TEND_NS ||
	    now_ns < recorder->tended_ns) {
		recorder->tended_ns = now_ns;
		error = recorder_drop_old(recorder, now_ns, fault);
		if (!error)
			error = recorder_drop_excess(recorder, now_ns, fault);
	}
	if (!error)
		error = recorder_run(recorder, COMMIT, NULL, fault);
	if (error)
		return error;
	recorder->in_transaction = false;
	for (unsigned i = 0; i < recorder->options.lives; i++)
		recorder->life[i].is_pending = false;
	return 0;
}
