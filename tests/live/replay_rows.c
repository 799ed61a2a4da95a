/* replay_rows.c: replay_rows csv|json FILE [arenas]: the samples of a recording, written
 * once more. Standard error: how the recording ended, and its description. */
#include "source/replay.h"
#include "view/view.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int print_all(struct replay *replay, struct view *view, struct fault *fault)
{
	const struct sample *sample;
	int result = view_header(view);

	while (!result && !(result = replay_next(replay, &sample, fault)))
		result = view_sample(view, sample);
	return result;
}

int main(int argc, char **argv)
{
	struct view_options options = {.header = true, .arenas = argc == 4};
	struct fault fault = {0};
	struct replay *replay;
	struct view *view;

	if (argc < 3 || argc > 4)
		return EXIT_USAGE;
	options.format = strcmp(argv[1], "csv") ? VIEW_JSON : VIEW_CSV;
	if (!replay_open(&replay, argv[2], &fault)) {
		if (view_open(&view, STDOUT_FILENO, &options))
			return EXIT_FAILED;
		print_all(replay, view, &fault);
		fprintf(stderr, "%s\n", replay_describe(replay));
		view_close(view);
		replay_close(replay);
	}
	fprintf(stderr, "%s\n", fault.text);
	return (int)fault.status;
}
