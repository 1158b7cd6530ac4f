/*
 * The notes of a core file: what gdb reads of a Linux process (registers and FPU state), and what QEMU writes besides
 * (system registers), so that tools which know its dumps find them.
 */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "monitor/boot/image.h"
#include "monitor/debug/core/core.h"
#include "monitor/debug/core/internal.h"
#include "monitor/host/cpuid.h"
#include "monitor/vm/vm.h"

#define NOTE_ALIGN 4

/* What NT_PRSTATUS calls its process: gdb shows it as the thread's number. */
#define CORE_PID     1
#define CORE_SIGNAL  11 /* SIGSEGV: the guest crashed */
#define CORE_STOPPED 5	/* SIGTRAP: it was looked at while it ran */

/* An XSAVE image (SDM 1 13.4). Linux and gdb keep XCR0 in bytes that it leaves to software. */
#define XSAVE_XCR0    464
#define XSAVE_LEGACY  512
#define XSAVE_HEADER  64
#define XSAVE_GDB_MAX 2696

int core_append(struct core_buffer *to, const void *data, size_t len)
{
	if (to->len + len > to->room) {
		size_t room = 2 * (to->len + len);
		uint8_t *grown = realloc(to->data, room);
		if (!grown)
			return -ENOMEM;
		to->data = grown;
		to->room = room;
	}
	if (len)
		memcpy(to->data + to->len, data, len);
	to->len += len;
	return 0;
}

static int pad(struct core_buffer *to)
{
	static const uint8_t zeroes[NOTE_ALIGN];

	return core_append(to, zeroes, -to->len % NOTE_ALIGN);
}

static int note(struct core_buffer *to, const char *name, uint32_t type, const void *desc, size_t len)
{
	const Elf64_Nhdr header = {.n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = (uint32_t)len, .n_type = type};
	int error = core_append(to, &header, sizeof(header));

	if (!error)
		error = core_append(to, name, header.n_namesz);
	if (!error)
		error = pad(to);
	if (!error)
		error = core_append(to, desc, len);
	return error ? error : pad(to);
}

/* -------------------------------------------------------------------------------------------- as a Linux process */

static int note_registers(struct vcpu *vcpu, struct core_buffer *to)
{
	struct elf_prstatus status = {.pr_pid = CORE_PID, .pr_fpvalid = 1};
	const struct vcpu_segment *sreg = vcpu->sreg;
	const uint64_t *gpr = vcpu->gpr;
	const struct user_regs_struct regs = {
		.r15 = gpr[R15],
		.r14 = gpr[R14],
		.r13 = gpr[R13],
		.r12 = gpr[R12],
		.rbp = gpr[RBP],
		.rbx = gpr[RBX],
		.r11 = gpr[R11],
		.r10 = gpr[R10],
		.r9 = gpr[R9],
		.r8 = gpr[R8],
		.rax = gpr[RAX],
		.rcx = gpr[RCX],
		.rdx = gpr[RDX],
		.rsi = gpr[RSI],
		.rdi = gpr[RDI],
		.orig_rax = UINT64_MAX,
		.rip = vcpu->rip,
		.cs = sreg[SREG_CS].selector,
		.eflags = vcpu_rflags(vcpu),
		.rsp = gpr[RSP],
		.ss = sreg[SREG_SS].selector,
		.fs_base = sreg[SREG_FS].base,
		.gs_base = sreg[SREG_GS].base,
		.ds = sreg[SREG_DS].selector,
		.es = sreg[SREG_ES].selector,
		.fs = sreg[SREG_FS].selector,
		.gs = sreg[SREG_GS].selector,
	};

	_Static_assert(sizeof(regs) == sizeof(status.pr_reg), "the same registers in the same order");
	memcpy(&status.pr_reg, &regs, sizeof(regs));
	status.pr_cursig = vcpu->vm->reason[0] ? CORE_SIGNAL : CORE_STOPPED;
	status.pr_info.si_signo = status.pr_cursig;
	return note(to, "CORE", NT_PRSTATUS, &status, sizeof(status));
}

static int note_program(struct vm *vm, struct core_buffer *to)
{
	struct elf_prpsinfo info = {.pr_pid = CORE_PID, .pr_sname = 'R'};
	const char *path = image_path(vm), *slash = strrchr(path, '/');

	snprintf(info.pr_fname, sizeof(info.pr_fname), "%s", slash ? slash + 1 : path);
	snprintf(info.pr_psargs, sizeof(info.pr_psargs), "%s %s", path, vm->config->cmdline);
	return note(to, "CORE", NT_PRPSINFO, &info, sizeof(info));
}

/*
 * Where components lie in the XSAVE images that gdb takes for granted: as Intel's processors have them. Other
 * processors place them otherwise (SDM 1 13.4.2: CPUID tells), and the guest's image is the host's.
 */
static const struct component {
	unsigned number, offset, size; /* in XCR0 (SDM 1 13.1); bytes */
} components[] = {{2, 576, 256}, {5, 1088, 64}, {6, 1152, 512}, {7, 1664, 1024}, {9, 2688, 8}};

/* Makes `to` of `from`; returns the length. */
static size_t rearrange(uint8_t to[XSAVE_GDB_MAX], const uint8_t *from, unsigned size, uint64_t xcr0)
{
	uint64_t present = xcr0 & 3, in_use;
	size_t len = XSAVE_LEGACY + XSAVE_HEADER;

	memcpy(to, from, len);
	for (size_t i = 0; i < sizeof(components) / sizeof(components[0]); i++) {
		const struct component *part = &components[i];
		const struct host_leaf place = host_cpuid(0xd, part->number);
		if (!(xcr0 & R3_BIT(part->number)) || place.eax != part->size || place.ebx > size - place.eax)
			continue;
		memcpy(to + part->offset, from + place.ebx, place.eax);
		present |= R3_BIT(part->number);
		len = part->offset + part->size;
	}
	memcpy(&in_use, from + XSAVE_LEGACY, sizeof(in_use));
	in_use &= present;
	memcpy(to + XSAVE_LEGACY, &in_use, sizeof(in_use));
	memcpy(to + XSAVE_XCR0, &present, sizeof(present));
	return len;
}

static int note_fpu(struct vcpu *vcpu, struct core_buffer *to)
{
	const struct engine_ops *ops = vcpu->vm->engine_ops;
	unsigned size = ops->fpu_size ? ops->fpu_size(vcpu->vm) : 0;
	uint8_t *image = size >= XSAVE_LEGACY + XSAVE_HEADER ? calloc(1, size) : NULL, arranged[XSAVE_GDB_MAX] = {0};

	if (!image)
		return 0;
	ops->fpu_get(vcpu, image, size);
	size_t len = rearrange(arranged, image, size, vcpu->vm->cpu.xcr0);
	free(image);
	int error = note(to, "CORE", NT_FPREGSET, arranged, XSAVE_LEGACY);
	return error ? error : note(to, "LINUX", NT_X86_XSTATE, arranged, len);
}

/* --------------------------------------------------------------------------------------------- as QEMU has it */

/* target/i386/arch_dump.c of QEMU: struct QEMUCPUSegment and QEMUCPUState. */
struct qemu_segment {
	uint32_t selector, limit, flags, pad;
	uint64_t base;
};
struct qemu_state {
	uint32_t version, size;
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8_to_r15[8], rip, rflags;
	struct qemu_segment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
	uint64_t cr[5];
	uint64_t kernel_gs_base;
};
#define QEMU_VERSION 1

/* Flags are the descriptor's upper word, without its part of the base and limit. */
static struct qemu_segment qemu_segment(const struct vcpu_segment *segment)
{
	return (struct qemu_segment){.selector = segment->selector,
				     .limit = segment->limit,
				     .flags = (uint32_t)(segment->descriptor >> 32) & 0x00f0ff00,
				     .base = segment->base};
}

static struct qemu_segment qemu_table(const struct vcpu_table *table)
{
	return (struct qemu_segment){.limit = table->limit, .base = table->base};
}

static int note_system(struct vcpu *vcpu, struct core_buffer *to)
{
	const uint64_t *gpr = vcpu->gpr;
	struct qemu_state state = {
		.version = QEMU_VERSION,
		.size = sizeof(state),
		.rax = gpr[RAX],
		.rbx = gpr[RBX],
		.rcx = gpr[RCX],
		.rdx = gpr[RDX],
		.rsi = gpr[RSI],
		.rdi = gpr[RDI],
		.rsp = gpr[RSP],
		.rbp = gpr[RBP],
		.rip = vcpu->rip,
		.rflags = vcpu_rflags(vcpu),
		.cs = qemu_segment(&vcpu->sreg[SREG_CS]),
		.ds = qemu_segment(&vcpu->sreg[SREG_DS]),
		.es = qemu_segment(&vcpu->sreg[SREG_ES]),
		.fs = qemu_segment(&vcpu->sreg[SREG_FS]),
		.gs = qemu_segment(&vcpu->sreg[SREG_GS]),
		.ss = qemu_segment(&vcpu->sreg[SREG_SS]),
		.ldt = qemu_segment(&vcpu->ldtr),
		.tr = qemu_segment(&vcpu->tr),
		.gdt = qemu_table(&vcpu->gdtr),
		.idt = qemu_table(&vcpu->idtr),
		.cr = {vcpu->cr0, 0, vcpu->cr2, vcpu->cr3, vcpu->cr4},
		.kernel_gs_base = vcpu->kernel_gs_base,
	};

	memcpy(state.r8_to_r15, &gpr[R8], sizeof(state.r8_to_r15));
	return note(to, "QEMU", 0, &state, sizeof(state));
}

/* For people with readelf. */
static int note_text(struct vm *vm, struct core_buffer *to)
{
	char text[512];
	int len =
		snprintf(text, sizeof(text),
			 "guest of ring3, engine %s, CPL %u; root of its page tables 0x%lx; %lu MiB of physical memory "
			 "at 0x%llx; %s",
			 vm->engine_ops->name, vm->vcpu[0]->cpl, vcpu_root(vm->vcpu[0]), vm->mem.size >> 20,
			 CORE_PHYSICAL, vm->reason[0] ? vm->reason : "running");

	return note(to, "ring3", 1, text, len < (int)sizeof(text) ? (size_t)len + 1 : sizeof(text));
}

int core_notes(struct vm *vm, struct core_buffer *to)
{
	struct vcpu *vcpu = vm->vcpu[0];
	int error = note_registers(vcpu, to);

	if (!error)
		error = note_program(vm, to);
	if (!error)
		error = note_fpu(vcpu, to);
	if (!error)
		error = note_system(vcpu, to);
	return error ? error : note_text(vm, to);
}
