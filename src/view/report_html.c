/* report_html.c: a report as one self-contained page. */
#include "view/owners.h"
#include "view/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ARENAS = 64, NAMES = 10 };

/* ---- the head ---- */

static void head(struct report_out *out, const struct report *report)
{
	char title[2 * SAMPLE_TEXT], identity[8 * SAMPLE_TEXT];

	snprintf(title, sizeof(title), "fragscope: process %d (%s)", report->sample->pid,
		 report->sample->comm);
	page_begin(out, title);
	page_element(out, "p", "answer", report->answer);
	report_identity(report->sample, identity, sizeof(identity));
	page_element(out, "p", "note", identity);
	text_string(&out->text, "<p class=\"note\">");
	page_escape(out, report->describe);
	if (report->readings > 1)
		report_print(out, "; %llu readings in %s",
			     (unsigned long long)report->readings,
			     SPAN(report->watched_s));
	report_print(out, "; the last is %s ",
		     sample_status_name(report->sample->status));
	page_escape(out, report->sample->missing);
	text_string(&out->text, "</p>\n");
}

/* ---- verdicts ---- */

static void verdicts(struct report_out *out, const struct report *report)
{
	static const char *const classes[] = {
		[SEVERITY_NOTE] = "verdict note-only",
		[SEVERITY_WARNING] = "verdict",
		[SEVERITY_CRITICAL] = "verdict critical",
	};

	page_element(out, "h2", NULL, "What to do");
	if (!report->verdicts)
		page_element(out, "p", NULL, report_nothing(report));
	for (unsigned i = 0; i < report->verdicts; i++) {
		const struct verdict *verdict = &report->verdict[i];

		report_print(out, "<div class=\"%s\"><p><strong>%s</strong> (%s): ",
			     classes[verdict->severity], verdict_title(verdict),
			     severity_name(verdict->severity));
		page_escape(out, verdict->headline);
		text_string(&out->text, ".</p>\n");
		page_element(out, "p", NULL, verdict->evidence);
		page_element(out, "p", NULL, verdict->remedy);
		report_print(out, "</div>\n");
	}
}

static void not_known(struct report_out *out, const char *why)
{
	text_string(&out->text, "<p>Not known: ");
	page_escape(out, why);
	text_string(&out->text, "</p>\n");
}

/* ---- figures ---- */

static void non_malloc(struct report_out *out, const struct report *report)
{
	static const char *const names[] = {"mappings by name", "resident"};
	const struct figures *fig = &report->sample->fig;
	const struct smaps *smaps = report->smaps;

	if (figure_has(fig, FIG_ANON_HUGE_BYTES) && fig->v[FIG_ANON_HUGE_BYTES].u)
		report_print(out, "<p>In huge pages: %s of it.</p>\n",
			     BYTES(fig->v[FIG_ANON_HUGE_BYTES].u));
	if (!smaps)
		return;
	if (smaps->forked_bytes)
		report_print(out, "<p>Shared since a fork: %s of it.</p>\n",
			     BYTES(smaps->forked_bytes));
	report_print(out,
		     "<p>%s: anonymous %s, shared %s, files %s, the first thread's "
		     "stack %s.</p>\n",
		     figure_has(fig, FIG_OTHER_RESIDENT_BYTES) ? "Not malloc's"
							       : "By mappings",
		     BYTES(report->other_anon_bytes),
		     BYTES(smaps->rss_bytes[SMAPS_SHARED]),
		     BYTES(smaps->rss_bytes[SMAPS_FILE]),
		     BYTES(smaps->rss_bytes[SMAPS_STACK]));
	page_headings(out, names, 2);
	for (unsigned i = 0; i < smaps->count && i < NAMES; i++) {
		if (!smaps->name[i].rss_bytes)
			break;
		report_print(out, "<tr>");
		page_cell(out, smaps->name[i].name);
		page_cell(out, BYTES(smaps->name[i].rss_bytes));
		report_print(out, "</tr>\n");
	}
	page_end_table(out);
}

static const enum figure arena_figure[] = {
	FIG_LIVE_BYTES,	      FIG_FREE_BYTES,	FIG_FREE_RESIDENT_BYTES,
	FIG_TRIMMABLE_BYTES,  FIG_PINNED_BYTES, FIG_RETAINED_BYTES,
	FIG_TOP_BYTES,	      FIG_FREE_CHUNKS,	FIG_LARGEST_HOLE_BYTES,
	FIG_ATTACHED_THREADS, FIG_FRAG,
};

enum { ARENA_FIGURES = sizeof(arena_figure) / sizeof(*arena_figure) };

static void arenas(struct report_out *out, const struct sample *sample)
{
	const char *names[ARENA_FIGURES + 1] = {"arena"};
	unsigned order[ARENAS];
	unsigned count = report_arenas(sample, order, ARENAS);

	if (!count)
		return;
	page_element(out, "h2", NULL, "Arenas");
	for (unsigned f = 0; f < ARENA_FIGURES; f++)
		names[f + 1] = figure_label(arena_figure[f]);
	page_headings(out, names, ARENA_FIGURES + 1);
	for (unsigned i = 0; i < count; i++) {
		const struct arena_row *row = &sample->arena[order[i]];

		report_print(out, "<tr><td>%u</td>", row->index);
		for (unsigned f = 0; f < ARENA_FIGURES; f++)
			page_cell(out, report_figure(&row->fig, arena_figure[f]).s);
		report_print(out, "</tr>\n");
	}
	page_end_table(out);
	if (count < sample->arena_count)
		report_print(out, "<p>And %u arenas more, with less free.</p>\n",
			     sample->arena_count - count);
}

static void broken(struct report_out *out, const struct sample *sample)
{
	char free_memory[256], unusable[256];

	report_free(sample, free_memory, sizeof(free_memory));
	if (!*free_memory)
		return;
	page_element(out, "h2", NULL, "How fragmented the free memory is");
	report_print(out, "<p>%s.</p>\n", free_memory);
	report_unusable(sample, unusable, sizeof(unusable));
	if (*unusable)
		page_element(out, "p", NULL, unusable);
	report_svg_sizes(out, sample);
}

static void heading(struct report_out *out, const struct report *report)
{
	page_element(out, "h2", NULL, "Where it is heading");
	if (report->readings < 2) {
		not_known(out, "this is of one reading");
		return;
	}
	report_print(out, "<div class=\"graphs\">\n");
	for (unsigned i = 0; i < report->series_count; i++)
		report_svg_series(out, &report->series[i]);
	report_print(out, "</div>\n");
}

/* ---- who, limits, blockers ---- */

static void growth(struct report_out *out, const struct report_growth *of)
{
	static const char *const names[] = {"stack", "grown", "times", "failed"};
	char line[128];

	page_element(out, "h2", NULL, "Who made it grow");
	if (of->missing) {
		not_known(out, of->missing);
		return;
	}
	report_print(out,
		     "<p>The heap grew %s times, by %s; %s allocations failed.</p>\n",
		     COUNT(of->growths), BYTES(of->bytes), COUNT(of->failures));
	report_skipped(of, line, sizeof(line));
	if (*line)
		page_element(out, "p", NULL, line);
	if (!of->rows)
		return;
	page_headings(out, names, 4);
	for (unsigned i = 0; i < of->rows; i++) {
		report_print(out, "<tr><td><code class=\"stack\">");
		page_escape(out, of->row[i].stack);
		report_print(out, "</code></td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
			     BYTES(of->row[i].bytes), COUNT(of->row[i].growths),
			     COUNT(of->row[i].failures));
	}
	page_end_table(out);
	page_element(out, "p", NULL, fold_caveat);
}

static void limit(struct report_out *out, const struct report *report,
		  enum headroom_kind kind)
{
	const struct headroom_row *row = &report->headroom->row[kind];
	bool is_count = headroom_info[kind].is_count;
	char when_reached[96];

	report_when(&report->reach[kind], when_reached, sizeof(when_reached));
	report_print(out, "<tr><td>%s%s%s</td>",
		     report->headroom->nearest == (int)kind ? "<strong>" : "",
		     headroom_info[kind].limit,
		     report->headroom->nearest == (int)kind ? "</strong>, the nearest"
							    : "");
	page_cell(out, is_count ? COUNT(row->used) : BYTES(row->used));
	page_cell(out, is_count ? COUNT(row->limit) : BYTES(row->limit));
	page_cell(out, SHARE(row->left_share));
	page_cell(out, when_reached);
	page_element(out, "td", "words", headroom_info[kind].outcome);
	report_print(out, "</tr>\n");
}

static void limits(struct report_out *out, const struct report *report)
{
	static const char *const names[] = {"limit", "used",	"limit",
					    "left",  "reached", "beyond it"};
	char line[REPORT_OOM_LINE];

	page_element(out, "h2", NULL, "What is about to happen");
	if (!report->headroom) {
		not_known(out, report->why_no_limits);
		return;
	}
	page_headings(out, names, 6);
	for (unsigned i = 0; i < HEADROOM_KINDS; i++)
		if (report->headroom->row[i].is_set)
			limit(out, report, (enum headroom_kind)i);
	page_end_table(out);
	if (report_cgroup_cache(report, line, sizeof(line)))
		page_element(out, "p", NULL, line);
	for (unsigned i = 0; report_oom(report, i, line); i++)
		page_element(out, "p", NULL, line);
}

static void tail(struct report_out *out, const struct blockers *of)
{
	static const char *const names[] = {"chunks gone", "bytes",
					    "come back by itself"};

	if (!of->step_count || !of->tail_count)
		return;
	report_print(out,
		     "<p>Below the top of arena %u (%s), the last at <code>0x%" PRIx64
		     "</code>:</p>\n",
		     of->tail_arena, BYTES(of->tail_top_bytes), of->tail[0].addr);
	page_headings(out, names, 3);
	for (unsigned i = 0; i < of->step_count; i++)
		report_print(out, "<tr><td>%s</td><td>%s</td><td>%s</td></tr>\n",
			     COUNT(of->step[i].chunks), BYTES(of->step[i].bytes),
			     BYTES(of->step[i].hole_resident_bytes));
	page_end_table(out);
}

static void owners(struct report_out *out, const struct report *report)
{
	static const char *const all[] = {"would come back", "owner"};
	static const char *const some[] = {"share of a random sample", "owner"};
	char path[REPORT_OWNER];

	if (report->why_no_owners) {
		report_print(out, "<p>Who holds them is not known: ");
		page_escape(out, report->why_no_owners);
		report_print(out, ".</p>\n");
	}
	if (!report->owners || !report->owners->count)
		return;
	report_print(out,
		     "<p>Who holds them (<code>fragscope owners -p %d</code> %s):</p>\n",
		     report->sample->pid,
		     report->owners->sampled_chunks ? "searches more" : "has all");
	page_headings(out, report->owners->sampled_chunks ? some : all, 2);
	for (unsigned i = 0; i < report->owners->count && i < REPORT_OWNERS; i++) {
		const struct owner *owner = &report->owners->owner[i];

		owners_line(owner, path, sizeof(path));
		report_print(out, "<tr><td>%s</td>",
			     owners_weight(report->owners, owner).s);
		page_element(out, "td", "words", path);
		report_print(out, "</tr>\n");
	}
	page_end_table(out);
}

static void blockers(struct report_out *out, const struct report *report)
{
	static const char *const names[] = {"address", "arena",	  "chunks",
					    "bytes",   "unlocks", "perhaps"};
	const struct blockers *of = report->blockers;

	page_element(out, "h2", NULL, "What keeps it from going back");
	if (!of) {
		not_known(out, report->why_no_blockers);
		return;
	}
	report_print(out,
		     "<p>%s in use (%s) share pages with %s of free memory. Those "
		     "that would release most if freed:</p>\n",
		     COUNTED(of->pinning_chunks, "chunk"), BYTES(of->pinning_bytes),
		     BYTES(of->pinned_bytes));
	page_headings(out, names, 6);
	for (unsigned i = 0; i < of->best_count; i++) {
		const struct blocker *blocker = &of->best[i];
		const char *identity = report->identity ? report->identity[i] : NULL;

		report_print(out,
			     "<tr><td><code>0x%" PRIx64
			     "</code></td><td>%u</td><td>%s</td>"
			     "<td>%s</td><td>%s</td>",
			     blocker->addr, blocker->arena, COUNT(blocker->chunks),
			     BYTES(blocker->bytes), BYTES(blocker->unlocked_bytes));
		page_element(out, "td", "words", identity ? identity : "");
		report_print(out, "</tr>\n");
	}
	page_end_table(out);
	tail(out, of);
	owners(out, report);
}

static void map(struct report_out *out, const struct heap_map *of)
{
	if (!of)
		return;
	page_element(out, "h2", NULL, "Heap map");
	report_svg_map(out, of);
}

int report_html(const struct report *report, int fd)
{
	struct report_out *out = report_begin(fd);
	char cost[512];

	if (!out)
		return report_finish(out);
	head(out, report);
	page_element(out, "h2", NULL, "Where the resident memory is");
	report_svg_parts(out, &report->sample->fig);
	verdicts(out, report);
	heading(out, report);
	broken(out, report->sample);
	map(out, report->map);
	arenas(out, report->sample);
	growth(out, &report->growth);
	limits(out, report);
	blockers(out, report);
	non_malloc(out, report);
	report_cost(report, cost, sizeof(cost));
	page_element(out, "p", "cost", cost);
	return page_finish(out);
}
