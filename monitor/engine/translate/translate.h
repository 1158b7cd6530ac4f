/*
 * The engine `translate`: its state, shared by its files. Guest kernel code is compiled block by block into the code
 * cache, which all kernel cells show at one address; user mode runs directly in the cells of `trap`; what the compiler
 * leaves is interpreted.
 *
 *   memfd, as the monitor maps it (rw)             as kernel cells see it
 *   struct bt_state                                GATE_CACHE_STATE   rw
 *   one table for each flavour                     GATE_CACHE_TABLES  r   low 16 bits of a gva -> where to go
 *   blocks and thunks, in the order of making      GATE_CACHE_CODE    rx
 *
 * A block belongs to a page: guest code of one frame of RAM, seen at one gva. An instruction that reaches into the next
 * page is a block by itself, which lasts and lives as long as both do. Jumps between blocks of a page are linked
 * for good; those into another page, and the tables, hold only what is live: pages whose gva leads to their frame in
 * the address space in force. A page is dropped when its frame is written.
 */
#ifndef MONITOR_ENGINE_TRANSLATE_TRANSLATE_H
#define MONITOR_ENGINE_TRANSLATE_TRANSLATE_H

#include <stdio.h>

#include "monitor/engine/translate/compile.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/vcpu.h"

#define BT_TABLE_ENTRIES 65536
#define BT_HASH_BITS	 15
#define BT_HASH		 (1u << BT_HASH_BITS)
#define LINGER_SITES	 4096
/* In the state: no load finds it. */
#define NO_SELECTOR (UINT16_MAX + 1)

/* So many pieces of user memory, of all roots, a kernel of the upper half reaches at a time. */
#define USER_SLOTS 64

/* An entry of the table for addresses that have no slot: with it added they are not canonical, whatever bits 56 to 63.
 */
#define FORM_NOWHERE (1ull << 47)

struct bt_block;
struct trap;

struct bt_link {
	struct bt_block *from;
	struct bt_block *to;  /* NULL: not linked */
	struct bt_link *next; /* of those to the same block; of those that wait for one with the same hash */
	enum bt_exit_kind kind;
	uint32_t patch, stub; /* offsets in the cache */
	uint64_t target;
};

struct bt_block {
	uint64_t gva;
	struct bt_page *page;
	struct bt_page *over;	    /* that its only instruction reaches into; NULL: none */
	struct bt_block *next;	    /* of the page */
	struct bt_block *next_over; /* of those that reach into the same page */
	struct bt_block *hash_next; /* of the live ones with the same hash of gva, if it is `found` */
	struct bt_link *incoming;
	/* Of those listed at the same entry of the table, in the order in which they are asked. */
	struct bt_block *next_listed, *previous_listed;
	const uint8_t *bytes; /* of the guest, as they were compiled */
	uint32_t host;	      /* offset in the cache */
	uint32_t thunk;	      /* offset of the check for indirect jumps; 0: none yet */
	uint32_t otherwise;   /* of its displacement to the next check */
	uint16_t len, stubs, guest_len;
	uint16_t flavour;
	uint8_t link_count;
	bool hypercall, calls, leaves, bases, listed, found;
	uint32_t site_mask[BT_SITES];
	bool dead; /* dropped; its code stays until the cache is emptied, since the vCPU may have stopped in it */
	struct bt_link link[];
};

/* Of the live pages, by what makes a processor forget where they lie. */
enum live_kind { LIVE_LOCAL, LIVE_GLOBAL_LOWER, LIVE_GLOBAL_UPPER, LIVE_KINDS };

struct bt_page {
	uint64_t gva, frame;		     /* page-aligned gva; frame number */
	bool users;			     /* fetched by user mode */
	bool live, global;		     /* while live: by a translation that outlives loads of CR3 */
	struct bt_block *blocks, *reaching;  /* its own; those of the page before that reach into it */
	uint8_t *sites;			     /* bt_source.sites; NULL: none yet */
	uint64_t starts[X86_PAGE_SIZE / 64]; /* where blocks of any flavour begin, began or are to: a bit each */
	struct bt_page *next;		     /* of the frame */
	struct bt_page *next_live;	     /* of the live ones, if it is; `before` leads to it there */
	struct bt_page **before;
};

enum bt_piece_kind {
	BT_BODY,
	BT_THUNK,    /* the check in front of the block */
	BT_ENTRY,    /* SYSCALL's way to the block */
	BT_CROSSING, /* no block's: bt_compile_crossing */
};

/* What lies where in the cache, in ascending order. */
struct bt_piece {
	uint32_t host;
	struct bt_block *block; /* NULL: the code that a missed lookup reaches */
	enum bt_piece_kind kind;
};

struct bt_chunk;

/* How often a division came to #DE. */
struct bt_division {
	uint64_t rip;
	unsigned count;
};
#define BT_DIVISIONS 256

enum bt_form {
	FORM_PLAIN,  /* all where the guest has it */
	FORM_UPPER,  /* the upper half folded into the lower one */
	FORM_NARROW, /* 32 bits of addresses in a window; user mode is translated too */
};

/* A piece of a root's user memory that the kernel's cell shows. */
struct user_slot {
	uint64_t root;
	uint32_t piece; /* gva / USER_SLOT_SIZE */
	uint64_t used;	/* when the root was loaded last, in loads and slots taken; 0: the slot is free */
};

/* What the monitor has seen gates and loads of segments do: cross.c. */
struct cross_known {
	struct vcpu_table gdtr, idtr; /* with which all that holds */
	struct vcpu_segment tr, ldtr;
	struct vcpu_segment segment[BT_CROSS_SEGMENTS];
	bool described;				/* `segment` is known, and perhaps gates */
	struct vcpu_segment loadable[BT_KNOWN]; /* what state.known[n + 1] stands for */
	unsigned next;
	uint64_t crossings; /* of the state, when looked at last */
	/* User mode has executed INT, which the monitor delivers, or SYSENTER. */
	bool called, fast;
	uint8_t vector;
	struct vcpu_segment cs, ss;
};

struct translate {
	struct vm *vm;
	const struct cpu *model; /* struct bt_source */
	int fd;
	uint8_t *memory; /* the whole memfd */
	struct bt_state *state;
	uint64_t *tables;
	unsigned begun; /* by flavour: its table is filled */
	struct bt_identity *identity;
	struct {
		uint64_t cr4, xcr0, efer, apic_base, misc_enable;
	} identified; /* what these answers go by */
	uint8_t *code;
	uint32_t used, limit; /* bytes of code */
	uint32_t ready;	      /* those that the host has provided */
	uint64_t callout;     /* struct bt_place */

	struct bt_chunk *chunks; /* blocks, pages and bytes: all that is forgotten when the cache is emptied */
	size_t kept;		 /* bytes of these */
	struct bt_piece *pieces;
	unsigned piece_count, piece_max;
	uint64_t secret; /* odd; of the hash of addresses */
	struct {
		/* The live ones: of those that were compiled for an address in turn there may be as many as frames. */
		struct bt_block *blocks;
		struct bt_link *waiting; /* for what is not compiled or not live, by the hash of that */
	} hash[BT_HASH];
	struct bt_page **frames; /* code of each frame, by gva and mode */
	uint8_t *stores;	 /* by frame: those that the interpreter made since code of it was compiled */
	uint8_t *hits; /* by frame: stores to it while code of it was compiled; outlives the emptying of the cache */
	struct bt_page *live[LIVE_KINDS];

	/* Where guest memory lies in kernel cells, see form.c. `slots` is a table by bits 40 to 55 of an address. */
	enum bt_form form;
	uint64_t *slots;
	struct {
		uint64_t block; /* host address; 0: none yet */
		unsigned count; /* of its slots */
		struct user_slot slot[USER_SLOTS];
		uint64_t root; /* whose slots the table names */
		uint64_t uses;
	} user;

	/* high.c, of FORM_PLAIN: where the kernel begins, whose cell shows what is above that alone; 0: it shows all.
	 * How often the kernel went below, less address spaces loaded; and whether that was too often. */
	struct {
		uint64_t start;
		unsigned strays;
		bool refused;
	} high;

	unsigned mode;		/* BT_IF and its like: of all code in the cache */
	bool obstructed;	/* such a kernel has memory of its own where its cell has the gate: it is interpreted */
	unsigned without_bases; /* times that a kernel of the upper half had a base of GS that is none of its own */
	bool bases_virtual;	/* cells have been without the kernel's bases of FS or GS: see BT_BASES */

	/* What `live` holds for. */
	struct spt_cpu paging;
	struct spt_remaps remaps;
	bool synced;

	/* Of FORM_NARROW; cross.c. Kernel and user mode share a cell. */
	bool one_cell;
	uint64_t constant; /* gva of a device's register, which the kernel reads again and again; 0: of none */
	uint64_t end_at;   /* gva of its local APIC's EOI, where a kernel of 64 bits was seen to store; 0: nowhere */
	bool may_end;	   /* apic.c: the vCPU may have written these by itself */
	uint64_t deadline_from;
	bool sets_bases;
	uint64_t cross[BT_USER][BT_CROSSES]; /* host addresses, by flavour */
	struct cross_known crossing;

	uint64_t emptied; /* times */

	/* The vCPU stopped where an exception, but for page faults, may be none of the guest's. */
	bool doubtful;
	/* Where the vCPU stopped last, if the block can go on there: NULL block: nowhere. */
	struct {
		struct bt_block *block;
		uint32_t host;
		uint64_t rip;
	} resume;

	/* Where the gate enters the kernel from user mode: `block` is the one at LSTAR, `star` was in STAR. */
	struct {
		const struct bt_block *block;
		uint32_t host;
		uint64_t star;
	} entry;
	/* linger.c: whether the interpreter goes on, what tells apart what comes to the same address, and by both how
	 * often that was in vain. */
	bool lingers, beyond;
	uint64_t salt;
	uint8_t vain[LINGER_SITES];
	/* stay.c: stays in user mode that are interpreted yet; faults that are to go by before; how often in a row that
	 * was in vain; where the last fault was; and which page of user mode's the kernel met last. */
	struct {
		unsigned left, skip, vain;
		uint64_t gva, reached;
	} stay;
	/* Instructions that left because what they need was lent to user mode, less entries to user mode of either
	 * kind, which were so many; whether these are too many. */
	struct {
		unsigned left;
		uint64_t entries, seen;
		bool much;
	} lent;

	struct bt_division division[BT_DIVISIONS]; /* by address, the last of those that share a place */
	bool divides;				   /* the cache delivers some of them */
	/* The kernel has used the FPU while it had it: before, code is as if it were lent, of one flavour. */
	bool uses_fpu;
};

struct translate *translate_of(struct vm *vm);

/* cache.c: 0 or negative errno with a message printed. size: bytes of code, 0: as much as there is room for. */
int cache_create(struct translate *t, uint64_t size, bool traced);
void cache_destroy(struct translate *t);
/* Forgets everything. Nothing may be in execution, nor its state in need of bt_locate. */
void cache_empty(struct translate *t);
/* Memory that lives as long; NULL: none left. */
void *cache_alloc(struct translate *t, size_t size);
/* Room for len bytes of code at t->used, and to remember one more piece. */
bool cache_has_room(const struct translate *t, unsigned len);
/* No more blocks before the cache is emptied. */
bool cache_keeps_much(const struct translate *t);
/* What was written at t->used becomes a piece; its offset. */
uint32_t cache_add(struct translate *t, struct bt_block *block, enum bt_piece_kind kind, unsigned len);
/* What the offset lies in; NULL: nothing. */
const struct bt_piece *cache_piece(const struct translate *t, uint32_t host);
void cache_place(const struct translate *t, uint32_t host, unsigned flavour, struct bt_place *place);
/* Of a piece of BT_CROSSING. */
enum bt_stage cache_stage(const struct translate *t, const struct bt_piece *piece, uint32_t host);
/* Of an offset, in kernel cells. */
uint64_t cache_address(uint32_t host);
/* Before the first code of the flavour: its table is 512 KiB, and most guests have code of few flavours. */
void cache_begin_table(struct translate *t, unsigned flavour);
/* The entry for a target. */
uint64_t *cache_table(const struct translate *t, unsigned flavour, uint64_t gva);
/* Where lookups go that find nothing. */
uint64_t cache_miss(const struct translate *t);

/* form.c: where kernel cells show guest memory. */
/* Where that is; false: nowhere, or in a slot. */
bool form_host(const struct translate *t, uint64_t gva, uint64_t *host);
/* The guest's address; false: no memory of the guest's is to lie there in a cell. */
bool form_guest(const struct translate *t, uint64_t host, uint64_t *gva);
/* Calls op for each piece of the space's [gva, gva+len), of four-level tables and kernel mode, that has addresses in a
 * row. The first error ends it.
 */
typedef int form_op(void *arg, uint64_t gva, uint64_t host, uint64_t len);
int form_each(const struct translate *t, struct spt_space *space, uint64_t gva, uint64_t len, form_op *op, void *arg);
/* The guest's tables have changed, or other ones are in force: what its kernel has must not lie where its cell has
 * something else. */
void form_check(struct translate *t);
/* The kernel wants user memory there: from now on it has an address. False: it is none, or there is no room. */
bool form_take_user(struct translate *t, uint64_t gva);
/*
 * Before the vCPU's code is entered: finds the form for it. One of the upper half is known by its RIP, and stays one as
 * long as code has 64 bits. False: no cell can run it as it is.
 */
bool form_choose(struct translate *t, const struct vcpu *vcpu);
/* struct direct.names */
bool form_names(struct vm *vm, uint64_t root, struct gate_name names[GATE_NAMES]);
/* FORM_PLAIN, with the kernel's part beginning at `start`, a top-level entry's; 0: there is none. */
void form_part(struct translate *t, uint64_t start);
/* The vCPU's code is of 32 bits, and of those segments that BT_NARROW is for. */
bool form_is_narrow(const struct vcpu *vcpu);
/* The base of the window that the vCPU's code has; what the segment adds for FS or GS, which leads nowhere where it has
 * less than all addresses. */
uint64_t form_window(const struct translate *t, const struct vcpu *vcpu);
uint64_t form_segment_base(const struct vcpu_segment *segment);
/* The kernel cell can run with the vCPU's registers. */
bool form_fits(const struct translate *t, const struct vcpu *vcpu);
/* FORM_UPPER: all that its cell cannot run the vCPU with is RSP. */
bool form_lacks_stack(const struct translate *t, const struct vcpu *vcpu);
/* FORM_UPPER, where the host takes no bases from instructions: the guest's base of GS is in bt_state.gs. */
bool form_has_gs_slot(const struct translate *t);
/* FORM_UPPER: the base of GS is the guest's, UPPER_BASE further up, and may change while the cell runs. */
bool form_moves_gs(const struct translate *t);
/* The vCPU's registers as the cell is to have them, and the guest's again. */
struct form_saved {
	uint64_t fs, gs;
	uint64_t high[GPR_COUNT - R8];
};
void form_enter(const struct translate *t, struct vcpu *vcpu, struct form_saved *saved);
void form_leave(const struct translate *t, struct vcpu *vcpu, const struct form_saved *saved);

/*
 * high.c: a kernel of the lower half that has its programs below itself, and mostly leaves their memory alone, has one
 * cell for all roots as one of the upper half has.
 */
/* The vCPU's kernel is about to be entered, under FORM_PLAIN. */
void high_choose(struct translate *t, const struct vcpu *vcpu);
/* It is somewhere, or reaches for something, that its cell does not show. */
void high_note_stray(struct translate *t);
/* Another root may be in force. */
void high_note_load(struct translate *t);

/* learn.c: the vCPU stopped at an instruction that reaches for what its cell does not show; that came to #DE. */
void learn(struct translate *t, struct vcpu *vcpu);
/* The kernel stopped by that exit, a page fault where no RAM is. */
void learn_device(struct translate *t, struct vcpu *vcpu, const struct vm_exit *exit);
/* What translated code is to know of such registers. */
void learn_fill(struct translate *t, struct vcpu *vcpu);
void learn_division(struct translate *t, struct vcpu *vcpu);

/* blocks.c */
/* The one that is live. */
struct bt_block *block_find(const struct translate *t, uint64_t gva, unsigned flavour);
/* What the block was compiled from is where it was, and live. */
bool block_is_live(const struct bt_block *block);
/* Compiles the block at source->gva into the cache. NULL: nothing to compile there, or no room. over: the page that
 * the bytes reach into, NULL: none. */
struct bt_block *block_make(struct translate *t, struct bt_page *page, struct bt_page *over,
			    const struct bt_source *source);
/* Lets the jump, which is not linked, go to the block. */
void link_set(struct translate *t, struct bt_link *link, struct bt_block *to);
/* Indirect jumps find the block from now on. False: no room. */
bool block_publish(struct translate *t, struct bt_block *block);
/* It is found from now on, if its pages are live. */
void block_show(struct translate *t, struct bt_block *block);
/* It is found no more, nor by jumps from elsewhere; `all`: nor those of its own page. */
void block_hide(struct translate *t, struct bt_block *block, bool all);
/* Nobody finds it any more, nor goes there. */
void block_kill(struct translate *t, struct bt_block *block);
/* BT_BASES comes to the mode or goes, and the mode is not BT_NARROW: what depends on that is forgotten, the rest stays.
 */
void blocks_turn_bases(struct translate *t);

/* pages.c */
/* The page of gva, which is at `at`, made if need be, live from now on; the frame is watched. NULL: memory is out. */
struct bt_page *page_get(struct translate *t, uint64_t gva, const struct spt_translation *at, bool user);
/* Code below gva is found no more, until its page is had again. */
void pages_hide_below(struct translate *t, uint64_t gva);
/* Hides the pages that the address space in force has no more. */
void pages_sync(struct translate *t, struct vcpu *vcpu);
/* shadowpt: a watched frame is about to be written. */
void pages_written(void *ctx, uint64_t gpa);
/* The interpreter's: [gpa, gpa+len) of one page is about to be stored. What was compiled from that is dropped. */
bool pages_stored(struct vm *vm, uint64_t gpa, uint64_t len);
bool pages_hold(const struct translate *t, uint64_t gpa);
/* Code of kernel or user mode is fetched from there, and has been from its page before: only gpa and global are found.
 */
bool pages_lead_to(struct translate *t, uint64_t gva, bool users, struct spt_translation *at);

/* region.c: the block at gva, compiled with what it leads to if need be, for the vCPU as it is. NULL: not compilable,
 * or *exit is set. */
struct bt_block *region_find(struct translate *t, struct vcpu *vcpu, uint64_t gva, struct vm_exit *exit);
/* The cache is not emptied for it. */
bool region_has_room(const struct translate *t);
/* What code for the vCPU as it is now is compiled for. */
unsigned flavour_of(const struct translate *t, const struct vcpu *vcpu);

/* state.c: the page that translated code shares with the monitor. */
/* Somebody wants to hear of each sensitive instruction: the monitor executes them, one by one. */
bool state_is_told(const struct vm *vm);
/* Forgets the code that what has changed concerns. */
void state_set_mode(struct translate *t, const struct vcpu *vcpu);
void state_fill(struct translate *t, struct vcpu *vcpu);
/* The kernel may come in by SYSCALL meanwhile, with other segments than it has now: nothing is compared with these
 * then. */
void state_expect_syscall(struct translate *t, const struct vcpu *vcpu);
/* Takes back what translated code changes: registers; the interrupt flag, which is IF of kernel mode. */
void state_take(struct translate *t, struct vcpu *vcpu);
void state_take_if(struct translate *t, struct vcpu *vcpu);
/* apic.c: likewise, of the local APIC. */
void apic_fill(struct translate *t, struct vcpu *vcpu);
void apic_take(struct translate *t, const struct vcpu *vcpu);
/* An access to that address would reach the register, and change no table. */
bool apic_is_reached(struct vcpu *vcpu, uint64_t gva, unsigned offset, bool write);
/* CPUID has answered the vCPU. */
void state_note_identity(struct translate *t, const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf);
/* From a cell's base of GS. */
void state_take_kernel_gs(struct translate *t, struct vcpu *vcpu, uint64_t base);

/* leave.c: the kernel cell came out with RIP in the cache. */
/* Makes the vCPU's state the guest's. Returns the link that was missing, or NULL; *insn: the guest's instruction there
 * is to be executed. */
enum leave { LEAVE_STOPPED, LEAVE_LINK, LEAVE_MISS, LEAVE_INSN, LEAVE_CROSSING, LEAVE_FORGED };
enum leave leave_cache(struct translate *t, struct vcpu *vcpu, struct bt_link **link, bool *follows_sti);
/* As trap->show_fpu: the x87's last instruction is the guest's. */
void leave_show_fpu(struct trap *trap, void *image);
/* Executes the instruction at RIP in software. */
void leave_execute(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit);

/* entry.c: user mode entered without the monitor, see trap/direct.h. */
/* The vCPU is to be entered, in user mode perhaps. */
void entry_count(struct translate *t, bool user);
/* The kernel may do without FPU state and bases from now on, while its user mode has them. */
bool entry_lends(const struct translate *t, const struct vcpu *vcpu);
/* It returns to user mode without an exit, as it is now. */
bool entry_returns(const struct translate *t, const struct vcpu *vcpu);
/* Where the gate is to enter the kernel from user mode; 0: only the monitor can. */
uint64_t entry_address(struct translate *t, struct vcpu *vcpu);
/* The vCPU stopped on the way from SYSCALL to the block. */
void entry_take(struct vcpu *vcpu);

/*
 * linger.c: an exit costs as much as thousands of instructions, and where the kernel does one thing that is the
 * monitor's it often does more. So the interpreter goes on from where an exit was, and whatever comes soon needs none.
 */
/* The monitor has the kernel's state after an instruction that left, or will have it after an exit of user mode. */
void linger_begin(struct translate *t, const struct vcpu *vcpu, const struct vm_exit *exit);
/* True: the interpreter has run, and *exit is for the run loop; else the kernel is to be entered. */
bool linger(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit);
/* Instead of linger_begin, and for longer: the exit was an access that no cell can have. */
void linger_beyond(struct translate *t, const struct vcpu *vcpu, const struct vm_exit *exit);

/*
 * stay.c: as interpret_visit, if the stay in user mode that begins is likely to be short; false also where it is not.
 * stay_expected: one is, so that the kernel must not return past the monitor. The kernel is entered: perhaps because of
 * a page fault of user mode.
 */
bool stay_run(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit);
bool stay_expected(const struct translate *t);
/* The kernel met user memory that its cell does not show. True: it is interpreted there, since once is all, most often.
 */
bool stay_reach(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit);
void stay_note_fault(struct translate *t, struct vcpu *vcpu);

/*
 * cross.c: from user mode of 32-bit code to its kernel and back, where both share a cell, and segments that are loaded
 * without the monitor. What happened there the monitor believes as far as it has seen it happen before.
 */
/* User mode is about to execute INT; fast: SYSENTER. */
void cross_note_call(struct translate *t, const struct vcpu *vcpu, bool fast, uint8_t vector);
/* Before the vCPU is entered: if that led to where it is, others like it may. */
void cross_learn_call(struct translate *t, struct vcpu *vcpu);
/* The monitor has loaded that segment register on the guest's behalf. */
void cross_learn_load(struct translate *t, const struct vcpu *vcpu, unsigned sreg);
/* As state_fill and state_take; the latter after form_leave. */
void cross_fill(struct translate *t, const struct vcpu *vcpu);
void cross_take(struct translate *t, struct vcpu *vcpu);
/* The vCPU stopped in such a way. *follows_sti as in leave_cache. */
enum leave cross_leave(struct vcpu *vcpu, enum bt_stage stage, bool *follows_sti);
/* LEAVE_CROSSING by an exception: if the kernel's window lacks the page, it is shown from now on. */
void cross_show(struct translate *t, struct vcpu *vcpu, const struct vm_exit *exit);

/* pieces.c: those of engine `trap`, for each piece. */
extern const struct spt_ops pieces_spt_ops;

/* list.c: as engine_ops.list_code. */
void list_code(struct vcpu *vcpu, uint64_t gva, FILE *out);

#endif
