/* replay.h: a recording that `stat` or `run` wrote, CSV or JSON, or `record`, a database,
 * as the samples that it was written from. */
#ifndef FRAGSCOPE_REPLAY_H
#define FRAGSCOPE_REPLAY_H

#include "base/fault.h"
#include "sample/sample.h"
#include "source/source.h"

struct replay;

/* Opens FILE, or a span of it (span.h), "-" being standard input; which of the formats it
 * has is told by its first line. Recordings of other versions are read too: a figure
 * without a column is absent, columns and keys that are not known are passed over
 * (replay_describe). 0, or -errno and FAULT: it cannot be opened, it is a directory,
 * empty, or no recording. */
int replay_open(struct replay **replay, const char *file, struct fault *fault);

/* The next sample with its arenas and bins, in the order of the file; its PID says whose
 * it is. It is valid until the next call. SOURCE_READ; SOURCE_ENDED at the end of the
 * file, or -errno where a line is wrong or cut short, FAULT naming both: the samples
 * before it have been given by then, and the same is returned ever after. -EINTR, which
 * may be tried again: a signal came while a pipe was waited for. A sample is whole when
 * the next one begins, so that of a pipe the latest is one behind. */
int replay_next(struct replay *replay, const struct sample **sample, struct fault *fault);

/* Whether it is CSV without a header, as the rest of a file that was cut: rows have the
 * columns that this version writes, or replay_open fails when there are more or fewer.
 * Rows of arenas before the first process are passed over. */
bool replay_is_tail(const struct replay *replay);

/* One line for a header: the file, its format, and what was passed over up to now. Owned
 * by REPLAY; valid until the next call of any of these. */
const char *replay_describe(struct replay *replay);

void replay_close(struct replay *replay);

#endif
