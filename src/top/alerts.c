/* alerts.c: what the default rules of `alert` say of the readings, as events. */
#include "view/alerts.h"
#include "analysis/watch.h"
#include "top/top.h"

#include <string.h>

/* What held first stands in the line, and the rest a line each below. */
static void split(struct events_row *row, const char *sentence)
{
	const char *end = strstr(sentence, "; ");
	struct text line, detail;

	text_init(&line, row->line + strlen(row->line),
		  sizeof(row->line) - strlen(row->line));
	text_bytes(&line, sentence, end ? (size_t)(end - sentence) : strlen(sentence));
	text_init(&detail, row->detail, sizeof(row->detail));
	while (end) {
		sentence = end + strlen("; ");
		end = strstr(sentence, "; ");
		text_bytes(&detail, sentence,
			   end ? (size_t)(end - sentence) : strlen(sentence));
		text_char(&detail, '\n');
	}
}

static void on_alert(const struct alert *alert, void *context)
{
	struct events_row row = {.time_ns = alert->time_ns, .mark = MARK_ALERT};
	char sentence[EVENTS_DETAIL];
	struct text text;

	text_init(&text, row.line, sizeof(row.line));
	text_string(&text, alert->rule->name);
	text_string(&text, alert->kind == ALERT_BEGIN ? " begins: " : " ends: ");
	text_init(&text, sentence, sizeof(sentence));
	alert_sentence(&text, alert);
	split(&row, sentence);
	top_keep_event(context, &row);
}

/* No rule of these is about a limit: there is no room to tell. */
void top_watch(struct top_target *target, const struct sample *sample)
{
	watch_sample(target->watch, sample, NULL, on_alert, target);
}

void top_end_alerts(struct top_target *target)
{
	watch_end(target->watch, ALERT_NO_READINGS, on_alert, target);
}
