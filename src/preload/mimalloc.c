#include "preload/asker.h"

/* All that mimalloc tells in numbers: the rest of its statistics is text in rounded
 * units, and what a thread holds is counted in when the thread ends. */
void mi_process_info(size_t *elapsed_ms, size_t *user_ms, size_t *system_ms, size_t *rss,
		     size_t *peak_rss, size_t *commit, size_t *peak_commit,
		     size_t *faults);
int mi_version(void);
#pragma weak mi_process_info
#pragma weak mi_version

static __typeof__(&mi_process_info) process_info;

/* Three digits, as 209 for 2.0.9; a number of another form is not guessed at. */
static void append_version(char name[RING_NAME])
{
	int version = mi_version();
	char text[] = "-?.?.?";

	if (version < 100 || version > 999)
		return;
	text[1] = (char)('0' + version / 100);
	text[3] = (char)('0' + version / 10 % 10);
	text[5] = (char)('0' + version % 10);
	host_append(name, text);
}

static bool start(char name[RING_NAME])
{
	process_info = (__typeof__(process_info))host_find("mi_process_info",
							   (const void *)mi_process_info);
	if (!process_info || !host_malloc_is_beside((const void *)process_info))
		return false;
	name[0] = '\0';
	host_append(name, "mimalloc");
	if (mi_version)
		append_version(name);
	return true;
}

static void totals(struct ring_sample *sample)
{
	size_t ignored, commit;

	process_info(&ignored, &ignored, &ignored, &ignored, &ignored, &commit, &ignored,
		     &ignored);
	sample_put(sample, RING_MAPPED_BYTES, commit);
}

const struct asker asker_mimalloc = {
	.kind = RING_MIMALLOC,
	.start = start,
	.totals = totals,
};
