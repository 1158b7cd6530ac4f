/*
 * The terminal: the machine's console behind a line discipline, with a session, a foreground process group and a
 * window size. It is the controlling terminal of session 1 from the beginning.
 */
#include "examples/tinix/fs.h"
#include "examples/tinix/line.h"

#define OUT_SIZE 1024
#define SPEED	 38400 /* bits a second, as B38400 says */

static struct {
	struct line line;
	struct winsize window;
	unsigned console_rows, console_columns; /* as the window last followed them */
	int session, foreground;		/* 0: none */
	struct waitq wait;			/* for input, and for output to go on */
	size_t out_used;
	char out[OUT_SIZE];
} tty;

/* ------------------------------------------------------------------------------------- to and from the console */

static void flush_output(void)
{
	size_t len = tty.out_used;

	tty.out_used = 0;
	pvg_console_flush(); /* what the kernel said before comes first */
	if (len)
		pvg_ops->console_write(tty.out, len);
}

static void emit(char c)
{
	if (tty.out_used == OUT_SIZE)
		flush_output();
	tty.out[tty.out_used++] = c;
}

static void raise(int signal)
{
	if (tty.foreground)
		signal_group(tty.foreground, signal);
}

static void change_window(const struct winsize *window)
{
	if (!memcmp(window, &tty.window, sizeof(*window)))
		return;
	tty.window = *window;
	raise(SIGWINCH);
}

static void changed(void)
{
	wake_all(&tty.wait);
	wake_all(&poll_queue);
}

/* The terminal's size follows the console's, where that has one. */
static void follow_size(void)
{
	unsigned rows, columns;
	struct winsize window = tty.window;

	if (!pvg_console_size(&rows, &columns) || (rows == tty.console_rows && columns == tty.console_columns))
		return;
	tty.console_rows = rows;
	tty.console_columns = columns;
	window.ws_row = (unsigned short)rows;
	window.ws_col = (unsigned short)columns;
	change_window(&window);
}

/* Takes what was typed; what has no room stays at the console. Interrupt handler. */
static void take_input(void *arg)
{
	int c = PVG_NO_INPUT;

	follow_size();
	while (line_has_room(&tty.line) && (c = pvg_getc()) >= 0)
		line_input(&tty.line, (unsigned char)c);
	if (c == PVG_INPUT_ENDED && !tty.line.ended)
		line_end(&tty.line);
	flush_output();
	changed();
}

static unsigned short option(const char *key, unsigned short fallback)
{
	char value[8];
	unsigned long number = pvg_option(key, value, sizeof(value)) ? pvg_strtoul(value) : 0;

	return number && number < 1000 ? (unsigned short)number : fallback;
}

void tty_init(void)
{
	line_init(&tty.line, emit, raise);
	waitq_init(&tty.wait);
	tty.window.ws_row = option("rows", 24);
	tty.window.ws_col = option("columns", 80);
	tty.session = tty.foreground = 1;
	if (pvg_irq_register(PVG_IRQ_CONSOLE, take_input, NULL))
		log("no interrupt for console input\n");
	take_input(NULL);
}

/* ------------------------------------------------------------------------------------------------- job control */

bool tty_is_controlling(void)
{
	return tty.session && tty.session == current->sid;
}

int tty_foreground(int sid)
{
	return tty.session && tty.session == sid ? tty.foreground : -1;
}

void tty_leave(struct proc *p)
{
	int foreground = tty.foreground;

	if (!tty.session || tty.session != p->sid || p->pid != p->sid)
		return;
	tty.session = tty.foreground = 0;
	if (foreground) {
		signal_group(foreground, SIGHUP);
		signal_group(foreground, SIGCONT);
	}
}

/* The current process may go on if it is in the foreground; else its group gets the signal. */
static int foreground_only(int signal)
{
	if (!tty_is_controlling() || current->pgid == tty.foreground)
		return 0;
	if (signal_is_ignored(signal))
		return signal == SIGTTIN ? -EIO : 0;
	if (group_is_orphaned(current->pgid))
		return -EIO;
	signal_group(current->pgid, signal);
	return -ERESTARTSYS;
}

static int64_t acquire(bool steal)
{
	if (tty_is_controlling())
		return 0;
	if (current->pid != current->sid || (tty.session && !steal))
		return -EPERM;
	tty.session = current->sid;
	tty.foreground = current->pgid;
	return 0;
}

static int tty_open(struct file *file)
{
	if (!(file->flags & O_NOCTTY) && !tty.session)
		acquire(false);
	file->flags &= ~(unsigned)O_NOCTTY;
	return 0;
}

static int64_t set_foreground(uint64_t arg)
{
	int pgid;
	int64_t error = foreground_only(SIGTTOU);

	if (error)
		return error;
	if (copy_from_user(&pgid, arg, sizeof(pgid)))
		return -EFAULT;
	list_each(node, &proc_all)
	{
		const struct proc *p = list_entry(node, struct proc, link);

		if (p->pgid == pgid && p->sid == tty.session) {
			tty.foreground = pgid;
			return 0;
		}
	}
	return pgid < 0 ? -EINVAL : -EPERM;
}

/* --------------------------------------------------------------------------------------------- reading, writing */

/* Sleeps until a raw-mode read may return: VMIN and VTIME of termios(3). */
static int wait_raw(uint64_t *deadline, size_t wanted, bool nonblock)
{
	const unsigned char *cc = tty.line.termios.c_cc;
	uint64_t pause = cc[VTIME] * 100 * PVG_NS_PER_MS;
	size_t have = line_count(&tty.line);
	size_t min = cc[VMIN] < wanted ? cc[VMIN] : wanted;
	int error;

	if (have && have >= min)
		return 1;
	if (tty.line.ended)
		return 1;
	if (nonblock)
		return have ? 1 : -EAGAIN;
	if (!min && !pause)
		return 1;
	/* The clock runs from the start, or with VMIN from the latest character on. */
	if (pause && (!min || have) && *deadline == NO_DEADLINE)
		*deadline = now() + pause;
	error = sleep_on(&tty.wait, *deadline);
	if (min && line_count(&tty.line) != have)
		*deadline = NO_DEADLINE;
	if (error == -ERESTARTSYS)
		return have ? 1 : error;
	return error == -ETIMEDOUT;
}

static int64_t tty_read(struct file *file, struct io *io, uint64_t offset)
{
	uint64_t deadline = NO_DEADLINE;
	size_t wanted = io->left < LINE_SIZE ? io->left : LINE_SIZE;
	char *page;
	int64_t done = 0;

	for (bool ready = !wanted; !ready;) {
		int error = foreground_only(SIGTTIN);

		if (!error && !(tty.line.termios.c_lflag & ICANON)) {
			error = wait_raw(&deadline, wanted, file->flags & O_NONBLOCK);
			ready = error == 1;
		} else if (!error) {
			ready = line_ready(&tty.line);
			if (!ready)
				error = file->flags & O_NONBLOCK ? -EAGAIN : sleep_on(&tty.wait, NO_DEADLINE);
		}
		if (error < 0)
			return error;
	}
	if (!wanted || !(page = page_new()))
		return wanted ? -ENOMEM : 0;
	done = (int64_t)line_read(&tty.line, page, wanted);
	if (io_put(io, page, (size_t)done))
		done = -EFAULT;
	page_put(page);
	take_input(NULL); /* there is room now */
	return done;
}

static int64_t tty_write(struct file *file, struct io *io, uint64_t offset)
{
	char chunk[256];
	int64_t done = 0, error = 0;

	if (tty.line.termios.c_lflag & TOSTOP && (error = foreground_only(SIGTTOU)))
		return error;
	while (io->left && !error) {
		size_t len = io->left < sizeof(chunk) ? io->left : sizeof(chunk);

		if (tty.line.stopped) {
			error = file->flags & O_NONBLOCK ? -EAGAIN : sleep_on(&tty.wait, NO_DEADLINE);
			continue;
		}
		error = io_get(io, chunk, len);
		for (size_t i = 0; !error && i < len; i++)
			line_output(&tty.line, chunk[i]);
		done += error ? 0 : (int64_t)len;
	}
	flush_output();
	return done ? done : error;
}

static unsigned tty_poll(struct file *file)
{
	return (line_ready(&tty.line) ? POLLIN | POLLRDNORM : 0u) |
	       (tty.line.stopped ? 0u : (unsigned)(POLLOUT | POLLWRNORM));
}

/* ------------------------------------------------------------------------------------------------------- ioctl */

static void take_termios(const struct termios *termios, bool flush)
{
	if (flush)
		line_flush_input(&tty.line);
	line_set(&tty.line, termios);
	if (!(termios->c_iflag & IXON))
		tty.line.stopped = false;
	changed();
}

static int64_t set_termios(unsigned request, uint64_t arg)
{
	struct termios termios;
	int64_t error = foreground_only(SIGTTOU);

	if (error)
		return error;
	if (copy_from_user(&termios, arg, sizeof(termios)))
		return -EFAULT;
	take_termios(&termios, request == TCSETSF || request == TCSETSF2);
	return 0;
}

/* The same with speeds as numbers. */
static int64_t get_termios2(uint64_t arg)
{
	const struct termios *now_set = &tty.line.termios;
	struct termios2 termios = {.c_iflag = now_set->c_iflag,
				   .c_oflag = now_set->c_oflag,
				   .c_cflag = now_set->c_cflag,
				   .c_lflag = now_set->c_lflag,
				   .c_line = now_set->c_line,
				   .c_ispeed = SPEED,
				   .c_ospeed = SPEED};

	memcpy(termios.c_cc, now_set->c_cc, sizeof(termios.c_cc));
	return copy_to_user(arg, &termios, sizeof(termios));
}

/* System V's, of 16 bits each and the first few characters. */
static int64_t get_termio(uint64_t arg)
{
	const struct termios *now_set = &tty.line.termios;
	struct termio termio = {.c_iflag = (unsigned short)now_set->c_iflag,
				.c_oflag = (unsigned short)now_set->c_oflag,
				.c_cflag = (unsigned short)now_set->c_cflag,
				.c_lflag = (unsigned short)now_set->c_lflag,
				.c_line = now_set->c_line};

	memcpy(termio.c_cc, now_set->c_cc, sizeof(termio.c_cc));
	return copy_to_user(arg, &termio, sizeof(termio));
}

static void set_low(tcflag_t *flags, unsigned short low)
{
	*flags = (*flags & ~(tcflag_t)UINT16_MAX) | low;
}

/* What it has no place for stays. */
static int64_t set_termio(unsigned request, uint64_t arg)
{
	struct termios termios = tty.line.termios;
	struct termio termio;
	int64_t error = foreground_only(SIGTTOU);

	if (error)
		return error;
	if (copy_from_user(&termio, arg, sizeof(termio)))
		return -EFAULT;
	set_low(&termios.c_iflag, termio.c_iflag);
	set_low(&termios.c_oflag, termio.c_oflag);
	set_low(&termios.c_cflag, termio.c_cflag);
	set_low(&termios.c_lflag, termio.c_lflag);
	termios.c_line = termio.c_line;
	memcpy(termios.c_cc, termio.c_cc, sizeof(termio.c_cc));
	take_termios(&termios, request == TCSETAF);
	return 0;
}

/* TCXONC: the user's side of flow control, and ours. */
static int64_t flow(uint64_t how)
{
	const unsigned char *cc = tty.line.termios.c_cc;
	int64_t error = foreground_only(SIGTTOU);

	if (error)
		return error;
	switch (how) {
	case TCOOFF:
	case TCOON:
		tty.line.stopped = how == TCOOFF;
		changed();
		return 0;
	case TCIOFF:
	case TCION:
		if (cc[how == TCIOFF ? VSTOP : VSTART])
			emit((char)cc[how == TCIOFF ? VSTOP : VSTART]);
		flush_output();
		return 0;
	default:
		return -EINVAL;
	}
}

static int64_t give_up_terminal(void)
{
	if (!tty_is_controlling())
		return -ENOTTY;
	tty_leave(current);
	return 0;
}

static int64_t set_window(uint64_t arg)
{
	struct winsize window;

	if (copy_from_user(&window, arg, sizeof(window)))
		return -EFAULT;
	change_window(&window);
	return 0;
}

static int64_t tty_ioctl(struct file *file, unsigned request, uint64_t arg)
{
	const int nothing = 0;
	int count;

	switch (request) {
	case TCGETS:
		return copy_to_user(arg, &tty.line.termios, sizeof(tty.line.termios));
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return set_termios(request, arg);
	case TCGETS2:
		return get_termios2(arg);
	case TCSETS2: /* begins as the older structure, and speeds mean nothing here */
	case TCSETSW2:
	case TCSETSF2:
		return set_termios(request, arg);
	case TCGETA:
		return get_termio(arg);
	case TCSETA:
	case TCSETAW:
	case TCSETAF:
		return set_termio(request, arg);
	case TCXONC:
		return flow(arg);
	case TIOCNOTTY:
		return give_up_terminal();
	case TIOCOUTQ: /* all output is out */
	case TIOCGETD: /* N_TTY */
		return copy_to_user(arg, &nothing, sizeof(nothing));
	case TIOCEXCL: /* root opens it all the same */
	case TIOCNXCL:
		return 0;
	case TIOCGWINSZ:
		return copy_to_user(arg, &tty.window, sizeof(tty.window));
	case TIOCSWINSZ:
		return set_window(arg);
	case TIOCSCTTY:
		return acquire(arg == 1);
	case TIOCGPGRP:
		return tty_is_controlling() ? copy_to_user(arg, &tty.foreground, sizeof(tty.foreground)) : -ENOTTY;
	case TIOCSPGRP:
		return tty_is_controlling() ? set_foreground(arg) : -ENOTTY;
	case TIOCGSID:
		return tty_is_controlling() ? copy_to_user(arg, &tty.session, sizeof(tty.session)) : -ENOTTY;
	case FIONREAD:
		count = (int)line_count(&tty.line);
		return copy_to_user(arg, &count, sizeof(count));
	case TCFLSH:
		if (arg != TCOFLUSH)
			line_flush_input(&tty.line);
		return 0;
	case TCSBRK: /* all output is out; there is no line to break */
	case TCSBRKP:
		return 0;
	default:
		return -ENOTTY;
	}
}

const struct file_ops tty_file_ops = {
	.open = tty_open,
	.read = tty_read,
	.write = tty_write,
	.poll = tty_poll,
	.ioctl = tty_ioctl,
};
