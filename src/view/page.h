/* page.h: what self-contained pages share: HTML that is well-formed XML, its style in it,
 * no scripts, nothing fetched. */
#ifndef FRAGSCOPE_PAGE_H
#define FRAGSCOPE_PAGE_H

#include "view/report_parts.h"

/* The page up to its first heading, which is TITLE, of people's or the program's. */
void page_begin(struct report_out *out, const char *title);

/* Ends the page and gives OUT back. 0 or -errno. */
int page_finish(struct report_out *out);

/* STRING in a page: what is no printable UTF-8 becomes '?'. */
void page_escape(struct report_out *out, const char *string);

/* WORDS, escaped, in an element; CLASS may be null. */
void page_element(struct report_out *out, const char *tag, const char *class,
		  const char *words);

/* A table whose rows follow. */
void page_headings(struct report_out *out, const char *const *names, unsigned count);
void page_cell(struct report_out *out, const char *words);
void page_end_table(struct report_out *out);

#endif
