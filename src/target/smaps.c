#include "target/smaps.h"

#include "base/file.h"
#include "target/maps.h"
#include "target/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 << 10 };

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Whether malloc's memory may be in mappings of this NAME: glibc.mem.decorate_maps gives
 * them one. */
static bool is_of_malloc(const char *name)
{
	return !*name || !strcmp(name, "[heap]") || begins(name, "[anon: glibc: malloc");
}

static enum smaps_kind kind_of(const struct mapping *mapping)
{
	static const char *const shared[] = {"/memfd:", "/dev/shm/", "/SYSV", "/dev/zero",
					     "[anon_shmem:"};
	const char *name = mapping->name;

	if (!mapping->inode && (is_of_malloc(name) || begins(name, "[anon:")))
		return SMAPS_ANON;
	if (!strcmp(name, "[stack]"))
		return SMAPS_STACK;
	for (unsigned i = 0; i < sizeof(shared) / sizeof(*shared); i++)
		if (begins(name, shared[i]))
			return SMAPS_SHARED;
	return SMAPS_FILE;
}

/* The end of a path tells more than its beginning. */
static void keep_name(char *to, const char *name)
{
	size_t length = strlen(name);

	if (length < SMAPS_NAME)
		memcpy(to, name, length + 1);
	else
		snprintf(to, SMAPS_NAME, "...%s", name + length - (SMAPS_NAME - 4));
}

/* The place of NAME, or -1 when there is no room. */
static int place_of(struct smaps *smaps, enum smaps_kind kind, const char *name)
{
	struct smaps_name kept = {.kind = kind};

	keep_name(kept.name, name);
	for (unsigned i = 0; i < smaps->count; i++)
		if (!strcmp(smaps->name[i].name, kept.name))
			return (int)i;
	if (smaps->count == SMAPS_NAMES)
		return -1;
	smaps->name[smaps->count] = kept;
	return (int)smaps->count++;
}

void smaps_begin(struct smaps *smaps)
{
	*smaps = (struct smaps){.current = -1};
}

/* Where Go's runtime wants its first arena (runtime/malloc.go, mallocinit), on x86-64 and
 * on others; from Linux 5.17 on it has its mappings named, if the kernel can. */
static bool is_of_go(const struct mapping *mapping)
{
	return mapping->start == UINT64_C(0xc000000000) ||
	       mapping->start == UINT64_C(0x4000000000) ||
	       begins(mapping->name, "[anon: Go:");
}

static void begin_mapping(struct smaps *smaps, char *line)
{
	struct mapping mapping;

	if (maps_parse(line, &mapping))
		return;
	smaps->kind = kind_of(&mapping);
	smaps->mapping_rss_bytes = 0;
	smaps->current = is_of_malloc(mapping.name) && !mapping.inode
				 ? -1
				 : place_of(smaps, smaps->kind, mapping.name);
	if (smaps->kind == SMAPS_ANON && is_of_go(&mapping))
		smaps->has_go = true;
	if (smaps->current >= 0 && mapping.flags & MAP_EXEC)
		smaps->name[smaps->current].has_code = true;
}

static void take_rss(struct smaps *smaps, uint64_t bytes)
{
	smaps->mapping_rss_bytes = bytes;
	smaps->rss_bytes[smaps->kind] += bytes;
	if (smaps->current >= 0)
		smaps->name[smaps->current].rss_bytes += bytes;
}

/* A mapping's first line begins with an address in small letters, a field with a capital.
 */
void smaps_line(struct smaps *smaps, char *line)
{
	uint64_t value;

	if (!(*line >= 'A' && *line <= 'Z')) {
		begin_mapping(smaps, line);
	} else if (begins(line, "Rss:") && !file_field(line, "Rss", &value)) {
		take_rss(smaps, value << 10);
	} else if (begins(line, "Pss:") && !file_field(line, "Pss", &value)) {
		smaps->pss_bytes[smaps->kind] += value << 10;
	} else if (smaps->kind != SMAPS_ANON) {
		return;
	} else if (!file_field(line, "AnonHugePages", &value)) {
		smaps->anon_huge_bytes += value << 10;
	} else if (!file_field(line, "Shared_Clean", &value) ||
		   !file_field(line, "Shared_Dirty", &value)) {
		smaps->forked_bytes += value << 10;
	} else if (!file_field(line, "THPeligible", &value)) {
		smaps->has_eligible = true;
		smaps->eligible_bytes += value ? smaps->mapping_rss_bytes : 0;
	}
}

static int by_size(const void *one, const void *other)
{
	const struct smaps_name *a = one, *b = other;

	return (a->rss_bytes < b->rss_bytes) - (a->rss_bytes > b->rss_bytes);
}

void smaps_end(struct smaps *smaps)
{
	qsort(smaps->name, smaps->count, sizeof(*smaps->name), by_size);
}

static void take_lines(struct smaps *smaps, char *text, size_t *held)
{
	char *line = text, *newline;

	while ((newline = memchr(line, '\n', *held - (size_t)(line - text)))) {
		*newline = '\0';
		smaps_line(smaps, line);
		line = newline + 1;
	}
	*held -= (size_t)(line - text);
	memmove(text, line, *held);
}

static bool has_any(const struct smaps *smaps)
{
	for (unsigned kind = 0; kind < SMAPS_KINDS; kind++)
		if (smaps->rss_bytes[kind])
			return true;
	return smaps->count != 0;
}

/* Pages of drivers count as files' for the kernel, and it cannot take them back: the
 * rings of packet sockets and of io_uring. */
static uint64_t driver_bytes(const struct smaps *smaps)
{
	static const char *const names[] = {"socket:[", "anon_inode:", "/dev/"};
	uint64_t sum = 0;

	for (unsigned i = 0; i < smaps->count; i++)
		for (unsigned j = 0; j < sizeof(names) / sizeof(*names); j++)
			if (smaps->name[i].kind == SMAPS_FILE &&
			    begins(smaps->name[i].name, names[j]))
				sum += smaps->name[i].rss_bytes;
	return sum;
}

/* What is locked in memory may be of files: that much does not count. The kernel adds up
 * its counters of processors roughly, by some hundred KB a processor. */
static uint64_t page_cache_bytes(int pid, const struct smaps *smaps)
{
	char text[4096];
	uint64_t file, locked, others = driver_bytes(smaps);

	if (process_text(pid, "status", text, sizeof(text)) < 0 ||
	    file_field(text, "RssFile", &file) || file_field(text, "VmLck", &locked))
		return 0;
	others += locked << 10;
	return file << 10 > others ? (file << 10) - others : 0;
}

int smaps_read(int pid, struct smaps *smaps)
{
	char path[64], text[BUFFER_BYTES];
	size_t held = 0;
	ssize_t got;
	int fd;

	smaps_begin(smaps);
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((got = read(fd, text + held, sizeof(text) - held)) > 0) {
		held += (size_t)got;
		take_lines(smaps, text, &held);
		if (held == sizeof(text))
			break;
	}
	got = got < 0 ? -errno : 0;
	close(fd);
	smaps_end(smaps);
	smaps->page_cache_bytes = page_cache_bytes(pid, smaps);
	if (held && !got)
		return -EPROTO;
	/* Without an address space it is empty. */
	return !got && !has_any(smaps) ? -ESRCH : (int)got;
}
