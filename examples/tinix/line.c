/*
 * The line discipline. Pure: what it reaches outside are emit and signal.
 */
#include "examples/tinix/line.h"

#include <asm/signal.h>

#define END   0x100 /* the last character of a line */
#define QUIET 0x200 /* and no character at all: the EOF character */

#define DEL	  0x7f
#define BACKSPACE '\b'

static const struct termios at_boot = {
	.c_iflag = ICRNL | IXON | IUTF8,
	.c_oflag = OPOST | ONLCR,
	.c_cflag = B38400 | CS8 | CREAD | HUPCL,
	.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
	.c_cc = {[VINTR] = 'C' - '@',
		 [VQUIT] = '\\' - '@',
		 [VERASE] = DEL,
		 [VKILL] = 'U' - '@',
		 [VEOF] = 'D' - '@',
		 [VMIN] = 1,
		 [VSTART] = 'Q' - '@',
		 [VSTOP] = 'S' - '@',
		 [VSUSP] = 'Z' - '@',
		 [VREPRINT] = 'R' - '@',
		 [VWERASE] = 'W' - '@',
		 [VLNEXT] = 'V' - '@'},
};

static bool local(const struct line *line, unsigned flag)
{
	return line->termios.c_lflag & flag;
}

/* c is the character of that index in c_cc, where 0 means none. */
static bool is(const struct line *line, unsigned char c, unsigned index)
{
	return c && c == line->termios.c_cc[index];
}

static bool is_control(unsigned char c)
{
	return c < ' ' || c == DEL;
}

static char to_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* ------------------------------------------------------------------------------------------------------ output */

static bool is_continuation(const struct line *line, unsigned char c)
{
	return line->termios.c_iflag & IUTF8 && (c & 0xc0) == 0x80;
}

static unsigned column_after(const struct line *line, unsigned column, unsigned char c)
{
	if (c == '\r')
		return 0;
	if (c == BACKSPACE)
		return column ? column - 1 : 0;
	if (c == '\t')
		return (column | 7) + 1;
	return column + (!is_control(c) && !is_continuation(line, c));
}

static void put(struct line *line, char c)
{
	line->column = column_after(line, line->column, (unsigned char)c);
	line->emit(c);
}

static bool output(const struct line *line, unsigned flag)
{
	return line->termios.c_oflag & flag;
}

static void put_newline(struct line *line)
{
	if (output(line, ONLCR))
		put(line, '\r');
	put(line, '\n');
	if (output(line, ONLRET))
		line->column = 0;
}

void line_output(struct line *line, char c)
{
	if (!output(line, OPOST)) {
		put(line, c);
	} else if (c == '\n' || (c == '\r' && output(line, OCRNL))) {
		if (c == '\n')
			put_newline(line);
		else if (!output(line, ONOCR) || line->column)
			put(line, '\n');
	} else if (c == '\r') {
		if (!output(line, ONOCR) || line->column)
			put(line, c);
	} else if (c == '\t' && (line->termios.c_oflag & TABDLY) == XTABS) {
		do
			put(line, ' ');
		while (line->column % 8);
	} else {
		put(line, output(line, OLCUC) ? to_upper(c) : c);
	}
}

static bool shown_as_two(const struct line *line, unsigned char c)
{
	return local(line, ECHOCTL) && is_control(c) && c != '\t' && c != '\n';
}

static void echo(struct line *line, unsigned char c)
{
	if (!local(line, ECHO) && !(c == '\n' && local(line, ECHONL)))
		return;
	if (shown_as_two(line, c)) {
		put(line, '^');
		c ^= '@';
	}
	line_output(line, (char)c);
}

/* ----------------------------------------------------------------------------------------------------- editing */

static unsigned char last(const struct line *line)
{
	return (unsigned char)line->ring[(line->head - 1) % LINE_SIZE];
}

/* Columns that the character at the end of the line fills; a tab's depend on what is before it. */
static unsigned width_of_last(const struct line *line)
{
	unsigned column = line->start;

	if (last(line) != '\t')
		return shown_as_two(line, last(line)) ? 2 : !is_control(last(line));
	for (unsigned at = line->commit; at != line->head - 1; at++) {
		unsigned char c = (unsigned char)line->ring[at % LINE_SIZE];

		column = shown_as_two(line, c) ? column + 2 : column_after(line, column, c);
	}
	return 8 - column % 8;
}

/* Takes one character, of several bytes maybe, off the line and the screen. */
static void erase(struct line *line)
{
	unsigned width;

	while (is_continuation(line, last(line)) && line->head - 1 != line->commit)
		line->head--;
	width = width_of_last(line);
	line->head--;
	for (; local(line, ECHO) && width; width--) {
		put(line, BACKSPACE);
		put(line, ' ');
		put(line, BACKSPACE);
	}
}

/* On paper: what is erased is printed once more, backwards, between slashes. */
static void erase_on_paper(struct line *line)
{
	unsigned char c = last(line);

	if (!line->erasing)
		put(line, '\\');
	line->erasing = true;
	while (is_continuation(line, c) && line->head - 1 != line->commit) {
		line->head--;
		c = last(line);
	}
	line->head--;
	echo(line, c);
}

static void finish_erasing(struct line *line)
{
	if (line->erasing)
		put(line, '/');
	line->erasing = false;
}

/* As the flags show it; `key` is shown where they show no more than that it was pressed. */
static void erase_one(struct line *line, unsigned char key)
{
	if (local(line, ECHO) && local(line, ECHOPRT)) {
		erase_on_paper(line);
	} else if (local(line, ECHO) && !local(line, ECHOE) && is(line, key, VERASE)) {
		line->head--;
		echo(line, key);
	} else {
		erase(line);
	}
}

static void erase_line(struct line *line, unsigned char key)
{
	if (!local(line, ECHO) || (local(line, ECHOK) && local(line, ECHOKE) && local(line, ECHOE))) {
		while (line->head != line->commit)
			erase_one(line, key);
		return;
	}
	line->head = line->commit;
	finish_erasing(line);
	echo(line, key);
	if (local(line, ECHOK))
		line_output(line, '\n');
}

/* The line once more on a line of its own. */
static void reprint(struct line *line, unsigned char key)
{
	finish_erasing(line);
	echo(line, key);
	line_output(line, '\n');
	line->start = line->column;
	for (unsigned at = line->commit; at != line->head; at++)
		echo(line, (unsigned char)line->ring[at % LINE_SIZE]);
}

static bool is_word(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c >= 0x80;
}

static void erase_word(struct line *line, unsigned char key)
{
	bool inside = false;

	while (line->head != line->commit && (is_word(last(line)) || !inside)) {
		inside = is_word(last(line));
		erase_one(line, key);
	}
}

/* True if the character edited the line. */
static bool edit(struct line *line, unsigned char c)
{
	bool empty = line->head == line->commit;

	if (is(line, c, VERASE)) {
		if (!empty)
			erase_one(line, c);
	} else if (is(line, c, VKILL)) {
		erase_line(line, c);
	} else if (local(line, IEXTEN) && is(line, c, VWERASE)) {
		erase_word(line, c);
	} else if (local(line, IEXTEN) && local(line, ECHO) && is(line, c, VREPRINT)) {
		reprint(line, c);
	} else {
		return false;
	}
	return true;
}

/* ------------------------------------------------------------------------------------------------------- input */

static bool is_full(const struct line *line)
{
	return line->head - line->tail >= LINE_SIZE - 1; /* one is kept for the end of the line */
}

static void commit(struct line *line)
{
	line->commit = line->head;
}

static void store(struct line *line, uint16_t c)
{
	if (is_full(line) && !(c & END && line->head - line->tail < LINE_SIZE))
		return;
	if (local(line, ECHO))
		finish_erasing(line);
	if (line->head == line->commit)
		line->start = line->column;
	line->ring[line->head++ % LINE_SIZE] = c;
	if (!(c & QUIET))
		echo(line, (unsigned char)c);
	if (c & END)
		line->lines++;
	if (c & END || !local(line, ICANON))
		commit(line);
}

/* True if the character raised a signal. */
static bool interrupt(struct line *line, unsigned char c)
{
	int signal = is(line, c, VINTR) ? SIGINT : is(line, c, VQUIT) ? SIGQUIT : is(line, c, VSUSP) ? SIGTSTP : 0;

	if (!signal)
		return false;
	if (!local(line, NOFLSH))
		line_flush_input(line);
	line->stopped = false;
	echo(line, c);
	line->signal(signal);
	return true;
}

/* True if the character stops or starts output. */
static bool flow(struct line *line, unsigned char c)
{
	if (!is(line, c, VSTART) && !is(line, c, VSTOP))
		return false;
	line->stopped = is(line, c, VSTOP);
	return true;
}

static void input_canonical(struct line *line, unsigned char c)
{
	if (edit(line, c))
		return;
	if (local(line, IEXTEN) && is(line, c, VLNEXT)) {
		line->literal = true;
		if (local(line, ECHO) && local(line, ECHOCTL)) {
			put(line, '^');
			put(line, BACKSPACE);
		}
	} else if (c == '\n' || is(line, c, VEOL) || is(line, c, VEOL2)) {
		store(line, c | END);
	} else {
		store(line, is(line, c, VEOF) ? c | END | QUIET : c);
	}
}

void line_input(struct line *line, unsigned char c)
{
	unsigned flags = line->termios.c_iflag;

	if (flags & ISTRIP)
		c &= 0x7f;
	if (flags & IUCLC && local(line, IEXTEN) && c >= 'A' && c <= 'Z')
		c = (unsigned char)(c - 'A' + 'a');
	if (line->literal) {
		line->literal = false;
		store(line, c);
		return;
	}
	if (c == '\r' && flags & IGNCR)
		return;
	if (c == '\r' && flags & ICRNL)
		c = '\n';
	else if (c == '\n' && flags & INLCR)
		c = '\r';
	if (flags & IXON && flow(line, c))
		return;
	if (local(line, ISIG) && interrupt(line, c))
		return;
	if (local(line, ICANON))
		input_canonical(line, c);
	else
		store(line, c);
}

void line_end(struct line *line)
{
	if (line->head != line->commit)
		store(line, line->termios.c_cc[VEOF] | END | QUIET);
	line->ended = true;
}

/* ----------------------------------------------------------------------------------------------------- reading */

bool line_has_room(const struct line *line)
{
	/* Without a whole line no reader will make room. */
	return !is_full(line) || (local(line, ICANON) && !line->lines);
}

bool line_ready(const struct line *line)
{
	return line->ended || (local(line, ICANON) ? line->lines : line->commit != line->tail);
}

size_t line_count(const struct line *line)
{
	size_t count = 0;

	for (unsigned at = line->tail; at != line->commit; at++)
		count += !(line->ring[at % LINE_SIZE] & QUIET);
	return local(line, ICANON) && !line->lines ? 0 : count;
}

size_t line_read(struct line *line, char *to, size_t size)
{
	size_t done = 0;

	while (line->tail != line->commit) {
		uint16_t c = line->ring[line->tail % LINE_SIZE];

		/* The end of file that follows the last byte asked for goes with it. */
		if (done == size && !(c & QUIET))
			break;
		line->tail++;
		if (c & END)
			line->lines--;
		if (!(c & QUIET))
			to[done++] = (char)c;
		if (c & END && local(line, ICANON))
			break;
	}
	return done;
}

void line_flush_input(struct line *line)
{
	line->tail = line->commit = line->head;
	line->lines = 0;
}

void line_set(struct line *line, const struct termios *termios)
{
	bool was = local(line, ICANON);

	line->termios = *termios;
	if (was == local(line, ICANON))
		return;
	/* What was typed under the old rules can be read at once under the new ones, as mere characters. */
	for (unsigned at = line->tail; at != line->head; at++)
		line->ring[at % LINE_SIZE] &= 0xff;
	line->lines = was ? 0 : line->head != line->tail;
	if (line->lines)
		line->ring[(line->head - 1) % LINE_SIZE] |= END;
	line->literal = false;
	commit(line);
}

void line_init(struct line *line, void (*emit)(char c), void (*signal)(int signal))
{
	*line = (struct line){.termios = at_boot, .emit = emit, .signal = signal};
}
