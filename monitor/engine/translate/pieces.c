/*
 * What the shadow page tables map, where cells have it: pieces of a range, as the form of the guest's memory says.
 */
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/engine.h"

static void *pieces_frame(void *ctx, uint64_t gpa)
{
	return engine_trap.spt_ops->frame(ctx, gpa);
}

/* Of a guest with 32-bit addresses, which lie in a window. In compatibility mode its tables have four levels. */
static bool is_narrow(const struct translate *t, const struct spt_space *space)
{
	return spt_space_paging(space) != SPT_4_LEVEL ||
	       (t->form == FORM_NARROW && spt_space_mode(space) == SPT_KERNEL);
}

/* Kernel cells execute the code cache alone. */
static unsigned permitted(const struct spt_space *space, unsigned prot)
{
	return spt_space_mode(space) != SPT_USER || spt_space_paging(space) != SPT_4_LEVEL ? prot & ~SPT_EXEC : prot;
}

/* What is wanted of a range of a space, where the cell has it. */
struct wanted {
	void *ctx;
	struct spt_space *space;
	uint64_t gva, gpa;
	unsigned prot;
};

static int map_piece(void *arg, uint64_t gva, uint64_t host, uint64_t len)
{
	const struct wanted *w = arg;
	return engine_trap.spt_ops->map(w->ctx, w->space, host, w->gpa + (gva - w->gva), len, w->prot);
}

static int unmap_piece(void *arg, uint64_t gva, uint64_t host, uint64_t len)
{
	const struct wanted *w = arg;
	return engine_trap.spt_ops->unmap(w->ctx, w->space, host, len);
}

static int protect_piece(void *arg, uint64_t gva, uint64_t host, uint64_t len)
{
	const struct wanted *w = arg;
	return engine_trap.spt_ops->protect(w->ctx, w->space, host, len, w->prot);
}

static uint64_t window_of(const struct wanted *w)
{
	bool users = spt_space_mode(w->space) == SPT_USER && translate_of(w->ctx)->one_cell;
	return users ? BT_WINDOW_USER : BT_WINDOW_BASE;
}

/* A space that fault handling made has no cell as long as the interpreter runs it: then nothing is mapped. */
static int each_piece(struct wanted *w, uint64_t len, form_op *op)
{
	if (!*spt_space_owner(w->space))
		return 0;
	if (is_narrow(translate_of(w->ctx), w->space))
		return op(w, w->gva, window_of(w) + w->gva, len);
	if (spt_space_mode(w->space) == SPT_USER)
		return op(w, w->gva, w->gva, len);
	return form_each(translate_of(w->ctx), w->space, w->gva, len, op, w);
}

static int pieces_map(void *ctx, struct spt_space *space, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	struct wanted w = {ctx, space, gva, gpa, permitted(space, prot)};
	return each_piece(&w, len, map_piece);
}

static int pieces_unmap(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len)
{
	struct wanted w = {.ctx = ctx, .space = space, .gva = gva};
	return each_piece(&w, len, unmap_piece);
}

static int pieces_protect(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len, unsigned prot)
{
	struct wanted w = {.ctx = ctx, .space = space, .gva = gva, .prot = permitted(space, prot)};
	return each_piece(&w, len, protect_piece);
}

static int pieces_settle(void *ctx, struct spt_space *space)
{
	return engine_trap.spt_ops->settle(ctx, space);
}

const struct spt_ops pieces_spt_ops = {pieces_frame, pieces_map, pieces_unmap, pieces_protect, pieces_settle};
