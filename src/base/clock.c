#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <time.h>

enum { NS_PER_SECOND = 1000000000 };

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * (int64_t)NS_PER_SECOND + now.tv_nsec;
}

int64_t clock_realtime_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

int64_t clock_monotonic_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

int64_t clock_boottime_ns(void)
{
	return now_ns(CLOCK_BOOTTIME);
}

int64_t clock_thread_ns(void)
{
	return now_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_process_ns(void)
{
	return now_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t clock_children_ns(void)
{
	struct rusage used;

	getrusage(RUSAGE_CHILDREN, &used);
	return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * (int64_t)NS_PER_SECOND +
	       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * (int64_t)1000;
}

/* Splits VALUE so that REST is never negative: instants before 1970 count too. */
static int64_t floor_divide(int64_t value, int64_t by, int64_t *rest)
{
	int64_t quotient = value / by;

	*rest = value % by;
	if (*rest < 0) {
		*rest += by;
		quotient--;
	}
	return quotient;
}

static void two_digits(struct text *text, char before, int value)
{
	if (before)
		text_char(text, before);
	text_digits(text, (uint64_t)value, 2);
}

static void date(struct text *text, const struct tm *at)
{
	text_digits(text, (uint64_t)at->tm_year + 1900, 4);
	two_digits(text, '-', at->tm_mon + 1);
	two_digits(text, '-', at->tm_mday);
}

static void time_of_day(struct text *text, const struct tm *at)
{
	two_digits(text, '\0', at->tm_hour);
	two_digits(text, ':', at->tm_min);
	two_digits(text, ':', at->tm_sec);
}

void clock_rfc3339(struct text *text, int64_t realtime_ns)
{
	int64_t sub_ns;
	time_t seconds = floor_divide(realtime_ns, NS_PER_SECOND, &sub_ns);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	date(text, &utc);
	text_char(text, 'T');
	time_of_day(text, &utc);
	text_char(text, '.');
	text_digits(text, (uint64_t)sub_ns / 1000000, 3);
	text_char(text, 'Z');
}

static struct tm local_time(int64_t realtime_ns)
{
	int64_t sub_ns;
	time_t seconds = floor_divide(realtime_ns, NS_PER_SECOND, &sub_ns);
	struct tm local;

	localtime_r(&seconds, &local);
	return local;
}

void clock_local(struct text *text, int64_t realtime_ns)
{
	struct tm local = local_time(realtime_ns);

	time_of_day(text, &local);
}

void clock_local_date(struct text *text, int64_t realtime_ns)
{
	struct tm local = local_time(realtime_ns);

	date(text, &local);
	text_char(text, ' ');
	time_of_day(text, &local);
}

int clock_wait_until(int64_t monotonic_ns, const sigset_t *mask)
{
	int64_t left_ns = monotonic_ns - clock_monotonic_ns();
	struct timespec left = {0};

	if (left_ns > 0) {
		left.tv_sec = left_ns / NS_PER_SECOND;
		left.tv_nsec = left_ns % NS_PER_SECOND;
	}
	return ppoll(NULL, 0, &left, mask) < 0 ? -errno : 0;
}
