/*
 * The guest's call chain. libunwind does it as for a remote process: registers are the vCPU's, memory is the guest's,
 * unwind tables are the image's .eh_frame as it lies in guest memory. All of that may be garbage or malice, so reads
 * are counted: an unwinder led in circles runs out of them.
 */
#include <inttypes.h>
#include <libunwind-ptrace.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/debug/report.h"
#include "monitor/vm/image.h"
#include "monitor/vm/vm.h"

/* Reads of guest memory that one backtrace may make; an honest one takes some thousands. */
#define READS_MAX 200000

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

/* libunwind exports it for its own remote callers without declaring it. */
extern int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *info,
					      unw_proc_info_t *proc, int need_unwind_info, void *arg);

/* General registers and RIP by DWARF's numbers: System V ABI x86-64, figure 3.36. libunwind's are the same. */
enum { REG_COUNT = UNW_X86_64_RIP + 1 };
static const uint8_t dwarf_gpr[GPR_COUNT] = {RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP,
					     R8,  R9,  R10, R11, R12, R13, R14, R15};

struct backtrace {
	struct vcpu *vcpu;
	void *upt;		 /* libunwind's view of the tracee, or NULL */
	uint64_t reg[REG_COUNT]; /* of the innermost frame, or of where the latest exception came from */
	unsigned reads;
	FILE *out;
};

static bool read_word(struct backtrace *bt, uint64_t gva, uint64_t *word)
{
	if (++bt->reads > READS_MAX)
		return false;
	if (bt->upt && _UPT_access_mem(NULL, gva, word, 0, bt->upt) == 0)
		return true;
	return gm_peek(bt->vcpu, gva, word, sizeof(*word)) == sizeof(*word);
}

/* ------------------------------------------------------------------------------------------ what libunwind asks */

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *value, int write, void *arg)
{
	if (write)
		return -UNW_EINVAL;
	return read_word(arg, addr, value) ? 0 : -UNW_EINVAL;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t number, unw_word_t *value, int write, void *arg)
{
	struct backtrace *bt = arg;

	if (write)
		return -UNW_EREADONLYREG;
	if (number < 0 || number >= REG_COUNT)
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

/* The image's search table, if it has one of the usual form and ip can be in it. */
static bool find_table(struct backtrace *bt, uint64_t ip, unw_dyn_info_t *info)
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

	if (!find_table(arg, ip, &info))
		return -UNW_ENOINFO;
	return UNW_OBJ(dwarf_search_unwind_table)(as, ip, &info, proc, need_unwind_info, arg);
}

static unw_accessors_t accessors = {.find_proc_info = find_proc_info,
				    .put_unwind_info = put_unwind_info,
				    .get_dyn_info_list_addr = get_dyn_info_list_addr,
				    .access_mem = access_mem,
				    .access_reg = access_reg,
				    .access_fpreg = access_fpreg};

/* --------------------------------------------------------------------------------------------------- the frames */

/* A return address may lie just past its function: the call before it names the frame. */
static void print_frame(struct backtrace *bt, unsigned number, uint64_t ip, bool is_return)
{
	uint64_t offset, back = is_return ? 1 : 0;
	const char *name = image_symbol(bt->vcpu->vm, ip - back, &offset);

	fprintf(bt->out, "  #%-2u 0x%016" PRIx64, number, ip);
	if (name)
		fprintf(bt->out, " %s+0x%" PRIx64, name, offset + back);
	fputc('\n', bt->out);
}

/* Along saved RBPs, each of which must lie above the one before. */
static void walk_frame_pointers(struct backtrace *bt)
{
	uint64_t frame = bt->vcpu->gpr[RBP], next, ip;

	print_frame(bt, 0, bt->vcpu->rip, false);
	for (unsigned i = 1; i < REPORT_FRAMES; i++) {
		if (frame % sizeof(uint64_t) || !read_word(bt, frame, &next) ||
		    !read_word(bt, frame + sizeof(uint64_t), &ip) || !ip)
			return;
		print_frame(bt, i, ip, true);
		if (next <= frame)
			return;
		frame = next;
	}
}

/*
 * The frame that the cursor stepped to was left by an exception if the one before says where the stack pointer was
 * saved: nothing else saves it. libunwind takes the end of the exception's frame for it, which is wrong when the
 * processor aligned or switched the stack; so the walk starts anew from the interrupted registers.
 */
static bool restart_behind_exception(struct backtrace *bt, unw_addr_space_t as, unw_cursor_t *cursor)
{
	unw_save_loc_t saved = {.type = UNW_SLT_NONE};
	uint64_t reg[REG_COUNT], rsp;

	if (unw_get_save_loc(cursor, UNW_X86_64_RSP, &saved) < 0 || saved.type != UNW_SLT_MEMORY ||
	    !read_word(bt, saved.u.addr, &rsp))
		return false;
	for (unsigned i = 0; i < REG_COUNT; i++) {
		if (unw_get_reg(cursor, (int)i, &reg[i]) < 0)
			reg[i] = 0;
	}
	memcpy(bt->reg, reg, sizeof(reg));
	bt->reg[UNW_X86_64_RSP] = rsp;
	return unw_init_remote(cursor, as, bt) == 0;
}

static void walk_cursor(struct backtrace *bt, unw_addr_space_t as, unw_cursor_t *cursor)
{
	bool is_return = false;

	for (unsigned i = 0; i < REPORT_FRAMES; i++) {
		unw_word_t ip = 0;

		if (unw_get_reg(cursor, UNW_REG_IP, &ip) < 0 || (!ip && i))
			return;
		print_frame(bt, i, ip, is_return);
		if (unw_step(cursor) <= 0)
			return;
		is_return = !restart_behind_exception(bt, as, cursor);
	}
}

static void walk_unwind_tables(struct backtrace *bt)
{
	unw_addr_space_t as = unw_create_addr_space(&accessors, 0);
	unw_cursor_t cursor;

	if (!as)
		return;
	unw_set_caching_policy(as, UNW_CACHE_NONE);
	if (unw_init_remote(&cursor, as, bt) == 0)
		walk_cursor(bt, as, &cursor);
	unw_destroy_addr_space(as);
}

/* The vCPU's registers, even with a tracee: only they know what was emulated since it stopped. */
static void take_registers(struct backtrace *bt)
{
	const struct vcpu *vcpu = bt->vcpu;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		bt->reg[i] = vcpu->gpr[dwarf_gpr[i]];
	bt->reg[UNW_X86_64_RIP] = vcpu->rip;
}

void report_backtrace(struct vcpu *vcpu, pid_t tracee, FILE *out)
{
	struct backtrace bt = {.vcpu = vcpu, .out = out};
	unw_dyn_info_t info;

	if (tracee > 0)
		bt.upt = _UPT_create(tracee);
	take_registers(&bt);
	if (find_table(&bt, vcpu->rip, &info)) {
		fputs("Backtrace:\n", out);
		walk_unwind_tables(&bt);
	} else {
		fputs("Backtrace by frame pointers (the image has no .eh_frame_hdr):\n", out);
		walk_frame_pointers(&bt);
	}
	if (bt.upt)
		_UPT_destroy(bt.upt);
}
