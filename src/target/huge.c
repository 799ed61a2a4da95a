#include "target/huge.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int number(const char *directory, const char *name, uint64_t *value)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return file_number(path, value);
}

/* The choice in brackets. From Linux 6.8 on each size may have its own. */
static int read_choice(const char *directory, struct huge *huge)
{
	char path[256], text[128];
	int error;

	snprintf(path, sizeof(path), "%s/hugepages-%llukB/enabled", directory,
		 (unsigned long long)(huge->page_bytes >> 10));
	if (!file_text(path, text, sizeof(text)) && !strstr(text, "[inherit]")) {
		huge->is_always = strstr(text, "[always]") != NULL;
		return 0;
	}
	snprintf(path, sizeof(path), "%s/enabled", directory);
	error = file_text(path, text, sizeof(text));
	huge->is_always = strstr(text, "[always]") != NULL;
	return error;
}

int huge_read_at(const char *directory, struct huge *huge)
{
	*huge = (struct huge){0};
	if (number(directory, "hpage_pmd_size", &huge->page_bytes) ||
	    number(directory, "khugepaged/max_ptes_none", &huge->max_ptes_none) ||
	    number(directory, "khugepaged/pages_to_scan", &huge->pages_to_scan) ||
	    number(directory, "khugepaged/scan_sleep_millisecs", &huge->sleep_ms) ||
	    !huge->page_bytes)
		return -ENOENT;
	return read_choice(directory, huge);
}

int huge_read(struct huge *huge)
{
	return huge_read_at("/sys/kernel/mm/transparent_hugepage", huge);
}
