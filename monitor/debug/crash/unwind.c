/*
 * The call chain by the image's unwind tables. libunwind does it as for a remote process: registers are the vCPU's,
 * memory is the guest's, unwind tables are the image's .eh_frame as it lies in guest memory.
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/boot/image.h"
#include "monitor/debug/crash/backtrace_internal.h"
#include "monitor/debug/crash/report.h"
#include "monitor/debug/crash/unwinder.h"
#include "monitor/vm/vm.h"

/* Encodings of pointers, LSB core generic 10.5.1, in the one combination that linkers write. */
#define EH_PE_PCREL_SDATA4   0x1b
#define EH_PE_UDATA4	     0x03
#define EH_PE_DATAREL_SDATA4 0x3b

/* .eh_frame_hdr, LSB core generic 10.6.2: after it come fde_count pairs of 32-bit offsets. */
struct eh_frame_hdr {
	uint8_t version, eh_frame_ptr_enc, fde_count_enc, table_enc;
	int32_t eh_frame_ptr;
	uint32_t fde_count;
};
struct eh_frame_pair {
	int32_t ip, fde;
};

/* ------------------------------------------------------------------------------------------ what libunwind asks */

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *value, int write, void *arg)
{
	if (write)
		return -UNW_EINVAL;
	return bt_read(arg, addr, value) ? 0 : -UNW_EINVAL;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t number, unw_word_t *value, int write, void *arg)
{
	struct backtrace *bt = arg;

	if (write)
		return -UNW_EREADONLYREG;
	if (number < 0 || number >= BT_REGS)
		return -UNW_EBADREG;
	*value = bt->reg[number];
	return 0;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t number, unw_fpreg_t *value, int write, void *arg)
{
	return -UNW_EBADREG;
}

static int get_dyn_info_list_addr(unw_addr_space_t as, unw_word_t *addr, void *arg)
{
	return -UNW_ENOINFO;
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *proc, void *arg)
{
	/* What search_unwind_table made for a remote table. */
	free(proc->unwind_info);
	proc->unwind_info = NULL;
}

/* The image's search table, if it has one of the usual form. */
static bool find_table(struct backtrace *bt, unw_dyn_info_t *info)
{
	struct eh_frame_hdr hdr;
	uint64_t gva, size, table_size;

	if (!image_eh_frame_hdr(bt->vcpu->vm, &gva, &size) || size < sizeof(hdr) ||
	    gm_peek(bt->vcpu, gva, &hdr, sizeof(hdr)) != sizeof(hdr))
		return false;
	table_size = (uint64_t)hdr.fde_count * sizeof(struct eh_frame_pair);
	if (hdr.version != 1 || hdr.eh_frame_ptr_enc != EH_PE_PCREL_SDATA4 || hdr.fde_count_enc != EH_PE_UDATA4 ||
	    hdr.table_enc != EH_PE_DATAREL_SDATA4 || !hdr.fde_count || table_size > size - sizeof(hdr))
		return false;
	*info = (unw_dyn_info_t){.start_ip = 0, .end_ip = UINT64_MAX, .format = UNW_INFO_FORMAT_REMOTE_TABLE};
	info->u.rti.segbase = gva;
	info->u.rti.table_data = gva + sizeof(hdr);
	info->u.rti.table_len = table_size / sizeof(unw_word_t);
	return true;
}

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *proc, int need_unwind_info, void *arg)
{
	unw_dyn_info_t info;

	if (!find_table(arg, &info))
		return -UNW_ENOINFO;
	return unwinder()->dwarf_search_unwind_table(as, ip, &info, proc, need_unwind_info, arg);
}

static unw_accessors_t accessors = {.find_proc_info = find_proc_info,
				    .put_unwind_info = put_unwind_info,
				    .get_dyn_info_list_addr = get_dyn_info_list_addr,
				    .access_mem = access_mem,
				    .access_reg = access_reg,
				    .access_fpreg = access_fpreg};

/* --------------------------------------------------------------------------------------------------- the frames */

static void read_registers(unw_cursor_t *cursor, uint64_t reg[BT_REGS])
{
	for (unsigned i = 0; i < BT_REGS; i++) {
		unw_word_t value;
		reg[i] = unwinder()->get_reg(cursor, (int)i, &value) < 0 ? 0 : value;
	}
}

/*
 * The tables describe an exception's frame if they say where the stack pointer was saved: nothing else saves it. Of
 * other frames libunwind 1.8 gives the stack pointer itself for that place; it never lies where it points to.
 */
static bool described(unw_cursor_t *cursor, uint64_t *rip_gva)
{
	unw_save_loc_t saved = {.type = UNW_SLT_NONE};
	unw_word_t rsp;

	if (unwinder()->get_save_loc(cursor, UNW_X86_64_RSP, &saved) < 0 || saved.type != UNW_SLT_MEMORY ||
	    unwinder()->get_reg(cursor, UNW_X86_64_RSP, &rsp) < 0 || rsp == saved.u.addr)
		return false;
	*rip_gva = saved.u.addr - 3 * sizeof(uint64_t);
	return true;
}

/*
 * Where an exception frame lies between the frame at hand (its registers `before`) and the one the cursor stepped to,
 * or where the tables end at one. libunwind takes the end of the frame for the interrupted stack pointer, which is
 * wrong when the processor aligned or switched the stack; so the walk starts anew from the interrupted registers.
 */
static bool crossing(struct backtrace *bt, unw_cursor_t *cursor, int step, const uint64_t before[BT_REGS],
		     uint64_t *rip_gva)
{
	uint64_t low = before[UNW_X86_64_RSP];
	unw_word_t rsp = 0;

	if (step > 0 && described(cursor, rip_gva)) {
		read_registers(cursor, bt->reg);
		return true;
	}
	if (bt->vcpu->cpl == 3)
		return false;
	const struct vcpu_frame *exception = bt_exception_above(bt, low);
	if (!exception || exception->gva - low > BT_REACH ||
	    (step > 0 && unwinder()->get_reg(cursor, UNW_REG_SP, &rsp) == 0 && rsp > low && rsp <= exception->gva))
		return false;
	memcpy(bt->reg, before, sizeof(bt->reg));
	*rip_gva = exception->gva;
	return true;
}

static void walk_cursor(struct backtrace *bt, unw_addr_space_t as, unw_cursor_t *cursor)
{
	uint64_t before[BT_REGS], rip_gva;
	bool is_return = false;

	while (bt->frames < REPORT_FRAMES) {
		read_registers(cursor, before);
		if (!before[UNW_X86_64_RIP] && bt->frames)
			return;
		bt_print(bt, before[UNW_X86_64_RIP], is_return);
		int step = unwinder()->step(cursor);
		is_return = !crossing(bt, cursor, step, before, &rip_gva);
		if (is_return && step <= 0)
			return;
		if (!is_return && (!bt_cross(bt, rip_gva) || unwinder()->init_remote(cursor, as, bt)))
			return;
	}
}

const char *unwind_impossible(struct backtrace *bt)
{
	uint64_t gva, size, gpa;
	unw_dyn_info_t info;

	if (bt->word != sizeof(uint64_t))
		return "the code is not 64-bit code";
	if (!image_eh_frame_hdr(bt->vcpu->vm, &gva, &size))
		return "the image has no .eh_frame_hdr";
	if (!unwinder())
		return "libunwind cannot be loaded";
	if (!gm_probe(bt->vcpu, gva, &gpa) || !gm_probe(bt->vcpu, gva + size - 1, &gpa))
		return "the page tables in force do not map the image's .eh_frame_hdr";
	return find_table(bt, &info) ? NULL : "the image's .eh_frame_hdr, as it is in memory, is of no usual form";
}

void unwind_walk(struct backtrace *bt)
{
	unw_addr_space_t as = unwinder()->create_addr_space(&accessors, 0);
	unw_cursor_t cursor;

	if (!as)
		return;
	unwinder()->set_caching_policy(as, UNW_CACHE_NONE);
	if (unwinder()->init_remote(&cursor, as, bt) == 0)
		walk_cursor(bt, as, &cursor);
	unwinder()->destroy_addr_space(as);
}
