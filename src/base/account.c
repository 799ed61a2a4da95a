#include "base/account.h"

/* Two seconds' worth: enough for a reading to come early, too little for a burst to be
 * seen in an average over ten. */
#define KEPT_NS 2e9
#define OWED_NS 30e9

void account_open(struct account *account, double share, int64_t now_ns)
{
	*account = (struct account){.share = share, .since_ns = now_ns};
}

void account_gain(struct account *account, double share, int64_t now_ns)
{
	double most_ns = KEPT_NS * account->share;
	double gained_ns = account->share * (double)(now_ns - account->since_ns);
	double paid_ns =
		account->owed_ns < gained_ns / 2 ? account->owed_ns : gained_ns / 2;

	account->owed_ns -= paid_ns;
	account->balance_ns += gained_ns - paid_ns;
	if (account->balance_ns > most_ns)
		account->balance_ns = most_ns;
	account->share = share;
	account->since_ns = now_ns;
}

void account_pay(struct account *account, int64_t cpu_ns)
{
	account->balance_ns -= (double)cpu_ns;
}

void account_owe(struct account *account, int64_t cpu_ns)
{
	double most_ns = OWED_NS * account->share / 2;

	account->owed_ns += (double)cpu_ns;
	if (account->owed_ns > most_ns)
		account->owed_ns = most_ns;
}

int64_t account_wait_ns(const struct account *account, double credit_ns)
{
	double overdrawn_ns = -account->balance_ns - credit_ns;

	return overdrawn_ns > 0 ? (int64_t)(overdrawn_ns / account->share) : 0;
}
