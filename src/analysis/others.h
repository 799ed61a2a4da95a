/* others.h: what else is resident besides malloc's memory, out of the mappings and a
 * reading of the same instant. A pure function. */
#ifndef FRAGSCOPE_OTHERS_H
#define FRAGSCOPE_OTHERS_H

#include "analysis/verdict.h"
#include "sample/sample.h"
#include "target/smaps.h"

/* Fills OTHERS, whose strings are SMAPS's. */
void others_of(const struct smaps *smaps, const struct figures *fig,
	       struct verdict_others *others);

#endif
