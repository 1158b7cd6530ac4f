/*
 * What changed copies of pages look like (sites.h), for who makes and who undoes them.
 */
#ifndef MONITOR_ENGINE_TRAP_SITES_INTERNAL_H
#define MONITOR_ENGINE_TRAP_SITES_INTERNAL_H

#include <sys/mman.h>
#include <sys/syscall.h>

#include "monitor/engine/trap/cell.h"

#define SYSCALL_LENGTH	2
#define JMP_LENGTH	5
#define FORM_LENGTH_MAX 7 /* of what stood where the jump is */

/*
 * Of the jump's displacement each byte is an opcode that 64-bit mode does not have, so that executing it is #UD. The
 * first two fix where in its page an entry lies: that much behind the place of the jump.
 */
#define LEAD_LOW    0x066006u
#define LEAD_OFFSET (LEAD_LOW & 0xfff)

/* What stood there; lea SITE_END(%rip), %rcx; jmp TAIL. At the tail: movabs $gate_site, %r11; jmp *%r11 */
#define LEA_LENGTH   7
#define ENTRY_LENGTH (FORM_LENGTH_MAX + LEA_LENGTH + JMP_LENGTH)
#define TAIL	     (GATE_PAGE - 16)
#define TAIL_JMP     (TAIL + 10)

#define SLOT_SIZE (2 * GATE_PAGE)

static inline bool sites_overlap(uint64_t page, uint64_t gva, uint64_t len)
{
	return page - gva < len;
}

static inline struct sites_slot *sites_shown(const struct cell *cell, unsigned n)
{
	return &cell->owner->sites.slot[cell->sites.slot[n]];
}

static inline void sites_drop(struct cell *cell, unsigned n)
{
	sites_shown(cell, n)->cells--;
	cell->owner->sites.shown--;
	cell_owe(cell);
	cell->sites.slot[n] = cell->sites.slot[--cell->sites.count];
}

static inline int sites_show(struct cell *cell, uint64_t gva, int prot, int fd, uint64_t offset)
{
	struct gate_op op = {
		SYS_mmap,
		{gva, GATE_PAGE, (uint64_t)prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, (uint64_t)fd, offset}};
	return cell_queue(cell, &op);
}

/* sites_ways.c: nothing in the page leads to where an instruction begins before the place and reaches into it. */
bool sites_has_one_way(const uint8_t *page, const struct site *site);

#endif
