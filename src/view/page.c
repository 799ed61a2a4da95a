#include "view/page.h"

#include <string.h>

static const char style[] =
	":root{color-scheme:light dark;--line:#0072b2;--grey:#777;--edge:#ccc;--bg:#fff;"
	"--ink:#111}\n"
	"@media(prefers-color-scheme:dark){:root{--bg:#161616;--ink:#eee;--edge:#444;"
	"--grey:#aaa;--line:#56b4e9}}\n"
	"body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;"
	"padding:0 1rem;background:var(--bg);color:var(--ink)}\n"
	"h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem;"
	"border-bottom:1px solid var(--edge)}\n"
	".answer{font-size:1.25rem;font-weight:600}\n"
	".note,figcaption,.cost{color:var(--grey);font-size:.875rem}\n"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums;"
	"font-size:.875rem}\n"
	"th,td{padding:.15rem .6rem;text-align:right;border-bottom:1px solid "
	"var(--edge)}\n"
	"th:first-child,td:first-child,td.words,th.words{text-align:left}\n"
	".scroll{overflow-x:auto}\n"
	"svg{width:100%;height:auto;display:block}svg text{font:11px sans-serif;"
	"fill:var(--grey)}svg.sizes text{font-size:13px}\n"
	"svg.key{width:.8em;height:.8em;display:inline-block}\n"
	".keys{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;"
	"font-size:.875rem}\n"
	".graphs{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));"
	"gap:1rem}figure{margin:0}\n"
	".axis{fill:none;stroke:var(--edge)}.line{fill:none;stroke:var(--line);"
	"stroke-width:1.8}.before{stroke:#888;stroke-width:3;fill:none}"
	".after{stroke:#d55e00;stroke-width:1.5;fill:none}"
	"\n"
	".live{fill:#0072b2}.mapped{fill:#56b4e9}.cached{fill:#a6cee3}.trimmable{fill:#"
	"009e73}"
	".pinned{fill:#d55e00}.retained{fill:#e69f00}.own{fill:#888}.other{fill:#cc79a7}"
	".returned{fill:var(--edge)}.doubt{fill:#f0e442}\n"
	".verdict{border-left:4px solid #e69f00;padding-left:1rem;margin:1rem 0}"
	".critical{border-color:#d55e00}.note-only{border-color:#888}\n"
	"th,td{white-space:nowrap}td.words{white-space:normal;min-width:9rem}\n"
	".stack{display:block;white-space:normal;overflow-wrap:anywhere;"
	"min-width:16rem}\n";

void page_escape(struct report_out *out, const char *string)
{
	static const struct {
		char c;
		const char *entity;
	} entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}};

	while (*string) {
		bool plain;
		size_t length = text_next(string, &plain);
		const char *entity = NULL;

		for (unsigned i = 0; i < sizeof(entities) / sizeof(*entities); i++)
			if (*string == entities[i].c)
				entity = entities[i].entity;
		if (entity)
			text_string(&out->text, entity);
		else if (plain)
			text_bytes(&out->text, string, length);
		else
			text_escape(&out->text, string, length);
		string += length;
		report_flush(out);
	}
}

void page_element(struct report_out *out, const char *tag, const char *class,
		  const char *words)
{
	if (class)
		report_print(out, "<%s class=\"%s\">", tag, class);
	else
		report_print(out, "<%s>", tag);
	page_escape(out, words);
	report_print(out, "</%s>\n", tag);
}

void page_cell(struct report_out *out, const char *words)
{
	page_element(out, "td", NULL, words);
}

/* Columns of sentences are not aligned as numbers are. */
static bool is_words(const char *name)
{
	return !strcmp(name, "beyond it") || !strcmp(name, "perhaps") ||
	       !strcmp(name, "what that means");
}

void page_headings(struct report_out *out, const char *const *names, unsigned count)
{
	report_print(out, "<div class=\"scroll\"><table><thead><tr>");
	for (unsigned i = 0; i < count; i++)
		page_element(out, "th", is_words(names[i]) ? "words" : NULL, names[i]);
	report_print(out, "</tr></thead><tbody>\n");
}

void page_end_table(struct report_out *out)
{
	report_print(out, "</tbody></table></div>\n");
}

void page_begin(struct report_out *out, const char *title)
{
	report_print(out, "<!DOCTYPE html>\n<html lang=\"en\" "
			  "xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
			  "<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" "
			  "content=\"width=device-width, initial-scale=1\"/>\n");
	page_element(out, "title", NULL, title);
	text_string(&out->text, "<style>\n");
	text_string(&out->text, style);
	text_string(&out->text, "</style>\n</head>\n<body>\n");
	page_element(out, "h1", NULL, title);
}

int page_finish(struct report_out *out)
{
	report_print(out, "</body>\n</html>\n");
	return report_finish(out);
}
