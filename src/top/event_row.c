#include "top/event_row.h"

#include "analysis/watch.h"
#include "view/alerts.h"

#include <string.h>

/* What held first stands in the line, and the rest a line each below. */
static void split(struct event_row *row, const char *sentence)
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

void event_row_of_alert(const struct alert *alert, struct event_row *row)
{
	char sentence[EVENT_ROW_DETAIL];
	struct text text;

	*row = (struct event_row){.time_ns = alert->time_ns, .mark = MARK_ALERT};
	text_init(&text, row->line, sizeof(row->line));
	text_string(&text, alert->rule->name);
	text_string(&text, alert->kind == ALERT_BEGIN ? " begins: " : " ends: ");
	text_init(&text, sentence, sizeof(sentence));
	alert_sentence(&text, alert);
	split(row, sentence);
}
