#include "export/page.h"

#include "base/alloc_touched.h"
#include "export/mhd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
	KINDS = 2 * METRICS_FORMATS, /* a format, gzip or not */
	PAGES = KINDS + 2,	     /* slow readers may still have two old ones */
	GZIP = 16 + MAX_WBITS,
	LEVEL = 1,
	MEMORY_LEVEL = 8,
};

/* A text and the response over it. Free when nobody has that any more. */
struct metric_page {
	bool is_used; /* by us or by a connection */
	struct MHD_Response *response;
	uint64_t look; /* that it is of */
	char *buf;
};

struct metric_pages {
	const struct mhd *mhd;
	struct exposition *exposition;
	size_t bytes;
	struct metric_page page[PAGES];
	struct metric_page *current[KINDS]; /* null: none yet */
	char *plain;			    /* what is compressed */
	z_stream stream;
	bool has_stream;
};

void metric_pages_free(struct metric_pages *pages)
{
	if (!pages)
		return;
	for (size_t i = 0; i < KINDS; i++)
		if (pages->current[i])
			pages->mhd->destroy_response(pages->current[i]->response);
	for (size_t i = 0; i < PAGES; i++)
		free(pages->page[i].buf);
	if (pages->has_stream)
		deflateEnd(&pages->stream);
	free(pages->plain);
	free(pages);
}

int metric_pages_new(struct metric_pages **pages, const struct mhd *mhd,
		     struct exposition *exposition, size_t bytes)
{
	struct metric_pages *new = alloc_touched(sizeof(*new));
	bool good = new;

	if (!new)
		return -ENOMEM;
	new->mhd = mhd;
	new->exposition = exposition;
	new->bytes = bytes;
	new->plain = alloc_touched(bytes);
	good = new->plain;
	for (size_t i = 0; good && i < PAGES; i++) {
		new->page[i].buf = alloc_touched(bytes);
		good = new->page[i].buf;
	}
	new->has_stream = good &&deflateInit2(&new->stream, LEVEL, Z_DEFLATED, GZIP,
					      MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
	if (!new->has_stream) {
		metric_pages_free(new);
		return -ENOMEM;
	}
	*pages = new;
	return 0;
}

static void let_go(void *page)
{
	((struct metric_page *)page)->is_used = false;
}

static struct metric_page *free_page(struct metric_pages *pages)
{
	for (size_t i = 0; i < PAGES; i++)
		if (!pages->page[i].is_used)
			return &pages->page[i];
	return NULL;
}

/* The compressed bytes of TEXT in PAGE; 0: they take more room than the text. */
static size_t compress_into(struct metric_pages *pages, struct metric_page *page,
			    const struct text *text)
{
	z_stream *stream = &pages->stream;

	deflateReset(stream);
	stream->next_in = (Bytef *)text->buf;
	stream->avail_in = (uInt)text->length;
	stream->next_out = (Bytef *)page->buf;
	stream->avail_out = (uInt)pages->bytes;
	if (deflate(stream, Z_FINISH) != Z_STREAM_END)
		return 0;
	return pages->bytes - stream->avail_out;
}

/* How many bytes PAGE then has; 0: nothing that may be shown. */
static size_t write_page(struct metric_pages *pages, struct metric_page *page,
			 enum metrics_format format, bool gzip)
{
	struct text text;

	text_init(&text, gzip ? pages->plain : page->buf, pages->bytes);
	exposition_write(pages->exposition, format, &text);
	if (text.overflow)
		return 0;
	return gzip ? compress_into(pages, page, &text) : text.length;
}

static struct MHD_Response *respond(const struct mhd *mhd, struct metric_page *page,
				    size_t length, enum metrics_format format, bool gzip)
{
	struct MHD_Response *response =
		mhd->create_response_from_buffer_with_free_callback_cls(length, page->buf,
									let_go, page);

	if (!response)
		return NULL;
	mhd->add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				 metrics_type(format));
	mhd->add_response_header(response, MHD_HTTP_HEADER_VARY,
				 "Accept, Accept-Encoding");
	if (gzip)
		mhd->add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING,
					 "gzip");
	return response;
}

struct MHD_Response *metric_pages_response(struct metric_pages *pages,
					   enum metrics_format format, bool gzip)
{
	unsigned kind = 2 * format + gzip;
	struct metric_page *current = pages->current[kind], *page;
	uint64_t look = exposition_gather(pages->exposition);
	size_t length;

	if (current && current->look == look)
		return current->response;
	page = free_page(pages);
	length = page ? write_page(pages, page, format, gzip) : 0;
	if (length)
		page->response = respond(pages->mhd, page, length, format, gzip);
	/* Rather what was known before than nothing. */
	if (!length || !page->response)
		return current ? current->response : NULL;
	page->look = look;
	page->is_used = true;
	pages->current[kind] = page;
	if (current)
		pages->mhd->destroy_response(current->response);
	return page->response;
}
