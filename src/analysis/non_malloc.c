#include "analysis/non_malloc.h"

#include "analysis/runtime.h"
#include "base/machine.h"

#include <string.h>

/* What of the anonymous memory is not malloc's. */
static uint64_t other_anon_bytes(const struct smaps *smaps, const struct figures *fig)
{
	static const enum figure of_malloc[] = {
		FIG_LIVE_RESIDENT_BYTES, FIG_FREE_RESIDENT_BYTES,
		FIG_MMAPPED_RESIDENT_BYTES, FIG_ALLOCATOR_RESIDENT_BYTES};
	uint64_t sum = 0, all = smaps->rss_bytes[SMAPS_ANON];

	for (unsigned i = 0; i < sizeof(of_malloc) / sizeof(*of_malloc); i++)
		if (figure_has(fig, of_malloc[i]))
			sum += fig->v[of_malloc[i]].u;
	return all > sum ? all - sum : 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const char *find_allocator(const struct smaps *smaps)
{
	static const char *const known[] = {"libjemalloc", "libtcmalloc", "libmimalloc"};

	for (unsigned i = 0; i < smaps->count; i++)
		for (unsigned k = 0; k < sizeof(known) / sizeof(*known); k++)
			if (!strncmp(base_name(smaps->name[i].name), known[k],
				     strlen(known[k])))
				return base_name(smaps->name[i].name);
	return "";
}

/* Where not all names are known a library may be among the others. */
static bool is_static(const struct smaps *smaps)
{
	for (unsigned i = 0; i < smaps->count; i++)
		if (smaps->name[i].has_code &&
		    strstr(base_name(smaps->name[i].name), ".so"))
			return false;
	return smaps->count < SMAPS_NAMES;
}

void non_malloc_of(const struct smaps *smaps, const struct figures *fig,
		   struct verdict_non_malloc *non_malloc)
{
	uint64_t anon_bytes = other_anon_bytes(smaps, fig);

	*non_malloc = (struct verdict_non_malloc){
		.is_known = true,
		.is_static = is_static(smaps),
		.anon_bytes = anon_bytes,
		.forked_bytes = smaps->forked_bytes,
		.private_bytes =
			smaps->rss_bytes[SMAPS_ANON] > smaps->forked_bytes
				? smaps->rss_bytes[SMAPS_ANON] - smaps->forked_bytes
				: 0,
		.runtime = runtime_of(smaps, anon_bytes),
		.shared_bytes = smaps->rss_bytes[SMAPS_SHARED],
		.shared_pss_bytes = smaps->pss_bytes[SMAPS_SHARED],
		.file_bytes = smaps->rss_bytes[SMAPS_FILE],
		.page_cache_bytes = smaps->page_cache_bytes,
		.stack_bytes = smaps->rss_bytes[SMAPS_STACK],
		.largest = smaps->count ? smaps->name[0].name : "",
		.largest_bytes = smaps->count ? smaps->name[0].rss_bytes : 0,
		.allocator = find_allocator(smaps),
	};
}

/* khugepaged counts a whole range for each that it looks at (mm/khugepaged.c,
 * khugepaged_scan_mm_slot), so that a turn fills no more than it may scan. */
void huge_refill_of(const struct smaps *smaps, const struct huge *settings,
		    struct verdict_huge *huge)
{
	*huge = (struct verdict_huge){
		.rss_bytes = smaps->rss_bytes[SMAPS_ANON],
		.anon_bytes = smaps->anon_huge_bytes,
	};
	if (!settings || !smaps->has_eligible)
		return;
	huge->is_known = true;
	huge->fills = smaps->eligible_bytes > smaps->rss_bytes[SMAPS_ANON] / 2 &&
		      settings->max_ptes_none && settings->pages_to_scan;
	huge->is_always = settings->is_always;
	huge->page_bytes = settings->page_bytes;
	huge->absent_pages = settings->max_ptes_none;
	if (settings->sleep_ms)
		huge->fill_per_s = (double)settings->pages_to_scan *
				   machine_page_bytes() * 1000 /
				   (double)settings->sleep_ms;
}
