/* non_malloc.h: what else is resident besides malloc's memory, and what of it is in huge
 * pages, out of the mappings and a reading of the same instant. Pure functions. */
#ifndef FRAGSCOPE_NON_MALLOC_H
#define FRAGSCOPE_NON_MALLOC_H

#include "analysis/verdict.h"
#include "sample/mappings.h"
#include "sample/sample.h"

/* Fills NON_MALLOC, whose strings are SMAPS's. */
void non_malloc_of(const struct smaps *smaps, const struct figures *fig,
		   struct verdict_non_malloc *non_malloc);

/* Fills HUGE from SMAPS and the host's SETTINGS; null: they are not known. */
void huge_refill_of(const struct smaps *smaps, const struct huge *settings,
		    struct verdict_huge *huge);

#endif
