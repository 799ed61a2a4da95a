/* top.h: the state of `fragscope top`, which only the thread of the screen touches: a
 * model of each thing that it shows, and the threads that readings, events and processes
 * to choose from come from. */
#ifndef FRAGSCOPE_TOP_H
#define FRAGSCOPE_TOP_H

#include "base/account.h"
#include "engine/targets.h"
#include "top/advice.h"
#include "top/events.h"
#include "top/feed.h"
#include "top/holders.h"
#include "top/inspection.h"
#include "top/own_cpu.h"
#include "top/picker.h"
#include "top/picking.h"
#include "top/replay.h"
#include "top/selection.h"
#include "top/targets.h"
#include "top/timeline.h"
#include "tui/canvas.h"
#include "tui/screen.h"
#include "tui/term.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOP_POPUP = 2048 };

/* What was asked for. Lives as long as the state does. */
struct top_options {
	struct pid_list pids;
	struct name_list names;
	bool follow; /* attach to processes of NAMES that start later */
	bool no_color, ascii, no_events, swap_in;
	bool or_preload; /* no source was given */
	unsigned source;
	const char *replay;
	uint64_t speed, max_cost_percent;
	int64_t interval_ns;
};

/* One line at the bottom, and a box over all. Empty: none. */
struct top_said {
	char message[FAULT_TEXT];
	bool is_bad;
	char title[64], popup[TOP_POPUP];
};

/* Room for what the model of the screen points to. The trends take some time to find:
 * they are those of TREND_OF. */
struct top_shown {
	unsigned *order; /* of arenas */
	unsigned order_capacity;
	unsigned process_order[TARGETS_MAX];
	struct screen_event event[TARGET_EVENTS];
	char events_why[FAULT_TEXT];
	struct trend_of {
		int64_t zoom_ns, sample_ns;
		uint64_t target;
	} trend_of;
	struct screen_trend trend[FIG_COUNT];
	struct screen_target target[TARGETS_MAX];
};

/* Who looks for processes by name, when and for whom it was told why not. */
struct top_follower {
	int64_t due_ns;
	int refused_pid; /* could not be attached to, and so often */
	unsigned refusals;
};

struct top {
	const struct top_options *options;
	struct terminal *term;
	struct canvas *canvas;
	struct feed *feed;	 /* null: a recording is replayed */
	struct events *events;	 /* null: none are asked for */
	struct picker *picker;	 /* null: nobody has chosen a process yet */
	struct replayer *replay; /* null: live */
	bool replay_told;	 /* how it ended */
	/* Of a recording of days: the map at the instant; whether it has events; up to
	 * where it was played, and how many readings since it was last sought in. */
	struct days_map {
		struct heap_map *map; /* null: there was no need of one yet */
		bool has;	      /* it is of the reading that is shown */
		unsigned target, arena;
		int64_t sample_ns; /* 0: nothing was asked for */
	} days_map;
	bool days_have_events;
	int64_t played_ns;
	unsigned played;
	struct top_follower follower;

	struct targets targets;
	struct timeline time;
	struct selection selection;
	struct inspection inspection;
	struct picking picking;
	struct advice advice;
	struct own_cpu cpu;
	struct holders holders;

	bool quit, help;
	bool dirty;   /* what is shown has changed */
	bool pressed; /* since the last drawing: it is not put off */
	bool write_asked;
	struct account drawing; /* of what is drawn because something came */
	struct event_row event_taken;
	struct top_said said;
	struct top_shown shown;
	struct screen screen; /* as it was drawn last */
};

/* Says one line at the bottom. */
__attribute__((format(printf, 3, 4))) void top_message(struct top *top, bool is_bad,
						       const char *format, ...);

/* The target that is shown, and its sample of the instant that is looked at; null: there
 * is none. */
struct top_target *top_target(struct top *top);
const struct sample *top_sample(struct top *top);

/* Brings the target to the front. */
void top_show_target(struct top *top, unsigned index);

/* ARENA is the one whose map and sizes are shown. */
void top_select_arena(struct top *top, unsigned arena);

/* The map of the arena and the instant that are shown, and the one BEFORE; or null. */
const struct heap_map *top_map(struct top *top, const struct heap_map **before);
const struct blockers *top_blockers(struct top *top);

/* The look at the mappings of the target as they are now; or null. */
const struct inspection_result *top_around(struct top *top);

/* How many cells the map has in a row, and in all that is in view. */
unsigned top_map_columns(const struct top *top);
unsigned top_map_cells(const struct top *top);

#endif
