#include "target/pressure.h"

#include "base/file.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { TEXT_BYTES = 512 };

/* "0.25" as a number, whatever the locale says of points. */
static int parse_percent(const char *text, double *percent)
{
	uint64_t whole = 0, part = 0, scale = 1;

	if (*text < '0' || *text > '9')
		return -EPROTO;
	for (; *text >= '0' && *text <= '9' && whole <= 100; text++)
		whole = whole * 10 + (uint64_t)(*text - '0');
	if (*text++ != '.' || whole > 100)
		return -EPROTO;
	for (; *text >= '0' && *text <= '9' && scale < 10000; text++, scale *= 10)
		part = part * 10 + (uint64_t)(*text - '0');
	*percent = (double)whole + (double)part / (double)scale;
	return 0;
}

/* The value behind KEY in the line that begins with WORD. */
static int parse_field(const char *text, const char *word, const char *key,
		       double *percent)
{
	const char *line = strstr(text, word);
	const char *at = line ? strstr(line, key) : NULL;

	if (!at || (line != text && line[-1] != '\n') || at > line + strcspn(line, "\n"))
		return -EPROTO;
	return parse_percent(at + strlen(key), percent);
}

int pressure_parse(const char *text, struct pressure *pressure)
{
	int error = parse_field(text, "some ", "avg10=", &pressure->some_10s);

	if (!error)
		error = parse_field(text, "some ", "avg60=", &pressure->some_60s);
	if (!error)
		error = parse_field(text, "full ", "avg10=", &pressure->full_10s);
	if (!error)
		error = parse_field(text, "full ", "avg60=", &pressure->full_60s);
	return error;
}

int pressure_read(const char *file, struct pressure *pressure)
{
	char text[TEXT_BYTES];
	int error = file_text(file, text, sizeof(text));

	return error ? error : pressure_parse(text, pressure);
}
