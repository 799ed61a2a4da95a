/* test_locate.c: finding malloc in ELF files: this machine's libc, a static program, a
 * program that has none, and files that are cut or no ELF at all. */
#include "glibc/locate.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The libc that this program runs on. */
struct own_libc {
	char path[PATH_MAX];
	uint64_t bias;
};

static int is_libc(struct dl_phdr_info *info, size_t size, void *context)
{
	struct own_libc *libc = context;
	const char *slash = strrchr(info->dlpi_name, '/');

	(void)size;
	if (!slash || strncmp(slash, "/libc.so", strlen("/libc.so")) != 0)
		return 0;
	snprintf(libc->path, sizeof(libc->path), "%s", info->dlpi_name);
	libc->bias = info->dlpi_addr;
	return 1;
}

static int locate(const char *path, struct located *located)
{
	char why[128];
	int fd = open(path, O_RDONLY | O_CLOEXEC), result;

	assert_true(fd >= 0);
	result = locate_malloc(fd, located, why, sizeof(why));
	close(fd);
	return result;
}

static uint64_t word(uint64_t addr)
{
	return *(const uint64_t *)(uintptr_t)addr;
}

/* What was found is looked at in our own memory: malloc works there. */
__attribute__((no_sanitize("address"))) static void check_own(const struct own_libc *libc,
							      const struct located *found)
{
	uint64_t arena = libc->bias + found->main_arena, par = libc->bias + found->par;
	unsigned minor = strtoul(gnu_get_libc_version() + 2, NULL, 10);

	assert_int_equal(found->minor, minor);
	assert_true(found->layout->first_minor <= minor);
	assert_true(found->layout->last_minor >= minor);
	assert_true(word(arena + found->layout->arena.next) == arena);
	assert_true(word(arena + found->layout->arena.attached_threads) >= 1);
	assert_int_equal(word(par + found->layout->par.tcache_bins), 64);
}

static void the_libc_of_this_machine(void **state)
{
	struct own_libc libc = {.path = ""};
	struct located found = {0};

	(void)state;
	if (!dl_iterate_phdr(is_libc, &libc))
		skip(); /* a static test has no libc file */
	assert_int_equal(locate(libc.path, &found), 0);
	check_own(&libc, &found);
}

static void a_program_without_malloc(void **state)
{
	struct located found = {0};

	(void)state;
	assert_int_equal(locate("/bin/true", &found), -ENOENT);
	assert_null(found.layout);
}

/* ---- files of our own making ---- */

static char scratch[] = "/tmp/fragscope-locate-XXXXXX";

static int make_scratch(void **state)
{
	(void)state;
	return mkdtemp(scratch) ? 0 : -1;
}

static const char *scratch_path(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", scratch, name);
	return path;
}

static int remove_scratch(void **state)
{
	static const char *const names[] = {"static", "static-stripped", "static.c",
					    "cut"};

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(scratch_path(names[i]));
	return rmdir(scratch);
}

static void write_file(const char *path, const void *data, size_t bytes)
{
	FILE *file = fopen(path, "wbe");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
}

static bool build_static(const char *name, const char *flags)
{
	static const char source[] = "#include <stdlib.h>\n"
				     "int main(int argc, char **argv)\n"
				     "{ free(malloc(argc)); return !argv; }\n";
	char command[3 * PATH_MAX];

	write_file(scratch_path("static.c"), source, strlen(source));
	snprintf(command, sizeof(command),
		 "cd %s && gcc %s -O0 -static -o %s static.c 2>/dev/null", scratch, flags,
		 name);
	return system(command) == 0;
}

static void check_static(const char *name, const char *flags)
{
	struct located found = {0};

	if (!build_static(name, flags))
		skip(); /* no gcc, or no libc.a */
	assert_int_equal(locate(scratch_path(name), &found), 0);
	assert_non_null(found.layout);
	assert_true(found.main_arena && found.par);
	assert_int_equal(found.main_arena % 16, 0);
}

static void a_static_program(void **state)
{
	(void)state;
	check_static("static", "");
}

static void a_stripped_static_program(void **state)
{
	(void)state;
	check_static("static-stripped", "-s");
}

static void *read_file(const char *path, size_t *bytes)
{
	FILE *file = fopen(path, "rbe");
	struct stat stat_file;
	void *data;

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &stat_file), 0);
	*bytes = stat_file.st_size;
	data = malloc(*bytes);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, *bytes, file), *bytes);
	fclose(file);
	return data;
}

static void check_cut(const void *data, size_t bytes)
{
	struct located found = {0};
	int result;

	write_file(scratch_path("cut"), data, bytes);
	result = locate(scratch_path("cut"), &found);
	assert_true(result == -ENOEXEC || result == -ENOENT || result == -ENOTSUP);
}

/* Malloc's data is near the file's end: what is cut before it holds none. */
static void files_that_are_cut(void **state)
{
	static const size_t lengths[] = {0,   1,   4,	 16,   63,   64,
					 100, 400, 1000, 4096, 70000};
	struct own_libc libc = {.path = ""};
	size_t bytes;
	void *data;

	(void)state;
	if (!dl_iterate_phdr(is_libc, &libc))
		skip();
	data = read_file(libc.path, &bytes);
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		check_cut(data, lengths[i]);
	check_cut(data, bytes / 2);
	check_cut(data, bytes - bytes / 8);
	free(data);
}

/* Headers that lie about the file: each 8 bytes of the first 1024 are overwritten. */
static void headers_that_lie(void **state)
{
	struct own_libc libc = {.path = ""};
	uint64_t lies[] = {0, UINT64_MAX, INT64_MAX, 1};
	size_t bytes;
	uint8_t *data;

	(void)state;
	if (!dl_iterate_phdr(is_libc, &libc))
		skip();
	data = read_file(libc.path, &bytes);
	for (size_t i = 0; i < 1024; i += 8) {
		uint64_t lie = lies[i / 8 % 4], truth;
		struct located found = {0};

		memcpy(&truth, data + i, 8);
		memcpy(data + i, &lie, 8);
		write_file(scratch_path("cut"), data, bytes);
		locate(scratch_path("cut"), &found); /* it comes back: that is all */
		memcpy(data + i, &truth, 8);
	}
	free(data);
}

static void files_that_are_no_elf(void **state)
{
	static const char text[] = "#!/bin/sh\nexit 0\n";
	struct located found = {0};

	(void)state;
	assert_int_equal(locate("/dev/null", &found), -ENOEXEC);
	assert_int_equal(locate("/", &found), -ENOEXEC);
	write_file(scratch_path("cut"), text, strlen(text));
	assert_int_equal(locate(scratch_path("cut"), &found), -ENOEXEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_libc_of_this_machine),
		cmocka_unit_test(a_program_without_malloc),
		cmocka_unit_test(a_static_program),
		cmocka_unit_test(a_stripped_static_program),
		cmocka_unit_test(files_that_are_cut),
		cmocka_unit_test(headers_that_lie),
		cmocka_unit_test(files_that_are_no_elf),
	};

	return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
