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
	struct look_range range[JOB_SPANS]; /* that each is of */
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

/* Leaves in POINTER those of the WORDS that point to live chunks; how many. */
static uint32_t find_pointers(const struct look *look, const uint64_t *word,
			      uint32_t words, struct look_pointer *pointer)
{
	uint32_t found = sift(look->chunks, word, words, pointer), kept = 0, count;

	for (uint32_t first = 0; first < found; first += count) {
		uint64_t value[CHUNKS_AT_ONCE];
		uint32_t to[CHUNKS_AT_ONCE];

		count = found - first < CHUNKS_AT_ONCE ? found - first : CHUNKS_AT_ONCE;
		for (uint32_t i = 0; i < count; i++)
			value[i] = word[pointer[first + i].word];
		chunks_at_all(look->chunks, value, count, to);
		for (uint32_t i = 0; i < count; i++) {
			to[i] = target_of(look, value[i], to[i]);
			pointer[kept] =
				(struct look_pointer){pointer[first + i].word, to[i]};
			kept += to[i] != NO_CHUNK;
		}
	}
	return kept;
}

/* ---- a job ---- */

/* Adds what is resident from where the crew is now. */
static void fill(struct crew *crew, struct look_job *job)
{
	struct pages *pages = crew->look->pages;
	uint32_t words = 0;

	job->spans = 0;
	while (words < JOB_WORDS && job->spans < JOB_SPANS) {
		uint64_t most = (JOB_WORDS - words) * (uint64_t)WORD, end, run;

		if (!crew->in_range &&
		    !crew->look->next(&crew->range, crew->look->context)) {
			crew->at_end = true;
			return;
		}
		end = crew->range.end;
		crew->at = crew->in_range ? crew->at : crew->range.start;
		crew->at = pages_next_resident(pages, crew->at, end);
		crew->in_range = crew->at < end;
		if (!crew->in_range)
			continue;
		run = pages_run_end(pages, crew->at,
				    end - crew->at < most ? end : crew->at + most);
		job->range[job->spans] = crew->range;
		job->span[job->spans++] = (struct span){crew->at, job->word + words,
							(uint32_t)(run - crew->at)};
		words += (uint32_t)((run - crew->at + WORD - 1) / WORD);
		crew->at = run;
	}
}

/* What is gone meanwhile, or may not be read, is passed over. */
static int read_spans(struct memory *memory, struct look_job *job)
{
	unsigned at = 0;

	while (at < job->spans) {
		int got = memory->read(memory, job->span + at, job->spans - at);

		if (got < 0)
			return got;
		for (int i = 0; i < got && at < job->spans; i++)
			job->ok[at++] = true;
		if (at < job->spans)
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
		if (job->ok[i] && !job->range[i].is_raw)
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
			.word = job->span[i].to,
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
