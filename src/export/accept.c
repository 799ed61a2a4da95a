/* accept.c: what a client takes, by the headers of its request. */
#include "export/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ITEM_END ","
#define BLANKS	 " \t"

/* Whether the LENGTH bytes at ITEM are of NAME: that, parameters behind it or not. */
static bool is_of(const char *item, size_t length, const char *name)
{
	size_t wanted = strlen(name);

	return length >= wanted && !strncasecmp(item, name, wanted) &&
	       (length == wanted || strchr(BLANKS ";", item[wanted]));
}

/* The weight of the LENGTH bytes at ITEM: "q=0.5" among their parameters. */
static double weight(const char *item, size_t length)
{
	for (size_t i = 0; i + 3 < length; i++)
		if (item[i] == ';') {
			size_t at = i + 1 + strspn(item + i + 1, BLANKS);

			if (at + 2 < length && !strncasecmp(item + at, "q=", 2))
				return strtod(item + at + 2, NULL);
		}
	return 1;
}

/* The weight that HEADER gives to NAME; -1: it does not name it. */
static double weight_of(const char *header, const char *name)
{
	double best = -1;

	while (*header) {
		size_t length;

		header += strspn(header, BLANKS ITEM_END);
		length = strcspn(header, ITEM_END);
		if (is_of(header, length, name) && weight(header, length) > best)
			best = weight(header, length);
		header += length;
	}
	return best;
}

enum metrics_format http_format(const char *accept)
{
	double open, plain;

	if (!accept)
		return METRICS_PROMETHEUS;
	open = weight_of(accept, "application/openmetrics-text");
	plain = weight_of(accept, "text/plain");
	return open > 0 && open >= plain ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

bool http_takes_gzip(const char *accept)
{
	return accept && weight_of(accept, "gzip") > 0;
}
