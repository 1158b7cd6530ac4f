/*
 * Where kernel cells show guest memory. A kernel of the upper half runs in the lower half of the host's addresses: all
 * that it has lies UPPER_BASE further up, modulo 2^64, in one cell for all roots whose upper halves agree. What it
 * reaches of its programs' memory lies in slots of USER_SLOT_SIZE where it has nothing itself, each a root's, and
 * translated code finds the way from the one to the other in a table, which names slots of the root in force alone.
 */
#include <string.h>

#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/bases.h"
#include "monitor/engine/trap/cell.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/space.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/host/refusal.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

/* What lies above the pages that hosts keep free at the bottom, and below the last page, an error's address in C. */
#define UPPER_START (0 - UPPER_BASE + R3_BIT(X86_LARGE_SHIFT))
#define UPPER_END   (0 - (uint64_t)X86_PAGE_SIZE)

/* A kernel that comes so often without a base of GS that is its own has none. */
#define WITHOUT_BASES_MAX 4096

/* No root is loaded. */
#define NO_ROOT UINT64_MAX

static bool is_upper(uint64_t gva)
{
	return gva >= 0 - (uint64_t)GVA_LOWER_END;
}

/*
 * Behind each slot and before the first there is room that stays empty. Where an access begins says which slot it goes
 * to; what runs off an end faults, for it goes on byte by byte, or is shorter than that room.
 */
#define USER_SLOT_STRIDE (USER_SLOT_SIZE + USER_SLOT_GUARD)

static uint64_t slot_address(const struct translate *t, unsigned n)
{
	return t->user.block + USER_SLOT_GUARD + n * USER_SLOT_STRIDE;
}

static uint64_t block_size(unsigned slots)
{
	return USER_SLOT_GUARD + slots * USER_SLOT_STRIDE;
}

static bool is_of(const struct user_slot *slot, uint64_t root)
{
	return slot->used && slot->root == root;
}

/* NULL: the root has no slot for it. */
static struct user_slot *slot_of(struct translate *t, uint64_t root, uint64_t gva)
{
	for (unsigned n = 0; n < t->user.count; n++)
		if (is_of(&t->user.slot[n], root) && t->user.slot[n].piece == gva / USER_SLOT_SIZE)
			return &t->user.slot[n];
	return NULL;
}

/* ------------------------------------------------------------------------------------------------------- addresses */

bool form_host(const struct translate *t, uint64_t gva, uint64_t *host)
{
	*host = t->form == FORM_UPPER ? gva + UPPER_BASE : gva;
	return t->form != FORM_UPPER || is_upper(gva);
}

bool form_guest(const struct translate *t, uint64_t host, uint64_t *gva)
{
	*gva = host;
	if (t->form == FORM_PLAIN)
		return host >= t->high.start;
	if (t->form == FORM_NARROW) {
		*gva = host - (t->one_cell && host >= BT_WINDOW_USER ? BT_WINDOW_USER : BT_WINDOW_BASE);
		return *gva < BT_WINDOW_SIZE;
	}
	uint64_t at = host - t->user.block;
	*gva = host - UPPER_BASE;
	if (!t->user.block || at >= block_size(t->user.count))
		return is_upper(*gva);
	const struct user_slot *slot = &t->user.slot[at / USER_SLOT_STRIDE];
	uint64_t offset = at % USER_SLOT_STRIDE - USER_SLOT_GUARD;
	if (at % USER_SLOT_STRIDE < USER_SLOT_GUARD || !is_of(slot, t->user.root))
		return false;
	*gva = slot->piece * USER_SLOT_SIZE + offset;
	return true;
}

/* All but where the slots are. */
static int each_upper(const struct translate *t, uint64_t gva, uint64_t len, form_op *op, void *arg)
{
	uint64_t start = gva + UPPER_BASE, end = start + len, block = t->user.block;
	uint64_t block_end = block + block_size(t->user.count);
	if (!block || block >= end || block_end <= start)
		return op(arg, gva, start, len);
	int error = block > start ? op(arg, gva, start, block - start) : 0;
	if (!error && block_end < end)
		error = op(arg, block_end - UPPER_BASE, block_end, end - block_end);
	return error;
}

/* What of it lies in the root's slots. */
static int each_lower(const struct translate *t, uint64_t root, const struct spt_range *range, form_op *op, void *arg)
{
	int error = 0;
	for (unsigned n = 0; n < t->user.count && !error; n++) {
		uint64_t first = t->user.slot[n].piece * USER_SLOT_SIZE, end = first + USER_SLOT_SIZE;
		uint64_t from = range->start > first ? range->start : first, to = range->end < end ? range->end : end;
		if (is_of(&t->user.slot[n], root) && from < to)
			error = op(arg, from, slot_address(t, n) + (from - first), to - from);
	}
	return error;
}

int form_each(const struct translate *t, struct spt_space *space, uint64_t gva, uint64_t len, form_op *op, void *arg)
{
	const struct spt_range range = {gva, gva + len};
	if (t->form != FORM_UPPER)
		return op(arg, gva, gva, len);
	return spt_space_mode(space) == SPT_UPPER ? each_upper(t, gva, len, op, arg)
						  : each_lower(t, spt_space_root(space), &range, op, arg);
}

/* ------------------------------------------------------------------------------------------------------------ views */

static void cut(struct spt_view *view, uint64_t start, uint64_t end)
{
	for (unsigned n = 0; n < view->count; n++) {
		struct spt_range *range = &view->range[n];
		if (start < range->start || end > range->end)
			continue;
		view->range[view->count++] = (struct spt_range){end, range->end};
		range->end = start;
		return;
	}
}

static void fill_table(const struct translate *t, uint64_t *table)
{
	const unsigned lower = GVA_LOWER_END / USER_SLOT_SIZE;
	for (unsigned n = 0; n < lower; n++)
		table[n] = FORM_NOWHERE;
	for (unsigned n = lower; n < BT_TABLE_ENTRIES; n++)
		table[n] = n >= BT_TABLE_ENTRIES - lower ? UPPER_BASE : 0;
}

/* In guest addresses, all that a kernel's cell can show. Nothing is mapped. */
static void show(struct translate *t)
{
	const struct spt_view lower = {{{0, GVA_LOWER_END}}, .count = 1};
	struct spt_view view = {{{UPPER_START, UPPER_END}}, .count = 1};
	cut(&view, GATE_HOLE_START - UPPER_BASE, GATE_HOLE_END - UPPER_BASE);
	if (t->user.block)
		cut(&view, t->user.block - UPPER_BASE, t->user.block + block_size(t->user.count) - UPPER_BASE);
	spt_set_view(t->vm->spt, SPT_UPPER, &view);
	spt_set_view(t->vm->spt, SPT_KERNEL, &lower);
}

/* Under the old form. */
static void unmap_all(struct translate *t)
{
	int error = spt_flush_all(t->vm->spt);
	if (error)
		vm_refused(t->vm, "guest memory cannot be unmapped: %s; %s", strerror(-error), refusal_remedy(error));
}

static void set_form(struct translate *t, enum bt_form form)
{
	const struct spt_view window = {{{0, BT_WINDOW_SIZE}}, .count = 1};
	struct trap *trap = trap_of(t->vm);
	unmap_all(t);
	if (form == FORM_UPPER || t->form == FORM_UPPER || t->high.start)
		space_drop_kernels(t->vm);
	t->form = form;
	t->high.start = 0;
	memset(&t->user, 0, sizeof(t->user));
	t->user.root = NO_ROOT;
	trap->direct.named++;
	trap->elsewhere = form != FORM_PLAIN;
	trap->narrow = form == FORM_NARROW;
	trap->upper = form == FORM_UPPER;
	trap->lower = false;
	if (form == FORM_UPPER) {
		fill_table(t, t->slots);
		show(t);
	} else {
		spt_set_view(t->vm->spt, SPT_UPPER, NULL);
		spt_set_view(t->vm->spt, SPT_KERNEL, form == FORM_NARROW ? &window : NULL);
	}
}

void form_part(struct translate *t, uint64_t start)
{
	const uint64_t from = start > GATE_HOLE_START ? start : GATE_HOLE_END;
	struct spt_view view = {{{from, LAYOUT_TASK_END}}, .count = 1};
	const struct spt_view lower = {{{0, start}}, .count = 1};
	unmap_all(t);
	space_drop_kernels(t->vm);
	t->high.start = start;
	trap_of(t->vm)->upper = start;
	pages_hide_below(t, start);
	spt_set_view(t->vm->spt, SPT_UPPER, start ? &view : NULL);
	spt_set_view(t->vm->spt, SPT_KERNEL, start ? &lower : NULL);
}

/* ------------------------------------------------------------------------------------------------- user memory */

/* Of the top level's entry. */
static unsigned index_of(uint64_t gva)
{
	const uint64_t covers = USER_SLOT_SIZE / 2;
	return (unsigned)(gva / covers % X86_PT_ENTRIES);
}

/* The kernel has something of its own there, by its tables' top level. */
static bool is_taken(const struct translate *t, uint64_t host, uint64_t len)
{
	uint64_t first = host - UPPER_BASE, last = host + len - 1 - UPPER_BASE, table;
	unsigned level = spt_root(&t->paging, &table), end = index_of(last) + 1;
	if (level != X86_PT_LEVELS)
		return true;
	for (unsigned n = index_of(first); n < end; n++)
		if (spt_probe_entry(t->vm->spt, &t->paging, level, table, n).entry & X86_PTE_P)
			return true;
	return false;
}

/* Of what is free in a row the first that has room for all slots, else the longest; count: of slots there. */
static uint64_t find_block(const struct translate *t, unsigned *count)
{
	uint64_t found = 0, start = USER_SLOT_SIZE;
	*count = 0;
	for (uint64_t host = start; host + USER_SLOT_SIZE <= LAYOUT_TASK_END; host += USER_SLOT_SIZE) {
		const uint64_t end = host + USER_SLOT_SIZE;
		if ((host < GATE_HOLE_END && end > GATE_HOLE_START) || is_taken(t, host, USER_SLOT_SIZE)) {
			start = end;
		} else if (*count < USER_SLOTS && start + block_size(*count + 1) <= end) {
			found = start;
			++*count;
		}
	}
	return found;
}

/* As many slots as there is room for in a row. */
static bool make_block(struct translate *t)
{
	t->user.block = find_block(t, &t->user.count);
	if (!t->user.block)
		return false;
	unmap_all(t);
	show(t);
	return true;
}

/* The table's entry for a slot, if its root is in force. */
static void name(struct translate *t, const struct user_slot *slot, bool named)
{
	uint64_t address = slot_address(t, (unsigned)(slot - t->user.slot));
	t->slots[slot->piece] = named ? address - slot->piece * USER_SLOT_SIZE : FORM_NOWHERE;
	trap_of(t->vm)->lower |= named;
}

/* With nothing else named. */
bool form_names(struct vm *vm, uint64_t root, struct gate_name names[GATE_NAMES])
{
	const struct translate *t = translate_of(vm);
	unsigned count = 0;
	for (unsigned n = 0; n < t->user.count; n++) {
		const struct user_slot *slot = &t->user.slot[n];
		if (!is_of(slot, root & X86_PTE_ADDR))
			continue;
		if (count == GATE_NAMES)
			return false;
		names[count++] = (struct gate_name){GATE_CACHE_SLOTS + slot->piece * sizeof(t->slots[0]),
						    slot_address(t, n) - slot->piece * USER_SLOT_SIZE};
	}
	for (; count < GATE_NAMES; count++)
		names[count] = (struct gate_name){0};
	return true;
}

/* Each slot may be another root's. */
_Static_assert(USER_SLOTS <= CELL_TWINS, "a kernel's cell has room for the space of each root that has a slot");

/* The kernel sees the user memory of that root from now on. */
static void follow(struct translate *t, uint64_t root)
{
	if (t->user.root == root)
		return;
	for (unsigned n = 0; n < t->user.count; n++)
		if (is_of(&t->user.slot[n], t->user.root))
			name(t, &t->user.slot[n], false);
	t->user.root = root;
	trap_of(t->vm)->lower = false;
	for (unsigned n = 0; n < t->user.count; n++)
		if (is_of(&t->user.slot[n], root)) {
			t->user.slot[n].used = ++t->user.uses;
			name(t, &t->user.slot[n], true);
		}
}

/* What the kernel has of that root's user memory is shown no more. */
static void hide(struct translate *t, uint64_t root)
{
	struct spt_cpu paging = t->paging;
	paging.cr3 = root;
	struct spt_space *space = spt_space_find(t->vm->spt, &paging, SPT_KERNEL);
	if (space)
		space_leave(t->vm, space);
}

static void give_up(struct translate *t, struct user_slot *slot)
{
	if (slot->root == t->user.root)
		name(t, slot, false);
	slot->used = 0;
	trap_of(t->vm)->direct.named++;
}

/* One that is free, or was used longest ago. */
static struct user_slot *take_slot(struct translate *t)
{
	struct user_slot *oldest = &t->user.slot[0];
	for (unsigned n = 1; n < t->user.count; n++)
		if (t->user.slot[n].used < oldest->used)
			oldest = &t->user.slot[n];
	if (oldest->used) {
		hide(t, oldest->root);
		give_up(t, oldest);
	}
	return oldest;
}

void form_check(struct translate *t)
{
	high_note_load(t);
	if (t->form != FORM_UPPER)
		return;
	follow(t, t->paging.cr3 & X86_PTE_ADDR);
	t->obstructed |= is_taken(t, GATE_HOLE_START, GATE_HOLE_END - GATE_HOLE_START);
	if (!t->user.block || !is_taken(t, t->user.block, block_size(t->user.count)))
		return;
	for (unsigned n = 0; n < t->user.count; n++)
		if (t->user.slot[n].used) {
			hide(t, t->user.slot[n].root);
			give_up(t, &t->user.slot[n]);
		}
	unmap_all(t);
	t->user.block = 0;
	t->user.count = 0;
	show(t);
}

bool form_take_user(struct translate *t, uint64_t gva)
{
	if (t->form != FORM_UPPER || gva >= GVA_LOWER_END)
		return false;
	if (slot_of(t, t->user.root, gva))
		return true;
	if (!t->user.block && !make_block(t))
		return false;
	struct user_slot *slot = take_slot(t);
	*slot = (struct user_slot){t->user.root, (uint32_t)(gva / USER_SLOT_SIZE), ++t->user.uses};
	name(t, slot, true);
	trap_of(t->vm)->direct.named++;
	return true;
}

/* ------------------------------------------------------------------------------------------------- registers */

bool form_is_narrow(const struct vcpu *vcpu)
{
	/* In compatibility mode a kernel's: programs of 64-bit kernels lie beside those of 64 bits. */
	return (!vcpu_is_long(vcpu) || vcpu->cpl == 0) && vcpu_code_bits(vcpu) == 32 && !vcpu_is_8086(vcpu) &&
	       seg_are_flat(vcpu) && seg_is_readable_code(&vcpu->sreg[SREG_CS]);
}

/* That base of GS can be had in the cell. Programs have 0 mostly, which leads on to the upper half. */
static bool has_upper_base(const struct vcpu *vcpu)
{
	return vcpu_canonical(vcpu->sreg[SREG_GS].base + UPPER_BASE);
}

bool form_fits(const struct translate *t, const struct vcpu *vcpu)
{
	if (t->form == FORM_NARROW)
		return form_is_narrow(vcpu);
	if (t->form == FORM_PLAIN)
		return vcpu->rip >= t->high.start && vcpu_canonical(vcpu->gpr[RSP]);
	return !t->obstructed && is_upper(vcpu->rip) && vcpu_canonical(vcpu->gpr[RSP] + UPPER_BASE) &&
	       (has_upper_base(vcpu) || t->bases_virtual || form_has_gs_slot(t));
}

uint64_t form_window(const struct translate *t, const struct vcpu *vcpu)
{
	return t->one_cell && vcpu->cpl == 3 ? BT_WINDOW_USER : BT_WINDOW_BASE;
}

uint64_t form_segment_base(const struct vcpu_segment *segment)
{
	bool usable = segment->limit == UINT32_MAX && seg_is_writable_data(segment);
	return usable ? (uint32_t)segment->base : 2 * BT_WINDOW_SIZE;
}

static void enter_narrow(const struct translate *t, struct vcpu *vcpu, struct form_saved *saved)
{
	uint64_t window = form_window(t, vcpu);
	memcpy(saved->high, vcpu->gpr + R8, sizeof(saved->high));
	for (unsigned reg = RAX; reg <= RDI; reg++)
		vcpu->gpr[reg] = (uint32_t)vcpu->gpr[reg];
	vcpu->sreg[SREG_FS].base = window + form_segment_base(&vcpu->sreg[vcpu->cpl == 3 ? SREG_GS : SREG_FS]);
	vcpu->sreg[SREG_GS].base = window;
}

static void leave_narrow(struct vcpu *vcpu, const struct form_saved *saved)
{
	for (unsigned reg = RAX; reg <= RDI; reg++)
		vcpu->gpr[reg] = (uint32_t)vcpu->gpr[reg];
	memcpy(vcpu->gpr + R8, saved->high, sizeof(saved->high));
}

bool form_lacks_stack(const struct translate *t, const struct vcpu *vcpu)
{
	return t->form == FORM_UPPER && !t->obstructed && is_upper(vcpu->rip) &&
	       !vcpu_canonical(vcpu->gpr[RSP] + UPPER_BASE);
}

bool form_has_gs_slot(const struct translate *t)
{
	return t->form == FORM_UPPER && !bases_are_free(&trap_of(t->vm)->cells);
}

bool form_moves_gs(const struct translate *t)
{
	return t->form == FORM_UPPER && (t->mode & BT_SWAPS);
}

void form_enter(const struct translate *t, struct vcpu *vcpu, struct form_saved *saved)
{
	saved->fs = vcpu->sreg[SREG_FS].base;
	saved->gs = vcpu->sreg[SREG_GS].base;
	if (t->form == FORM_NARROW)
		enter_narrow(t, vcpu, saved);
	if (t->form != FORM_UPPER)
		return;
	vcpu->gpr[RSP] += UPPER_BASE;
	vcpu->sreg[SREG_FS].base = UPPER_BASE;
	vcpu->sreg[SREG_GS].base = UPPER_BASE + (has_upper_base(vcpu) && !form_has_gs_slot(t) ? saved->gs : 0);
}

void form_leave(const struct translate *t, struct vcpu *vcpu, const struct form_saved *saved)
{
	if (t->form == FORM_PLAIN)
		return;
	if (t->form == FORM_NARROW)
		leave_narrow(vcpu, saved);
	else
		vcpu->gpr[RSP] -= UPPER_BASE;
	/* What translated code has loaded: what the cell can have is what it has. */
	const volatile struct bt_state *state = t->state;
	bool loads = form_moves_gs(t);
	uint64_t fs = loads ? state->fs : saved->fs;
	uint64_t gs = !loads ? saved->gs : (form_has_gs_slot(t) ? state->gs : vcpu->sreg[SREG_GS].base) - UPPER_BASE;
	vcpu->sreg[SREG_FS].base = vcpu_canonical(fs) ? fs : saved->fs;
	vcpu->sreg[SREG_GS].base = vcpu_canonical(gs) ? gs : saved->gs;
}

bool form_choose(struct translate *t, const struct vcpu *vcpu)
{
	bool narrow = form_is_narrow(vcpu);
	if (narrow != (t->form == FORM_NARROW))
		set_form(t, narrow ? FORM_NARROW : FORM_PLAIN);
	if (narrow)
		return true;
	if (t->form == FORM_PLAIN && is_upper(vcpu->rip) && !vcpu->pv.shared_gpa)
		set_form(t, FORM_UPPER);
	if (t->form == FORM_PLAIN)
		high_choose(t, vcpu);
	if (form_fits(t, vcpu))
		return true;
	if (t->form == FORM_UPPER && is_upper(vcpu->rip) && !has_upper_base(vcpu))
		t->bases_virtual |= ++t->without_bases == WITHOUT_BASES_MAX;
	return false;
}
