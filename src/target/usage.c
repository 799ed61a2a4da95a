#include "target/usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The value of the line "KEY:   N kB" in TEXT, as bytes. */
static int field_bytes(const char *text, const char *key, uint64_t *bytes)
{
	const char *at = text;
	size_t length = strlen(key);

	while (at && strncmp(at, key, length) != 0) {
		at = strchr(at, '\n');
		at += at != NULL;
	}
	if (!at)
		return -EPROTO;
	*bytes = strtoull(at + length, NULL, 10) << 10;
	return 0;
}

int usage_exact(const struct process *process, struct usage *usage)
{
	char text[4096];
	ssize_t got = pread(process->rollup_fd, text, sizeof(text) - 1, 0);

	if (got < 0)
		return -errno;
	if (got == 0)
		return -ESRCH;
	text[got] = '\0';
	usage->has_pss = true;
	usage->has_huge = !field_bytes(text, "AnonHugePages:", &usage->anon_huge_bytes);
	if (field_bytes(text, "Rss:", &usage->rss_bytes) ||
	    field_bytes(text, "Pss:", &usage->pss_bytes) ||
	    field_bytes(text, "Swap:", &usage->swap_bytes))
		return -EPROTO;
	return 0;
}

int usage_quick(const struct process *process, struct usage *usage)
{
	char text[4096];
	ssize_t got = process_text(process->pid, "status", text, sizeof(text));

	if (got < 0)
		return got;
	usage->has_pss = usage->has_huge = false;
	if (field_bytes(text, "VmRSS:", &usage->rss_bytes) ||
	    field_bytes(text, "VmSwap:", &usage->swap_bytes))
		return -ESRCH; /* a zombie's status has neither line */
	return 0;
}
