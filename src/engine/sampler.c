#include "engine/sampler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "FRAGSCOPE_PRELOAD"
#define SAMPLER	 SAMPLER_LIBRARY
#define STACKS	 "libfragscope-stacks.so"

/* How much of FROM and TO are the same directories. */
static size_t common_length(const char *from, const char *to)
{
	size_t common = 0, i = 0;

	for (; from[i] && from[i] == to[i]; i++)
		if (from[i] == '/')
			common = i + 1;
	if (!from[i] && to[i] == '/')
		common = i;
	return common;
}

bool sampler_relative(const char *from, const char *to, char *path, size_t room)
{
	size_t common = common_length(from, to);
	struct text text;

	text_init(&text, path, room);
	for (from += common; from[strspn(from, "/")]; from += strcspn(from, "/")) {
		from += strspn(from, "/");
		text_string(&text, "../");
	}
	text_string(&text, to + common + strspn(to + common, "/"));
	return !text.overflow;
}

/* The directory that this program is in; "" where it cannot be told. */
static void program_directory(char path[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	path[length < 0 ? 0 : length] = '\0';
	slash = strrchr(path, '/');
	path[slash ? slash - path : 0] = '\0';
}

/* Whether the library can be read in FOLDER, as seen from BASE; PATH is where. */
static bool is_in(const char *base, const char *folder, char path[PATH_MAX])
{
	char name[PATH_MAX];
	struct text text;

	text_init(&text, name, sizeof(name));
	text_string(&text, base);
	text_char(&text, '/');
	text_string(&text, folder);
	text_string(&text, "/" SAMPLER);
	return !text.overflow && realpath(name, path) && !access(path, R_OK);
}

int sampler_find(char path[PATH_MAX], struct fault *fault)
{
	const char *named = secure_getenv(VARIABLE);
	char base[PATH_MAX], installed[PATH_MAX];

	if (named && *named) {
		if (realpath(named, path) && !access(path, R_OK))
			return 0;
		return fault_set(fault, EXIT_NO_SOURCE, -errno,
				 "cannot read the sampler %s, which " VARIABLE
				 " names: %s",
				 named, strerror(errno));
	}
	program_directory(base);
	if (*base && (is_in(base, ".", path) || is_in(base, "../lib/fragscope", path)))
		return 0;
	if (*base && sampler_relative(BINDIR, PKGLIBDIR, installed, sizeof(installed)) &&
	    is_in(base, installed, path))
		return 0;
	if (is_in("", PKGLIBDIR, path))
		return 0;
	return fault_set(fault, EXIT_NO_SOURCE, -ENOENT,
			 "the sampler " SAMPLER
			 " is neither in %s nor in %s/../lib/fragscope "
			 "nor in %s; " VARIABLE " may name another place",
			 base, base, PKGLIBDIR);
}

int sampler_find_stacks(const char *sampler, char path[PATH_MAX], struct fault *fault)
{
	const char *slash = strrchr(sampler, '/');
	struct text text;

	text_init(&text, path, PATH_MAX);
	for (const char *at = sampler; slash && at <= slash; at++)
		text_char(&text, *at);
	text_string(&text, STACKS);
	if (!text.overflow && !access(path, R_OK))
		return 0;
	return fault_set(fault, EXIT_NO_SOURCE, -ENOENT,
			 "the library " STACKS " for --stacks is not beside %s: %s",
			 sampler, strerror(errno));
}

void sampler_setting(struct text *text, const char *name, int64_t value, const char *unit)
{
	if (text->length)
		text_char(text, ',');
	text_string(text, name);
	text_char(text, '=');
	text_i64(text, value);
	text_string(text, unit);
}
