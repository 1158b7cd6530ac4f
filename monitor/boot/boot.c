/*
 * The table of boot protocols, and what their kernels are entered with in common: the boot area and the identity map.
 */
#include "monitor/boot/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/vm/layout.h"
#include "monitor/vm/segment.h"

/* Of the boot area: a small guest's tables, and what it is told. */
#define TOUCHED (4 * X86_PAGE_SIZE)

static const struct boot_protocol *const protocols[] = {
	&boot_linux,	  /* bzImage, by its 64-bit entry */
	&boot_linux_32,	  /* by its 32-bit one */
	&boot_disk,	  /* sectors for firmware: among them may be a kernel for Multiboot, such as GRUB */
	&boot_multiboot,  /* ELF of both classes, or flat */
	&boot_multiboot2, /* likewise */
	&boot_linux_elf,  /* vmlinux */
	&boot_linux_elf_32, &boot_pvh, /* ELF of both classes with Xen's note */
	&boot_sector,		       /* 512 bytes, real mode */
	&boot_solo5,		       /* unikernels for Solo5's hvt */
	&boot_ring3,		       /* ELF64 entered in 64-bit mode */
};

const struct boot_protocol *boot_protocol_of(const struct image *image)
{
	unsigned last = sizeof(protocols) / sizeof(protocols[0]) - 1;

	for (unsigned i = 0; i < last; i++)
		if (protocols[i]->recognises(image))
			return protocols[i];
	return protocols[last];
}

int image_boot(struct vm *vm)
{
	if (vm->kind == MACHINE_PC && !vm->config->bios)
		boot_without_firmware(vm);
	return vm->image->protocol->boot(vm);
}

/* ------------------------------------------------------------------------------------------------- the boot area */

void boot_begin(struct boot *boot, struct vm *vm)
{
	*boot = (struct boot){.mem = &vm->mem, .next = BOOT_START};
	gm_prefault(boot->mem, BOOT_START, TOUCHED);
}

uint64_t boot_alloc(struct boot *boot, uint64_t len, uint64_t align)
{
	uint64_t at = (boot->next + align - 1) & ~(align - 1);

	if (at > BOOT_END || len > BOOT_END - at)
		return 0;
	boot->next = at + len;
	return at;
}

uint64_t boot_put(struct boot *boot, const void *data, uint64_t len, uint64_t align)
{
	uint64_t gpa = boot_alloc(boot, len, align);

	if (gpa && !gm_write(boot->mem, gpa, data, len))
		abort();
	return gpa;
}

int boot_too_long(void)
{
	fprintf(stderr,
		"ring3: command line and module names do not fit the %u KiB of boot information: shorten --append\n",
		(BOOT_END - BOOT_START) / 1024);
	return -E2BIG;
}

uint32_t boot_upper_memory(const struct vm *vm)
{
	uint64_t low_end = gm_low_end(&vm->mem);

	return (uint32_t)((low_end - IMAGE_START) >> 10);
}

uint64_t boot_put_cmdline(struct boot *boot, const struct vm *vm)
{
	const char *slash = strrchr(vm->image->path, '/'), *name = slash ? slash + 1 : vm->image->path;
	const char *words = vm->config->cmdline;
	uint64_t gpa = boot_put(boot, name, strlen(name), 1);

	if (!gpa || (*words && !boot_put(boot, " ", 1, 1)) || !boot_put(boot, words, strlen(words) + 1, 1))
		return 0;
	return gpa;
}

/* A beginning before the file wraps to one behind it; the other differences are of numbers checked to be in order. */
int boot_read_addresses(struct vm *vm, uint64_t offset, const struct boot_addresses *at)
{
	const struct image *image = vm->image;
	uint64_t start = offset + at->load - at->header, filesz, memsz;

	if (start >= image->file_size || (at->load_end && at->load_end < at->load))
		return image_refuse(image->path,
				    "its Multiboot header loads 0x%" PRIx32 " to 0x%" PRIx32 ", but lies at 0x%" PRIx32
				    " itself: correct the addresses",
				    at->load, at->load_end, at->header);
	filesz = at->load_end ? at->load_end - at->load : image->file_size - start;
	memsz = at->bss_end > at->load && at->bss_end - at->load > filesz ? at->bss_end - at->load : filesz;
	return image_add_flat(vm->image, vm, at->load, start, filesz, memsz);
}

/* ------------------------------------------------------------------------------------------------- flat 32-bit mode */

#define FLAT_GDT_ENTRIES 4
#define FLAT_STACK_SIZE	 0x4000

bool boot_enter_flat(struct boot *boot, struct vm *vm, uint16_t cs)
{
	const uint16_t ds = cs + X86_DESC_SIZE;
	struct vcpu *vcpu = vm->vcpu[0];
	uint64_t table[FLAT_GDT_ENTRIES] = {0}, gdt;
	uint64_t stack = boot_alloc(boot, FLAT_STACK_SIZE, X86_PAGE_SIZE);

	table[cs / X86_DESC_SIZE] = SEG_FLAT | X86_DESC_CODE | X86_DESC_DB;
	table[ds / X86_DESC_SIZE] = SEG_FLAT | X86_DESC_DB;
	gdt = boot_put(boot, table, sizeof(table), sizeof(uint64_t));

	vcpu->rip = vm->image->entry;
	vcpu->gpr[RSP] = stack + FLAT_STACK_SIZE;
	vcpu->cr0 = X86_CR0_PE | X86_CR0_ET;
	vcpu->cr3 = vcpu->cr4 = vcpu->efer = 0;
	if (vm->cpu.xcr0)
		vcpu->xcr0 = X86_XCR0_X87;
	vcpu->gdtr = (struct vcpu_table){.base = gdt, .limit = sizeof(table) - 1};
	for (unsigned i = 0; i < SREG_COUNT; i++)
		vcpu->sreg[i] = seg_make(ds, table[ds / X86_DESC_SIZE]);
	vcpu->sreg[SREG_CS] = seg_make(cs, table[cs / X86_DESC_SIZE]);
	return stack && gdt;
}

int boot_flat(struct vm *vm, uint32_t eax, uint64_t (*put_info)(struct boot *boot, const struct vm *vm))
{
	struct boot boot;
	uint64_t info;

	boot_begin(&boot, vm);
	info = boot_enter_flat(&boot, vm, BOOT_FLAT_CS) ? put_info(&boot, vm) : 0;
	if (!info)
		return boot_too_long();
	vm->vcpu[0]->gpr[RAX] = eax;
	vm->vcpu[0]->gpr[RBX] = info;
	return 0;
}

/* ----------------------------------------------------------------------------------------------------- page tables */

#define LARGE_SIZE R3_BIT(X86_LARGE_SHIFT)
#define HUGE_SIZE  R3_BIT(X86_HUGE_SHIFT)
#define PML4_SPAN  R3_BIT(39)

/* Up to here RAM is mapped with 2 MiB pages, above with 1 GiB ones: the tables of 1 TiB still fit the boot area. */
#define LARGE_PAGES_BELOW (4 * HUGE_SIZE)

/* Preset so that no walk has to write them; present, writable, supervisor. */
#define TABLE_FLAGS (X86_PTE_P | X86_PTE_W | X86_PTE_A)
#define PAGE_FLAGS  (TABLE_FLAGS | X86_PTE_D | X86_PTE_PS)

static uint64_t boot_table(struct boot *boot)
{
	uint64_t gpa = boot_alloc(boot, X86_PAGE_SIZE, X86_PAGE_SIZE);

	/* The tables come first, and those of the largest RAM fit. */
	if (!gpa)
		abort();
	return gpa;
}

static void boot_set_entry(struct boot *boot, uint64_t table, uint64_t index, uint64_t value)
{
	if (!gm_write(boot->mem, table + index % X86_PT_ENTRIES * sizeof(value), &value, sizeof(value)))
		abort();
}

/* Maps the GiB at gpa, as far as `end`, through its entry of a page-directory-pointer table. */
static void map_gib(struct boot *boot, uint64_t pdpt, uint64_t gpa, uint64_t end)
{
	uint64_t gib_end = gpa + HUGE_SIZE, directory;

	if (gpa >= LARGE_PAGES_BELOW && gib_end <= end) {
		boot_set_entry(boot, pdpt, gpa >> X86_HUGE_SHIFT, gpa | PAGE_FLAGS);
		return;
	}
	directory = boot_table(boot);
	boot_set_entry(boot, pdpt, gpa >> X86_HUGE_SHIFT, directory | TABLE_FLAGS);
	for (; gpa < gib_end && gpa < end; gpa += LARGE_SIZE)
		boot_set_entry(boot, directory, gpa >> X86_LARGE_SHIFT, gpa | PAGE_FLAGS);
}

uint64_t boot_page_tables(struct boot *boot, uint64_t end)
{
	uint64_t pml4 = boot_table(boot), pdpt = 0;

	for (uint64_t gpa = 0; gpa < end; gpa += HUGE_SIZE) {
		if (gpa % PML4_SPAN == 0) {
			pdpt = boot_table(boot);
			boot_set_entry(boot, pml4, gpa / PML4_SPAN, pdpt | TABLE_FLAGS);
		}
		map_gib(boot, pdpt, gpa, end);
	}
	return pml4;
}

/* ------------------------------------------------------------------------------------------------------ memory map */

/* A PC's: low memory, then adapters and firmware, where the tables of MACHINE_PC lie, then RAM on both sides of the
 * hole, which ends in a ROM's place: there are kernels that map all up to the map's end, and then look for the devices.
 * The plain machine keeps its low memory for what the monitor puts there. */
unsigned boot_memory_map(const struct vm *vm, struct boot_range range[BOOT_RANGES_MAX])
{
	const struct guest_mem *mem = &vm->mem;
	bool pc = vm->image->protocol->machine == MACHINE_PC;
	uint64_t low_end = gm_low_end(mem);
	unsigned count = 0;

	range[count++] = (struct boot_range){0, pc ? PC_LOW_END : BOOT_END, pc};
	range[count++] = (struct boot_range){pc ? PC_FIRMWARE_START : BOOT_END, IMAGE_START, false};
	range[count++] = (struct boot_range){IMAGE_START, low_end, true};
	if (mem->video)
		range[count++] = (struct boot_range){gm_high_end(mem), mem->size, false};
	if (pc)
		range[count++] = (struct boot_range){PC_ROM_START, PC_HOLE_END, false};
	if (gm_high_end(mem) > mem->hole_end)
		range[count++] = (struct boot_range){mem->hole_end, gm_high_end(mem), true};
	return count;
}

struct boot_video boot_video(const struct vm *vm)
{
	const struct vm_video *video = &vm->config->video;

	return (struct boot_video){.gpa = gm_high_end(&vm->mem),
				   .width = video->width,
				   .height = video->height,
				   .pitch = video->width * BOOT_VIDEO_BITS / 8u};
}
