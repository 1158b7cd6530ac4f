/*
 * SYSCALL without a signal. A place from which a user cell makes one SYSCALL after another,
 *
 *   b8 nr nr nr nr   mov $nr, %eax                   e9 06 60 06 xx   jmp entry
 *   0f 05            syscall               becomes   0f 05            syscall
 *
 * in a copy of its page, which the cell can execute and not read (a protection key sees to that); the entry, in a page
 * of its own where the guest has nothing, has the MOV (or what else of five bytes and more stands there), loads RCX and
 * goes to the gate (gate_site), which does what the handler of SIGSYS would have done. The guest's own page never
 * changes. What would tell the copy from it undoes it:
 *
 *   a read of the page               faults for its key; the page is shown as it is, and stays so for a while
 *   a write to it, whichever way     the frame is watched (spt_watch)
 *   its end, or other rights         each order to the mapper is looked at first (sites_give_way)
 *   a jump between the two ends      the bytes of the jump behind its first are no instructions, each by itself
 *   a jump to the SYSCALL            is the SYSCALL
 *   a signal or a step on the way    is told where the guest would be (sites_take_exit)
 *
 * Code that executes these bytes in two ways, one of which begins before the MOV, is looked for (sites_ways.c). What
 * remains: such code that comes there by a computed jump or from another page; that a jump to where the guest had
 * nothing may come upon an entry, which is that SYSCALL; and programs that execute WRPKRU, of which the machine has no
 * protection keys, may read the copy.
 */
#ifndef MONITOR_ENGINE_TRAP_SITES_H
#define MONITOR_ENGINE_TRAP_SITES_H

#include <stdbool.h>
#include <stdint.h>

struct cell;
struct cells;
struct trap;
struct vcpu;
struct vm_exit;

#define SITES_SLOTS   64 /* changed copies of pages, each with the page of its entries */
#define SITES_A_PAGE  16
#define SITES_CELL    8 /* such pages a cell */
#define SITES_HOT     4 /* places that a cell is seen to make SYSCALLs from */
#define SITES_TRIED   8
#define SITES_NONE    UINT64_MAX
#define SITES_REFUSED 64 /* frames that are left alone; the last ones are remembered */

struct sites {
	int fd; /* of the copies; -1: nothing is patched */
	uint8_t *memory;
	struct sites_slot {
		uint64_t gpa, gva;
		uint64_t entries; /* gva of the page of entries */
		uint32_t lead;	  /* what the jumps add */
		unsigned cells;	  /* that show it; 0: free */
		unsigned count;
		struct site {
			uint16_t offset;
			uint16_t length; /* of the instruction before the SYSCALL */
		} site[SITES_A_PAGE];
	} slot[SITES_SLOTS];
	uint64_t refused[SITES_REFUSED];
	unsigned refusals;
	bool allowed;	  /* sites_allow */
	unsigned shown;	  /* slots, by all cells */
	uint64_t *undone; /* where to count */
};

/* Of a cell. */
struct cell_sites {
	unsigned count;
	uint8_t slot[SITES_CELL];
	struct {
		uint64_t rip;
		uint32_t nr; /* of the call seen last */
		unsigned calls;
	} hot[SITES_HOT];
	uint64_t tried[SITES_TRIED]; /* no good, the last ones */
	unsigned tries;
};

/* Prepares for patching, or sees to it that nothing is patched: not wanted, or the host has not what it takes. */
void sites_init(struct sites *sites, bool wanted, uint64_t *undone);
/* The host has what it takes. */
bool sites_possible(void);
/* Where PKRU lies in an XSAVE image; 0: nothing is patched. */
uint32_t sites_pkru(const struct sites *sites);
void sites_exit(struct sites *sites);

/*
 * Before a cell is entered: whether programs may have such places at present. Those of a paravirtual kernel may if it
 * asked for that, and none while somebody looks on step by step. Where they may not, those that are there are given up.
 */
void sites_allow(struct trap *trap, const struct vcpu *vcpu);
/*
 * The user cell entered its kernel directly so many times more, the last time with this number from before rip. True if
 * some place of it is worth while by now.
 */
bool sites_note(struct cell *cell, unsigned calls, uint64_t rip, uint32_t nr);
/*
 * An exit of the cell: SYSCALLs that the gate took to the kernel since it was entered, of its peer, or the one that is
 * the exit of a user cell; which may be gone if it is another exit. Makes the places that are worth while.
 */
void sites_look(struct trap *trap, struct cell *cell, struct vcpu *vcpu, unsigned direct, const struct vm_exit *exit);
/* The exit of a user cell as the guest's own pages would have had it. */
void sites_take_exit(struct trap *trap, struct cell *cell, struct vcpu *vcpu, struct vm_exit *exit);
/* Before an order concerning [gva, gva+len): `replaced`, by what the order maps or unmaps. 0 or negative errno. */
int sites_give_way(struct cell *cell, uint64_t gva, uint64_t len, bool replaced);
/* The cell shows nothing any more. */
void sites_forget(struct cell *cell);
/* As spt_set_written has it; ctx is the vm. */
void sites_written(void *ctx, uint64_t gpa);

#endif
