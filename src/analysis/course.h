/* course.h: how a process's figures, and what it uses of each limit, moved over the
 * readings of a report: the values, thinned where they are many, and their trends. */
#ifndef FRAGSCOPE_COURSE_H
#define FRAGSCOPE_COURSE_H

#include "analysis/arena_course.h"
#include "analysis/room.h"
#include "analysis/verdict.h"
#include "sample/sample.h"
#include "series/track.h"

#include <stddef.h>

enum { COURSE_FIGURES = 9, COURSE_POINTS = 512 };

/* The figures that are followed, in the order in which they are told. */
extern const enum figure course_figure[COURSE_FIGURES];

struct course;

/* Takes all memory that is ever needed. 0 or -ENOMEM. */
int course_new(struct course **course);

/* The same for course_arenas, course_reach and course_span_s alone, in half of the
 * memory.
 */
int course_new_limits(struct course **course);
void course_free(struct course *course);

/* Adds a reading; figures that it does not have are gaps. ROOM, of the same instant, may
 * be null. */
void course_add(struct course *course, const struct sample *sample,
		const struct room *room);

/* The trend of course_figure[I]; of live_bytes and mmapped_bytes together. */
void course_trend(struct course *course, unsigned i, struct verdict_trend *trend);
void course_held(struct course *course, struct verdict_trend *trend);

/* The points of course_figure[I], COURSE_POINTS at most, into OUT; how many. */
size_t course_points(const struct course *course, unsigned i, struct track_point *out);

/* What the arenas held, each and together. */
void course_arenas(const struct course *course, struct arena_peaks *peaks);

/* When each limit of ROOM is reached at the rate of the readings; OUT has ROOM_KINDS. */
void course_reach(struct course *course, const struct room *room, struct room_reach *out);

/* Seconds from the first reading to the last. */
double course_span_s(const struct course *course);

#endif
