#include "glibc/pool.h"

#include "base/alloc_touched.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	LANES = 8, /* walks that a thread keeps going */
	BATCH = 128
		<< 10, /* bytes per system call: they stay in the second-level cache */
	POOL_BLOCKS = 1024, /* those of eight walks far apart, and to spare */
};

struct lane {
	struct walk *walk; /* null: idle */
	uint8_t *buffer;
};

struct pool_worker {
	struct walk_pool *pool;
	struct pages *pages;
	uint8_t *buffers;

	struct lane lane[LANES];
	pthread_t thread;
	bool started;
};

struct walk_pool {
	struct memory *memory;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_cond_t idle;
	uint64_t round;
	unsigned busy;
	bool stop;
	struct walk *walks;
	unsigned walk_count;
	_Atomic unsigned next_walk;
	_Atomic int error;
	unsigned threads;
	struct pool_worker worker[];
};

static void take_walk(struct pool_worker *worker, struct lane *lane)
{
	struct walk_pool *pool = worker->pool;
	unsigned next = atomic_fetch_add(&pool->next_walk, 1);

	if (next >= pool->walk_count)
		return;
	lane->walk = &pool->walks[next];
	lane->walk->pages = worker->pages;
	lane->walk->buffer = lane->buffer;
}

/* The span that LANE wants next, taking up new walks as old ones end. */
static bool lane_wants(struct pool_worker *worker, struct lane *lane, struct span *span)
{
	for (;;) {
		if (!lane->walk)
			take_walk(worker, lane);
		if (!lane->walk)
			return false;
		if (walk_wants(lane->walk, span))
			return true;
		lane->walk = NULL;
	}
}

/* Reads the spans and feeds their lanes. */
static int feed(struct memory *memory, const struct span *spans, struct lane **lanes,
		unsigned count)
{
	unsigned done = 0;

	while (done < count) {
		int got = memory->read(memory, spans + done, count - done);

		if (got < 0)
			return got;
		for (int i = 0; i < got && done < count; i++)
			walk_feed(lanes[done++]->walk, true);
		if (done < count)
			walk_feed(lanes[done++]->walk, false);
	}
	return 0;
}

static int one_batch(struct pool_worker *worker, unsigned *count)
{
	struct span spans[LANES];
	struct lane *lanes[LANES];
	uint32_t bytes = 0;

	*count = 0;
	for (unsigned i = 0; i < LANES && bytes < BATCH; i++) {
		/* The first lanes go first: what one reads in parts is read in one
		 * go, before it changes; the others join in when little is asked for. */
		struct lane *lane = &worker->lane[i];

		if (!lane_wants(worker, lane, &spans[*count]))
			continue;
		bytes += spans[*count].len;
		lanes[(*count)++] = lane;
	}
	return feed(worker->pool->memory, spans, lanes, *count);
}

static void work(struct pool_worker *worker)
{
	struct walk_pool *pool = worker->pool;
	unsigned count;

	do {
		int error = one_batch(worker, &count);

		if (error)
			atomic_store(&pool->error, error);
	} while (count && !atomic_load(&pool->error));
	for (unsigned i = 0; i < LANES; i++)
		worker->lane[i].walk = NULL;
}

static void *worker_main(void *argument)
{
	struct pool_worker *worker = argument;
	struct walk_pool *pool = worker->pool;
	uint64_t seen = 0;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		if (pool->round == seen) {
			pthread_cond_wait(&pool->wake, &pool->lock);
			continue;
		}
		seen = pool->round;
		pthread_mutex_unlock(&pool->lock);
		work(worker);
		pthread_mutex_lock(&pool->lock);
		if (--pool->busy == 0)
			pthread_cond_signal(&pool->idle);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int walk_pool_run(struct walk_pool *pool, struct walk *walks, unsigned count)
{
	pthread_mutex_lock(&pool->lock);
	pool->walks = walks;
	pool->walk_count = count;
	atomic_store(&pool->next_walk, 0);
	atomic_store(&pool->error, 0);
	pool->busy = pool->threads - 1;
	pool->round++;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	work(&pool->worker[0]);
	pthread_mutex_lock(&pool->lock);
	while (pool->busy)
		pthread_cond_wait(&pool->idle, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	return atomic_load(&pool->error);
}

static int worker_init(struct walk_pool *pool, struct pool_worker *worker,
		       struct pages *pages)
{
	worker->pool = pool;
	worker->pages = pages ? pages : pages_new(pool->memory, POOL_BLOCKS);
	worker->buffers = alloc_touched(LANES * WALK_WINDOW);
	if (!worker->pages || !worker->buffers)
		return -ENOMEM;
	for (unsigned i = 0; i < LANES; i++)
		worker->lane[i].buffer = worker->buffers + i * WALK_WINDOW;
	if (worker == &pool->worker[0])
		return 0;
	worker->started = !pthread_create(&worker->thread, NULL, worker_main, worker);
	return worker->started ? 0 : -EAGAIN;
}

int walk_pool_new(struct walk_pool **pool, struct memory *memory, struct pages *pages,
		  unsigned threads)
{
	struct walk_pool *new =
		alloc_touched(sizeof(*new) + threads * sizeof(struct pool_worker));
	int error = 0;

	if (!new)
		return -ENOMEM;
	new->memory = memory;
	new->threads = threads;
	pthread_mutex_init(&new->lock, NULL);
	pthread_cond_init(&new->wake, NULL);
	pthread_cond_init(&new->idle, NULL);
	for (unsigned i = 0; i < threads && !error; i++)
		error = worker_init(new, &new->worker[i], i ? NULL : pages);
	if (error)
		walk_pool_free(new);
	else
		*pool = new;
	return error;
}

void walk_pool_free(struct walk_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads; i++) {
		if (pool->worker[i].started)
			pthread_join(pool->worker[i].thread, NULL);
		if (i)
			pages_free(pool->worker[i].pages);
		free(pool->worker[i].buffers);
	}
	pthread_cond_destroy(&pool->wake);
	pthread_cond_destroy(&pool->idle);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void walk_pool_forget(struct walk_pool *pool)
{
	for (unsigned i = 1; i < pool->threads; i++)
		pages_forget(pool->worker[i].pages);
}
