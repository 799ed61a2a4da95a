/* By the system calls: they are a thread's own, as is wanted, and take no memory; libcap
 * allocates each set. */
#include "base/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORDS = 2, WORD_BITS = 32 };

/* Memory of other users' processes, their files in /proc and the program files that are
 * mapped in them; probes. */
static const unsigned needed[] = {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_BPF,
				  CAP_PERFMON, CAP_CHECKPOINT_RESTORE};

/* Of these what opens and reads; the last is for /proc/PID/map_files. */
static const unsigned reading[] = {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH,
				   CAP_CHECKPOINT_RESTORE};

struct sets {
	struct __user_cap_data_struct word[WORDS];
};

static int get(struct sets *sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &header, sets->word) ? -errno : 0;
}

static int put(const struct sets *sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capset, &header, sets->word) ? -errno : 0;
}

/* Whether this program is more than its user: by its file, or by capabilities that were
 * given to a user other than root. */
static bool is_more(void)
{
	struct sets sets;

	return getauxval(AT_SECURE) ||
	       (getuid() && !get(&sets) &&
		(sets.word[0].permitted || sets.word[1].permitted));
}

/* A program file's user and group go, its capabilities stay. */
static int be_the_caller(void)
{
	uid_t user = getuid();
	gid_t group = getgid();

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setresgid(group, group, group) ||
	    setresuid(user, user, user) || prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))
		return -errno;
	return 0;
}

int privilege_set_aside(void)
{
	struct sets sets, aside = {0};
	int error;

	if (!is_more())
		return 0;
	/* The one variable that would have a library of ours speak to a network. */
	if (unsetenv("DEBUGINFOD_URLS"))
		return -errno;
	error = be_the_caller();
	if (!error)
		error = get(&sets);
	if (error)
		return error;
	for (unsigned i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		aside.word[needed[i] / WORD_BITS].permitted |=
			1U << needed[i] % WORD_BITS &
			sets.word[needed[i] / WORD_BITS].permitted;
	return put(&aside);
}

/* Puts all that is permitted in force, or nothing. */
static struct privilege change(bool all)
{
	struct privilege before = {0};
	struct sets sets;

	if (get(&sets))
		return before;
	for (unsigned i = 0; i < WORDS; i++) {
		before.effective[i] = sets.word[i].effective;
		sets.word[i].effective = all ? sets.word[i].permitted : 0;
	}
	put(&sets);
	return before;
}

struct privilege privilege_raise(void)
{
	return change(true);
}

struct privilege privilege_lower(void)
{
	struct privilege before = {0};
	struct sets sets;

	if (is_more())
		return change(false);
	if (!get(&sets))
		for (unsigned i = 0; i < WORDS; i++)
			before.effective[i] = sets.word[i].effective;
	return before;
}

void privilege_restore(struct privilege before)
{
	struct sets sets;

	if (get(&sets))
		return;
	for (unsigned i = 0; i < WORDS; i++)
		sets.word[i].effective = before.effective[i] & sets.word[i].permitted;
	put(&sets);
}

void privilege_drop(void)
{
	const struct sets none = {0};

	if (is_more())
		put(&none);
}

/* SETS of what is among the COUNT NUMBERS and was permitted before; in force too. */
static struct sets only(const struct sets *before, const unsigned *number, size_t count)
{
	struct sets sets = {0};

	for (size_t i = 0; i < count; i++) {
		unsigned word = number[i] / WORD_BITS, bit = 1U << number[i] % WORD_BITS;

		sets.word[word].permitted |= bit & before->word[word].permitted;
		sets.word[word].effective = sets.word[word].permitted;
	}
	return sets;
}

/* Root becomes USER and GROUP with the COUNT capabilities of NUMBER. */
static void become(uid_t user, gid_t group, const unsigned *number, size_t count)
{
	struct sets before, sets;

	if (geteuid() || prctl(PR_CAPBSET_READ, CAP_CHECKPOINT_RESTORE, 0, 0, 0) < 0 ||
	    get(&before))
		return;
	sets = only(&before, number, count);
	prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	/* Without another user capabilities alone would keep nobody from anything. */
	if (!syscall(SYS_setgroups, 0, NULL) &&
	    !syscall(SYS_setresgid, group, group, group) &&
	    !syscall(SYS_setresuid, user, user, user))
		put(&sets);
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
}

void privilege_to_reading(void)
{
	become(PRIVILEGE_NOBODY, PRIVILEGE_NOBODY, reading,
	       sizeof(reading) / sizeof(*reading));
}

void privilege_settle(uid_t user, gid_t group, bool probes)
{
	const unsigned *number = probes ? needed : reading;
	size_t count = probes ? sizeof(needed) / sizeof(*needed)
			      : sizeof(reading) / sizeof(*reading);

	become(user, group, number, count);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
