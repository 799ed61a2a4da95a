#include "tui/svg_parts.h"

#include "sample/sample.h"

#include <string.h>

/* U+FFFE and U+FFFF are no characters to XML. */
static bool is_no_character(const char *c)
{
	return !strncmp(c, "\xef\xbf\xbe", 3) || !strncmp(c, "\xef\xbf\xbf", 3);
}

void svg_escaped(struct text *text, const char *string)
{
	char buf[4 * SAMPLE_TEXT + 1];
	struct text printable;

	text_init(&printable, buf, sizeof(buf));
	text_printable(&printable, string, SAMPLE_TEXT);
	for (const char *c = buf; *c; c++) {
		if (*c == '<')
			text_string(text, "&lt;");
		else if (*c == '>')
			text_string(text, "&gt;");
		else if (*c == '&')
			text_string(text, "&amp;");
		else if (!is_no_character(c))
			text_char(text, *c);
		else
			c += 2;
	}
}

void svg_attribute(struct text *text, const char *name, double value)
{
	text_char(text, ' ');
	text_string(text, name);
	text_string(text, "=\"");
	text_fixed(text, value, 1);
	text_char(text, '"');
}

void svg_colour(struct text *text, int32_t rgb)
{
	text_char(text, '#');
	for (int shift = 20; shift >= 0; shift -= 4)
		text_char(text, "0123456789abcdef"[rgb >> shift & 15]);
}
