#include "target/grouping.h"

#include "target/process.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ID_DIGITS = 64, UID_BYTES = 36, HASH_DIGITS = 32, TEXT_BYTES = 8192 };

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && !strcmp(text + length - tail, end);
}

static size_t hex_digits(const char *text)
{
	size_t count = 0;

	while (isxdigit((unsigned char)text[count]))
		count++;
	return count;
}

/* The id in PART: "ID", "docker-ID.scope", "cri-containerd-ID.scope", "crio-ID",
 * "SLICE:cri-containerd:ID". What watches a container is not of it. */
static const char *container_id(const char *part)
{
	if (strstr(part, "conmon"))
		return NULL;
	for (const char *at = part; *at;) {
		size_t digits = hex_digits(at);

		if (digits == ID_DIGITS &&
		    (!at[digits] || !strcmp(at + digits, ".scope")))
			return at;
		at += digits ? digits : 1;
	}
	return NULL;
}

/* The bytes of the UID that TEXT begins with: "8-4-4-4-12" digits, with '_' for '-' in
 * slices, or the 32 digits of a pod that a file defines. 0: none. */
static size_t pod_uid_bytes(const char *text)
{
	static const int dashes[] = {8, 13, 18, 23};
	size_t at = 0, dash = 0;

	if (hex_digits(text) >= HASH_DIGITS)
		return hex_digits(text) == HASH_DIGITS ? HASH_DIGITS : 0;
	for (; at < UID_BYTES; at++) {
		bool is_dash = dash < 4 && (int)at == dashes[dash];

		if (is_dash ? text[at] != '-' && text[at] != '_'
			    : !isxdigit((unsigned char)text[at]))
			return 0;
		dash += is_dash;
	}
	return isxdigit((unsigned char)text[at]) ? 0 : UID_BYTES;
}

/* "podUID", "kubepods-burstable-podUID.slice". */
static void take_pod(const char *part, struct grouping *group)
{
	const char *at = strstr(part, "pod");

	while (at && !pod_uid_bytes(at + 3))
		at = strstr(at + 1, "pod");
	if (!at || group->pod[0])
		return;
	snprintf(group->pod, sizeof(group->pod), "%.*s", (int)pod_uid_bytes(at + 3),
		 at + 3);
	for (char *c = group->pod; *c; c++)
		*c = *c == '_' ? '-' : *c;
}

/* Scopes are made for each session or start, but for those of virtual machines. */
static bool is_unit(const char *part)
{
	return ends_with(part, ".service") ||
	       (!strncmp(part, "machine-", 8) && ends_with(part, ".scope"));
}

static bool is_of_user(const char *unit)
{
	return !strncmp(unit, "user@", 5) && !strchr(unit, '/');
}

static void take_unit(const char *part, struct grouping *group)
{
	size_t used = strlen(group->name);

	if (group->kind == GROUP_NAME) {
		group->kind = GROUP_UNIT;
		snprintf(group->name, sizeof(group->name), "%s", part);
	} else if (group->kind == GROUP_UNIT && is_of_user(group->name)) {
		snprintf(group->name + used, sizeof(group->name) - used, "/%s", part);
	}
}

static void take_part(const char *part, struct grouping *group)
{
	const char *id = container_id(part);

	if (group->kind == GROUP_CONTAINER)
		return;
	take_pod(part, group);
	if (id) {
		group->kind = GROUP_CONTAINER;
		snprintf(group->name, sizeof(group->name), "%.*s", ID_DIGITS, id);
	} else if (is_unit(part)) {
		take_unit(part, group);
	}
}

/* The group of one hierarchy, whose LINE is "4:cpu,memory:/path". */
static void parse_line(char *line, struct grouping *group)
{
	char *controllers = strchr(line, ':'), *save;
	char *path = controllers ? strchr(controllers + 1, ':') : NULL;

	*group = (struct grouping){0};
	if (!path)
		return;
	for (char *part = strtok_r(path + 1, "/", &save); part;
	     part = strtok_r(NULL, "/", &save))
		take_part(part, group);
	if (group->pod[0] && group->kind != GROUP_CONTAINER) {
		group->kind = GROUP_POD;
		snprintf(group->name, sizeof(group->name), "%s", group->pod);
	}
}

/* Version 1 has a line a controller, and not all need to be in use: the one that says
 * most counts. */
void grouping_parse(char *text, struct grouping *group)
{
	struct grouping one;
	char *save;

	*group = (struct grouping){0};
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		parse_line(line, &one);
		if (one.kind > group->kind)
			*group = one;
	}
}

void grouping_read(int pid, struct grouping *group)
{
	char text[TEXT_BYTES];

	if (process_text(pid, "cgroup", text, sizeof(text)) < 0)
		text[0] = '\0';
	grouping_parse(text, group);
}

const char *group_kind_name(enum group_kind kind)
{
	static const char *const names[] = {
		[GROUP_NAME] = "name",	 [GROUP_UNIT] = "unit",
		[GROUP_POD] = "pod",	 [GROUP_CONTAINER] = "container",
		[GROUP_OTHER] = "other",
	};

	return names[kind];
}
