/*
 * Making, pooling and ending cells.
 */
#include "monitor/engine/trap/cell.h"
#include "monitor/engine/trap/bases.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "monitor/engine/confine/process.h"
#include "monitor/engine/trap/arena.h"
#include "monitor/engine/trap/birth.h"
#include "monitor/engine/trap/filter.h"
#include "monitor/engine/trap/handover.h"
#include "monitor/engine/trap/placement.h"
#include "monitor/engine/trap/reserve.h"
#include "monitor/host/clock.h"
#include "monitor/host/cpuid.h"
#include "monitor/host/refusal.h"
#include "monitor/vm/vcpu.h"

/* How long the host's refusal of a process is taken for its last word. */
#define REFUSAL_LASTS_NS CLOCK_NS_PER_SEC

static void *arena_map(const struct cells *cells, size_t size, off_t offset)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cells->arena_fd, offset);
	if (pages == MAP_FAILED)
		return NULL;
	madvise(pages, size, MADV_DONTFORK);
	return pages;
}

/* Gives the pages back to the host: the next cell of the slot starts with zeroes. */
static void cell_unmap_pages(struct cell *cell)
{
	const int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	if (cell->order)
		munmap(cell->order, GATE_ORDER_SIZE);
	if (cell->xchg)
		munmap(cell->xchg, GATE_OWN_SIZE);
	if (cell->owner->ending)
		return;
	fallocate(cell->owner->arena_fd, how, arena_order(cell->slot), GATE_ORDER_SIZE);
	fallocate(cell->owner->arena_fd, how, arena_own(cell->slot), GATE_OWN_SIZE);
}

void cell_init_exchange(struct cell *cell)
{
	const size_t handover = offsetof(struct gate_xchg, spins);
	struct cells *cells = cell->owner;
	struct gate_xchg *xchg = cell->xchg;

	memset((uint8_t *)xchg + handover, 0, GATE_XCHG_SIZE - handover);
	xchg->kind = GATE_KIND_SIGNAL;
	xchg->turn = cell->slot * sizeof(uint32_t);
	xchg->wake = GATE_WAKE_NONE;
	xchg->dispatch = cells->dispatched;
	xchg->bases = cells->bases;
	xchg->frame = xchg->site_frame = cell->frame_gate;
	xchg->host_fs_base = xchg->host_gs_base = GATE_BASE_UNKNOWN;
	xchg->xsave = 1;
	xchg->xcr0 = cells->xcr0;
	xchg->pkru = cell->kernel ? 0 : sites_pkru(&cells->sites);
	xchg->altstack = (stack_t){.ss_sp = (void *)GATE_STACK, .ss_size = GATE_STACK_SIZE};
	cell_set_patience(cell);
}

static int cell_map_pages(struct cell *cell)
{
	struct cells *cells = cell->owner;
	cell->order = arena_map(cells, GATE_ORDER_SIZE, arena_order(cell->slot));
	uint8_t *own = arena_map(cells, GATE_OWN_SIZE, arena_own(cell->slot));
	cell->xchg = (void *)own;
	if (!cell->order || !own)
		return -errno;
	cell->fpu = own + (GATE_FPU - GATE_XCHG);
	cell->stack = own + (GATE_STACK - GATE_XCHG);
	for (unsigned i = 0; i < 256; i++)
		cell->order->errnos[i] = i;
	cell->order->answers_fd = (uint32_t)cells->answers_fd;
	cell->order->answer = cell->slot * sizeof(uint32_t);
	cell->answer = &cells->answers[cell->slot];
	cell->turn = &cells->turns[cell->slot];
	cell_init_exchange(cell);
	return 0;
}

/* Takes the first exit, which comes before any guest code: what it shows is the kernel's word. */
static int cell_learn_frame(struct cell *cell)
{
	if (!handover_wait_boot(cell))
		return cell->error;
	cell->runner = cell->xchg->runner_tid;
	cell->frame_gate = cell->xchg->frame;
	if (cell->frame_gate < GATE_STACK || cell->frame_gate + sizeof(struct cell_frame) > GATE_END)
		return -EPROTO;
	cell->frame = (void *)(cell->stack + (cell->frame_gate - GATE_STACK));
	uint64_t fpstate = cell->frame->uc.fpstate;
	if (fpstate < GATE_STACK || fpstate + host_state_size() > GATE_END)
		return -EPROTO;
	cell->fpstate = cell->stack + (fpstate - GATE_STACK);
	cell->csgsfs = cell->frame->uc.gregs[REG_CSGSFS];
	cell->uc_flags = cell->frame->uc.flags;
	/* Where the child stood before, and who it is to the host: seen through the frame, if nobody writes it anew. */
	memset(cell->frame->uc.gregs, 0, REG_CSGSFS * sizeof(cell->frame->uc.gregs[0]));
	cell->frame->uc.gregs[REG_CR2] = 0;
	cell->xchg->runner_tid = 0;
	cell->in_signal = true;
	cell->fresh = true;
	if (cell->kernel)
		return 0;
	cell->xchg->site_frame = cell->frame_gate;
	cell->boot_frame = malloc(GATE_END - cell->frame_gate);
	if (!cell->boot_frame)
		return -ENOMEM;
	memcpy(cell->boot_frame, cell->frame, GATE_END - cell->frame_gate);
	return 0;
}

void cell_set_patience(struct cell *cell)
{
	const struct placement *placement = cell->owner->placement;
	cell->xchg->spins = placement->runner[cell->kernel].spins;
	cell->xchg->yields = placement->runner[cell->kernel].yields;
}

static void note(struct cell *cell, struct cell **last, struct cell **before)
{
	if (*last == cell)
		return;
	*before = *last;
	*last = cell;
}

void cell_note_entry(struct cell *cell)
{
	note(cell, &cell->owner->last, &cell->owner->before);
}

void cell_note_user(struct cell *cell)
{
	note(cell, &cell->owner->user, &cell->owner->user_before);
}

void cell_place(struct cell *cell)
{
	const struct placement *placement = cell->owner->placement;
	if (cell->epoch == placement->epoch || cell->dead)
		return;
	cell->epoch = placement->epoch;
	cell_set_patience(cell);
	placement_pin(placement, cell->runner, cell->kernel && placement->mode == PLACEMENT_SPLIT);
	placement_pin(placement, cell->pid, true);
}

/* Told once; and for a while the cells there are have to do, since asking in vain costs much. */
static void refused(struct cells *cells, int error)
{
	if (!cells->refused_ns)
		fprintf(stderr, "ring3: cannot make a process for guest code: %s; %s\n", strerror(-error),
			refusal_remedy(error));
	cells->refused_ns = clock_ns();
}

static bool may_create(const struct cells *cells)
{
	return cells->count < cells->limit && (!cells->refused_ns || clock_ns() - cells->refused_ns > REFUSAL_LASTS_NS);
}

static struct cell *cell_create(struct cells *cells, bool kernel)
{
	struct cell *cell = calloc(1, sizeof(*cell));
	if (!cell)
		return NULL;
	cell->owner = cells;
	cell->kernel = kernel;
	cell->empty = true;
	while (cells->used[cell->slot])
		cell->slot++;
	int error = cell_map_pages(cell);
	if (!error)
		error = birth(cell);
	if (!error) {
		cells->used[cell->slot] = true;
		cells->made++;
		cells->count++;
		cell->next = cells->all;
		cells->all = cell;
		error = cell_learn_frame(cell);
		if (!error) {
			cell_place(cell);
			return cell;
		}
		cell_destroy(cell);
	} else {
		cell_unmap_pages(cell);
		free(cell);
	}
	refused(cells, error);
	return NULL;
}

/* The number of a task that was reaped may be another's by now. */
void cell_kill(const struct cell *cell)
{
	if (!cell->dead)
		kill(cell->pid, SIGKILL);
}

void cell_end(struct cell *cell)
{
	if (cell->dead)
		return;
	cell_kill(cell);
	if (cell->owner->traced && cell->runner)
		confine_reap(cell->runner);
	confine_reap(cell->pid);
	cell->dead = true;
}

void cell_destroy(struct cell *cell)
{
	struct cells *cells = cell->owner;
	for (struct cell **link = &cells->all; *link; link = &(*link)->next)
		if (*link == cell) {
			*link = cell->next;
			break;
		}
	cells->count--;
	cells->used[cell->slot] = false;
	sites_forget(cell);
	cell_owes_nothing(cell);
	cell_end(cell);
	cell_unmap_pages(cell);
	if (cells->holder == cell)
		cells->holder = NULL;
	if (cells->last == cell)
		cells->last = NULL;
	if (cells->before == cell)
		cells->before = NULL;
	if (cells->user == cell)
		cells->user = NULL;
	if (cells->user_before == cell)
		cells->user_before = NULL;
	for (struct cell *other = cells->all; other; other = other->next)
		if (other->peer == cell)
			other->peer = NULL;
	for (unsigned n = 0; n < GATE_PEERS_KNOWN; n++)
		if (cells->recent[n].cell == cell)
			cells->recent[n].cell = NULL;
	free(cell->boot_frame);
	free(cell->fpu_held);
	free(cell);
}

bool cell_is_dead(struct cell *cell)
{
	/* A traced thread is reaped by its own number first, or its group never ends. */
	if (!cell->dead && cell->owner->traced && cell->runner && confine_is_dead(cell->runner, &cell->error))
		cell->runner = 0;
	if (!cell->dead)
		cell->dead = confine_is_dead(cell->pid, &cell->error);
	return cell->dead;
}

void cell_release(struct cell *cell)
{
	if (cell->space)
		spt_space_discard(cell->space);
	for (unsigned n = 0; n < CELL_TWINS; n++)
		if (cell->twin[n])
			spt_space_discard(cell->twin[n]);
	cell->space = NULL;
	memset(cell->twin, 0, sizeof(cell->twin));
}

bool cell_adopt(struct cell *cell, struct spt_space *space)
{
	unsigned n = 0;
	while (n < CELL_TWINS && cell->twin[n])
		n++;
	if (n == CELL_TWINS)
		return false;
	cell->twin[n] = space;
	*spt_space_owner(space) = cell;
	return true;
}

void cell_disown(struct cell *cell, struct spt_space *space)
{
	for (unsigned n = 0; n < CELL_TWINS; n++)
		if (cell->twin[n] == space)
			cell->twin[n] = NULL;
	*spt_space_owner(space) = NULL;
}

/* The cell used longest ago loses its space. The vCPU's FPU state stays where it is. */
static struct cell *cell_evict(struct cells *cells, bool kernel)
{
	struct cell *oldest = NULL;
	for (struct cell *cell = cells->all; cell; cell = cell->next)
		if (cell != cells->holder && cell->kernel == kernel && cell->space &&
		    (!oldest || cell->used < oldest->used))
			oldest = cell;
	if (!oldest)
		return NULL;
	cell_release(oldest);
	oldest->queued = 0;
	return oldest;
}

static struct cell *cell_pooled(struct cells *cells, bool kernel)
{
	struct cell *cell = cells->all;
	while (cell && (cell->space || cell->dead || cell->kernel != kernel || cell == cells->holder))
		cell = cell->next;
	return cell;
}

struct cell *cell_take(struct cells *cells, struct spt_space *space)
{
	/* Code of 32 bits never runs directly. */
	bool kernel = spt_space_mode(space) != SPT_USER || spt_space_paging(space) != SPT_4_LEVEL;
	struct cell *cell = cell_pooled(cells, kernel), *made = NULL;
	if (!cell && may_create(cells))
		made = cell_create(cells, kernel);
	if (!cell && !made)
		cell = cell_evict(cells, kernel);
	/* One that cannot be trusted makes room for a process in its place. */
	if (cell && cell_renew(cell)) {
		cell_destroy(cell);
		cell = NULL;
	}
	if (!cell && !made)
		made = cell_create(cells, kernel);
	if (made)
		cell = made;
	if (cell)
		cell->space = space;
	return cell;
}

static int no_memory(void)
{
	int error = -errno;
	fprintf(stderr, "ring3: no shared memory for the gate: %s; %s\n", strerror(-error), refusal_remedy(error));
	return error;
}

/* What the mappers of all cells write, and nobody can make larger. */
static int make_answers(struct cells *cells)
{
	cells->answers_fd = memfd_create("ring3 answers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (cells->answers_fd < 0 || ftruncate(cells->answers_fd, GATE_ANSWERS_SIZE) ||
	    fcntl(cells->answers_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
		return no_memory();
	void *answers = mmap(NULL, GATE_ANSWERS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, cells->answers_fd, 0);
	if (answers == MAP_FAILED)
		return no_memory();
	madvise(answers, GATE_ANSWERS_SIZE, MADV_DONTFORK);
	cells->answers = answers;
	return 0;
}

/* Off is what it is: only a host that has it takes that. */
static bool has_dispatch(void)
{
	return !prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
}

int cells_init(struct cells *cells, struct placement *placement, int ram_fd, bool traced)
{
	*cells = (struct cells){
		.sites = cells->sites,
		.arena_fd = -1,
		.answers_fd = -1,
		.cache_fd = -1,
		.placement = placement,
		.ram_fd = ram_fd,
		.traced = traced,
	};
	/* No cell costs one, but who bounds these means to bound the guest. */
	struct rlimit files;
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
		cells->limit = files.rlim_cur < GATE_CELLS_MAX + 64 ? files.rlim_cur / 2 : GATE_CELLS_MAX;
	}
	if (!reserve_gate_held()) {
		int error = errno;
		fprintf(stderr, "ring3: the addresses of the gate cannot be had: %s; %s\n", strerror(error),
			error == EEXIST ? "they are taken by chance: run it again" : "raise 'ulimit -v'");
		return -error;
	}
	cells->xcr0 = host_state_components();
	cells->bases = bases_mode();
	cells->dispatched = !traced && has_dispatch();
	cells->arena_fd = memfd_create("ring3 gate", MFD_CLOEXEC);
	if (cells->arena_fd < 0 || ftruncate(cells->arena_fd, ARENA_SIZE))
		return no_memory();
	int error = make_answers(cells);
	if (error)
		return error;
	uint8_t *shared = mmap(NULL, ARENA_SHARED, PROT_READ | PROT_WRITE, MAP_SHARED, cells->arena_fd, 0);
	if (shared == MAP_FAILED)
		return -errno;
	madvise(shared, ARENA_SHARED, MADV_DONTFORK);
	memcpy(shared, gate_text, gate_text_end - gate_text);
	cells->shared = shared;
	cells->turns = (void *)(shared + ARENA_TURN);
	filter_fill((void *)(shared + ARENA_DATA), ram_fd, cells->answers_fd, cells->sites.fd, cells->bases,
		    cells->dispatched);
	return 0;
}

void cells_exit(struct cells *cells)
{
	cells->ending = true;
	while (cells->all)
		cell_destroy(cells->all);
	birth_exit(cells);
	if (cells->shared)
		munmap(cells->shared, ARENA_SHARED);
	if (cells->answers)
		munmap(cells->answers, GATE_ANSWERS_SIZE);
	if (cells->answers_fd > 0)
		close(cells->answers_fd);
	if (cells->arena_fd > 0)
		close(cells->arena_fd);
	sites_exit(&cells->sites);
	*cells = (struct cells){.arena_fd = -1, .answers_fd = -1, .cache_fd = -1, .sites.fd = -1};
}
