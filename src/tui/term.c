#include "tui/term.h"

#include "base/alloc_touched.h"
#include "base/text.h"
#include "tui/keys.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

enum {
	ESCAPE_MS = 25, /* how long the rest of a sequence may take */
	RESCUE_BYTES = 512,
	CODE_POINT_MAX = 0x10ffff,
	DIRECT_COLOURS = 1 << 24,
};

struct terminal {
	SCREEN *screen;
	enum palette palette;
	bool ascii;
	attr_t attributes[INK_COUNT];
	int pair[INK_COUNT];
};

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE,	SIGILL,
			      SIGABRT, SIGSYS, SIGTRAP, SIGQUIT};

enum { CRASHES = sizeof(crashes) / sizeof(crashes[0]) };

/* What gives the terminal back, made while all is well: a handler of a crash can neither
 * look anything up nor take memory. */
static struct {
	volatile sig_atomic_t armed;
	struct termios modes;
	struct sigaction before[CRASHES];
	size_t length;
	char sequence[RESCUE_BYTES];
} rescue;

/* ---- the way out of a crash ---- */

void term_rescue(void)
{
	if (!rescue.armed)
		return;
	rescue.armed = 0;
	if (write(STDOUT_FILENO, rescue.sequence, rescue.length) < 0)
		return;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &rescue.modes);
}

static void on_crash(int signal)
{
	/* SA_RESETHAND has made it deadly: it comes again when the handler returns, or
	 * when the instruction that raised it is run again. */
	term_rescue();
	raise(signal);
}

static void guard(void)
{
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&action.sa_mask);
	for (unsigned i = 0; i < CRASHES; i++)
		sigaction(crashes[i], &action, &rescue.before[i]);
}

static void unguard(void)
{
	for (unsigned i = 0; i < CRASHES; i++)
		sigaction(crashes[i], &rescue.before[i], NULL);
}

/* The value of the terminal's capability NAME without its delays, which no terminal of
 * this century needs. */
static void add_capability(struct text *text, const char *name)
{
	const char *value = tigetstr(name);

	if (!value || value == (char *)-1)
		return;
	while (*value) {
		const char *end = strncmp(value, "$<", 2) ? NULL : strchr(value, '>');

		if (end)
			value = end + 1;
		else
			text_char(text, *value++);
	}
}

static void arm(void)
{
	static const char *const names[] = {"rmkx", "sgr0", "op", "cnorm", "rmcup"};
	struct text text;

	text_init(&text, rescue.sequence, sizeof(rescue.sequence));
	/* Reports of the mouse, in all the forms in which they may have been asked for.
	 */
	if (tigetstr("kmous") && tigetstr("kmous") != (char *)-1)
		text_string(&text, "\033[?1000l\033[?1002l\033[?1003l\033[?1006l");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		add_capability(&text, names[i]);
	text_string(&text, "\r\n");
	rescue.length = text.length;
	rescue.armed = 1;
}

/* ---- opening ---- */

int term_check(struct fault *fault)
{
	const char *which = !isatty(STDOUT_FILENO)  ? "standard output"
			    : !isatty(STDIN_FILENO) ? "standard input"
						    : NULL;

	if (!which)
		return 0;
	return fault_set(fault, EXIT_FAILED, -ENOTTY,
			 "%s is no terminal; 'fragscope stat' prints rows to anywhere",
			 which);
}

/* A locale that is asked for and not installed is common in containers and over ssh: its
 * name still says which characters the terminal has. */
static void set_locale(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	if (setlocale(LC_CTYPE, ""))
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (!value || !*value)
			continue;
		if (strcasestr(value, "utf-8") || strcasestr(value, "utf8"))
			setlocale(LC_CTYPE, "C.UTF-8");
		return;
	}
}

static bool wants_no_color(const struct term_options *options)
{
	const char *value = getenv("NO_COLOR");

	return options->no_color || (value && *value);
}

static enum palette choose_palette(const struct term_options *options)
{
	if (wants_no_color(options) || !has_colors() || start_color() == ERR ||
	    COLORS < 8)
		return PALETTE_MONO;
	if (COLORS >= DIRECT_COLOURS)
		return PALETTE_TRUE;
	return COLORS >= 256 ? PALETTE_256 : PALETTE_8;
}

static attr_t attributes_of(unsigned style)
{
	return (style & STYLE_BOLD ? A_BOLD : 0) | (style & STYLE_DIM ? A_DIM : 0) |
	       (style & STYLE_REVERSE ? A_REVERSE : 0) |
	       (style & STYLE_UNDERLINE ? A_UNDERLINE : 0);
}

/* One pair an ink, all made here: none is made while something is shown. */
static void take_inks(struct terminal *term)
{
	bool has_default = term->palette != PALETTE_MONO && use_default_colors() == OK;

	for (int ink = 0; ink < INK_COUNT; ink++) {
		struct ink_look look = ink_look((enum ink)ink, term->palette);

		term->attributes[ink] = attributes_of(look.style);
		if (term->palette == PALETTE_MONO || (look.foreground == COLOUR_DEFAULT &&
						      look.background == COLOUR_DEFAULT))
			continue;
		if (!has_default && look.foreground == COLOUR_DEFAULT)
			look.foreground = COLOR_WHITE;
		if (!has_default && look.background == COLOUR_DEFAULT)
			look.background = COLOR_BLACK;
		if (ink + 1 < COLOR_PAIRS &&
		    init_extended_pair(ink + 1, look.foreground, look.background) == OK)
			term->pair[ink] = ink + 1;
	}
}

static void set_modes(void)
{
	cbreak();
	noecho();
	nonl();
	intrflush(stdscr, FALSE);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_MS);
	curs_set(0);
	mouseinterval(0);
	mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
}

static int no_terminal(struct fault *fault, const char *why)
{
	const char *type = getenv("TERM");

	return fault_set(fault, EXIT_FAILED, -ENOTSUP,
			 "the terminal '%s' %s; set TERM to what it is, or use "
			 "'fragscope stat'",
			 type ? type : "", why);
}

/* The library's half. What cannot place text is given back as it was. */
static int take_screen(struct terminal *term, struct fault *fault)
{
	const char *place;

	tcgetattr(STDIN_FILENO, &rescue.modes);
	term->screen = newterm(NULL, stdout, stdin);
	if (!term->screen)
		return no_terminal(fault, "is not known");
	place = tigetstr("cup");
	if (place && place != (char *)-1)
		return 0;
	endwin();
	delscreen(term->screen);
	return no_terminal(fault, "cannot place text");
}

int term_open(struct terminal **term, const struct term_options *options,
	      struct fault *fault)
{
	struct terminal *new = alloc_touched(sizeof(*new));
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	set_locale();
	new->ascii = options->ascii || strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
	error = take_screen(new, fault);
	if (error) {
		free(new);
		return error;
	}
	arm();
	guard();
	new->palette = choose_palette(options);
	take_inks(new);
	set_modes();
	*term = new;
	return 0;
}

void term_close(struct terminal *term)
{
	if (!term)
		return;
	endwin();
	rescue.armed = 0;
	unguard();
	delscreen(term->screen);
	free(term);
}

void term_suspend(struct terminal *term)
{
	struct sigaction action = {.sa_handler = SIG_DFL}, caught;
	sigset_t stop, before;

	endwin();
	rescue.armed = 0;
	/* As the kernel does it and not by SIGSTOP: a process group without a shell to
	 * wake it is left running. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	sigemptyset(&action.sa_mask);
	sigaction(SIGTSTP, &action, &caught);
	raise(SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &stop, &before);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	sigaction(SIGTSTP, &caught, NULL);
	rescue.armed = 1;
	term_refresh(term);
}

void term_refresh(struct terminal *term)
{
	(void)term;
	reset_prog_mode();
	clearok(curscr, TRUE);
	doupdate();
	curs_set(0);
}

void term_size(const struct terminal *term, unsigned *rows, unsigned *columns)
{
	(void)term;
	*rows = LINES > 0 ? (unsigned)LINES : 0;
	*columns = COLS > 0 ? (unsigned)COLS : 0;
}

enum palette term_palette(const struct terminal *term)
{
	return term->palette;
}

bool term_ascii(const struct terminal *term)
{
	return term->ascii;
}

/* ---- showing ---- */

static void show_cell(const struct terminal *term, const struct cell *cell, int row,
		      int column)
{
	const wchar_t string[2] = {(wchar_t)cell->character, 0};
	attr_t attributes = term->attributes[cell->ink] | attributes_of(cell->style);
	int pair = term->pair[cell->ink];
	cchar_t shown;

	if (setcchar(&shown, string, attributes, (short)pair, NULL) == OK)
		mvadd_wch(row, column, &shown);
}

void term_show(struct terminal *term, const struct canvas *canvas)
{
	for (unsigned row = 0; row < canvas->rows && row < (unsigned)LINES; row++)
		for (unsigned column = 0;
		     column < canvas->columns && column < (unsigned)COLS; column++)
			show_cell(term, canvas_at(canvas, row, column), (int)row,
				  (int)column);
	refresh();
}

/* ---- what is pressed ---- */

static const struct {
	int theirs;
	uint32_t ours;
} special[] = {
	{KEY_UP, PRESS_UP},
	{KEY_DOWN, PRESS_DOWN},
	{KEY_LEFT, PRESS_LEFT},
	{KEY_RIGHT, PRESS_RIGHT},
	{KEY_PPAGE, PRESS_PAGE_UP},
	{KEY_NPAGE, PRESS_PAGE_DOWN},
	{KEY_HOME, PRESS_HOME},
	{KEY_END, PRESS_END},
	{KEY_BACKSPACE, PRESS_BACKSPACE},
	{KEY_DC, PRESS_DELETE},
	{KEY_BTAB, PRESS_BACK_TAB},
	{KEY_ENTER, PRESS_ENTER},
};

static uint32_t special_code(int theirs)
{
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (special[i].theirs == theirs)
			return special[i].ours;
	if (theirs >= KEY_F(1) && theirs <= KEY_F(12))
		return PRESS_F1 + (uint32_t)(theirs - KEY_F(1));
	return PRESS_NONE;
}

/* Terminals send either for these keys. */
static uint32_t plain_code(wint_t character)
{
	if (character == '\r')
		return PRESS_ENTER;
	if (character == '\b' || character == 0x7f)
		return PRESS_BACKSPACE;
	return character <= CODE_POINT_MAX ? (uint32_t)character : PRESS_NONE;
}

static void read_mouse(struct term_input *input)
{
	MEVENT event;

	if (getmouse(&event) == ERR || event.x < 0 || event.y < 0)
		return;
	input->row = (unsigned)event.y;
	input->column = (unsigned)event.x;
	if (event.bstate & (BUTTON4_PRESSED | BUTTON5_PRESSED)) {
		input->kind = TERM_WHEEL;
		input->step = event.bstate & BUTTON4_PRESSED ? -1 : 1;
	} else if (event.bstate & BUTTON1_PRESSED) {
		input->kind = TERM_CLICK;
	}
}

/* False: nothing was there. What is no input of ours leaves INPUT's kind. */
static bool read_one(struct term_input *input)
{
	wint_t character;
	int result = get_wch(&character);

	if (result == ERR)
		return false;
	if (result == KEY_CODE_YES && (int)character == KEY_RESIZE) {
		input->kind = TERM_RESIZED;
		return true;
	}
	if (result == KEY_CODE_YES && (int)character == KEY_MOUSE) {
		read_mouse(input);
		return true;
	}
	input->code = result == KEY_CODE_YES ? special_code((int)character)
					     : plain_code(character);
	if (input->code != PRESS_NONE)
		input->kind = TERM_KEY;
	return true;
}

void term_read(struct terminal *term, struct term_input *input)
{
	(void)term;
	*input = (struct term_input){.kind = TERM_NOTHING};
	while (input->kind == TERM_NOTHING && read_one(input))
		;
}
