/* test_fold.c: tables of stacks to the letter, and sums that are exact. */
#include "view/callers.h"
#include "view/events.h"
#include "view/fold.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define K UINT64_C(1024)

static struct fold *fold;
static int file;
static char output[1 << 20];

static int setup(void **state)
{
	(void)state;
	file = memfd_create("fold", MFD_CLOEXEC);
	return file < 0 || fold_new(&fold, 64) ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	fold_free(fold);
	close(file);
	return 0;
}

/* What was written since the last call. */
static const char *written(void)
{
	ssize_t length = pread(file, output, sizeof(output) - 1, 0);

	assert_in_range(length, 0, sizeof(output) - 2);
	output[length] = '\0';
	assert_int_equal(ftruncate(file, 0), 0);
	lseek(file, 0, SEEK_SET);
	return output;
}

static const char *table(void)
{
	assert_int_equal(fold_table(fold, file), 0);
	return written();
}

static const char *folded(void)
{
	assert_int_equal(fold_folded(fold, file), 0);
	return written();
}

static void push(struct event *event, const char *function, const char *module,
		 uint64_t offset)
{
	event->frame[event->frame_count++] =
		(struct frame){.function = function, .module = module, .offset = offset};
	event->has |= EVENT_HAS_STACK;
}

/* An event in INNER of MIDDLE of main; a null name is no frame. */
static int add(enum event_kind kind, uint64_t bytes, const char *inner,
	       const char *middle)
{
	static struct event event;

	memset(&event, 0, sizeof(event));
	event.kind = kind;
	event.has = EVENT_HAS_BYTES;
	event.bytes = bytes;
	event.stack_whole = true;
	if (inner)
		push(&event, inner, "libc.so.6", 1);
	if (middle)
		push(&event, middle, "server", 2);
	push(&event, "main", "server", 3);
	return fold_add(fold, &event);
}

#define HEAD "   bytes  growths failures stack\n"

static void nothing(void **state)
{
	(void)state;
	assert_string_equal(table(), HEAD "       0        0        0 [total]\n");
	assert_string_equal(folded(), "");
}

static void rows_by_bytes_then_failures(void **state)
{
	(void)state;
	assert_int_equal(add(EVENT_BRK, 132 * K, "malloc", "parse"), 0);
	assert_int_equal(add(EVENT_FAILURE, 999 * K, "malloc", "idle"), 0);
	assert_int_equal(add(EVENT_MMAP, 200 * K, "calloc", "index"), 0);
	assert_int_equal(add(EVENT_MPROTECT, 132 * K, "malloc", "parse"), 0);
	assert_int_equal(add(EVENT_FAILURE, 999 * K, "malloc", "busy"), 0);
	assert_int_equal(add(EVENT_FAILURE, 999 * K, "malloc", "busy"), 0);
	assert_int_equal(add(EVENT_FAILURE, 999 * K, "calloc", "index"), 0);
	assert_string_equal(table(), HEAD "    264K        2        0 main;parse;malloc\n"
					  "    200K        1        1 main;index;calloc\n"
					  "       0        0        2 main;busy;malloc\n"
					  "       0        0        1 main;idle;malloc\n"
					  "    464K        3        4 [total]\n");
	assert_string_equal(folded(), "main;parse;malloc 270336\n"
				      "main;index;calloc 204800\n");
}

static void the_best_rows(void **state)
{
	struct fold_row row[2];

	(void)state;
	assert_int_equal(fold_best(fold, row, 2), 0);
	add(EVENT_FAILURE, K, "malloc", "busy");
	add(EVENT_BRK, 132 * K, "malloc", "parse");
	add(EVENT_BRK, 200 * K, "calloc", "index");
	assert_int_equal(fold_best(fold, row, 2), 2);
	assert_string_equal(row[0].stack, "main;index;calloc");
	assert_int_equal(row[0].bytes, 200 * K);
	assert_int_equal(row[1].growths, 1);
	assert_int_equal(row[1].failures, 0);
}

static void other_events_do_not_count(void **state)
{
	(void)state;
	assert_int_equal(add(EVENT_THRESHOLD, K, "free", "main"), 0);
	assert_int_equal(add(EVENT_KILL, K, "free", "main"), 0);
	assert_string_equal(table(), HEAD "       0        0        0 [total]\n");
}

static void offsets_do_not_part_functions(void **state)
{
	static struct event event;

	(void)state;
	event.has = EVENT_HAS_BYTES;
	event.bytes = K;
	event.stack_whole = true;
	push(&event, "malloc", "libc.so.6", 1);
	push(&event, NULL, "plugin.so", 0x1234);
	push(&event, NULL, NULL, 0);
	assert_int_equal(fold_add(fold, &event), 0);
	event.frame[0].offset = 99;
	event.frame[2].pc = 0x1000;
	assert_int_equal(fold_add(fold, &event), 0);
	event.frame[1].offset++;
	assert_int_equal(fold_add(fold, &event), 0);
	assert_string_equal(folded(), "[no file];plugin.so+0x1234;malloc 2048\n"
				      "[no file];plugin.so+0x1235;malloc 1024\n");
}

static void names_cannot_break_lines(void **state)
{
	(void)state;
	assert_int_equal(add(EVENT_BRK, 1, "a;b c", "d\ne\x1b\xff"), 0);
	assert_string_equal(folded(), "main;d\\x0ae\\x1b\\xff;a:b c 1\n");
}

static void what_has_no_whole_stack(void **state)
{
	static struct event event;

	(void)state;
	event.has = EVENT_HAS_BYTES;
	event.bytes = 8;
	assert_int_equal(fold_add(fold, &event), 0);
	push(&event, "malloc", "libc.so.6", 1);
	assert_int_equal(fold_add(fold, &event), 0);
	event.has &= ~(unsigned)EVENT_HAS_BYTES;
	assert_int_equal(fold_add(fold, &event), 0);
	assert_string_equal(table(), HEAD "       8        2        0 [cut];malloc\n"
					  "       8        1        0 [no stack]\n"
					  "      16        3        0 [total]\n");
}

static void unseen_make_the_sums_exact(void **state)
{
	(void)state;
	add(EVENT_BRK, 132 * K, "malloc", "parse");
	add(EVENT_FAILURE, K, "malloc", "parse");
	fold_add_unseen(fold, 1, 132 * K, 1);
	assert_string_equal(table(), HEAD "    132K        1        1 main;parse;malloc\n"
					  "    132K        1        1 [total]\n");
	fold_add_unseen(fold, 100, 1000 * K, 31);
	assert_string_equal(table(),
			    HEAD "    868K       99       30 [no stack: limited]\n"
				 "    132K        1        1 main;parse;malloc\n"
				 "   1000K      100       31 [total]\n");
	assert_string_equal(folded(), "[no stack: limited] 888832\n"
				      "main;parse;malloc 135168\n");
	/* What cannot be: fewer seen than told. */
	fold_add_unseen(fold, 0, 0, 0);
	assert_string_equal(table(), HEAD "    132K        1        1 main;parse;malloc\n"
					  "    132K        1        1 [total]\n");
}

static void stacks_beyond_the_room_have_a_row(void **state)
{
	char name[16];

	(void)state;
	fold_free(fold);
	assert_int_equal(fold_new(&fold, 3), 0);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 5; i++) {
			snprintf(name, sizeof(name), "f%d", i);
			assert_int_equal(add(EVENT_BRK, 10, "malloc", name),
					 i < 3 ? 0 : -ENOSPC);
		}
	assert_int_equal(add(EVENT_FAILURE, 10, "malloc", "g"), -ENOSPC);
	assert_string_equal(table(), HEAD "      40        4        1 [no room]\n"
					  "      20        2        0 main;f0;malloc\n"
					  "      20        2        0 main;f1;malloc\n"
					  "      20        2        0 main;f2;malloc\n"
					  "     100       10        1 [total]\n");
}

/* The room for strings may end before that for rows; nothing is cut or lost. */
static void strings_beyond_the_room_have_a_row(void **state)
{
	static char wide[4 * EVENT_NAME_CHARACTERS + 1];
	static struct event event;
	unsigned kept = 0;

	(void)state;
	for (size_t i = 0; i < EVENT_NAME_CHARACTERS; i++)
		memcpy(wide + 4 * i, "\xf0\x9f\x98\x80", 4);
	event.has = EVENT_HAS_BYTES;
	event.bytes = 1;
	for (unsigned i = 0; i < EVENT_FRAMES; i++)
		push(&event, wide, "m", 0);
	assert_int_equal(fold_add(fold, &event), -ENOSPC);
	event.frame_count = 3;
	event.frame[2].function = NULL;
	for (unsigned i = 0; i < 64; i++) {
		event.frame[2].offset = i;
		kept += fold_add(fold, &event) == 0;
	}
	assert_in_range(kept, 38, 42);
	table();
	assert_non_null(strstr(output, "      65       65        0 [total]\n"));
	assert_non_null(strstr(output, " [no room]\n"));
}

/* As many stacks as there is room for, in a table that is half full. */
static void many_stacks(void **state)
{
	enum { STACKS = 4096 };
	char name[16];
	const char *line;

	(void)state;
	fold_free(fold);
	assert_int_equal(fold_new(&fold, STACKS), 0);
	for (int i = 0; i < 3 * STACKS; i++) {
		snprintf(name, sizeof(name), "f%04d", i % STACKS);
		assert_int_equal(add(EVENT_BRK, (uint64_t)(i % STACKS), "malloc", name),
				 0);
	}
	line = folded();
	for (int i = STACKS - 1; i > 0; i--) {
		char want[64];

		snprintf(want, sizeof(want), "main;f%04d;malloc %d\n", i, 3 * i);
		assert_memory_equal(line, want, strlen(want));
		line += strlen(want);
	}
	assert_string_equal(line, "");
}

static void errors_are_returned(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(full >= 0);
	add(EVENT_BRK, 1, "malloc", "parse");
	assert_int_equal(fold_table(fold, full), -ENOSPC);
	assert_int_equal(fold_folded(fold, full), -ENOSPC);
	assert_int_equal(fold_table(fold, -1), -EBADF);
	close(full);
	fold_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* What the report says of STACK. */
static const char *callers(const char *stack, unsigned shared)
{
	static char line[512];
	struct text text;

	text_init(&text, line, sizeof(line));
	callers_text(&text, stack, shared);
	return line;
}

static void callers_are_the_programs_own(void **state)
{
	(void)state;
	assert_string_equal(
		callers("main;serve;malloc;_int_malloc;sysmalloc;sbrk;brk", 0),
		"serve <- main");
	assert_string_equal(callers("main;a;operator new(unsigned long);malloc", 1), "a");
	assert_string_equal(callers("main;sysmalloc.isra.0", 0), "main");
	assert_string_equal(
		callers("main;malloc;sysmalloc;sysmalloc_mmap.constprop.0;mmap", 0),
		"main");
	assert_string_equal(callers("malloc;brk", 0), "malloc");
	assert_string_equal(callers("[no stack]", 0), "[no stack]");
	assert_string_equal(callers("a;b;c;d;e;f;g;malloc", 0),
			    "g <- f <- e <- d <- c <- b <- ...");
}

static void what_all_callers_share_is_left_out(void **state)
{
	static const struct fold_row row[] = {
		{.stack = "main;loop;serve;parse;malloc;brk"},
		{.stack = "main;loop;serve;malloc;brk"},
		{.stack = "main;loop;log;malloc"},
	};
	char line[64];
	struct text text;

	(void)state;
	assert_int_equal(callers_shared(row, 1), 0);
	assert_int_equal(callers_shared(row, 2), 2);
	assert_int_equal(callers_shared(row, 3), 2);
	assert_string_equal(callers(row[0].stack, 2), "parse <- serve");
	assert_string_equal(callers(row[2].stack, 2), "log");
	text_init(&text, line, sizeof(line));
	callers_last_shared(&text, row[0].stack, 2);
	assert_string_equal(line, "loop");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing),
		TEST(rows_by_bytes_then_failures),
		TEST(the_best_rows),
		TEST(other_events_do_not_count),
		TEST(offsets_do_not_part_functions),
		TEST(names_cannot_break_lines),
		TEST(what_has_no_whole_stack),
		TEST(unseen_make_the_sums_exact),
		TEST(stacks_beyond_the_room_have_a_row),
		TEST(strings_beyond_the_room_have_a_row),
		TEST(many_stacks),
		TEST(errors_are_returned),
		cmocka_unit_test(callers_are_the_programs_own),
		cmocka_unit_test(what_all_callers_share_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
