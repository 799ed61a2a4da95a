/* screen.h: THE model: everything that the screen shows, as plain data. Drawing (frame.h)
 * is a pure function of it. */
#ifndef FRAGSCOPE_SCREEN_H
#define FRAGSCOPE_SCREEN_H

#include "sample/sample.h"
#include "series/history.h"
#include "tui/canvas.h"
#include "tui/ink.h"
#include "tui/keys.h"
#include "tui/layout.h"

#include <stdbool.h>
#include <stdint.h>

struct heap_map;
struct blockers;
struct verdict;

/* One of the processes that are watched. */
struct screen_target {
	int pid;
	const char *comm;
	bool ended;
	const struct sample *sample; /* of the instant that is looked at; null: none */
	const struct sample *since;  /* what PROCESSES_CHANGE compares with; or null */
};

/* Columns of the table of processes, in their order. */
enum process_column {
	PROCESSES_PID,
	PROCESSES_COMM,
	PROCESSES_RSS,
	PROCESSES_LIVE,
	PROCESSES_FREE,
	PROCESSES_PINNED,
	PROCESSES_LARGEST,
	PROCESSES_FRAG,
	PROCESSES_CHANGE, /* of the resident memory over the time that is shown */
	PROCESSES_COLUMNS
};

struct screen_processes {
	enum process_column sort;
	bool ascending;
	const char *filter;    /* empty: all */
	const unsigned *order; /* what processes_order made of these */
	unsigned count;
};

/* How a figure moves over the time that is shown. KNOWN: there were enough readings to
 * tell; neither rising nor falling: it does not move, or chance may explain it. */
struct screen_trend {
	bool known, rising, falling;
	double per_s; /* in the figure's unit */
};

/* Columns of the table of arenas, in their order. */
enum arena_column {
	ARENA_INDEX,
	ARENA_SYSTEM,
	ARENA_LIVE,
	ARENA_FREE,
	ARENA_RESIDENT, /* free and resident */
	ARENA_TRIMMABLE,
	ARENA_PINNED,
	ARENA_CHUNKS,
	ARENA_LARGEST,
	ARENA_FRAG,
	ARENA_THREADS,
	ARENA_TREND, /* by how much its live bytes changed over the time that is shown */
	ARENA_COLUMNS
};

struct screen_arenas {
	enum arena_column sort;
	bool ascending;
	const char *filter; /* empty: all */
	unsigned selected;  /* an arena's index */
	/* What arenas_order made of these: positions in sample->arena. */
	const unsigned *order;
	unsigned count;
	const struct sample *since; /* what ARENA_TREND compares with; or null */
};

struct screen_map {
	const struct heap_map *map; /* null: not read yet */
	const struct heap_map
		*before; /* the reading before, of the same range; or null */
	unsigned arena;
	unsigned cursor;   /* a cell */
	bool show_changed; /* mark the cells that differ from BEFORE */
	const char *why;   /* with no map: why; null: it is being read */
};

/* One event, ready to be read. */
struct screen_event {
	int64_t time_ns;
	enum mark_kind kind;
	const char *line;
	const char *detail; /* lines: what is known besides, and the stack; null: none */
};

struct screen_events {
	const struct screen_event *event; /* the latest first */
	unsigned count;
	unsigned selected;
	const char *filter;  /* what the list was filtered by; empty: nothing */
	const char *missing; /* why there are none to be had; null: probes are at work */
};

/* One process that could be watched. A figure that could not be had has no bit in FIG. */
struct screen_candidate {
	int pid;
	const char *comm;
	const char *allocator; /* empty: not known */
	struct figures fig;    /* rss, free_resident, frag */
	const char *why_not;   /* null: it can be attached to */
};

/* What the list of processes can be sorted by. */
enum candidate_column {
	CANDIDATE_PID,
	CANDIDATE_COMM,
	CANDIDATE_ALLOCATOR,
	CANDIDATE_RSS,
	CANDIDATE_SORTS
};

struct screen_picker {
	const struct screen_candidate *candidate;
	unsigned count;
	unsigned selected;
	unsigned found; /* before the filter */
	bool searching; /* more may come */
	enum candidate_column sort;
	bool ascending;
};

/* What watching costs, and how the last reading was. */
struct screen_facts {
	bool has_own_cpu;
	double own_cpu;	     /* share of one core */
	int64_t interval_ns; /* between readings; 0: not at an interval */
	unsigned slowed_by;  /* --max-cost, which makes that longer; 0: it does not */
	const char *source;  /* source_describe's line, or what is replayed */
	bool reading;	     /* a reading is under way */
	bool replay;
	double speed; /* of the replay */
};

struct screen {
	enum palette palette;
	enum pane pane;
	bool picking; /* the picker stands in place of the panes */
	bool help;
	const struct actions *actions; /* what can be done */

	const struct screen_target *target;
	unsigned target_count;
	unsigned target_shown;

	const struct sample *sample;   /* what is shown, of the instant; null: none yet */
	const struct history *history; /* null: none yet */
	const struct screen_trend *trend; /* FIG_COUNT of them, over ZOOM_NS; or null */
	int64_t now_ns;	   /* CLOCK_REALTIME, when drawn; of a replay or a pause, then */
	int64_t paused_ns; /* the instant that is looked at; 0: the present */
	int64_t zoom_ns;   /* what the graphs span */
	bool is_log;	   /* their scales */
	const char *ended; /* how the target ended; null: it lives */
	const char *awaited; /* the name of a process that is waited for; null: none */

	struct screen_processes processes;
	struct screen_arenas arenas;
	int sizes_arena; /* whose free sizes: an arena's index; -1: all together */
	struct screen_map map;
	struct screen_events events;
	struct screen_picker picker;
	struct screen_facts facts;
	const struct verdict *verdict; /* null: nobody looked yet */
	unsigned verdict_count;
	const char *answer; /* in one sentence; for when there are none */
	unsigned verdict_selected;
	const struct blockers *blockers; /* null: not known */

	const char *prompt;  /* what is being typed, "filter: "; null: nothing */
	const char *typed;   /* so far */
	const char *message; /* one line; null: none */
	bool message_bad;
	const char *popup_title; /* a box over all; null: none */
	const char *popup;	 /* its lines */
};

/* Where SCREEN is, as a bit of struct action. */
static inline unsigned screen_place(const struct screen *screen)
{
	return screen->picking ? PLACE_PICKER : PLACE(screen->pane);
}

/* The arenas of SAMPLE that FILTER lets through, sorted, as positions in sample->arena:
 * ORDER has room for all. A filter is the beginning of an index or a part of an address.
 * Returns how many. */
unsigned arenas_order(const struct sample *sample, const struct screen_arenas *arenas,
		      unsigned *order);

/* The targets of SCREEN that the filter of PROCESSES lets through, sorted, as positions:
 * ORDER has room for all. A filter is the beginning of a PID or a part of a name. Returns
 * how many. */
unsigned processes_order(const struct screen *screen,
			 const struct screen_processes *processes, unsigned *order);

/* Whether F over time is needed for what is drawn. */
bool screen_shows(enum figure f);

/* The trends in [FROM_NS, TO_NS] of all figures that have a track. Takes some ms: for
 * when a sample came, not for each drawing. */
void screen_trends(const struct history *history, int64_t from_ns, int64_t to_ns,
		   struct screen_trend trend[FIG_COUNT]);

#endif
