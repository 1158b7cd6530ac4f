/*
 * The painter. Nothing tells when a guest writes to its text memory: a timer has it looked at, and compared with what
 * the terminal shows. A picture goes out in one piece, with the cursor hidden meanwhile: nothing flickers.
 * Sequences are those of ECMA-48, with AIXterm's bright colours.
 */
#include "monitor/device/screen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "monitor/device/cp437.h"
#include "monitor/device/terminal.h"
#include "monitor/host/clock.h"
#include "monitor/host/patience.h"
#include "monitor/vm/vm.h"

#define PAINT_NS (CLOCK_NS_PER_SEC / 25)
/* Of output that leaves at once; a whole picture whose every cell has a colour of its own takes more. */
#define BUFFER_SIZE (64 * 1024)
#define NO_COLOUR   0x100u

struct screen {
	struct vm *vm;
	const struct vga *vga;
	const struct vbe *vbe;
	FILE *out;
	int fd;
	struct timer timer;
	unsigned rows, columns; /* of the terminal */
	bool valid;		/* it shows `shown` */
	struct vga_picture shown;
	struct vga_graphics graphics; /* in its place, that there is no text; width 0: there is */
};

/* --------------------------------------------------------------------------------------------------------- colours */

/* The three bits of a colour: blue, green, red here, the other way round on terminals. */
static unsigned ansi(unsigned colour)
{
	return (colour & 1) << 2 | (colour & 2) | (colour >> 2 & 1);
}

static void set_colour(FILE *out, unsigned attribute, bool blinks)
{
	unsigned bright = blinks ? 0 : attribute >> 7 & 1;

	fprintf(out, "\033[0;%u;%u%sm", (attribute & 8 ? 90 : 30) + ansi(attribute & 7),
		(bright ? 100 : 40) + ansi(attribute >> 4 & 7), blinks && attribute & 0x80 ? ";5" : "");
}

/* -------------------------------------------------------------------------------------------------------- painting */

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static void paint_line(struct screen *screen, const struct vga_picture *picture, unsigned line, unsigned *colour)
{
	unsigned at = VGA_COLUMNS_MAX; /* where the terminal's cursor is in this line */

	for (unsigned column = 0; column < smaller(picture->columns, screen->columns); column++) {
		uint16_t cell = picture->cell[line][column];
		char text[CP437_UTF8_MAX];

		if (screen->valid && cell == screen->shown.cell[line][column])
			continue;
		if (at != column)
			fprintf(screen->out, "\033[%u;%uH", line + 1, column + 1);
		if (*colour != cell >> 8)
			set_colour(screen->out, cell >> 8, picture->blinks);
		cp437_to_utf8((uint8_t)cell, text);
		fputs(text, screen->out);
		*colour = cell >> 8;
		at = column + 1;
	}
}

static void paint_text(struct screen *screen, const struct vga_picture *picture)
{
	unsigned colour = NO_COLOUR, lines = smaller(picture->lines, screen->rows);

	fputs("\033[?25l", screen->out);
	if (!screen->valid)
		fputs("\033[0m\033[2J", screen->out);
	for (unsigned line = 0; line < lines; line++)
		paint_line(screen, picture, line, &colour);
	if (picture->cursor_line >= 0 && picture->cursor_line < (int)lines)
		fprintf(screen->out, "\033[%d;%dH\033[?25h", picture->cursor_line + 1, picture->cursor_column + 1);
}

static void paint_note(struct screen *screen)
{
	fprintf(screen->out,
		"\033[0m\033[2J\033[1;1H(the guest shows graphics, %u by %u in %u colours: here is text alone)",
		screen->graphics.width, screen->graphics.height, screen->graphics.colours);
}

/* The terminal's size now; it may have changed. */
static void measure(struct screen *screen)
{
	struct winsize size = {0};
	bool known = !ioctl(screen->fd, TIOCGWINSZ, &size) && size.ws_row && size.ws_col;
	unsigned rows = known ? size.ws_row : 25, columns = known ? size.ws_col : 80;

	if (rows != screen->rows || columns != screen->columns)
		screen->valid = false;
	screen->rows = rows;
	screen->columns = columns;
}

static void look(const struct screen *screen, struct vga_picture *picture, struct vga_graphics *graphics)
{
	struct vbe_picture shown;

	*graphics = (struct vga_graphics){0};
	vga_look(screen->vga, &screen->vm->mem, picture);
	if (vbe_look(screen->vbe, &shown)) {
		memset(picture, 0, sizeof(*picture));
		*graphics = (struct vga_graphics){shown.width, shown.height, vbe_colours(&shown)};
	} else {
		vga_look_graphics(screen->vga, graphics);
	}
}

void screen_paint(struct screen *screen)
{
	struct vga_picture picture;
	struct vga_graphics graphics;

	look(screen, &picture, &graphics);
	measure(screen);
	if (memcmp(&graphics, &screen->graphics, sizeof(graphics)) || picture.columns != screen->shown.columns ||
	    picture.lines != screen->shown.lines || picture.blinks != screen->shown.blinks)
		screen->valid = false;
	if (screen->valid && !memcmp(&picture, &screen->shown, sizeof(picture)))
		return;
	screen->graphics = graphics;
	if (graphics.width)
		paint_note(screen);
	else
		paint_text(screen, &picture);
	terminal_painted(screen->fd, smaller(screen->rows, graphics.width ? 1 : picture.lines));
	/* A terminal that takes no more is no reason to end a guest: it has hung up, or the guest is over. */
	fflush(screen->out);
	screen->shown = picture;
	screen->valid = true;
}

static void due(void *arg, uint64_t now)
{
	struct screen *screen = arg;

	screen_paint(screen);
	timer_arm(&screen->timer, now + PAINT_NS);
}

/* ---------------------------------------------------------------------------------------------------- start and end */

/* What the terminal shows goes up and out of sight, and can be scrolled back to. */
static void make_room(struct screen *screen)
{
	measure(screen);
	for (unsigned row = 0; row < screen->rows; row++)
		fputs("\r\n", screen->out);
}

struct screen *screen_open(struct vm *vm, const struct vga *vga, const struct vbe *vbe, int fd)
{
	struct screen *screen = calloc(1, sizeof(*screen));
	int own = dup(fd);

	if (screen)
		screen->out = own < 0 ? NULL : patience_stream(own, vm_is_over, vm);
	if (!screen || !screen->out || setvbuf(screen->out, NULL, _IOFBF, BUFFER_SIZE)) {
		if (screen && screen->out)
			fclose(screen->out);
		else if (own >= 0)
			close(own);
		free(screen);
		return NULL;
	}
	screen->vm = vm;
	screen->vga = vga;
	screen->vbe = vbe;
	screen->fd = fd;
	terminal_painted(fd, 0);
	make_room(screen);
	timer_add(&vm->timers, &screen->timer, due, screen);
	timer_arm(&screen->timer, clock_machine_ns());
	return screen;
}

void screen_close(struct screen *screen)
{
	if (!screen)
		return;
	fclose(screen->out);
	free(screen);
}
