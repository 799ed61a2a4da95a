#include "option_kinds.h"

#include "base/units.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int take_nothing(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	(void)value;
	(void)field;
	return 0;
}

static int take_flag(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	(void)value;
	*(bool *)field = true;
	return 0;
}

static int take_bytes(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	return units_parse_bytes(value, field);
}

static int take_time(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	return units_parse_ns(value, field);
}

static int take_count(const struct option_spec *spec, const char *value, void *field)
{
	uint64_t *count = field;
	int error;

	if (spec->choices && !strcmp(value, spec->choices[0])) {
		*count = 0;
		return 0;
	}
	error = units_parse_count(value, count);
	if (!error && (*count < 1 || *count > spec->limit))
		error = -ERANGE;
	return error;
}

static int take_choice(const struct option_spec *spec, const char *value, void *field)
{
	for (unsigned i = 0; spec->choices[i]; i++) {
		if (strcmp(spec->choices[i], value) != 0)
			continue;
		*(unsigned *)field = i;
		return 0;
	}
	return -EINVAL;
}

static int take_file(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	*(const char **)field = value;
	return *value ? 0 : -EINVAL;
}

static int take_text(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	return *value ? name_list_add(field, value, strlen(value)) : -EINVAL;
}

static int take_names(const struct option_spec *spec, const char *value, void *field)
{
	int error;

	(void)spec;
	for (;;) {
		size_t length = strcspn(value, ",");

		error = length ? name_list_add(field, value, length) : -EINVAL;
		if (error || !value[length])
			return error;
		value += length + 1;
	}
}

static int take_pid(const char *value, size_t length, struct pid_list *list)
{
	char word[16];
	uint64_t pid;

	if (length >= sizeof(word))
		return -EINVAL;
	memcpy(word, value, length);
	word[length] = '\0';
	if (units_parse_count(word, &pid) || !pid || pid > INT_MAX)
		return -EINVAL;
	return pid_list_add(list, (int)pid);
}

static int take_pids(const struct option_spec *spec, const char *value, void *field)
{
	int error = -EINVAL;

	(void)spec;
	value += strspn(value, SEPARATORS + 1);
	while (*value) {
		size_t length = strcspn(value, SEPARATORS);

		error = take_pid(value, length, field);
		value += length;
		value += strspn(value, SEPARATORS + 1);
		if (error || !*value)
			return error;
		if (*value == ',' && !*++value)
			return -EINVAL;
		value += strspn(value, SEPARATORS + 1);
	}
	return error;
}

const struct option_kind_info option_kinds[] = {
	[OPTION_HELP] = {take_nothing, true, NULL},
	[OPTION_FLAG] = {take_flag, true, NULL},
	[OPTION_BYTES] = {take_bytes, false,
			  "a size: bytes, or a whole number with K, M, G or T"},
	[OPTION_TIME] = {take_time, false,
			 "a time: seconds, or a number with ns, us, ms, s, m or h"},
	[OPTION_COUNT] = {take_count, false, NULL},
	[OPTION_CHOICE] = {take_choice, false, NULL},
	[OPTION_FILE] = {take_file, false, "a file name"},
	[OPTION_NAMES] = {take_names, false, "a name"},
	[OPTION_FILES] = {take_text, false, "a file name"},
	[OPTION_TEXTS] = {take_text, false, "a text"},
	[OPTION_PIDS] = {take_pids, false, "a list of process IDs, as in 4711,4712"},
	[OPTION_GONE] = {take_nothing, true, NULL},
};
