/*
 * /proc's texts about a process. A zombie has no memory and no files: its figures are 0, its strings empty.
 */
#include "examples/tinix/procfs.h"

#define STRINGS_MAX 32768 /* of arguments or environment that are shown */

static struct mm_info memory_of(struct proc *p)
{
	struct mm_info info = {0};

	if (p->mm)
		mm_get_info(p->mm, &info);
	return info;
}

static int parent_of(const struct proc *p)
{
	return p->parent ? p->parent->pid : 0;
}

void text_process_stat(struct text *text, struct proc *p)
{
	struct mm_info info = memory_of(p);
	int foreground = tty_foreground(p->sid);
	int terminal = foreground >= 0 ? (int)device_number(4, 64) : 0;

	/* Fields as in proc(5); those that mean nothing here are 0. */
	text_add(text, "%d (%s) %c %d %d %d %d %d 0 ", p->pid, p->name, proc_state_letter(p), parent_of(p), p->pgid,
		 p->sid, terminal, foreground);
	text_add(text, "%lu %lu 0 0 ", p->usage.minor_faults, p->children_usage.minor_faults);
	text_add(text, "%llu %llu %llu %llu ", p->usage.user_ns / NS_PER_TICK, p->usage.system_ns / NS_PER_TICK,
		 p->children_usage.user_ns / NS_PER_TICK, p->children_usage.system_ns / NS_PER_TICK);
	text_add(text, "20 0 1 0 %llu ", p->start / NS_PER_TICK);
	text_add(text, "%lu %lu %lu ", info.virtual_bytes, info.resident_pages, p->limits[RLIMIT_RSS].rlim_cur);
	text_add(text, "%lu %lu %lu 0 0 ", info.start_code, info.end_code, info.start_stack);
	text_add(text, "0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 ");
	text_add(text, "%lu %lu %lu %lu 0\n", info.args_start, info.args_end, info.env_start, info.env_end);
}

void text_process_status(struct text *text, struct proc *p)
{
	static const char *const states[] = {"R (running)", "S (sleeping)", "T (stopped)", "Z (zombie)"};
	struct mm_info info = memory_of(p);
	const char *state = states[0];

	for (int i = 0; i < 4; i++)
		if (states[i][0] == proc_state_letter(p))
			state = states[i];
	text_add(text, "Name:\t%s\nState:\t%s\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\n", p->name, state, p->pid, p->pid,
		 parent_of(p));
	text_add(text, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
	if (p->mm)
		text_add(text, "VmSize:\t%8lu kB\nVmRSS:\t%8lu kB\n", info.virtual_bytes / 1024,
			 info.resident_pages * (PAGE_SIZE / 1024));
	text_add(text, "Threads:\t1\nvoluntary_ctxt_switches:\t%lu\n", p->usage.switches);
}

void text_process_comm(struct text *text, struct proc *p)
{
	text_add(text, "%s\n", p->name);
}

static void add_memory(struct text *text, struct proc *p, uint64_t start, uint64_t end)
{
	char piece[256];

	if (end > start + STRINGS_MAX)
		end = start + STRINGS_MAX;
	while (p->mm && start < end) {
		size_t wanted = end - start < sizeof(piece) ? end - start : sizeof(piece);
		size_t got = read_process_memory(p->mm, piece, start, wanted);

		text_add_bytes(text, piece, got);
		if (got < wanted)
			return;
		start += got;
	}
}

void text_process_cmdline(struct text *text, struct proc *p)
{
	struct mm_info info = memory_of(p);

	add_memory(text, p, info.args_start, info.args_end);
}

void text_process_maps(struct text *text, struct proc *p)
{
	const struct vma *vma = p->mm ? vma_find(p->mm, 0) : NULL;
	char path[256];

	for (; vma; vma = vma_find(p->mm, vma->end)) {
		pvg_snprintf(path, sizeof(path), "%s", vma->stack ? "[stack]" : vma->heap ? "[heap]" : "");
		if (vma->inode)
			inode_path(vma->inode, path, sizeof(path));
		text_add(text, "%08lx-%08lx %c%c%c%c %08lx 00:%02x %lu %s\n", vma->start, vma->end,
			 vma->prot & PROT_READ ? 'r' : '-', vma->prot & PROT_WRITE ? 'w' : '-',
			 vma->prot & PROT_EXEC ? 'x' : '-', vma->shared ? 's' : 'p', vma->offset,
			 vma->inode ? vma->inode->mount->dev : 0, vma->inode ? vma->inode->ino : 0ul, path);
	}
}
