#include "worlds.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MB	 1048576.0
#define DAY_S	 86400.0
#define BEGIN_NS INT64_C(1700000000000000000)
#define NS_PER_S INT64_C(1000000000)

/* ---- chance ---- */

static double uniform(struct world *world)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return (double)(world->random >> 11) / 9007199254740992.0;
}

static double normal(struct world *world)
{
	double sum = -6;

	for (unsigned i = 0; i < 12; i++)
		sum += uniform(world);
	return sum;
}

/* Noise of deviation 1 that forgets itself in about MEMORY_S seconds. */
static double red(struct world *world, unsigned which, double memory_s)
{
	double rho = exp(-1 / memory_s);

	world->red[which] = rho * world->red[which] + sqrt(1 - rho * rho) * normal(world);
	return world->red[which];
}

static double above(double value, double least)
{
	return value > least ? value : least;
}

/* ---- healthy programs ---- */

/* Requests come and go: buffers are cut from the largest chunk and go back to it. */
static bool steady(struct world *world)
{
	double buffers = uniform(world) < 0.1 ? 12 * uniform(world) : 0;

	world->largest = above(40 - 2 * fabs(red(world, 0, 20)) - buffers, 1) * MB;
	world->crumbs = (25 + 1.5 * red(world, 1, 60) + 0.5 * normal(world)) * MB;
	world->live = (300 + 3 * red(world, 2, 120) + buffers) * MB;
	world->chunk_bytes = 900 + 40 * red(world, 3, 300);
	return true;
}

/* keep: 0: when this round began; 1: how long it fills; 2: how long it empties. */
static void saw_round(struct world *world, double least_s, double most_s)
{
	double now = (double)world->second;

	if (world->keep[1] && now < world->keep[0] + world->keep[1] + world->keep[2])
		return;
	world->keep[0] = now;
	world->keep[1] = least_s + (most_s - least_s) * uniform(world);
	world->keep[2] = 5 + world->keep[1] * 0.1 * uniform(world);
}

/* A cache that fills its heap and then drops most of it: entries come from crumbs first
 * and then from the largest chunk; what is dropped is crumbs that partly join. */
static void saw(struct world *world, double least_s, double most_s)
{
	double now = (double)world->second, full, held;

	saw_round(world, least_s, most_s);
	now -= world->keep[0];
	full = now < world->keep[1] ? now / world->keep[1]
				    : 1 - (now - world->keep[1]) / world->keep[2];
	held = 160 * full;
	world->live = (120 + held + red(world, 0, 30)) * MB;
	world->crumbs = (8 + above(80 - held, 0) + 0.5 * fabs(red(world, 1, 30))) * MB;
	world->largest = above(100 - above(held - 80, 0) + 0.5 * normal(world), 4) * MB;
	world->chunk_bytes = 1500 + 700 * (1 - full) + 30 * red(world, 2, 60);
}

static bool sawtooth(struct world *world)
{
	saw(world, 120, 1800);
	return true;
}

static bool sawtooth_slow(struct world *world)
{
	saw(world, 7200, 21600);
	return true;
}

/* More is in use by day than by night, and the heap keeps what it had at noon. */
static bool daily(struct world *world)
{
	double load = 0.5 - 0.5 * cos(2 * M_PI * (double)world->second / DAY_S);
	double held = 200 * load + 4 * red(world, 0, 300) + red(world, 1, 10);
	double free_mb = above(260 - held, 10);
	double share = 0.55 + 0.03 * red(world, 2, 900);

	world->live = (150 + held) * MB;
	world->largest = free_mb * share * MB;
	world->crumbs = free_mb * (1 - share) * MB;
	world->chunk_bytes = 1100 + 60 * red(world, 3, 600);
	return true;
}

/* Loads something large every other hour or so, which stays or goes again. */
static bool steps(struct world *world)
{
	if (uniform(world) < 1 / 5000.0)
		world->keep[0] = 60 * uniform(world);
	world->live = (200 + world->keep[0] + red(world, 0, 60)) * MB;
	world->largest = (90 - world->keep[0] + 0.5 * normal(world)) * MB;
	world->crumbs = (20 + 0.8 * red(world, 1, 60)) * MB;
	world->chunk_bytes = 800 + 30 * red(world, 2, 300);
	return true;
}

/* Starts, grows to its size within minutes, and its top goes with it. */
static bool growth(struct world *world)
{
	double grown = 1 - exp(-(double)world->second / 400);

	world->live = (10 + 400 * grown + red(world, 0, 30)) * MB;
	world->largest = (1 + 60 * (1 - grown) + 0.3 * fabs(normal(world))) * MB;
	world->crumbs = (0.5 + 18 * grown + 0.4 * fabs(red(world, 1, 60))) * MB;
	world->chunk_bytes = 700 + 20 * red(world, 2, 300);
	return true;
}

/* Nothing but noise, and much of it. */
static bool noise(struct world *world)
{
	world->live = above(300 + 30 * red(world, 0, 100), 1) * MB;
	world->largest = above(50 + 8 * red(world, 1, 40) + 5 * normal(world), 2) * MB;
	world->crumbs = above(50 + 8 * red(world, 2, 40) + 5 * normal(world), 2) * MB;
	world->chunk_bytes = above(1000 + 150 * red(world, 3, 100), 200);
	return true;
}

/* No readings for minutes, now and then; the world goes on meanwhile. */
static bool gaps(struct world *world)
{
	steady(world);
	if (uniform(world) < 1 / 1800.0)
		world->keep[0] = (double)world->second + 10 + 600 * uniform(world);
	return (double)world->second >= world->keep[0];
}

/* Begins anew every two hours or so: another process, a heap that is small. */
static bool restarts(struct world *world)
{
	double age;

	if (uniform(world) < 1 / 7200.0) {
		world->pid++;
		world->keep[0] = (double)world->second;
	}
	steady(world);
	age = (double)world->second - world->keep[0];
	if (world->pid > 1000 && age < 120) {
		double grown = age / 120;

		world->largest *= 0.2 + 0.8 * grown;
		world->crumbs *= 0.05 + 0.95 * grown;
		world->live *= 0.1 + 0.9 * grown;
	}
	return world->pid == 1000 || age > 3;
}

/* ---- ill programs ---- */

/* From ILL_FROM_S on the share of the largest chunk that is crumbs grows as e^(-t/TAU).
 */
static void decay(struct world *world, double tau_s, bool (*base)(struct world *))
{
	double age = (double)(world->second - world->ill_from_s), lost;

	base(world);
	if (age <= 0)
		return;
	lost = world->largest * (1 - exp(-age / tau_s));
	world->largest -= lost;
	/* Some of it is in use now. */
	world->crumbs += 0.85 * lost;
	world->live += 0.15 * lost;
}

/* As examples/fragmenter: half of the largest chunk is gone in some 20 seconds. */
static bool decay_fast(struct world *world)
{
	decay(world, 25, steady);
	return true;
}

static bool decay_minutes(struct world *world)
{
	decay(world, 600, steady);
	return true;
}

static bool decay_hours(struct world *world)
{
	decay(world, 7200, steady);
	return true;
}

static bool decay_daily(struct world *world)
{
	decay(world, 60, daily);
	return true;
}

/* Chunks become more and smaller; as much is free as before. */
static bool multiply(struct world *world)
{
	double age = (double)(world->second - world->ill_from_s);

	steady(world);
	if (age > 0)
		world->chunk_bytes = 16 + (world->chunk_bytes - 16) * exp(-age / 1200);
	return true;
}

const struct world_kind world_kinds[] = {
	{"steady", "requests that come and go", false, steady},
	{"sawtooth", "a cache that fills and drops within 2 to 30 min", false, sawtooth},
	{"sawtooth-slow", "the same within 2 to 6 h", false, sawtooth_slow},
	{"daily", "more in use by day than by night", false, daily},
	{"steps", "large things are loaded and dropped", false, steps},
	{"growth", "starts and grows to its size", false, growth},
	{"noise", "nothing but noise, a fifth of all", false, noise},
	{"gaps", "steady; minutes without readings", false, gaps},
	{"restarts", "steady; ends and starts again", false, restarts},
	{"decay-fast", "the largest chunk halves in 17 s", true, decay_fast},
	{"decay-daily", "the same in 42 s, beside a daily cycle", true, decay_daily},
	{"decay-minutes", "the same in 7 min", true, decay_minutes},
	{"decay-hours", "the same in 83 min", true, decay_hours},
	{"multiply", "chunks double every 14 min", true, multiply},
};

const unsigned world_kind_count = sizeof(world_kinds) / sizeof(world_kinds[0]);

const struct world_kind *world_kind(const char *name)
{
	for (unsigned i = 0; i < world_kind_count; i++)
		if (!strcmp(world_kinds[i].name, name))
			return &world_kinds[i];
	return NULL;
}

void world_begin(struct world *world, const struct world_kind *kind, uint64_t seed)
{
	*world = (struct world){
		.kind = kind,
		.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1,
		.pid = 1000,
	};
	for (unsigned i = 0; i < 20; i++)
		uniform(world);
	for (unsigned i = 0; i < WORLD_VALUES; i++)
		world->red[i] = normal(world);
}

bool world_next(struct world *world, struct sample *sample)
{
	bool given = world->kind->step(world);
	struct figures *fig = &sample->fig;
	double free_bytes = world->largest + world->crumbs;

	world->second++;
	if (!given)
		return false;
	sample_clear(sample);
	sample->time_ns =
		BEGIN_NS + world->second * NS_PER_S + (int64_t)(5e6 * uniform(world));
	sample->pid = world->pid;
	snprintf(sample->comm, sizeof(sample->comm), "%s", world->kind->name);
	figure_set(fig, FIG_LIVE_BYTES, (uint64_t)world->live);
	figure_set(fig, FIG_FREE_BYTES, (uint64_t)free_bytes);
	figure_set(fig, FIG_LARGEST_FREE_BYTES, (uint64_t)world->largest);
	figure_set(fig, FIG_FREE_CHUNKS,
		   (uint64_t)(world->crumbs / world->chunk_bytes) + 1);
	figures_derive(fig);
	return true;
}
