/* report_json.c: a report as one JSON object on a line; never scaled. */
#include "analysis/runtime.h"
#include "view/emitter.h"
#include "view/json_text.h"
#include "view/owners.h"
#include "view/report_parts.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { DECIMALS = 6, STACK_BYTES = 8192 };

static void key(struct text *text, const char *name)
{
	json_key(text, name, strlen(name));
}

/* What is no number, or none that can be written, is left out. */
static void member_double(struct text *text, const char *name, double value)
{
	if (!isfinite(value) || fabs(value) > 1e12)
		return;
	key(text, name);
	text_fixed(text, value, DECIMALS);
}

static void list(struct text *text, const char *name)
{
	key(text, name);
	text_char(text, '[');
}

/* ---- verdicts ---- */

static void facts(struct text *text, const struct verdict *verdict)
{
	json_member_object(text, "facts");
	for (unsigned i = 0; i < verdict->fact_count; i++) {
		const struct verdict_fact *fact = &verdict->fact[i];

		if (fact->unit == UNIT_RATIO)
			member_double(text, fact->name, fact->value.d);
		else
			json_member_u64(text, fact->name, fact->value.u);
	}
	text_char(text, '}');
}

static void verdicts(struct report_out *out, const struct report *report)
{
	struct text *text = &out->text;

	list(text, "verdicts");
	for (unsigned i = 0; i < report->verdicts; i++) {
		const struct verdict *verdict = &report->verdict[i];

		json_element(text);
		json_member_string(text, "verdict", verdict_info[verdict->kind].name);
		json_member_string(text, "severity", severity_name(verdict->severity));
		json_member_bool(text, "certain", !verdict->is_possible);
		json_member_u64(text, "stake_bytes", verdict->stake_bytes);
		json_member_string(text, "headline", verdict->headline);
		json_member_string(text, "evidence", verdict->evidence);
		json_member_string(text, "remedy", verdict->remedy);
		facts(text, verdict);
		text_char(text, '}');
	}
	text_char(text, ']');
	report_flush(out);
}

/* ---- figures ---- */

/* One row as stat writes it, but for its newline. */
static void row(struct report_out *out, const struct sample *sample,
		const struct arena_row *arena, struct view *view)
{
	const struct row of = {
		.sample = sample,
		.arena = arena,
		.fig = arena ? &arena->fig : &sample->fig,
		.status = arena ? arena->status : sample->status,
	};

	text_init(&view->text, view->buf, sizeof(view->buf));
	emitter_json.row(view, &of);
	text_bytes(&out->text, view->text.buf, view->text.length - 1);
	report_flush(out);
}

static void sample(struct report_out *out, const struct sample *sample, struct view *view)
{
	key(&out->text, "sample");
	row(out, sample, NULL, view);
	list(&out->text, "arenas");
	for (unsigned i = 0; i < sample->arena_count; i++) {
		if (i)
			text_char(&out->text, ',');
		row(out, sample, &sample->arena[i], view);
	}
	text_char(&out->text, ']');
}

static void trends(struct report_out *out, const struct report *report)
{
	struct text *text = &out->text;

	json_member_object(text, "trends");
	for (unsigned i = 0; i < report->series_count; i++) {
		const struct verdict_trend *trend = &report->series[i].trend;

		if (!trend->is_known)
			continue;
		json_member_object(text, figure_info[report->series[i].f].name);
		json_member_string(text, "direction",
				   !report_goes_as_it_ended(trend) ? "none"
				   : trend->is_rising		   ? "rising"
								   : "falling");
		member_double(text, "first", trend->first);
		member_double(text, "last", trend->last);
		member_double(text, "per_s", trend->per_s);
		member_double(text, "low_per_s", trend->low_per_s);
		member_double(text, "high_per_s", trend->high_per_s);
		if (report->series[i].is_estimated)
			json_member_bool(text, "estimated", true);
		text_char(text, '}');
	}
	text_char(text, '}');
	report_flush(out);
}

/* ---- limits ---- */

static void reach(struct text *text, const struct headroom_reach *of)
{
	static const char *const words[] = {
		[HEADROOM_WHEN_NEVER] = "not at this rate",
		[HEADROOM_WHEN_REACHED] = "reached",
		[HEADROOM_WHEN_IN] = "in",
	};

	if (of->when == HEADROOM_WHEN_UNKNOWN)
		return;
	json_member_string(text, "when", words[of->when]);
	if (of->when != HEADROOM_WHEN_IN)
		return;
	member_double(text, "in_s", of->in_s);
	member_double(text, "earliest_s", of->earliest_s);
	member_double(text, "latest_s", of->latest_s);
}

static void limit(struct text *text, const struct report *report, enum headroom_kind kind)
{
	const struct headroom_row *of = &report->headroom->row[kind];

	json_element(text);
	json_member_string(text, "limit", headroom_info[kind].name);
	json_member_string(text, "unit",
			   headroom_info[kind].is_count ? "mappings" : "bytes");
	json_member_u64(text, "used", of->used);
	json_member_u64(text, "max", of->limit);
	json_member_u64(text, "left", of->left);
	member_double(text, "left_share", of->left_share);
	json_member_string(text, "beyond", headroom_info[kind].outcome);
	reach(text, &report->reach[kind]);
	text_char(text, '}');
}

static void cgroup(struct text *text, const struct bounds *bounds)
{
	const struct cgroup_memory *memory = &bounds->cgroup;

	if (!(bounds->has & BOUNDS_HAS_CGROUP))
		return;
	json_member_object(text, "cgroup");
	json_member_u64(text, "version", memory->version);
	json_member_string(text, "path", memory->path);
	if (memory->max.is_set)
		json_member_string(text, "max_path", memory->max.path);
	if (memory->high.is_set)
		json_member_string(text, "high_path", memory->high.path);
	if (memory->has_pressure)
		member_double(text, "pressure_10s_percent", memory->pressure.some_10s);
	text_char(text, '}');
}

static void oom(struct text *text, const struct oom_rank *rank)
{
	json_member_object(text, "oom");
	json_member_i64(text, "score", rank->score);
	json_member_i64(text, "score_adj", rank->score_adj);
	if (rank->panics >= 0)
		json_member_i64(text, "panic_on_oom", rank->panics);
	json_member_u64(text, "place", rank->place);
	json_member_u64(text, "candidates", rank->candidates);
	json_member_i64(text, "first_pid", rank->first.pid);
	json_member_string(text, "first_comm", rank->first.comm);
	if (rank->second.pid) {
		json_member_i64(text, "second_pid", rank->second.pid);
		json_member_string(text, "second_comm", rank->second.comm);
	}
	if (rank->exempt.pid) {
		json_member_i64(text, "exempt_pid", rank->exempt.pid);
		json_member_string(text, "exempt_comm", rank->exempt.comm);
		json_member_u64(text, "exempt_rss_bytes", rank->exempt.rss_bytes);
	}
	text_char(text, '}');
}

static void limits(struct report_out *out, const struct report *report)
{
	struct text *text = &out->text;

	if (!report->headroom) {
		json_member_string(text, "no_limits", report->why_no_limits);
		return;
	}
	list(text, "limits");
	for (unsigned i = 0; i < HEADROOM_KINDS; i++)
		if (report->headroom->row[i].is_set)
			limit(text, report, (enum headroom_kind)i);
	text_char(text, ']');
	if (report->headroom->nearest >= 0)
		json_member_string(text, "nearest_limit",
				   headroom_info[report->headroom->nearest].name);
	if (report->bounds->host.has & LIMITS_HAS_OVERCOMMIT)
		json_member_u64(text, "overcommit_memory",
				report->bounds->host.overcommit);
	cgroup(text, report->bounds);
	if (report->bounds->has & BOUNDS_HAS_PRESSURE)
		member_double(text, "host_pressure_10s_percent",
			      report->bounds->pressure.some_10s);
	if (report->oom)
		oom(text, report->oom);
	report_flush(out);
}

/* ---- closer looks ---- */

static void one_blocker(struct text *text, const struct blocker *blocker,
			const char *identity)
{
	json_element(text);
	json_member_addr(text, "addr", blocker->addr);
	json_member_u64(text, "arena", blocker->arena);
	json_member_u64(text, "chunks", blocker->chunks);
	json_member_u64(text, "bytes", blocker->bytes);
	json_member_u64(text, "unlocked_bytes", blocker->unlocked_bytes);
	if (identity)
		json_member_string(text, "guess", identity);
	text_char(text, '}');
}

/* What stands between the top and the free memory below it, nearest first. */
static void tail(struct text *text, const struct blockers *of)
{
	list(text, "tail");
	for (unsigned i = 0; i < of->tail_count; i++)
		one_blocker(text, &of->tail[i], NULL);
	text_char(text, ']');
	list(text, "tail_steps");
	for (unsigned i = 0; i < of->step_count; i++) {
		json_element(text);
		json_member_u64(text, "chunks", of->step[i].chunks);
		json_member_u64(text, "bytes", of->step[i].bytes);
		json_member_u64(text, "hole_bytes", of->step[i].hole_bytes);
		json_member_u64(text, "hole_resident_bytes",
				of->step[i].hole_resident_bytes);
		text_char(text, '}');
	}
	text_char(text, ']');
}

static void blockers(struct report_out *out, const struct report *report)
{
	const struct blockers *of = report->blockers;
	struct text *text = &out->text;

	if (!of) {
		if (report->why_no_blockers)
			json_member_string(text, "no_pins", report->why_no_blockers);
		return;
	}
	json_member_object(text, "pins");
	json_member_u64(text, "pinning_chunks", of->pinning_chunks);
	json_member_u64(text, "pinning_bytes", of->pinning_bytes);
	json_member_u64(text, "pinned_bytes", of->pinned_bytes);
	list(text, "best");
	for (unsigned i = 0; i < of->best_count; i++)
		one_blocker(text, &of->best[i],
			    report->identity ? report->identity[i] : NULL);
	text_char(text, ']');
	if (report->owners)
		owners_member(text, report->owners, REPORT_OWNERS);
	if (report->why_no_owners)
		json_member_string(text, "no_owners", report->why_no_owners);
	tail(text, of);
	text_char(text, '}');
	report_flush(out);
}

static void mappings(struct report_out *out, const struct report *report)
{
	static const char *const kinds[SMAPS_KINDS] = {"anonymous", "stack", "shared",
						       "file"};
	const struct smaps *smaps = report->smaps;
	const struct runtime *runtime;
	struct text *text = &out->text;

	if (!smaps)
		return;
	runtime = runtime_of(smaps, report->other_anon_bytes);
	json_member_u64(text, "forked_bytes", smaps->forked_bytes);
	json_member_object(text, "not_malloc");
	json_member_u64(text, "anonymous_bytes", report->other_anon_bytes);
	json_member_u64(text, "shared_bytes", smaps->rss_bytes[SMAPS_SHARED]);
	json_member_u64(text, "file_bytes", smaps->rss_bytes[SMAPS_FILE]);
	if (smaps->page_cache_bytes)
		json_member_u64(text, "page_cache_bytes", smaps->page_cache_bytes);
	json_member_u64(text, "stack_bytes", smaps->rss_bytes[SMAPS_STACK]);
	json_member_u64(text, "shared_pss_bytes", smaps->pss_bytes[SMAPS_SHARED]);
	if (runtime)
		json_member_string(text, "runtime", runtime->name);
	list(text, "largest");
	for (unsigned i = 0; i < smaps->count && i < 16; i++) {
		json_element(text);
		json_member_string(text, "name", smaps->name[i].name);
		json_member_string(text, "kind", kinds[smaps->name[i].kind]);
		json_member_u64(text, "rss_bytes", smaps->name[i].rss_bytes);
		text_char(text, '}');
	}
	text_string(text, "]}");
	report_flush(out);
}

static void growth(struct report_out *out, const struct report_growth *of)
{
	struct text *text = &out->text;

	json_member_object(text, "growth");
	if (of->missing) {
		json_member_string(text, "missing", of->missing);
		text_char(text, '}');
		return;
	}
	json_member_u64(text, "growths", of->growths);
	if (of->skipped)
		json_member_u64(text, "skipped", of->skipped);
	json_member_u64(text, "bytes", of->bytes);
	json_member_u64(text, "failures", of->failures);
	list(text, "stacks");
	for (unsigned i = 0; i < of->rows; i++) {
		json_element(text);
		json_member_u64(text, "bytes", of->row[i].bytes);
		json_member_u64(text, "growths", of->row[i].growths);
		json_member_u64(text, "failures", of->row[i].failures);
		key(text, "stack");
		json_string_cut(text, of->row[i].stack, STACK_BYTES);
		text_char(text, '}');
		report_flush(out);
	}
	text_string(text, "]}");
}

static void cost(struct report_out *out, const struct report *report)
{
	const struct report_cost *of = &report->cost;
	struct text *text = &out->text;

	json_member_object(text, "cost");
	json_member_u64(text, "readings", report->readings);
	if (!report->is_recorded) {
		json_member_u64(text, "read_ns", of->read_ns);
		json_member_u64(text, "longest_read_ns", of->longest_ns);
		json_member_u64(text, "closer_look_ns", of->survey_ns);
		json_member_u64(text, "own_cpu_ns", of->cpu_ns);
		json_member_u64(text, "pause_ns", 0);
		if (!report->growth.missing)
			json_member_u64(text, "events_told", of->events);
	}
	text_char(text, '}');
}

static void whole(struct report_out *out, const struct report *report, struct view *view)
{
	struct text *text = &out->text;

	text_char(text, '{');
	json_member_string(text, "answer", report->answer);
	json_member_string(text, "described", report->describe);
	json_member_time(text, "time", report->sample->time_ns);
	json_origin(text, &report->sample->origin);
	json_member_bool(text, "recorded", report->is_recorded);
	member_double(text, "watched_s", report->watched_s);
	verdicts(out, report);
	sample(out, report->sample, view);
	trends(out, report);
	growth(out, &report->growth);
	limits(out, report);
	blockers(out, report);
	mappings(out, report);
	cost(out, report);
	text_string(text, "}\n");
}

int report_json(const struct report *report, int fd)
{
	const struct view_options options = {.format = VIEW_JSON};
	struct report_out *out = report_begin(fd);
	struct view *view;

	if (!out || view_open(&view, fd, &options)) {
		report_finish(out);
		return -ENOMEM;
	}
	whole(out, report, view);
	view_close(view);
	return report_finish(out);
}
