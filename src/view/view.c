#include "base/output.h"
#include "view/emitter.h"

#include <errno.h>
#include <stdlib.h>

int view_open(struct view **view, int fd, const struct view_options *options)
{
	static const struct emitter *const emitters[] = {
		[VIEW_TEXT] = &emitter_text,
		[VIEW_CSV] = &emitter_csv,
		[VIEW_JSON] = &emitter_json,
	};
	struct view *made = malloc(sizeof(*made));

	if (!made)
		return -ENOMEM;
	*made = (struct view){
		.options = *options,
		.emitter = emitters[options->format],
		.fd = fd,
	};
	text_init(&made->text, made->buf, sizeof(made->buf));
	*view = made;
	return 0;
}

void view_close(struct view *view)
{
	free(view);
}

static int flush(struct view *view)
{
	int error = view->text.overflow
			    ? -EOVERFLOW
			    : output_write(view->fd, view->text.buf, view->text.length);

	text_clear(&view->text);
	return error;
}

int view_header(struct view *view)
{
	if (view->options.header && view->emitter->header)
		view->emitter->header(view);
	return flush(view);
}

int view_note(struct view *view, const char *line)
{
	if (view->options.format != VIEW_TEXT || !view->options.header)
		return 0;
	text_string(&view->text, "# ");
	text_printable(&view->text, line, SIZE_MAX);
	text_char(&view->text, '\n');
	return flush(view);
}

int view_sample(struct view *view, const struct sample *sample)
{
	struct row row = {
		.sample = sample,
		.fig = &sample->fig,
		.status = sample->status,
	};
	int error;

	view->emitter->row(view, &row);
	error = flush(view);
	for (unsigned i = 0; view->options.arenas && !error && i < sample->arena_count;
	     i++) {
		row.arena = &sample->arena[i];
		row.fig = &row.arena->fig;
		row.status = row.arena->status;
		view->emitter->row(view, &row);
		error = flush(view);
	}
	return error;
}
