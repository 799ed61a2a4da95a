#include "saved.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 10, LINE = 512 };

/* One line of a text: what its first word means, and how many numbers follow. */
struct line_kind {
	const char *word;
	unsigned numbers;
	bool (*take)(struct expected *expected, const uint64_t *number);
};

static bool take_mallinfo(struct expected *expected, const uint64_t *number)
{
	memcpy(expected->mallinfo2, number, sizeof(expected->mallinfo2));
	return true;
}

static bool take_arena(struct expected *expected, const uint64_t *number)
{
	if (expected->arena_count == SAVED_ARENAS)
		return false;
	expected->arena[expected->arena_count++] =
		(struct expected_arena){number[0], number[1], number[2],      number[3],
					number[4], number[5], {.split = true}};
	return true;
}

static bool take_trimmed(struct expected *expected, const uint64_t *number)
{
	expected->trimmed_bytes = number[0];
	return true;
}

static bool set_bin(struct bin_total *bins, uint64_t index, uint64_t count,
		    const uint64_t *number)
{
	if (index >= count)
		return false;
	bins[index] = (struct bin_total){number[1], number[2], number[3], number[4]};
	return true;
}

static bool take_fast(struct expected *expected, const uint64_t *number)
{
	return number[0] < expected->arena_count &&
	       set_bin(expected->arena[number[0]].bins.fast, number[1] / 16 - 2,
		       SAMPLE_FASTBINS, number);
}

static bool take_sorted(struct expected *expected, const uint64_t *number)
{
	return number[0] < expected->arena_count &&
	       set_bin(expected->arena[number[0]].bins.bins,
		       layout_bin_index(number[1]) - 1, SAMPLE_BINS, number);
}

static bool take_unsorted(struct expected *expected, const uint64_t *number)
{
	return number[0] < expected->arena_count &&
	       set_bin(expected->arena[number[0]].bins.bins, 0, 1, number);
}

static const struct line_kind kinds[] = {
	{"mallinfo2", SAVED_MALLINFO, take_mallinfo},
	{"arena", 6, take_arena},
	{"fast", 5, take_fast},
	{"sorted", 5, take_sorted},
	{"unsorted", 5, take_unsorted},
	{"trimmed", 1, take_trimmed},
};

static bool take_line(struct expected *expected, char *line)
{
	char *at = line + strcspn(line, " \n");
	const struct line_kind *kind = NULL;
	uint64_t number[NUMBERS];

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strncmp(line, kinds[i].word, at - line) == 0)
			kind = &kinds[i];
	if (!kind)
		return false;
	for (unsigned i = 0; i < kind->numbers; i++) {
		char *end;

		number[i] = strtoull(at, &end, 10);
		if (end == at)
			return false;
		at = end;
	}
	return kind->take(expected, number);
}

static int load_expected(struct expected *expected, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[LINE];
	int error = 0;

	if (!file)
		return -errno;
	while (!error && fgets(line, sizeof(line), file))
		error = take_line(expected, line) ? 0 : -EPROTO;
	fclose(file);
	return error;
}

static const char *directory(const char *variable)
{
	const char *value = getenv(variable);

	return value ? value : ".";
}

/* TEXT is the path of a text: SRCDIR/tests/images/NAME.txt. */
static int load_one(struct saved *saved, const char *text, char *why)
{
	const char *name = strrchr(text, '/') + 1;
	int error;

	snprintf(why, SAVED_PATH, "%s", text);
	snprintf(saved->name, sizeof(saved->name), "%.*s",
		 (int)(strlen(name) - strlen(".txt")), name);
	error = load_expected(&saved->expected, text);
	if (error)
		return error;
	snprintf(why, SAVED_PATH, "%s/tests/images/%s.img",
		 directory("FRAGSCOPE_BUILDDIR"), saved->name);
	return image_load(&saved->image, why);
}

int saved_load(struct saved *saved, char *why)
{
	char pattern[SAVED_PATH];
	glob_t found = {0};
	int error = 0;
	size_t i;

	snprintf(pattern, sizeof(pattern), "%s/tests/images/*.txt",
		 directory("FRAGSCOPE_SRCDIR"));
	snprintf(why, SAVED_PATH, "%s", pattern);
	if (glob(pattern, 0, NULL, &found))
		return -ENOENT;
	memset(saved, 0, SAVED_MAX * sizeof(*saved));
	for (i = 0; i < found.gl_pathc && i < SAVED_MAX && !error; i++)
		error = load_one(&saved[i], found.gl_pathv[i], why);
	if (error)
		saved_free(saved, i);
	globfree(&found);
	return error ? error : (int)i;
}

void saved_free(struct saved *saved, int count)
{
	for (int i = 0; i < count; i++)
		image_free(saved[i].image);
}

int saved_setup(void **state)
{
	static struct saved_all all;
	char why[SAVED_PATH];

	all.count = saved_load(all.saved, why);
	if (all.count < 0)
		fprintf(stderr, "%s: %s\n", why, strerror(-all.count));
	*state = &all;
	return all.count < 0 ? -1 : 0;
}

int saved_teardown(void **state)
{
	struct saved_all *all = *state;

	saved_free(all->saved, all->count);
	return 0;
}
