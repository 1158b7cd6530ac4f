/*
 * The Linux interface that programs are built for: its numbers and structures, from Linux's own headers for user space
 * (Debian: linux-libc-dev), which need no C library.
 */
#ifndef TINIX_LINUX_H
#define TINIX_LINUX_H

#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/prctl.h>
#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <asm/termbits.h>
#include <asm/termios.h>
#include <asm/ucontext.h>
#include <asm/unistd_64.h>
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/stat.h>
#include <linux/sysinfo.h>
#include <linux/time.h>
#include <linux/times.h>
#include <linux/uio.h>
#include <linux/utsname.h>
#include <linux/wait.h>

/* Results that never reach a program: a signal interrupted the call. include/linux/errno.h has them outside uapi. */
#define ERESTARTSYS    512 /* restart if the handler has SA_RESTART, else EINTR */
#define ERESTARTNOHAND 514 /* restart if no handler ran, else EINTR */

#endif
