/* One failure a call of malloc that returns NULL, whatever it was refused on the way. */
#include "bpf/refusals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { HEAP = 64 << 20, DEPTH = 0x7000, SMALL = 53248, LARGE = 1 << 20 };

/* A thread's refusals, a letter each:
 *   b     brk
 *   A, a  the mapping in its stead; the small letter: from realloc's own attempt
 *   c, C  a mapping for the chunk alone, small or large; H: larger than a heap
 *   t     the same for malloc's cache, which is further down the stack
 *   n, p  a heap: its reservation, or to be made writable
 * and + is a heap that was granted. */
static bool take(struct refusals *refusals, char letter, bool has_threads)
{
	switch (letter) {
	case 'b':
		refusals_brk(refusals, SMALL);
		return false;
	case 'A':
	case 'a':
		return refusals_main(refusals, letter == 'a' ? DEPTH + 32 : DEPTH,
				     has_threads);
	case 'n':
	case 'p':
		return refusals_heap(refusals, letter == 'n' ? 1 : HEAP_REFUSALS);
	case '+':
		refusals_end_heap(refusals);
		return false;
	case 't':
		return refusals_chunk(refusals, DEPTH - 16, PROBE_PAGE, HEAP, false);
	case 'c':
		return refusals_chunk(refusals, DEPTH + 16, SMALL, HEAP, false);
	case 'C':
		return refusals_chunk(refusals, DEPTH + 16, LARGE, HEAP, true);
	default:
		return refusals_chunk(refusals, DEPTH + 16, HEAP + PROBE_PAGE, HEAP,
				      true);
	}
}

/* TEXT's calls have a space between them, a '-' at the end where no NULL was returned. */
static void check(const char *text, bool has_threads)
{
	struct refusals refusals = {0};
	unsigned failures = 0, nulls = 1;

	for (const char *at = text; *at; at++) {
		if (*at == ' ')
			nulls++;
		else if (*at == '-')
			nulls--;
		else
			failures += take(&refusals, *at, has_threads);
	}
	if (failures != nulls)
		fail_msg("%s: %u failures, not %u", text, failures, nulls);
}

static void test_without_threads(void **state)
{
	(void)state;
	check("bA bA bA", false);
	check("ba bA ba", false);
}

static void test_non_main_arena_first(void **state)
{
	(void)state;
	check("cbA cbA cbA", true);
	check("nncbA nncbA nncbA", true);
	check("ppcbA ppcbA ppcbA", true);
	check("CnnCbA CnnCbA CnnCbA", true);
	check("CpCbA CpCbA CpCbA", true);
	check("HHbA HHbA HHbA", true);
}

static void test_main_arena_first(void **state)
{
	(void)state;
	check("bAc bAc bAc", true);
	check("bAnnc bAnnc bAnnc", true);
	check("bAnnnnc bAnnnnc bAnnnnc", true);
	check("CbACnn CbACnn CbACnn", true);
	check("CbACp CbACp CbACp", true);
	check("CbAnnnnC CbAnnnnC CbAnnnnC", true);
	check("HbAH HbAH HbAH", true);
	check("HbAnnH HbAnnH HbAnnH", true);
	/* An arena was made for it, and was of no use. */
	check("CbA+Cnn CnnCbA CnnCbA", true);
}

static void test_main_arena_twice(void **state)
{
	(void)state;
	check("bAbA bAbA bAbA", true);
	check("HbAHbA HbAHbA HbAHbA", true);
	check("CbACbA CbACbA CbACbA", true);
	check("bAbA bAc bAbA cbA", true);
}

static void test_realloc_too(void **state)
{
	(void)state;
	check("babAc babAc babAc", true);
	check("babAbA babAbA babAbA", true);
	check("bacbA bacbA bacbA", true);
	check("CbaCbACnn CbaCbACnn CbaCbACnn", true);
	check("CbaCnnCbA CbaCnnCbA CbaCnnCbA", true);
	check("HbaHbAH HbaHbAH HbaHbAH", true);
}

static void test_no_arena(void **state)
{
	(void)state;
	check("nnnnc nnnnc nnnnc", true);
	check("nnnntnnnnc nnnntnnnnc nnnntnnnnc", true);
	check("ppppc ppppc ppppc", true);
	check("nnnnC nnnnC nnnnC", true);
	check("nnnntnnH nnnntnnH nnnntnnH", true);
	check("nnH nnH nnH", true);
}

/* The second attempt helped out: without a trace, but for where the next begins. */
static void test_second_arena_helps(void **state)
{
	(void)state;
	check("bA- cbA cbA", true);
	check("CbA- CnnCbA CnnCbA", true);
	check("HbA- HHbA HHbA", true);
	check("c- cbA cbA", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_threads),
		cmocka_unit_test(test_non_main_arena_first),
		cmocka_unit_test(test_main_arena_first),
		cmocka_unit_test(test_main_arena_twice),
		cmocka_unit_test(test_realloc_too),
		cmocka_unit_test(test_no_arena),
		cmocka_unit_test(test_second_arena_helps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
