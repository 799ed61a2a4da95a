#include "export/exposition.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S 1e9

/* Between two looks at all processes, whoever asks, at least. */
#define FRESH_NS INT64_C(1000000000)

enum { HELP_BYTES = 1024, DECIMALS = 3, OWN_BYTES = 16384 };

/* Of a sample: its names, the value and the labels that are short; and what stands before
 * a family's samples. */
enum { LINE_BYTES = 200, FAMILY_BYTES = HELP_BYTES + 300 };

/* What is said of each group beside figures, rules and states. */
enum { GROUP_LINES = 8 };

struct exposition {
	struct exposition_options options;
	struct groups *groups;
	struct reader_totals totals; /* when it was gathered */
	uint64_t scans;
	int64_t scan_cpu_ns, now_ns;
	size_t left_out, probed;
};

static const char *const state_names[MEMBER_STATES] = {
	[MEMBER_UNREAD] = "unread",	  [MEMBER_COMPLETE] = "complete",
	[MEMBER_ESTIMATED] = "estimated", [MEMBER_TORN] = "torn",
	[MEMBER_PARTIAL] = "partial",	  [MEMBER_REFUSED] = "refused",
	[MEMBER_HELD] = "held",
};

int exposition_new(struct exposition **exposition,
		   const struct exposition_options *options)
{
	struct exposition *new = alloc_touched(sizeof(*new));

	if (!new || groups_new(&new->groups, options->top, options->by_pid)) {
		free(new);
		return -ENOMEM;
	}
	new->options = *options;
	*exposition = new;
	return 0;
}

void exposition_free(struct exposition *exposition)
{
	if (exposition)
		groups_free(exposition->groups);
	free(exposition);
}

static unsigned metrics_count(void)
{
	unsigned count = 0;

	for (unsigned f = 0; f < FIG_COUNT; f++)
		count += figure_info[f].metric != NULL;
	return count;
}

size_t exposition_bytes(const struct exposition_options *options)
{
	size_t families = metrics_count() + GROUP_LINES + 1;
	size_t lines = metrics_count() + GROUP_LINES + MEMBER_STATES +
		       (options->rules ? options->rules->count : 0);
	size_t line_bytes = LINE_BYTES + (options->by_pid ? 2 : 1) * METRIC_LABEL_BYTES;

	return OWN_BYTES + families * FAMILY_BYTES +
	       (options->top + 1) * lines * line_bytes;
}

static void gather(struct exposition *exposition)
{
	const struct export_events *events = exposition->options.events;

	groups_gather(exposition->groups, exposition->options.population);
	exposition->probed = events ? export_events_probed(events) : 0;
	if (events)
		groups_take_events(exposition->groups, events);
}

uint64_t exposition_gather(struct exposition *exposition)
{
	struct population *population = exposition->options.population;

	population_lock(population);
	population_scan(
		population,
		population_fresh_ns(population, FRESH_NS, exposition->options.share),
		NULL);
	if (population_scans(population) != exposition->scans) {
		gather(exposition);
		exposition->totals = *reader_totals(exposition->options.reader);
		exposition->scans = population_scans(population);
		exposition->scan_cpu_ns = population_scan_cpu_ns(population);
		exposition->left_out = population_left_out(population);
		exposition->now_ns = clock_monotonic_ns();
	}
	population_unlock(population);
	return exposition->scans;
}

/* ---- groups ---- */

/* The text that is written to, and how. */
struct page_text {
	const struct exposition *exposition;
	enum metrics_format format;
	struct text *text;
};

static void begin(const struct page_text *page, const struct metric_family *family,
		  const struct group_sums *sums)
{
	char pid[16];

	metrics_begin(page->text, family);
	metrics_label(page->text, "kind", group_kind_name(sums->group.kind));
	metrics_label(page->text, "group", sums->group.name);
	if (sums->group.pod[0] && sums->group.kind != GROUP_OTHER)
		metrics_label(page->text, "pod", sums->group.pod);
	if (!sums->pid)
		return;
	snprintf(pid, sizeof(pid), "%d", sums->pid);
	metrics_label(page->text, "name", sums->comm);
	metrics_label(page->text, "pid", pid);
}

static void write_figure(const struct page_text *page, enum figure f)
{
	const struct groups *groups = page->exposition->groups;
	const char *tail =
		figure_info[f].unit == UNIT_RATIO
			? "Of the sums over the processes of the group."
		: f == FIG_RSS_BYTES || f == FIG_SWAP_BYTES
			? "Of each process of the group, now; summed up."
			: "Of each process of the group, by its last reading; summed up.";
	char help[HELP_BYTES];
	const struct metric_family family =
		metrics_of_figure(f, tail, help, sizeof(help));
	bool is_begun = false;

	for (size_t i = 0; i < groups_count(groups); i++) {
		const struct group_sums *sums = groups_at(groups, i);

		if (!figure_has(&sums->fig, f))
			continue;
		if (!is_begun)
			metrics_family(page->text, page->format, &family);
		is_begun = true;
		begin(page, &family, sums);
		metrics_figure(page->text, &sums->fig, f);
	}
}

static void write_processes(const struct page_text *page)
{
	static const struct metric_family family = {
		.name = "processes",
		.help = "Processes of the group, by what came of the last reading of "
			"their heaps: complete; estimated, of a random sample; torn, "
			"as the program changed what was being read; partial; unread "
			"so far; refused, no heap that can be read; held, it keeps "
			"its reader waiting.",
	};
	const struct groups *groups = page->exposition->groups;

	metrics_family(page->text, page->format, &family);
	for (size_t i = 0; i < groups_count(groups); i++)
		for (unsigned s = 0; s < MEMBER_STATES; s++) {
			begin(page, &family, groups_at(groups, i));
			metrics_label(page->text, "reading", state_names[s]);
			metrics_u64(page->text, groups_at(groups, i)->in_state[s]);
		}
}

static void write_ages(const struct page_text *page)
{
	static const struct metric_family family = {
		.name = "reading_age_seconds",
		.unit = "seconds",
		.help = "How long ago the oldest of the readings was that the sums of "
			"the group are made of.",
	};
	const struct groups *groups = page->exposition->groups;

	metrics_family(page->text, page->format, &family);
	for (size_t i = 0; i < groups_count(groups); i++) {
		const struct group_sums *sums = groups_at(groups, i);

		if (!sums->read)
			continue;
		begin(page, &family, sums);
		metrics_double(page->text,
			       (double)(page->exposition->now_ns - sums->oldest_ns) /
				       NS_PER_S,
			       DECIMALS);
	}
}

static void write_alerts(const struct page_text *page)
{
	static const struct metric_family family = {
		.name = "alert",
		.help = "Processes of the group of which an alert by this rule is on.",
	};
	const struct groups *groups = page->exposition->groups;
	const struct rules *rules = page->exposition->options.rules;

	if (!rules)
		return;
	metrics_family(page->text, page->format, &family);
	for (size_t i = 0; i < groups_count(groups); i++)
		for (unsigned r = 0; r < rules->count; r++) {
			begin(page, &family, groups_at(groups, i));
			metrics_label(page->text, "rule", rules->rule[r].name);
			metrics_label(page->text, "severity",
				      severity_name(rules->rule[r].severity));
			metrics_u64(page->text, groups_at(groups, i)->alerts[r]);
		}
}

static const struct {
	struct metric_family family;
	size_t offset; /* in struct event_counts */
} event_families[] = {
	{{"heap_growths", METRIC_COUNTER, NULL,
	  "How often malloc got memory from the kernel, in processes of the group that "
	  "are "
	  "under probes."},
	 offsetof(struct event_counts, growths)},
	{{"heap_growth_bytes", METRIC_COUNTER, "bytes",
	  "What malloc got from the kernel in those growths."},
	 offsetof(struct event_counts, growth_bytes)},
	{{"heap_failed_allocations", METRIC_COUNTER, NULL,
	  "Allocations for which the kernel refused the memory, in processes of the "
	  "group "
	  "that are under probes."},
	 offsetof(struct event_counts, failures)},
	{{"oom_kills", METRIC_COUNTER, NULL,
	  "Processes of the group that the kernel has killed for memory."},
	 offsetof(struct event_counts, kills)},
};

static void write_events(const struct page_text *page)
{
	const struct groups *groups = page->exposition->groups;

	if (!page->exposition->options.events)
		return;
	for (size_t f = 0; f < sizeof(event_families) / sizeof(event_families[0]); f++) {
		const struct metric_family *family = &event_families[f].family;

		metrics_family(page->text, page->format, family);
		for (size_t i = 0; i < groups_count(groups); i++) {
			const struct group_sums *sums = groups_at(groups, i);

			if (!sums->has_events)
				continue;
			begin(page, family, sums);
			metrics_u64(page->text,
				    *(const uint64_t *)((const char *)&sums->events +
							event_families[f].offset));
		}
	}
}

/* ---- the exporter itself ---- */

static double own_cpu(const struct exposition *exposition)
{
	(void)exposition;
	return (double)(clock_process_ns() + clock_children_ns()) / NS_PER_S;
}

static double own_resident(const struct exposition *exposition)
{
	unsigned long pages = 0;
	char text[128];

	(void)exposition;
	if (!file_text("/proc/self/statm", text, sizeof(text)))
		sscanf(text, "%*u %lu", &pages);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double readings_cpu(const struct exposition *exposition)
{
	return (double)exposition->totals.cpu_ns / NS_PER_S;
}

static double max_cost(const struct exposition *exposition)
{
	return exposition->options.share;
}

static double held(const struct exposition *exposition)
{
	return exposition->totals.held;
}

static double unjudged(const struct exposition *exposition)
{
	return (double)exposition->totals.unjudged;
}

static double probed(const struct exposition *exposition)
{
	return (double)exposition->probed;
}

static double scans(const struct exposition *exposition)
{
	return (double)exposition->scans;
}

static double scan_cpu(const struct exposition *exposition)
{
	return (double)exposition->scan_cpu_ns / NS_PER_S;
}

static double groups_shown(const struct exposition *exposition)
{
	return (double)groups_count(exposition->groups);
}

static double groups_rest(const struct exposition *exposition)
{
	return (double)groups_in_rest(exposition->groups);
}

static double left_out(const struct exposition *exposition)
{
	return (double)exposition->left_out;
}

static double scrapes(const struct exposition *exposition)
{
	return (double)atomic_load(exposition->options.scrapes);
}

static const struct {
	struct metric_family family;
	double (*value)(const struct exposition *exposition);
	unsigned decimals;
} own[] = {
	{{"export_cpu_seconds", METRIC_COUNTER, "seconds",
	  "Processor time that the exporter has taken, for everything."},
	 own_cpu,
	 6},
	{{"export_resident_bytes", METRIC_GAUGE, "bytes",
	  "Resident memory of the exporter."},
	 own_resident,
	 0},
	{{"export_max_cost_ratio", METRIC_GAUGE, "ratio",
	  "The share of one processor that the exporter keeps to."},
	 max_cost,
	 6},
	{{"export_reading_cpu_seconds", METRIC_COUNTER, "seconds",
	  "Processor time that readings of heaps have taken."},
	 readings_cpu,
	 6},
	{{"export_held_readers", METRIC_GAUGE, NULL,
	  "Processes that keep a thread of the exporter waiting (userfaultfd or FUSE)."},
	 held,
	 0},
	{{"export_unjudged_readings", METRIC_COUNTER, NULL,
	  "Readings that no rule was applied to, for want of room."},
	 unjudged,
	 0},
	{{"export_probed_processes", METRIC_GAUGE, NULL,
	  "Processes that are under probes."},
	 probed,
	 0},
	{{"export_looks", METRIC_COUNTER, NULL,
	  "Looks at the processes of the host in /proc."},
	 scans,
	 0},
	{{"export_look_cpu_seconds", METRIC_GAUGE, "seconds",
	  "Processor time that the last look took."},
	 scan_cpu,
	 6},
	{{"export_groups", METRIC_GAUGE, NULL,
	  "Groups that have series, the rest "
	  "included."},
	 groups_shown,
	 0},
	{{"export_groups_in_other", METRIC_GAUGE, NULL,
	  "Groups that are summed up as the rest."},
	 groups_rest,
	 0},
	{{"export_processes_left_out", METRIC_GAUGE, NULL,
	  "Processes for which there was no room, in no sum."},
	 left_out,
	 0},
	{{"export_scrapes", METRIC_COUNTER, NULL, "Requests for metrics."}, scrapes, 0},
};

static void write_own(const struct page_text *page)
{
	static const struct metric_family build = {
		.name = "build_info",
		.help = "The exporter's version; always 1.",
	};
	static const struct metric_family readings = {
		.name = "export_readings",
		.type = METRIC_COUNTER,
		.help = "Readings of heaps, by what came of them.",
	};
	const struct reader_totals *totals = &page->exposition->totals;

	metrics_family(page->text, page->format, &build);
	metrics_begin(page->text, &build);
	metrics_label(page->text, "version", PACKAGE_VERSION);
	metrics_u64(page->text, 1);
	metrics_family(page->text, page->format, &readings);
	for (unsigned s = MEMBER_UNREAD + 1; s < MEMBER_STATES; s++) {
		metrics_begin(page->text, &readings);
		metrics_label(page->text, "reading", state_names[s]);
		metrics_u64(page->text, totals->readings[s]);
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		metrics_family(page->text, page->format, &own[i].family);
		metrics_begin(page->text, &own[i].family);
		metrics_double(page->text, own[i].value(page->exposition),
			       own[i].decimals);
	}
}

void exposition_write(struct exposition *exposition, enum metrics_format format,
		      struct text *text)
{
	const struct page_text page = {exposition, format, text};

	write_processes(&page);
	write_ages(&page);
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_info[f].metric)
			write_figure(&page, f);
	write_alerts(&page);
	write_events(&page);
	write_own(&page);
	metrics_end(text, format);
}
