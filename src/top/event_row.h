/* event_row.h: one event or alert as text, as `top` keeps and shows it. */
#ifndef FRAGSCOPE_EVENT_ROW_H
#define FRAGSCOPE_EVENT_ROW_H

#include "series/history.h"

#include <stdint.h>

enum {
	EVENT_ROW_LINE = 200,
	EVENT_ROW_DETAIL = 4096,
};

struct alert;

struct event_row {
	int64_t time_ns;     /* CLOCK_REALTIME */
	enum mark_kind mark; /* how it stands on the axis of time */
	int target;
	uint64_t bytes; /* 0: it has none */
	char line[EVENT_ROW_LINE];
	char detail[EVENT_ROW_DETAIL]; /* lines; empty: nothing more is known */
};

/* ALERT, which begins or ends, as a row. */
void event_row_of_alert(const struct alert *alert, struct event_row *row);

#endif
