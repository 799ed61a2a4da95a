/* svg_parts.h: what all pictures are made of. For the pictures of this directory. */
#ifndef FRAGSCOPE_SVG_PARTS_H
#define FRAGSCOPE_SVG_PARTS_H

#include "base/text.h"

#include <stdint.h>

/* STRING as XML has it; what cannot be shown becomes '?' or nothing. */
void svg_escaped(struct text *text, const char *string);

/* ' NAME="VALUE"', in tenths. */
void svg_attribute(struct text *text, const char *name, double value);

/* "#rrggbb" */
void svg_colour(struct text *text, int32_t rgb);

#endif
