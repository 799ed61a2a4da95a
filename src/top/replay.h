/* replay.h: plays a recording at any speed. */
#ifndef FRAGSCOPE_TOP_REPLAY_H
#define FRAGSCOPE_TOP_REPLAY_H

#include "base/fault.h"
#include "engine/targets.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

struct replayer;
struct days;

/* Looks through FILE for the processes PIDS and NAMES, or all, and stands at its
 * beginning. 0, or -errno and FAULT, also when there is no sample in it, or one of them
 * is not, or there are more than FEED_TARGETS. */
int replayer_open(struct replayer **replayer, const char *file,
		  const struct pid_list *pids, const struct name_list *names,
		  double speed, struct fault *fault);
void replayer_close(struct replayer *replayer);

/* The processes of the recording. */
unsigned replayer_targets(const struct replayer *replayer);
int replayer_pid(const struct replayer *replayer, unsigned target);
const char *replayer_comm(const struct replayer *replayer, unsigned target);
unsigned replayer_arenas(const struct replayer *replayer, unsigned target);

/* From one reading of a process to its next: see contents_interval_ns. */
int64_t replayer_interval_ns(const struct replayer *replayer);

/* The next sample whose time has come, and whose it is; null: none has. It is valid until
 * the next call. */
const struct sample *replayer_take(struct replayer *replayer, unsigned *target);

/* The next one, whether its time has come or not; null: there is none. */
const struct sample *replayer_step(struct replayer *replayer, unsigned *target);

/* Whether TARGET has no further sample behind the last one. */
bool replayer_is_last(const struct replayer *replayer, unsigned target);

/* How long until there is something to take; -1: there will be nothing. */
int64_t replayer_wait_ns(const struct replayer *replayer);

/* Stands still, and goes on. */
void replayer_hold(struct replayer *replayer, bool hold);

/* Whether all was played: WHY says how it ended. CUT: not as a recording ends. */
bool replayer_over(const struct replayer *replayer, bool *cut, const char **why);

/* The recording of days that is played; null: it is one of rows, which can only be played
 * on. */
struct days *replayer_days(const struct replayer *replayer);

/* The days were sought in: what comes next is behind AT_NS. */
void replayer_moved(struct replayer *replayer, int64_t at_ns);

/* When the latest one was that was handed out. */
int64_t replayer_taken_ns(const struct replayer *replayer);

double replayer_speed(const struct replayer *replayer);

/* A line about the recording. */
const char *replayer_describe(const struct replayer *replayer);

#endif
