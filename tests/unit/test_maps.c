/* test_maps.c: lines of /proc/PID/maps, the ordinary and the odd. */
#include "target/maps.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static char line[512];

static int parse(const char *text, struct mapping *mapping)
{
	snprintf(line, sizeof(line), "%s", text);
	return maps_parse(line, mapping);
}

static void a_line_is_parsed_whole(void **state)
{
	struct mapping m;

	(void)state;
	assert_int_equal(parse("7f0012345000-7f0012347000 r-xp 0001f000 fe:01 4711       "
			       "            /usr/lib/libc.so.6",
			       &m),
			 0);
	assert_true(m.start == 0x7f0012345000 && m.end == 0x7f0012347000);
	assert_true(m.offset == 0x1f000 && m.inode == 4711);
	assert_int_equal(m.flags, MAP_READ | MAP_EXEC);
	assert_string_equal(m.name, "/usr/lib/libc.so.6");
	assert_false(maps_is_anonymous(&m));
}

static void names_are_taken_as_they_are(void **state)
{
	static const struct {
		const char *line;
		const char *name;
		bool is_anonymous;
	} cases[] = {
		{"1000-2000 rw-p 00000000 00:00 0 ", "", true},
		{"1000-2000 rw-p 00000000 00:00 0", "", true},
		{"1000-2000 rw-p 00000000 00:00 0          [heap]", "[heap]", false},
		{"1000-2000 rw-p 00000000 00:00 0          [stack]", "[stack]", false},
		{"1000-2000 rw-p 00000000 00:00 0          [anon:glibc: malloc]",
		 "[anon:glibc: malloc]", true},
		{"1000-2000 rw-s 00000000 00:00 0 ", "", false},
		{"1000-2000 r--p 00000000 00:00 0 ", "", false},
		{"1000-2000 -w-p 00000000 00:00 0 ", "", false},
		{"1000-2000 ---p 00000000 00:00 0 ", "", false},
		{"1000-2000 rwxp 00000000 00:00 0 ", "", true},
		{"1000-2000 rw-p 00000000 08:01 12         /a b/c  d", "/a b/c  d",
		 false},
		{"1000-2000 rw-p 00000000 08:01 12         /x (deleted)", "/x (deleted)",
		 false},
		{"1000-2000 rw-p 00000000 08:01 12         /new\\012line",
		 "/new\\012line", false},
		{"1000-2000 rw-p 00000000 08:01 12         /\xc3\xa4\xff",
		 "/\xc3\xa4\xff", false},
		{"1000-2000 rw-s 00000000 00:01 9          /SYSV00000000 (deleted)",
		 "/SYSV00000000 (deleted)", false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mapping m;

		assert_int_equal(parse(cases[i].line, &m), 0);
		assert_string_equal(m.name, cases[i].name);
		assert_int_equal(maps_is_anonymous(&m), cases[i].is_anonymous);
	}
}

static void edges_of_the_address_space_are_parsed(void **state)
{
	struct mapping m;

	(void)state;
	assert_int_equal(
		parse("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0   "
		      "               [vsyscall]",
		      &m),
		0);
	assert_true(m.start == 0xffffffffff600000);
	assert_int_equal(m.flags, MAP_EXEC);
	assert_int_equal(parse("0-1000 rw-p 00000000 00:00 0 ", &m), 0);
	assert_int_equal(m.start, 0);
}

/* No beginning of a line passes for a line, but those that lack the name only. */
static void cut_lines_are_refused(void **state)
{
	static const char whole[] = "1000-2000 rw-p 00000000 08:01 12 /file";
	struct mapping m;
	char cut[sizeof(whole)];

	(void)state;
	for (size_t length = 0; length < strlen("1000-2000 rw-p 00000000 08:01");
	     length++) {
		snprintf(cut, sizeof(cut), "%.*s", (int)length, whole);
		assert_int_equal(parse(cut, &m), -EPROTO);
	}
}

static void wrong_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"",
		"\n",
		"-",
		"1000 2000 rw-p 00000000 00:00 0",
		"2000-1000 rw-p 00000000 00:00 0",
		"1000-1000 rw-p 00000000 00:00 0",
		"1000-2000rw-p 00000000 00:00 0",
		"1000-2000 rw-p00000000 00:00 0",
		"1000-2000 rw-p zzz 00:00 0",
		"xyz-2000 rw-p 00000000 00:00 0",
	};
	struct mapping m;

	(void)state;
	for (unsigned i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_int_equal(parse(lines[i], &m), -EPROTO);
}

/* ---- the whole file ---- */

struct seen {
	const void *page;
	unsigned count;
	uint64_t last_end;
	bool found;
	int answer;
};

static int see(const struct mapping *mapping, void *context)
{
	struct seen *seen = context;

	assert_true(mapping->start >= seen->last_end);
	seen->last_end = mapping->end;
	seen->count++;
	if (mapping->start <= (uintptr_t)seen->page &&
	    (uintptr_t)seen->page < mapping->end) {
		seen->found = true;
		assert_true(maps_is_anonymous(mapping));
		return seen->answer;
	}
	return 0;
}

static void our_own_maps_are_scanned(void **state)
{
	struct process process;
	struct fault fault;
	struct seen seen = {0};
	const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned all;

	(void)state;
	assert_ptr_not_equal(page, MAP_FAILED);
	seen.page = page;
	assert_int_equal(process_open(&process, getpid(), &fault), 0);
	assert_int_equal(maps_scan(&process, see, &seen), 0);
	assert_true(seen.found && seen.count > 5);
	all = seen.count;
	seen = (struct seen){.page = page, .answer = -ECANCELED};
	assert_int_equal(maps_scan(&process, see, &seen), -ECANCELED);
	assert_true(seen.count < all);
	process_close(&process);
	munmap(page, page_bytes);
}

/* More lines than one read of the file returns, so that lines are cut at its end. */
static void many_mappings_are_scanned(void **state)
{
	enum { PAGES = 4000 };
	struct process process;
	struct fault fault;
	struct seen seen = {0};
	const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	char *block = mmap(NULL, PAGES * page_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)state;
	assert_ptr_not_equal(block, MAP_FAILED);
	for (size_t i = 0; i < PAGES; i += 2)
		assert_int_equal(mprotect(block + i * page_bytes, page_bytes, PROT_READ),
				 0);
	seen.page = block + page_bytes;
	assert_int_equal(process_open(&process, getpid(), &fault), 0);
	assert_int_equal(maps_scan(&process, see, &seen), 0);
	assert_true(seen.found && seen.count >= PAGES);
	process_close(&process);
	munmap(block, PAGES * page_bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_parsed_whole),
		cmocka_unit_test(names_are_taken_as_they_are),
		cmocka_unit_test(edges_of_the_address_space_are_parsed),
		cmocka_unit_test(cut_lines_are_refused),
		cmocka_unit_test(wrong_lines_are_refused),
		cmocka_unit_test(our_own_maps_are_scanned),
		cmocka_unit_test(many_mappings_are_scanned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
