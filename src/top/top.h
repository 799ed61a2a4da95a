/* top.h: what the files of `fragscope top` share: the state of the screen, which only its
 * own thread touches. Readings and events come from threads of their own. */
#ifndef FRAGSCOPE_TOP_H
#define FRAGSCOPE_TOP_H

#include "analysis/course.h"
#include "analysis/room.h"
#include "analysis/rule.h"
#include "analysis/trend.h"
#include "analysis/verdict.h"
#include "base/account.h"
#include "series/history.h"
#include "source/source.h"
#include "top/events.h"
#include "top/feed.h"
#include "top/picker.h"
#include "top/replay.h"
#include "tui/canvas.h"
#include "tui/keys.h"
#include "tui/screen.h"
#include "tui/term.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TOP_TARGETS = FEED_TARGETS,
	TOP_EVENTS = 256, /* kept of each target */
	TOP_TYPED = 64,
	TOP_TEXT = 2048,
	ADVICE_POINTS = 256,
	TOP_CPU_MARKS = 10, /* one a second */
};

struct watch;

/* What was asked for. Lives as long as the state does. */
struct top_options {
	size_t targets; /* processes that will be attached to at the start */
	bool no_color, ascii, no_events, swap_in;
	bool or_preload; /* no source was given */
	unsigned source;
	const char *replay;
	uint64_t speed, max_cost_percent;
	int64_t interval_ns;
};

/* One process, live or replayed. Its index is that of the feed, the events and the replay
 * alike. */
struct top_target {
	int pid;
	char comm[SAMPLE_TEXT];
	struct history *history;
	struct watch *watch;   /* by the default rules */
	struct course *limits; /* what was used of each limit */
	bool has_room;	       /* of the latest reading */
	struct room room;
	bool over;
	char why_over[FAULT_TEXT];
	bool reading;
	int64_t interval_ns;
	unsigned arenas;	  /* rows that a sample can have */
	struct events_row *event; /* a ring of TOP_EVENTS */
	size_t event_first, event_count;
};

/* Which instant and how much is looked at. */
struct top_time {
	int64_t paused_ns; /* CLOCK_REALTIME; 0: the present */
	int64_t right_ns;  /* while paused: the right end of the graphs */
	int64_t zoom_ns;
};

/* What this process itself takes. */
struct top_cpu {
	bool known;
	double share;	    /* of a core, over the time of the marks */
	int64_t excused_ns; /* when they were made; see feed_used_ns */
	struct top_cpu_mark {
		int64_t at_ns, used_ns;
	} mark[TOP_CPU_MARKS];
	unsigned next, count;
};

/* The range of the heap map and its cursor, by address: they stay where they are when the
 * cells become others. LOOK and BEFORE are the feed's. */
struct top_map {
	struct feed_wish wish; /* that the feed knows of */
	const struct feed_look *look, *before;
	uint64_t from, to; /* both 0: the whole arena */
	uint64_t cursor_addr;
	bool show_changed;
};

/* KNOWN: there was a sample to judge. The trends take some ms: they are those up to the
 * sample of TIME_NS of the process TARGET. The rest is room to work in. */
struct top_advice {
	bool known;
	int64_t time_ns;
	unsigned target;
	struct verdict_trend live, rss, other, pinned, chunks, largest;
	struct room_reach reach[ROOM_KINDS];
	unsigned count;
	struct verdict verdict[VERDICT_KINDS];
	char answer[512];
	struct trend_scratch scratch;
	double time_s[ADVICE_POINTS + 1], value[ADVICE_POINTS + 1];
};

/* What the trends that are shown are of. */
struct top_trend_key {
	int64_t zoom_ns, sample_ns;
	uint64_t target;
};

/* What the user is typing, and into what. */
enum top_prompt {
	PROMPT_NONE,
	PROMPT_FILTER,
};

struct top {
	const struct top_options *options;
	struct term *term;
	struct canvas *canvas;
	struct feed *feed;	 /* null: a recording is replayed */
	struct events *events;	 /* null: none are asked for */
	struct picker *picker;	 /* null: nobody has chosen a process yet */
	struct replayer *replay; /* null: live */
	bool replay_told;	 /* how it ended */

	struct rules rules; /* the default ones */
	struct top_target target[TOP_TARGETS];
	unsigned target_count, shown;

	bool quit, dirty, help, picking;
	enum pane pane;
	struct top_time time;

	enum arena_column sort;
	bool ascending;
	char filter[TOP_TYPED];
	enum top_prompt prompt;
	char typed[TOP_TYPED];
	unsigned arena; /* index: selected, and whose map and sizes are shown */
	bool all_sizes; /* the sizes of all arenas together */
	unsigned *order;
	unsigned order_capacity, order_count;
	unsigned event_selected, verdict_selected;
	struct events_row event_taken;
	char events_why[FAULT_TEXT];
	struct screen_event *event_row; /* what of the target's passes the filter */
	unsigned event_row_count;

	int picked_pid; /* that the picker stands on; 0: the first */
	char pick_filter[TOP_TYPED];

	char message[FAULT_TEXT];
	bool message_bad;
	char popup_title[64], popup[TOP_TEXT];

	struct top_cpu cpu;
	struct account drawing; /* of what is drawn because something came */
	bool pressed;		/* since the last drawing: it is not put off */
	struct top_map map;
	struct top_advice advice;
	struct top_trend_key trend_key;
	struct screen_trend trend[FIG_COUNT];
	struct screen screen;
	struct screen_target screen_target[TOP_TARGETS];
};

/* ---- targets.c ---- */

/* Adds a live process. 0, or -errno and FAULT. */
int top_attach(struct top *top, int pid, struct fault *fault);

/* Adds a process of the recording. 0, or -errno and FAULT. */
int top_add(struct top *top, int pid, const char *comm, unsigned arenas,
	    struct fault *fault);

/* Brings the target to the front. */
void top_show_target(struct top *top, unsigned index);

/* Takes what the threads, or the replay, have for us. */
void top_take(struct top *top);
void top_free_targets(struct top *top);

/* The target that is shown; null: there is none. */
struct top_target *top_shown(struct top *top);

/* Its sample of the instant that is looked at; null: there is none. */
const struct sample *top_sample(struct top *top);

/* Takes SAMPLE, and the BOUNDS (null: not known) of the same instant, into all that is
 * kept of a target. */
void top_keep(struct top *top, unsigned index, const struct sample *sample,
	      const struct bounds *bounds);
void top_keep_event(struct top_target *target, const struct events_row *row);

/* Its event I, the latest being 0. */
const struct events_row *top_event(const struct top_target *target, size_t i);

/* ---- alerts.c ---- */

/* What the default rules say of the next SAMPLE becomes events; and the alerts that go
 * on when there are no more readings end. */
void top_watch(struct top_target *target, const struct sample *sample);
void top_end_alerts(struct top_target *target);

/* ---- input.c ---- */

/* Adds CODE to TYPED of TOP_TYPED bytes, or takes its last character away. */
void top_type(char *typed, uint32_t code);

void top_press(struct top *top, const struct term_input *input);

/* ---- pick.c ---- */

/* Shows the list of processes. 0, or -errno and FAULT. */
int top_pick(struct top *top, struct fault *fault);
void top_fill_picker(struct top *top, struct screen *screen);
void top_pick_press(struct top *top, uint32_t code);
void top_pick_move(struct top *top, int64_t by);
void top_pick_click(struct top *top, unsigned index);

/* ---- screen.c ---- */

/* Makes top->screen of the state, and draws it. */
void top_draw(struct top *top);

/* ---- map.c ---- */

/* Tells the feed what is to be looked at for what is shown. */
void top_wish(struct top *top);

/* The map of the arena and the instant that are shown, and the one before; or null. */
const struct heap_map *top_map(struct top *top, const struct heap_map **before);
const struct pins *top_pins(struct top *top);

/* The look at the mappings of the target, as they are now; or null. */
const struct feed_look *top_around(struct top *top);
void top_fill_map(struct top *top, struct screen_map *shown);

/* The cursor by cells, the range by a step in (1) or out (-1), or to the cell under the
 * cursor; the arena; how many cells are in a row. */
void top_map_move(struct top *top, int64_t cells);
void top_map_zoom(struct top *top, int step);
void top_map_enter(struct top *top);
void top_map_set_arena(struct top *top, unsigned arena);
unsigned top_map_across(const struct top *top);
void top_map_put_cursor(struct top *top, unsigned cell);

/* ---- advice.c ---- */

/* Judges the sample that is shown: top->advice. */
void top_advise(struct top *top);

/* ---- write.c ---- */

/* Writes the screen as text, the target's samples as CSV and its graphs as SVG into the
 * current directory, and tells the names as the message. */
void top_write(struct top *top);

/* ---- tools/top.c ---- */

__attribute__((format(printf, 3, 4))) void top_say(struct top *top, bool bad,
						   const char *format, ...);

#endif
