/* write.h: the screen and what it is made of, as files in the current directory. */
#ifndef FRAGSCOPE_TOP_WRITE_H
#define FRAGSCOPE_TOP_WRITE_H

#include "top/top.h"

/* Writes the screen as it was drawn last as text and as a picture, the samples of the
 * target that is shown as CSV and its graphs as a picture, and says the names. */
void top_write(struct top *top);

#endif
