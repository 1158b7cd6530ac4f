/*
 * Programs that are laid out as none of a linker's: segments that share a page or lie over each other, more headers
 * than a page has, stacks that are executed. Prints how execve or the program ended; the same natively and under tinix.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADERS_MAX 160
#define FILE_SIZE   0x8000
#define CODE	    0x4000 /* in the file, behind all headers */
#define DATA	    0x5000
#define TEXT	    0x401000
#define PAGE	    0x1000
#define AT	    0x500000

static unsigned char file[FILE_SIZE];
static Elf64_Phdr headers[HEADERS_MAX];
static unsigned count;
static size_t code_end, size;

static void header(unsigned type, unsigned flags, size_t offset, size_t address, size_t in_file, size_t in_memory)
{
	headers[count++] = (Elf64_Phdr){.p_type = type,
					.p_flags = flags,
					.p_offset = offset,
					.p_vaddr = address,
					.p_paddr = address,
					.p_filesz = in_file,
					.p_memsz = in_memory,
					.p_align = PAGE};
}

static void segment(unsigned flags, size_t offset, size_t address, size_t in_file, size_t in_memory)
{
	header(PT_LOAD, flags, offset, address, in_file, in_memory);
}

static void begin(void)
{
	memset(file, 0, sizeof(file));
	count = 0;
	code_end = CODE;
	size = FILE_SIZE;
}

static void begin_with_text(void)
{
	begin();
	segment(PF_R | PF_X, CODE, TEXT, PAGE, PAGE);
}

static void emit(const void *bytes, size_t len)
{
	memcpy(file + code_end, bytes, len);
	code_end += len;
}

/* exit(EDI) */
static void leave(void)
{
	emit("\xb8\x3c\0\0\0\x0f\x05", 7);
}

static void leave_with(unsigned status)
{
	emit("\xbf", 1);
	emit(&status, sizeof(status));
	leave();
}

/* movzbl address, %edi */
static void leave_with_byte(unsigned address)
{
	emit("\x0f\xb6\x3c\x25", 4);
	emit(&address, sizeof(address));
	leave();
}

static void write_file(const char *path)
{
	Elf64_Ehdr ehdr = {.e_ident = "\177ELF\2\1\1",
			   .e_type = ET_EXEC,
			   .e_machine = EM_X86_64,
			   .e_version = 1,
			   .e_entry = TEXT,
			   .e_phoff = sizeof(ehdr),
			   .e_ehsize = sizeof(ehdr),
			   .e_phentsize = sizeof(headers[0]),
			   .e_phnum = (Elf64_Half)count};
	int fd;

	memcpy(file, &ehdr, sizeof(ehdr));
	memcpy(file + sizeof(ehdr), headers, count * sizeof(headers[0]));
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT, 0755);
	if (fd < 0 || write(fd, file, size) != (ssize_t)size)
		perror(path);
	close(fd);
}

#define NO_EXEC 255

static void run(const char *what)
{
	char *arguments[] = {(char *)"image", NULL};
	int status = 0;
	pid_t pid;

	write_file("image");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execve("image", arguments, arguments + 1);
		_exit(NO_EXEC);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s: signal %d\n", what, WTERMSIG(status));
	else if (WEXITSTATUS(status) == NO_EXEC)
		printf("%s: not executed\n", what);
	else
		printf("%s: %d\n", what, WEXITSTATUS(status));
}

static void layouts(void)
{
	begin();
	segment(PF_R, 0, TEXT, 0x158, 0x158);
	segment(PF_R | PF_X, CODE, TEXT, PAGE, PAGE);
	leave_with(8);
	run("of two over each other the later one is there");
	begin_with_text();
	segment(PF_R | PF_W, DATA, AT, 0x100, 0x100);
	segment(PF_R | PF_W, DATA + 0x800, AT + 0x800, 0x100, 0x100);
	file[DATA + 0x800] = 4;
	leave_with_byte(AT + 0x800);
	run("two in a page");
	begin_with_text();
	segment(PF_R | PF_W, DATA, AT, 0x100, 0x100);
	segment(PF_R | PF_W, DATA, AT, 0x100, 0x100);
	file[DATA] = 3;
	leave_with_byte(AT);
	run("one twice");
	begin();
	for (unsigned n = 0; n < 40; n++)
		segment(PF_R | PF_X, CODE, TEXT + PAGE * n, PAGE, PAGE);
	leave_with(25);
	run("forty of them");
	begin_with_text();
	segment(PF_R | PF_W, 0x100000, AT, 0, 2 * PAGE);
	leave_with_byte(AT + PAGE);
	run("zeroes that are said to lie beyond the file");
	begin_with_text();
	segment(PF_R | PF_W, DATA + 0x100, AT + 0x100, 0x10, 0x1800);
	memset(file + DATA + 0x100, 0xaa, 0x100);
	leave_with_byte(AT + 0x110);
	run("zeroes behind what is in the file");
	begin_with_text();
	segment(PF_R, DATA, AT, 4 * PAGE, 4 * PAGE);
	leave_with_byte(AT + 3 * PAGE);
	run("a page beyond the file");
	begin_with_text();
	segment(PF_R, DATA, AT, 4 * PAGE, 4 * PAGE);
	size = DATA + 0x800;
	leave_with_byte(AT + PAGE - 1);
	run("the rest of the file's last page");
}

static void many_headers(void)
{
	begin_with_text();
	while (count < 72)
		header(PT_NULL, 0, 0, 0, 0, 0);
	leave_with(23);
	run("72 headers");
	begin_with_text();
	while (count < 150)
		header(PT_NOTE, 0, 0, 0, 0, 0);
	leave_with(24);
	run("150 headers");
}

/* sub $32, %rsp; movl $0x050f0000, 8(%rsp); mov $0x003cb80000002cbf, %rax; mov %rax, (%rsp); jmp *%rsp: exit(44) there
 */
static const unsigned char on_stack[] = "\x48\x83\xec\x20\xc7\x44\x24\x08\0\0\x0f\x05\x48\xb8\xbf\x2c\0\0\0\xb8\x3c\0"
					"\x48\x89\x04\x24\xff\xe4";

static void stacks(void)
{
	begin_with_text();
	header(PT_GNU_STACK, PF_R | PF_W | PF_X, 0, 0, 0, 0);
	emit(on_stack, sizeof(on_stack));
	run("a stack that may be executed");
	begin_with_text();
	header(PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0);
	emit(on_stack, sizeof(on_stack));
	run("one that may not");
	begin_with_text();
	emit(on_stack, sizeof(on_stack));
	run("one of which nothing is said");
}

int main(int argc, char **argv)
{
	if (argc < 2 || chdir(argv[1]))
		return 1;
	layouts();
	many_headers();
	stacks();
	return 0;
}
