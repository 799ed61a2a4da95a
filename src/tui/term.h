/* term.h: the terminal: the only file with a terminal library behind it. It is taken as
 * it was found, shows canvases, tells what was pressed, and is given back on every way
 * out, a crash too. A process has one terminal. */
#ifndef FRAGSCOPE_TUI_TERM_H
#define FRAGSCOPE_TUI_TERM_H

#include "base/fault.h"
#include "tui/canvas.h"

#include <stdbool.h>
#include <stdint.h>

struct term_options {
	bool no_color; /* as with NO_COLOR */
	bool ascii;    /* as in a locale without UTF-8 */
};

enum term_input_kind {
	TERM_NOTHING,
	TERM_KEY,     /* CODE: see keys.h */
	TERM_CLICK,   /* at ROW, COLUMN */
	TERM_WHEEL,   /* STEP: -1 up, 1 down, at ROW, COLUMN */
	TERM_RESIZED, /* term_size tells anew */
};

struct term_input {
	enum term_input_kind kind;
	uint32_t code;
	unsigned row, column;
	int step;
};

struct terminal;

/* Whether standard input and output are one; what `top` cannot do without. 0, or -ENOTTY
 * and FAULT, which names what can. */
int term_check(struct fault *fault);

/* Takes the terminal: alternate screen, no echo, mouse. Memory is taken here and when the
 * size changes. 0, or -errno and FAULT; the terminal is then as it was. */
int term_open(struct terminal **term, const struct term_options *options,
	      struct fault *fault);

/* Gives it back. From then on crashes are the program's own again. */
void term_close(struct terminal *term);

void term_size(const struct terminal *term, unsigned *rows, unsigned *columns);
enum palette term_palette(const struct terminal *term);

/* Whether it shows ASCII alone. */
bool term_ascii(const struct terminal *term);

/* Shows CANVAS; only what differs from the last one is sent. */
void term_show(struct terminal *term, const struct canvas *canvas);

/* The next of what was pressed since the last call, TERM_NOTHING when there is no more.
 * Never waits for more than the rest of an escape sequence. */
void term_read(struct terminal *term, struct term_input *input);

/* Gives the terminal back, stops this process as SIGTSTP does, and takes the terminal
 * again when it goes on. */
void term_suspend(struct terminal *term);

/* Someone else may have written to it, or set it: takes it as at first, and shows all of
 * the next canvas. */
void term_refresh(struct terminal *term);

/* Writes what gives the terminal back, and does nothing else: for a handler that ends the
 * process. Nothing without a terminal that was taken. */
void term_rescue(void);

#endif
