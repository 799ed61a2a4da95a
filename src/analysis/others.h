/* others.h: what else is resident besides malloc's memory, and what of it is in huge
 * pages, out of the mappings and a reading of the same instant. Pure functions. */
#ifndef FRAGSCOPE_OTHERS_H
#define FRAGSCOPE_OTHERS_H

#include "analysis/verdict.h"
#include "sample/mappings.h"
#include "sample/sample.h"

/* Fills OTHERS, whose strings are SMAPS's. */
void others_of(const struct smaps *smaps, const struct figures *fig,
	       struct verdict_others *others);

/* Fills HUGE from SMAPS and the host's SETTINGS; null: they are not known. */
void others_huge(const struct smaps *smaps, const struct huge *settings,
		 struct verdict_huge *huge);

#endif
