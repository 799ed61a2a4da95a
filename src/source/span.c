#include "source/span.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const int64_t second_ns = 1000000000;

int span_split(const char *what, struct time_span *span, struct fault *fault)
{
	const char *at = access(what, F_OK) == 0 ? NULL : strrchr(what, '@');
	size_t length = at ? (size_t)(at - what) : strlen(what);

	*span = (struct time_span){
		.text = at ? at + 1 : NULL,
		.is_known = !at,
		.from_ns = INT64_MIN,
		.to_ns = INT64_MAX,
	};
	if (length >= SPAN_FILE)
		return fault_set(fault, EXIT_FAILED, -ENAMETOOLONG,
				 "cannot read recording '%s': the name is too long",
				 what);
	memcpy(span->file, what, length);
	return 0;
}

/* What FORMAT reads of TEXT over TIME, all of it. */
static bool reads(const char *text, const char *format, struct tm *time)
{
	const char *end = strptime(text, format, time);

	return end && !*end;
}

/* An instant, with a day or on that of NEAR_NS. */
static bool instant(const char *text, int64_t near_ns, int64_t *ns)
{
	static const char *const format[] = {"%Y-%m-%dT%H:%M:%S",
					     "%Y-%m-%dT%H:%M",
					     "%Y-%m-%d %H:%M:%S",
					     "%Y-%m-%d %H:%M",
					     "%Y-%m-%d",
					     "%H:%M:%S",
					     "%H:%M"};
	time_t near_s = near_ns / second_ns;
	struct tm day;

	if (!localtime_r(&near_s, &day))
		return false;
	day.tm_hour = day.tm_min = day.tm_sec = 0;
	for (size_t i = 0; i < sizeof(format) / sizeof(*format); i++) {
		struct tm time = day;

		if (!reads(text, format[i], &time))
			continue;
		time.tm_isdst = -1;
		if (__builtin_mul_overflow((int64_t)mktime(&time), second_ns, ns))
			*ns = time.tm_year < 70 ? -INT64_MAX : INT64_MAX;
		return true;
	}
	return false;
}

static int parse(const char *text, int64_t near_ns, int64_t *from_ns, int64_t *to_ns)
{
	const char *dots = strstr(text, ".."), *end = dots ? dots + 2 : NULL;
	char from[64];
	size_t length;

	if (!dots) {
		dots = strchr(text, '-');
		end = dots ? dots + 1 : NULL;
	}
	length = dots ? (size_t)(dots - text) : sizeof(from);
	if (length >= sizeof(from))
		return -EINVAL;
	memcpy(from, text, length);
	from[length] = '\0';
	*from_ns = INT64_MIN;
	*to_ns = INT64_MAX;
	if (*from && !instant(from, near_ns, from_ns))
		return -EINVAL;
	if (*end && !instant(end, near_ns, to_ns))
		return -EINVAL;
	return *from || *end ? 0 : -EINVAL;
}

int span_resolve(struct time_span *span, int64_t near_ns, struct fault *fault)
{
	if (span->is_known)
		return 0;
	if (parse(span->text, near_ns, &span->from_ns, &span->to_ns))
		return fault_set(fault, EXIT_USAGE, -EINVAL,
				 "'%s' is no span of time: write 10:00-11:00, or "
				 "2026-11-29T10:00..2026-11-30T02:00",
				 span->text);
	span->is_known = true;
	return 0;
}
