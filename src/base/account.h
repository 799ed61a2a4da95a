/* account.h: an account of processor time: it gains a share of the time that passes and
 * pays for what is used, so that what is used stays within the share. */
#ifndef FRAGSCOPE_ACCOUNT_H
#define FRAGSCOPE_ACCOUNT_H

#include <stdint.h>

/* What was not used is kept for some seconds only: a quiet hour must not pay for a burst.
 * What was overdrawn is never forgotten. */
struct account {
	double share;	  /* of one core; above 0 */
	int64_t since_ns; /* CLOCK_MONOTONIC, up to when the share was gained */
	double balance_ns;
	double owed_ns; /* to be paid yet */
};

void account_open(struct account *account, double share, int64_t now_ns);

/* Gains what is due at NOW_NS; SHARE holds from then on. */
void account_gain(struct account *account, double share, int64_t now_ns);

/* CPU_NS may be negative: something was taken for another's. */
void account_pay(struct account *account, int64_t cpu_ns);

/* CPU_NS of what others ask for and what cannot wait, such as answers to them: paid by
 * half of what is gained from now on, so that who asks without end does not take the
 * other half. More than half a minute of that is not owed. */
void account_owe(struct account *account, int64_t cpu_ns);

/* How long nothing may be used until no more than CREDIT_NS are overdrawn; 0: it may be
 * now. */
int64_t account_wait_ns(const struct account *account, double credit_ns);

#endif
