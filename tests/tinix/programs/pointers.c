/*
 * Bad pointers, for every system call that takes one: the answer is EFAULT, and the kernel lives on. Also what is not
 * there: ENOSYS. Prints one line per failure, and the count of calls tried.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BAD ((long)address)

static int tried, failed;
static uintptr_t address;

static void expect_error(const char *name, long result, int error)
{
	tried++;
	if (result == -1 && errno == error)
		return;
	failed++;
	printf("%s at %#lx: %ld %s\n", name, (unsigned long)address, result, result < 0 ? strerror(errno) : "");
}

#define EFAULTS(call, ...) expect_error(#call, syscall(SYS_##call, __VA_ARGS__), EFAULT)

static void try_names(void)
{
	EFAULTS(open, BAD, O_RDONLY);
	EFAULTS(openat, AT_FDCWD, BAD, O_RDONLY);
	EFAULTS(stat, BAD, BAD);
	EFAULTS(stat, "/", BAD);
	EFAULTS(newfstatat, AT_FDCWD, "/", BAD, 0);
	EFAULTS(statx, AT_FDCWD, "/", 0, 0xfff, BAD);
	EFAULTS(statfs, "/", BAD);
	EFAULTS(access, BAD, 0);
	EFAULTS(readlink, "/proc/self", BAD, 100);
	EFAULTS(getcwd, BAD, 100);
	EFAULTS(chdir, BAD);
	EFAULTS(mkdir, BAD, 0);
	EFAULTS(rmdir, BAD);
	EFAULTS(unlink, BAD);
	EFAULTS(rename, BAD, "/x");
	EFAULTS(rename, "/t", BAD);
	EFAULTS(link, "/t/run", BAD);
	EFAULTS(symlink, "x", BAD);
	EFAULTS(chmod, BAD, 0);
	EFAULTS(chown, BAD, 0, 0);
	EFAULTS(truncate, BAD, 0);
	EFAULTS(utimensat, AT_FDCWD, "/t", BAD, 0);
	EFAULTS(execve, BAD, 0, 0);
	EFAULTS(execve, "/t/run", BAD, 0);
}

static void try_data(void)
{
	int file = open("/t/run", O_RDONLY), dir = open("/", O_RDONLY), null = open("/tmp/f", O_RDWR | O_CREAT, 0600);
	int ends[2];

	if (pipe(ends))
		return;
	EFAULTS(read, file, BAD, 10);
	EFAULTS(pread64, file, BAD, 10, 0);
	EFAULTS(write, null, BAD, 10);
	EFAULTS(write, ends[1], BAD, 10);
	EFAULTS(readv, file, BAD, 1);
	EFAULTS(writev, null, BAD, 1);
	EFAULTS(getdents64, dir, BAD, 1000);
	EFAULTS(fstat, file, BAD);
	EFAULTS(ioctl, 0, 0x5401 /* TCGETS */, BAD);
	EFAULTS(ioctl, 0, 0x5402 /* TCSETS */, BAD);
	EFAULTS(pipe, BAD);
	EFAULTS(poll, BAD, 1, 0);
	EFAULTS(select, 1, BAD, 0, 0, 0);
	EFAULTS(select, 0, 0, 0, 0, BAD);
	EFAULTS(sendfile, null, file, BAD, 10);
	if (syscall(SYS_write, ends[1], "hello", 5) == 5)
		EFAULTS(read, ends[0], BAD, 5);
	close(file), close(dir), close(null), close(ends[0]), close(ends[1]);
}

static void try_process(void)
{
	EFAULTS(uname, BAD);
	EFAULTS(sysinfo, BAD);
	EFAULTS(getrandom, BAD, 10, 0);
	EFAULTS(clock_gettime, 0, BAD);
	EFAULTS(nanosleep, BAD, 0);
	EFAULTS(rt_sigaction, 10, BAD, 0, 8);
	EFAULTS(rt_sigprocmask, 0, BAD, 0, 8);
	EFAULTS(sigaltstack, BAD, 0);
	EFAULTS(getrlimit, 0, BAD);
	EFAULTS(getrusage, 0, BAD);
	EFAULTS(times, BAD);
	EFAULTS(futex, BAD & ~3l, 0 /* FUTEX_WAIT */, 0, 0);
}

int main(void)
{
	char *read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* NULL's page, a hole, the kernel's half, what no address can be, and the end of all. */
	const uintptr_t bad[] = {8, 0x10000000, 0x7f0000200000, 0x800000000000, 0xfffffffffffffff0};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		address = bad[i];
		try_names();
		try_data();
		try_process();
	}
	address = (uintptr_t)read_only;
	EFAULTS(uname, read_only);
	EFAULTS(pipe, read_only);
	expect_error("no such call", syscall(400), ENOSYS);
	expect_error("a call that is missing", syscall(SYS_bpf, 0, 0, 0), ENOSYS);
	expect_error("the same again", syscall(SYS_bpf, 0, 0, 0), ENOSYS);
	expect_error("no call at all", syscall(100000), ENOSYS);
	expect_error("negative call", syscall(-1), ENOSYS);
	printf("%d calls tried, %d failed\n", tried, failed);
	return failed != 0;
}
