/*
 * Where Linux's answers are easily missed: what a handler is told, the edges of execve's text, rights and lengths of
 * mappings, locks, limits, mere names of files. Prints one line for each; the same natively and under tinix.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define NEW_TCGETS 0x802c542a /* TCGETS2, which no header has beside <termios.h> */

static const char *name_of(int error)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {{EACCES, "EACCES"}, {EAGAIN, "EAGAIN"}, {EBADF, "EBADF"},	      {EFBIG, "EFBIG"},
		     {EINVAL, "EINVAL"}, {ENOENT, "ENOENT"}, {ENOEXEC, "ENOEXEC"},    {ENOMEM, "ENOMEM"},
		     {ELOOP, "ELOOP"},	 {ESRCH, "ESRCH"},   {ENOTEMPTY, "ENOTEMPTY"}};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].error == error)
			return names[i].name;
	return "other";
}

static void say(const char *what, long result)
{
	printf("%s: %s\n", what, result >= 0 ? "ok" : name_of(errno));
	fflush(stdout);
}

static int child(void (*function)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		function();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

/* ------------------------------------------------------------------------------------------- what a handler is told */

static sigjmp_buf back;
static volatile struct {
	int code;
	unsigned long address, vector, error, cr2, rip;
} told;

static void note(int signal, siginfo_t *info, void *context)
{
	const greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	told.code = info->si_code;
	told.address = (unsigned long)info->si_addr;
	told.vector = (unsigned long)regs[REG_TRAPNO];
	told.error = (unsigned long)regs[REG_ERR];
	told.cr2 = (unsigned long)regs[REG_CR2];
	told.rip = (unsigned long)regs[REG_RIP];
	siglongjmp(back, signal);
}

static void catch (int signal)
{
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};

	sigaction(signal, &action, NULL);
}

#define FAULT(name, ...)                                                                                               \
	do {                                                                                                           \
		int signal = sigsetjmp(back, 1);                                                                       \
		if (!signal)                                                                                           \
			__asm__ volatile(__VA_ARGS__);                                                                 \
		printf("%s: signal %d code %d vector %lu error %lu address %s\n", name, signal, told.code,             \
		       told.vector, told.error,                                                                        \
		       !told.address		  ? "0"                                                                \
		       : told.address == told.rip ? "rip"                                                              \
		       : told.address == told.cr2 ? "cr2"                                                              \
						  : "other");                                                          \
	} while (0)

/* What is not there, what nobody may access, and what may be read. */
static void page_faults(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*page = 1;
	FAULT("execute data", "call *%0; nop" : : "r"(page));
	mprotect(page, 4096, PROT_READ);
	FAULT("write what is read", "movb $0, (%0)" : : "r"(page));
	mprotect(page, 4096, PROT_NONE);
	FAULT("read nobody's", "movb (%0), %%al" : : "r"(page) : "rax");
	FAULT("write nobody's", "movb $0, (%0)" : : "r"(page));
	FAULT("execute nobody's", "call *%0; nop" : : "r"(page));
	munmap(page, 4096);
	FAULT("write nothing", "movb $0, (%0)" : : "r"(page));
}

static void faults(void)
{
	const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGUSR1};

	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		catch (signals[i]);
	page_faults();
	FAULT("null", "mov 0x18, %%rax" : : : "rax");
	FAULT("privileged", "hlt" : :);
	FAULT("breakpoint", "int3" : :);
	FAULT("undefined", "ud2" : :);
	FAULT("division", "xor %%ecx, %%ecx; div %%ecx" : : : "rax", "rcx", "rdx");
	FAULT("stack", "mov %0, %%rbp; mov (%%rbp), %%rax" : : "r"(0x0000900000000000) : "rax");
	FAULT("vector division", "push %0; ldmxcsr (%%rsp); pop %%rax; xorps %%xmm0, %%xmm0; mov $1, %%eax;"
				 "cvtsi2ss %%eax, %%xmm1; divss %%xmm0, %%xmm1"
	      :
	      : "r"(0x1d80l)
	      : "rax", "xmm0", "xmm1");
	FAULT("vector invalid", "push %0; ldmxcsr (%%rsp); pop %%rax; xorps %%xmm0, %%xmm0; divss %%xmm0, %%xmm0"
	      :
	      : "r"(0x1f00l)
	      : "rax", "xmm0");
	FAULT("vector overflow", "push %0; ldmxcsr (%%rsp); pop %%rax; mov $0x7f000000, %%eax; movd %%eax, %%xmm0;"
				 "mulss %%xmm0, %%xmm0"
	      :
	      : "r"(0x1b80l)
	      : "rax", "xmm0");
	FAULT("vector inexact",
	      "push %0; ldmxcsr (%%rsp); pop %%rax; mov $1, %%eax; cvtsi2ss %%eax, %%xmm0; mov $3, %%eax;"
	      "cvtsi2ss %%eax, %%xmm1; divss %%xmm1, %%xmm0"
	      :
	      : "r"(0xf80l)
	      : "rax", "xmm0", "xmm1");
	FAULT("x87 stack", "fninit; push %0; fldcw (%%rsp); pop %%rax; fstp %%st(0); fwait" : : "r"(0x37el) : "rax");
	FAULT("x87 division", "fninit; push %0; fldcw (%%rsp); pop %%rax; fldz; fld1; fdiv %%st(1), %%st; fwait"
	      :
	      : "r"(0x37bl)
	      : "rax");
	__asm__ volatile("fninit");
	if (!sigsetjmp(back, 1))
		raise(SIGUSR1);
	printf("raise: code %d\n", told.code);
	say("another's thread", syscall(SYS_tgkill, getppid(), getpid(), 0));
	say("no thread", syscall(SYS_tgkill, getpid(), 0, 0));
}

#define FLAG_DF	 0x400ul
#define FLAG_AC	 0x40000ul
#define FLAG_ALL (FLAG_DF | FLAG_AC)

/* A SYSCALL and then a page fault with these flags, which the kernel is not to run under: those that come back. */
static unsigned long flagged(long number, long a, long b, long c, volatile char *page, long *result)
{
	unsigned long flags;

	__asm__ volatile("sub $128, %%rsp; pushf; pushf; orq %[all], (%%rsp); popf; syscall; movb $1, (%[page]);"
			 "pushf; popq %[flags]; popf; add $128, %%rsp"
			 : [flags] "=&r"(flags), "=a"(*result)
			 : [all] "r"(FLAG_ALL), [page] "r"(page), "1"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory", "cc");
	return flags & FLAG_ALL;
}

/* From and to where nothing is aligned. */
static void flags(void)
{
	char *page = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static char text[64] = "from where nothing is aligned";
	unsigned long lost = 0;
	long moved = 0, result;
	int ends[2];

	if (pipe(ends))
		exit(1);
	for (unsigned n = 0; n < 64; n += 2) {
		lost |= FLAG_ALL & ~flagged(SYS_write, ends[1], (long)(text + 1), 27, page + n * 4096, &result);
		moved += result;
		lost |= FLAG_ALL & ~flagged(SYS_read, ends[0], (long)(text + 3), 27, page + (n + 1) * 4096, &result);
		moved += result;
	}
	printf("flags lost in the kernel: %s%s\n", lost & FLAG_DF ? "DF " : "", lost & FLAG_AC ? "AC" : "");
	printf("bytes moved meanwhile: %ld\n", moved);
}

static char stack[65536];

static void on_stack(int signal)
{
	printf("signal %d on its own stack\n", signal);
	fflush(stdout);
	_exit(7);
}

static void never(int signal)
{
	_exit(signal);
}

/* The handler has no stack; that of SIGSEGV has one. */
static void no_stack(void)
{
	stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = on_stack, .sa_flags = SA_ONSTACK};

	sigaltstack(&own, NULL);
	sigaction(SIGSEGV, &action, NULL);
	signal(SIGUSR1, never);
	__asm__ volatile("mov $0x1000, %%rsp; mov $62, %%eax; syscall"
			 :
			 : "D"((long)getpid()), "S"((long)SIGUSR1)
			 : "rax", "rcx", "r11", "memory");
	_exit(1);
}

/* SIGCHLD does nothing by default, but somebody waits for it. */
static void waited_for(void)
{
	const struct timespec limit = {10, 0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!fork())
		_exit(0);
	say("waiting for SIGCHLD", sigtimedwait(&set, NULL, &limit) == SIGCHLD ? 0 : -1);
}

/* ----------------------------------------------------------------------------------------------------- programs */

static void write_file(const char *path, const char *text, size_t len, unsigned mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		exit(1);
	close(fd);
}

static void run(const char *what, const char *path, char **arguments)
{
	pid_t pid;

	printf("%s:", what);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execve(path, arguments, (char *[]){"EDGES=arguments", NULL});
		printf(" %s\n", name_of(errno));
		exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void script(const char *what, const char *format, const char *self)
{
	char text[512];
	int len = snprintf(text, sizeof(text), format, self);

	write_file("script", text, (size_t)len, 0755);
	run(what, "./script", (char *[]){"zero", "one", NULL});
}

static void programs(const char *self)
{
	char line[400], path[32];

	run("no arguments", self, (char *[]){NULL});
	script("script", "#!%s argument\n", self);
	script("blanks at the end", "#!%s argument \t \n", self);
	script("blanks before, no end", "#!  %s argument", self);
	script("no interpreter", "#!  \n", self);
	/* Longer than what is read: the cut name is another program's, which must not run. */
	memset(line, '/', sizeof(line));
	memcpy(line, "#!", 2);
	memcpy(line + 255 - strlen(self), self, strlen(self));
	memcpy(line + 255, "-and-more\n", 10);
	write_file("script", line, 265, 0755);
	run("cut name", "./script", (char *[]){"zero", NULL});
	/* The line's end is the last byte that is read. */
	line[255] = '\n';
	write_file("script", line, 256, 0755);
	run("whole name", "./script", (char *[]){"zero", NULL});
	for (int depth = 1; depth <= 6; depth++) {
		snprintf(path, sizeof(path), "./nested%d", depth - 1);
		snprintf(line, sizeof(line), "#!%s\n", depth == 1 ? self : path);
		snprintf(path, sizeof(path), "./nested%d", depth);
		write_file(path, line, strlen(line), 0755);
	}
	run("five deep", "./nested5", (char *[]){"zero", NULL});
	run("six deep", "./nested6", (char *[]){"zero", NULL});
	printf("platform: %s\n", (const char *)getauxval(AT_PLATFORM));
}

/* ------------------------------------------------------------------------------------------------------- memory */

static void memory(void)
{
	int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600), reader = open("mapped", O_RDONLY);
	char *page, byte = 0;

	if (ftruncate(fd, 8192) || pwrite(fd, "hello", 5, 0) != 5)
		exit(1);
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reader, 0);
	say("writing through a reader's mapping", mprotect(page, 4096, PROT_READ | PROT_WRITE));
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	byte = page[0];
	if (ftruncate(fd, 0) || ftruncate(fd, 4096))
		exit(1);
	printf("cut and grown: %d, was %c\n", page[0], byte);
	page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + 4096, 4096);
	say("advice over a hole", madvise(page, 3 * 4096, MADV_DONTNEED));
	say("unknown advice", madvise(page, 4096, 12345));
	say("fixed and odd",
	    (long)mmap((void *)0x700001, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}

/* -------------------------------------------------------------------------------------------------------- files */

static void try_lock(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
	int fd = open("locked", O_RDWR);

	say("another's record", fcntl(fd, F_SETLK, &lock));
	lock.l_start = 20;
	say("the record beside it", fcntl(fd, F_SETLK, &lock));
	say("another's file", flock(fd, LOCK_EX | LOCK_NB));
}

static void locks(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 20};
	int fd = open("locked", O_RDWR | O_CREAT, 0600);

	say("a record", fcntl(fd, F_SETLK, &lock));
	say("a file", flock(fd, LOCK_SH));
	child(try_lock);
	close(open("locked", O_RDONLY)); /* lets go of all records of the process */
	child(try_lock);
}

static void files(void)
{
	const struct timespec omit[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	int fd = open("locked", O_RDONLY), path = open("locked", O_PATH), ends[2], count;
	struct stat before, after;
	struct timespec time;
	char name[32];

	say("seek in a name", lseek(path, 0, SEEK_SET));
	say("ioctl of a name", ioctl(path, FIONREAD, &count));
	say("directory made by open", open("new", O_CREAT | O_DIRECTORY | O_RDONLY, 0700));
	mkdir("outer", 0700);
	mkdir("outer/inner", 0700);
	say("rmdir of the parent", rmdir("outer/inner/.."));
	fstat(fd, &before);
	utimensat(AT_FDCWD, "locked", omit, 0);
	fstat(fd, &after);
	printf("times omitted: %s\n",
	       memcmp(&before.st_ctim, &after.st_ctim, sizeof(after.st_ctim)) ? "touched" : "kept");
	say("atomic time", clock_gettime(CLOCK_TAI, &time));
	if (pipe(ends) || write(ends[1], "x", 1) != 1)
		exit(1);
	close(ends[1]);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", ends[0]);
	say("a pipe without a writer, opened again", open(name, O_RDONLY));
}

/* What is asked of a terminal besides its modes; those of glibc 2.42 ask for them in the new form. */
static void terminal(void)
{
	int fd = open("/dev/tty", O_RDWR), value;
	char modes[64];

	say("modes in the new form", ioctl(fd, NEW_TCGETS, modes));
	say("output that is left", ioctl(fd, TIOCOUTQ, &value));
	say("go on with output", tcflow(fd, TCOON));
	say("alone", ioctl(fd, TIOCEXCL));
	say("not alone", ioctl(fd, TIOCNXCL));
	say("discipline", ioctl(fd, TIOCGETD, &value));
	say("a break", tcsendbreak(fd, 0));
}

/* ------------------------------------------------------------------------------------------------------- limits */

static void set_limit(int which, rlim_t value)
{
	const struct rlimit limit = {value, RLIM_INFINITY};

	setrlimit(which, &limit);
}

static void file_size(void)
{
	char bytes[100] = {0};
	int fd = open("sized", O_RDWR | O_CREAT | O_TRUNC, 0600);

	set_limit(RLIMIT_FSIZE, 150);
	signal(SIGXFSZ, SIG_IGN);
	printf("writes up to the limit: %zd", write(fd, bytes, 100));
	printf(" %zd\n", write(fd, bytes, 100));
	say("and beyond", write(fd, bytes, 1));
}

static void address_space(void)
{
	set_limit(RLIMIT_AS, 256 << 20);
	say("more than may be mapped",
	    mmap(NULL, 512 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
}

static void data_size(void)
{
	set_limit(RLIMIT_DATA, 1 << 20);
	say("more data than allowed, mapped",
	    mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	say("and by brk", sbrk(2 << 20) == (void *)-1 ? -1 : 0);
}

static void file_size_signal(void)
{
	char bytes[100] = {0};
	int fd = open("sized", O_RDWR | O_CREAT | O_TRUNC, 0600);

	set_limit(RLIMIT_FSIZE, 100);
	for (unsigned n = 0; n < 2; n++)
		say("a write", write(fd, bytes, sizeof(bytes)));
}

static void spin(void)
{
	set_limit(RLIMIT_CPU, 1);
	for (;;)
		;
}

int main(int argc, char **argv)
{
	int status;

	if (getenv("EDGES")) {
		for (int i = 0; i < argc; i++)
			printf(" [%s]", i || !*argv[0] ? argv[i] : "");
		printf("\n");
		return 0;
	}
	if (argc < 2 || chdir(argv[1]))
		return 1;
	child(faults);
	child(flags);
	printf("a handler without a stack: %d\n", WEXITSTATUS(child(no_stack)));
	child(waited_for);
	programs(argv[2]);
	child(memory);
	child(locks);
	child(files);
	child(terminal);
	child(file_size);
	status = child(file_size_signal);
	printf("beyond the limit: %s\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ ? "SIGXFSZ" : "other");
	child(address_space);
	child(data_size);
	status = child(spin);
	printf("time used up: %s\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU ? "SIGXCPU" : "other");
	return 0;
}
