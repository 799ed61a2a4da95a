/* rulebook.h: rules over the readings of the population: which alerts are on, of each
 * process. For one thread. */
#ifndef FRAGSCOPE_EXPORT_RULEBOOK_H
#define FRAGSCOPE_EXPORT_RULEBOOK_H

#include "analysis/rule.h"
#include "export/population.h"
#include "sample/sample.h"

#include <stdint.h>

/* So many processes can be judged at a time. */
enum { RULEBOOK_MAX = 256 };

struct rulebook;

/* By RULES, which must stay. All memory that will be needed. 0 or -ENOMEM. */
int rulebook_new(struct rulebook **rulebook, const struct rules *rules,
		 struct population *population);
void rulebook_free(struct rulebook *rulebook);

/* What SAMPLE of MEMBER, a copy, says: a bit a rule, the alert is on. Population is not
 * locked. False: there is no room to judge another process. */
bool rulebook_judge(struct rulebook *rulebook, const struct export_member *member,
		    const struct sample *sample, uint32_t *alerts);

#endif
