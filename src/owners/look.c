#include "owners/look.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum {
	WORD = sizeof(uint64_t),
	JOB_BYTES = 128 << 10, /* with the pointers in it, of the size of a second-level
				  cache's part */
	JOB_WORDS = JOB_BYTES / WORD,
	JOB_SPANS = 32,
	JOBS_A_THREAD = 2, /* one in work, one to be handed over */
};

/* Some memory: read by one thread, which also finds its pointers. */
struct look_job {
	bool is_done;
	int error;
	unsigned spans;
	struct span span[JOB_SPANS];
	struct look_range range[JOB_SPANS];	 /* that each is of */
	const struct gather_run *met[JOB_SPANS]; /* instead of being read, or null */
	bool ok[JOB_SPANS];
	uint32_t first[JOB_SPANS + 1]; /* pointer of each */
	uint64_t word[JOB_WORDS];
	struct look_pointer pointer[JOB_WORDS];
};

/* Jobs are taken and handed over in order: job N is in place N modulo their number. */
struct crew {
	const struct look *look;
	pthread_mutex_t lock;
	pthread_cond_t room; /* a job can be taken, or there will be none */
	pthread_cond_t done;
	struct look_range range; /* what is looked through now, from AT on */
	uint64_t at;
	const struct gather_list *list; /* what of the range was met: this, from MET on */
	uint32_t met;
	bool in_range, at_end;
	uint64_t taken, passed;
	unsigned jobs;
	struct look_job *job;
	pthread_t thread[OWNERS_THREADS];
	unsigned started;
};

/* ---- what may be pointers ---- */

/* Piece TO as what VALUE, which lies in it, points to. */
static uint32_t target_of(const struct look *look, uint64_t value, uint32_t to)
{
	const struct chunks *chunks = look->chunks;
	uint64_t data;

	if (to == NO_CHUNK || !chunk_is_live(chunks, to))
		return NO_CHUNK;
	data = chunk_addr(chunks, to) + CHUNK_HEADER;
	if (value - data < USUAL_BYTES && look->is_usual[value - data])
		return to;
	return value > data ? to | (uint32_t)EDGE_INTERIOR : NO_CHUNK;
}

uint32_t look_at(const struct look *look, uint64_t value)
{
	return target_of(look, value, chunks_at(look->chunks, value));
}

/* The WORDS that lie between all chunks, into POINTER; how many. */
static uint32_t sift(const struct chunks *chunks, const uint64_t *word, uint32_t words,
		     struct look_pointer *pointer)
{
	uint64_t low = chunks->low, span = chunks->high - low;
	uint32_t found = 0;

	/* Without a branch: there are many, and which is not predictable. */
	for (uint32_t i = 0; i < words; i++) {
		pointer[found].word = i;
		found += word[i] - low < span;
	}
	return found;
}

/* Up to CHUNKS_AT_ONCE words. */
struct batch {
	uint32_t count;
	uint32_t word[CHUNKS_AT_ONCE];
	uint64_t value[CHUNKS_AT_ONCE];
};

/* Leaves in POINTER those that point to live chunks; how many. */
static uint32_t keep_pointers(const struct look *look, const struct batch *batch,
			      struct look_pointer *pointer)
{
	uint32_t to[CHUNKS_AT_ONCE], kept = 0;

	chunks_at_all(look->chunks, batch->value, batch->count, to);
	for (uint32_t i = 0; i < batch->count; i++) {
		to[i] = target_of(look, batch->value[i], to[i]);
		pointer[kept] = (struct look_pointer){batch->word[i], to[i]};
		kept += to[i] != NO_CHUNK;
	}
	return kept;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Leaves in POINTER those of the WORDS that point to live chunks; how many. */
static uint32_t find_pointers(const struct look *look, const uint64_t *word,
			      uint32_t words, struct look_pointer *pointer)
{
	uint32_t found = sift(look->chunks, word, words, pointer), kept = 0;
	struct batch batch;

	for (uint32_t first = 0; first < found; first += batch.count) {
		batch.count = least(found - first, CHUNKS_AT_ONCE);
		for (uint32_t i = 0; i < batch.count; i++) {
			batch.word[i] = pointer[first + i].word;
			batch.value[i] = word[batch.word[i]];
		}
		kept += keep_pointers(look, &batch, pointer + kept);
	}
	return kept;
}

/* The same of RUN. */
static uint32_t find_met(const struct look *look, const struct gather_run *run,
			 struct look_pointer *pointer)
{
	const uint64_t mask = (UINT64_C(1) << GATHER_PLACE_BITS) - 1;
	uint32_t kept = 0;
	struct batch batch;

	for (uint32_t first = 0; first < run->count; first += batch.count) {
		batch.count = least(run->count - first, CHUNKS_AT_ONCE);
		for (uint32_t i = 0; i < batch.count; i++) {
			batch.word[i] =
				(uint32_t)(run->word[first + i] >> GATHER_PLACE_BITS);
			batch.value[i] = run->word[first + i] & mask;
		}
		kept += keep_pointers(look, &batch, pointer + kept);
	}
	return kept;
}

/* ---- a job ---- */

/* False: there is no range left. */
static bool enter_range(struct crew *crew)
{
	if (crew->in_range)
		return true;
	crew->at_end = !crew->look->next(&crew->range, crew->look->context);
	if (crew->at_end)
		return false;
	crew->in_range = true;
	crew->at = crew->range.start;
	crew->list = crew->range.met;
	crew->met = 0;
	return true;
}

/* The next of what was met from where the crew is now, or null. */
static const struct gather_run *next_met(struct crew *crew)
{
	while (crew->list) {
		const struct gather_list *list = crew->list;

		for (; crew->met < list->runs; crew->met++) {
			const struct gather_run *run = &list->run[crew->met];

			if (run->start >= crew->at)
				return run->end <= crew->range.end ? run : NULL;
		}
		crew->list = list->next;
		crew->met = 0;
	}
	return NULL;
}

/* Adds RUN, or what is resident and must be read up to END. How many words there can be
 * pointers in. */
static uint32_t add_span(struct crew *crew, struct look_job *job, uint32_t words,
			 const struct gather_run *run, uint64_t end)
{
	uint64_t most = (JOB_WORDS - words) * (uint64_t)WORD, start = crew->at;

	if (run)
		end = run->end;
	else
		end = pages_run_end(crew->look->pages, start,
				    end - start < most ? end : start + most);
	job->met[job->spans] = run;
	job->range[job->spans] = crew->range;
	job->span[job->spans++] =
		(struct span){start, job->word + words, (uint32_t)(end - start)};
	crew->at = end;
	return run ? run->count : (uint32_t)((end - start + WORD - 1) / WORD);
}

/* Adds what is resident from where the crew is now. */
static void fill(struct crew *crew, struct look_job *job)
{
	uint32_t words = 0;

	job->spans = 0;
	while (words < JOB_WORDS && job->spans < JOB_SPANS && enter_range(crew)) {
		const struct gather_run *run = next_met(crew);
		uint64_t end = run ? run->start : crew->range.end;

		if (run && run->start == crew->at && run->count > JOB_WORDS - words)
			return;
		if (run && run->start == crew->at) {
			words += add_span(crew, job, words, run, 0);
			continue;
		}
		crew->at = pages_next_resident(crew->look->pages, crew->at, end);
		if (crew->at < end)
			words += add_span(crew, job, words, NULL, end);
		crew->in_range = crew->at < crew->range.end;
	}
}

/* What is gone meanwhile, or may not be read, is passed over. */
static int read_spans(struct memory *memory, struct look_job *job)
{
	unsigned at = 0;

	while (at < job->spans) {
		unsigned count = 0;
		int got;

		while (at + count < job->spans && !job->met[at + count])
			count++;
		if (!count) {
			job->ok[at++] = true;
			continue;
		}
		got = memory->read(memory, job->span + at, count);
		if (got < 0)
			return got;
		for (unsigned i = 0; i < (unsigned)got && i < count; i++)
			job->ok[at++] = true;
		if ((unsigned)got < count)
			job->ok[at++] = false;
	}
	return 0;
}

static void work(const struct look *look, struct look_job *job)
{
	uint32_t count = 0;

	job->error = read_spans(look->memory, job);
	for (unsigned i = 0; i < job->spans && !job->error; i++) {
		const struct span *span = &job->span[i];

		job->first[i] = count;
		if (job->met[i])
			count += find_met(look, job->met[i], job->pointer + count);
		else if (job->ok[i] && !job->range[i].is_raw)
			count += find_pointers(look, span->to, span->len / WORD,
					       job->pointer + count);
	}
	job->first[job->spans] = count;
}

static int hand_over(const struct look *look, const struct look_job *job)
{
	int error = job->error;

	for (unsigned i = 0; i < job->spans && !error; i++) {
		const struct look_part part = {
			.range = job->range[i],
			.start = job->span[i].addr,
			.end = job->span[i].addr + job->span[i].len,
			.word = job->met[i] ? NULL : job->span[i].to,
			.pointer = job->pointer + job->first[i],
			.count = job->first[i + 1] - job->first[i],
		};

		error = job->ok[i] ? look->part(&part, look->context) : 0;
	}
	return error;
}

/* ---- the threads ---- */

/* Under the lock. Null: there is none, or no room for one. */
static struct look_job *take(struct crew *crew)
{
	struct look_job *job = &crew->job[crew->taken % crew->jobs];

	if (crew->at_end || crew->taken == crew->passed + crew->jobs)
		return NULL;
	fill(crew, job);
	if (crew->at_end)
		pthread_cond_broadcast(&crew->room);
	if (!job->spans)
		return NULL;
	job->is_done = false;
	crew->taken++;
	return job;
}

/* Under the lock, which it gives up meanwhile. */
static void do_job(struct crew *crew, struct look_job *job)
{
	pthread_mutex_unlock(&crew->lock);
	work(crew->look, job);
	pthread_mutex_lock(&crew->lock);
	job->is_done = true;
}

static void *help(void *argument)
{
	struct crew *crew = argument;

	pthread_mutex_lock(&crew->lock);
	while (!crew->at_end) {
		struct look_job *job = take(crew);

		if (job) {
			do_job(crew, job);
			pthread_cond_signal(&crew->done);
		} else if (!crew->at_end) {
			pthread_cond_wait(&crew->room, &crew->lock);
		}
	}
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

/* Hands over what is done, in order, and does jobs itself as long as the next one is not.
 */
static int lead(struct crew *crew)
{
	int error = 0;

	pthread_mutex_lock(&crew->lock);
	while (!error && (!crew->at_end || crew->passed < crew->taken)) {
		struct look_job *next = &crew->job[crew->passed % crew->jobs], *job;

		if (crew->passed < crew->taken && next->is_done) {
			pthread_mutex_unlock(&crew->lock);
			error = hand_over(crew->look, next);
			pthread_mutex_lock(&crew->lock);
			crew->passed++;
			pthread_cond_signal(&crew->room);
		} else if ((job = take(crew))) {
			do_job(crew, job);
		} else if (crew->passed < crew->taken) {
			pthread_cond_wait(&crew->done, &crew->lock);
		}
	}
	crew->at_end = true;
	pthread_cond_broadcast(&crew->room);
	pthread_mutex_unlock(&crew->lock);
	return error;
}

/* The jobs are not touched before they are taken. */
static int gather(struct crew *crew)
{
	unsigned threads = crew->look->threads ? crew->look->threads : 1;

	crew->jobs = threads * JOBS_A_THREAD;
	crew->job = malloc(crew->jobs * sizeof(*crew->job));
	if (!crew->job)
		return -ENOMEM;
	for (; crew->started + 1 < threads; crew->started++)
		if (pthread_create(&crew->thread[crew->started], NULL, help, crew))
			return -EAGAIN;
	return 0;
}

int look_through(const struct look *look)
{
	struct crew crew = {.look = look};
	int error;

	pthread_mutex_init(&crew.lock, NULL);
	pthread_cond_init(&crew.room, NULL);
	pthread_cond_init(&crew.done, NULL);
	error = gather(&crew);
	if (error) {
		pthread_mutex_lock(&crew.lock);
		crew.at_end = true;
		pthread_cond_broadcast(&crew.room);
		pthread_mutex_unlock(&crew.lock);
	} else {
		error = lead(&crew);
	}
	for (unsigned i = 0; i < crew.started; i++)
		pthread_join(crew.thread[i], NULL);
	pthread_cond_destroy(&crew.done);
	pthread_cond_destroy(&crew.room);
	pthread_mutex_destroy(&crew.lock);
	free(crew.job);
	return error;
}
