#include "preload/allocator_ops.h"
#include "preload/info.h"

#include <malloc.h>
#include <stdio.h>

/* By hand, for the headers of one glibc do not know what another one has. */
struct fields_now {
	size_t field[10];
};

struct fields_before {
	int field[10];
};

struct fields_now glibc_mallinfo2(void) __asm__("mallinfo2");
struct fields_before glibc_mallinfo(void) __asm__("mallinfo");
const char *gnu_get_libc_version(void);
#pragma weak glibc_mallinfo2
#pragma weak glibc_mallinfo
#pragma weak gnu_get_libc_version
#pragma weak malloc_info
#pragma weak malloc_trim
#pragma weak fopencookie

/* In the order of the fields. */
enum info_field {
	ARENA,
	ORDBLKS,
	SMBLKS,
	HBLKS,
	HBLKHD,
	USMBLKS,
	FSMBLKS,
	UORDBLKS,
	FORDBLKS,
	KEEPCOST,
	FIELDS,
};

_Static_assert(RING_MALLINFO2 + FIELDS == RING_MALLINFO2_END, "a figure for each field");

/* Fields that are figures by another name. */
static const struct {
	enum info_field field;
	enum ring_figure figure;
} also[] = {
	{ARENA, RING_SYSTEM_BYTES},   {FORDBLKS, RING_FREE_BYTES},
	{SMBLKS, RING_FAST_CHUNKS},   {FSMBLKS, RING_FAST_BYTES},
	{HBLKS, RING_MMAPPED_CHUNKS}, {HBLKHD, RING_MMAPPED_BYTES},
};

/* What malloc_info writes to: a stream without a file, with a buffer of our own, for one
 * without would take it from the heap. */
static struct {
	FILE *stream;
	char buffer[4096];
	struct info info;
	volatile bool busy;
} report;

/* Also called by whoever flushes all streams; the stream's lock keeps it apart. */
static ssize_t take_text(void *cookie, const char *text, size_t bytes)
{
	(void)cookie;
	if (report.busy)
		info_feed(&report.info, text, bytes);
	return (ssize_t)bytes;
}

/* The only memory of the host's heap that is ever taken: once, before its main. */
static void make_stream(void)
{
	const cookie_io_functions_t functions = {.write = take_text};

	report.busy = false;
	report.stream =
		malloc_info && fopencookie ? fopencookie(NULL, "w", functions) : NULL;
	if (report.stream)
		setvbuf(report.stream, report.buffer, _IOFBF, sizeof(report.buffer));
}

static bool start(char name[RING_NAME])
{
	if (!host_malloc_is_beside((const void *)gnu_get_libc_version) ||
	    (!glibc_mallinfo2 && !glibc_mallinfo))
		return false;
	name[0] = '\0';
	host_append(name, "glibc-");
	host_append(name, gnu_get_libc_version());
	make_stream();
	return true;
}

static struct fields_now widened(struct fields_before before)
{
	struct fields_now now;

	for (unsigned i = 0; i < FIELDS; i++)
		now.field[i] = (unsigned)before.field[i];
	return now;
}

static void totals(struct ring_sample *sample)
{
	struct fields_now now;

	if (glibc_mallinfo2) {
		now = glibc_mallinfo2();
	} else {
		now = widened(glibc_mallinfo());
		sample->flags |= RING_WRAPS;
	}
	for (unsigned i = 0; i < FIELDS; i++)
		sample_put(sample, RING_MALLINFO2 + i, now.field[i]);
	for (unsigned i = 0; i < sizeof(also) / sizeof(also[0]); i++)
		sample_put(sample, also[i].figure, now.field[also[i].field]);
}

static bool detail(struct ring_sample *sample)
{
	bool whole;

	if (!report.stream)
		return false;
	info_begin(&report.info, sample);
	report.busy = true;
	whole = !malloc_info(0, report.stream) && !fflush(report.stream);
	report.busy = false;
	return info_end(&report.info) && whole;
}

/* A stream that the fork caught half written is left alone for ever. */
static void forked(void)
{
	if (report.busy)
		make_stream();
}

static void trim(void)
{
	malloc_trim(0);
}

const struct allocator_ops allocator_ops_glibc = {
	.kind = RING_GLIBC,
	.start = start,
	.totals = totals,
	.detail = detail,
	.forked = forked,
	.trim = trim,
};
