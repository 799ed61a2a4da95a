/* headroom_now.h: what the limits of a running process leave it, for rules about them. */
#ifndef FRAGSCOPE_HEADROOM_NOW_H
#define FRAGSCOPE_HEADROOM_NOW_H

#include "analysis/headroom.h"
#include "analysis/rule.h"
#include "sample/sample.h"

/* Fills HEADROOM with what FIG, just read of process PID, is compared with, and returns
 * it; null when no rule of RULES needs it. What could not be read is absent. */
const struct headroom *headroom_now(int pid, const struct rules *rules,
				    const struct figures *fig, struct headroom *headroom);

#endif
