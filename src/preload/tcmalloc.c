#include "preload/asker.h"

/* The interface that gperftools' tcmalloc has for C. */
int MallocExtension_GetNumericProperty(const char *name, size_t *value);
void MallocExtension_ReleaseFreeMemory(void);
const char *tc_version(int *major, int *minor, const char **patch);
#pragma weak MallocExtension_GetNumericProperty
#pragma weak MallocExtension_ReleaseFreeMemory
#pragma weak tc_version

/* One property, and the figure that it is or is a part of. */
static const struct {
	const char *name;
	enum ring_figure figure;
} properties[] = {
	{"generic.current_allocated_bytes", RING_LIVE_BYTES},
	{"generic.heap_size", RING_MAPPED_BYTES},
	{"tcmalloc.pageheap_unmapped_bytes", RING_UNMAPPED_BYTES},
	{"tcmalloc.pageheap_free_bytes", RING_DIRTY_BYTES},
	{"tcmalloc.current_total_thread_cache_bytes", RING_THREAD_CACHE_BYTES},
	{"tcmalloc.pageheap_free_bytes", RING_FREE_BYTES},
	{"tcmalloc.central_cache_free_bytes", RING_FREE_BYTES},
	{"tcmalloc.transfer_cache_free_bytes", RING_FREE_BYTES},
};

static bool start(char name[RING_NAME])
{
	int major, minor;
	const char *patch;
	size_t value;

	if (!MallocExtension_GetNumericProperty ||
	    !host_malloc_is_beside((const void *)MallocExtension_GetNumericProperty) ||
	    !MallocExtension_GetNumericProperty(properties[0].name, &value))
		return false;
	name[0] = '\0';
	host_append(name, "tcmalloc");
	if (tc_version) {
		/* "gperftools 2.10" */
		const char *version = tc_version(&major, &minor, &patch);

		while (*version && (*version < '0' || *version > '9'))
			version++;
		host_append(name, "-");
		host_append(name, version);
	}
	return true;
}

/* Properties are asked for one after the other: of a program at work they are of instants
 * some microseconds apart. A figure of several is there when all of them are. */
static void totals(struct ring_sample *sample)
{
	uint64_t gone = 0;

	for (unsigned i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
		enum ring_figure figure = properties[i].figure;
		bool again = sample->have >> figure & 1;
		size_t value;

		if (MallocExtension_GetNumericProperty(properties[i].name, &value))
			sample_put(sample, figure,
				   again ? sample->value[figure] + value : value);
		else
			gone |= UINT64_C(1) << figure;
	}
	sample->have &= ~gone;
}

static void trim(void)
{
	if (MallocExtension_ReleaseFreeMemory)
		MallocExtension_ReleaseFreeMemory();
}

const struct asker asker_tcmalloc = {
	.kind = RING_TCMALLOC,
	.start = start,
	.totals = totals,
	.trim = trim,
};
