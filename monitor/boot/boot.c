/*
 * The state a guest is entered with: identity-mapping page tables, a flat GDT, the PVH start information with memory
 * map, modules and command line, all in [BOOT_START, BOOT_END), and the registers of vCPU 0. docs/boot.md is the
 * guest's view of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypercalls/start_info.h"
#include "monitor/boot/image.h"
#include "monitor/boot/internal.h"
#include "monitor/vm/segment.h"

#define LARGE_SIZE R3_BIT(X86_LARGE_SHIFT)
#define HUGE_SIZE  R3_BIT(X86_HUGE_SHIFT)
#define PML4_SPAN  R3_BIT(39)

/* Up to here RAM is mapped with 2 MiB pages, above with 1 GiB ones: the tables of 1 TiB still fit the boot area. */
#define LARGE_PAGES_BELOW (4 * HUGE_SIZE)

/* Preset so that no walk has to write them; present, writable, supervisor. */
#define TABLE_FLAGS (X86_PTE_P | X86_PTE_W | X86_PTE_A)
#define PAGE_FLAGS  (TABLE_FLAGS | X86_PTE_D | X86_PTE_PS)

/* The boot area, handed out from the bottom. */
struct boot {
	struct guest_mem *mem;
	uint64_t next; /* gpa */
};

/* Room for len bytes, zero since RAM is fresh: its gpa, or 0 when the area is full. */
static uint64_t boot_alloc(struct boot *boot, uint64_t len, uint64_t align)
{
	uint64_t at = (boot->next + align - 1) & ~(align - 1);

	if (at > BOOT_END || len > BOOT_END - at)
		return 0;
	boot->next = at + len;
	return at;
}

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

/* Maps the GiB at gpa, as far as it is RAM, through its entry of a page-directory-pointer table. */
static void map_gib(struct boot *boot, uint64_t pdpt, uint64_t gpa)
{
	uint64_t end = gpa + HUGE_SIZE, directory;

	if (gpa >= LARGE_PAGES_BELOW && end <= boot->mem->size) {
		boot_set_entry(boot, pdpt, gpa >> X86_HUGE_SHIFT, gpa | PAGE_FLAGS);
		return;
	}
	directory = boot_table(boot);
	boot_set_entry(boot, pdpt, gpa >> X86_HUGE_SHIFT, directory | TABLE_FLAGS);
	for (; gpa < end && gpa < boot->mem->size; gpa += LARGE_SIZE)
		boot_set_entry(boot, directory, gpa >> X86_LARGE_SHIFT, gpa | PAGE_FLAGS);
}

/* Identity-maps RAM; returns the root. */
static uint64_t build_page_tables(struct boot *boot)
{
	uint64_t pml4 = boot_table(boot), pdpt = 0;

	for (uint64_t gpa = 0; gpa < boot->mem->size; gpa += HUGE_SIZE) {
		if (gpa % PML4_SPAN == 0) {
			pdpt = boot_table(boot);
			boot_set_entry(boot, pml4, gpa / PML4_SPAN, pdpt | TABLE_FLAGS);
		}
		map_gib(boot, pdpt, gpa);
	}
	return pml4;
}

/* In the order that SYSCALL and SYSRET count from STAR. */
static const uint64_t boot_gdt[] = {
	0,
	[BOOT_CS / 8] = SEG_FLAT_CODE(0),
	[BOOT_DS / 8] = SEG_FLAT_DATA(0),
	[BOOT_USER_DS / 8] = SEG_FLAT_DATA(3),
	[BOOT_USER_CS / 8] = SEG_FLAT_CODE(3),
};

/* Copies len bytes into the boot area; the gpa, or 0 when it is full. */
static uint64_t boot_put(struct boot *boot, const void *data, uint64_t len, uint64_t align)
{
	uint64_t gpa = boot_alloc(boot, len, align);

	if (gpa && !gm_write(boot->mem, gpa, data, len))
		abort();
	return gpa;
}

static uint64_t put_memory_map(struct boot *boot, uint32_t *entries)
{
	const struct hvm_memmap_entry map[] = {
		{.addr = 0, .size = BOOT_END, .type = HVM_MEMMAP_RESERVED},
		{.addr = BOOT_END, .size = IMAGE_START - BOOT_END, .type = HVM_MEMMAP_RESERVED},
		{.addr = IMAGE_START, .size = boot->mem->size - IMAGE_START, .type = HVM_MEMMAP_RAM},
	};

	*entries = sizeof(map) / sizeof(map[0]);
	return boot_put(boot, map, sizeof(map), sizeof(uint64_t));
}

/* The list of modules, each with its file name for a command line. */
static uint64_t put_modules(struct boot *boot, const struct image *image)
{
	struct hvm_modlist_entry list[VM_MODULES_MAX] = {0};

	for (unsigned i = 0; i < image->module_count; i++) {
		const struct image_module *module = &image->module[i];
		uint64_t name = boot_put(boot, module->name, strlen(module->name) + 1, 1);

		if (!name)
			return 0;
		list[i] = (struct hvm_modlist_entry){.paddr = module->gpa, .size = module->size, .cmdline_paddr = name};
	}
	return boot_put(boot, list, image->module_count * sizeof(list[0]), sizeof(uint64_t));
}

/* The start information; its gpa, or 0 if the boot area is too small for it. */
static uint64_t put_start_info(struct boot *boot, const struct vm *vm)
{
	struct hvm_start_info info = {.magic = HVM_START_MAGIC, .version = HVM_START_VERSION};

	info.memmap_paddr = put_memory_map(boot, &info.memmap_entries);
	info.nr_modules = vm->image->module_count;
	if (info.nr_modules) {
		info.modlist_paddr = put_modules(boot, vm->image);
		if (!info.modlist_paddr)
			return 0;
	}
	info.cmdline_paddr = boot_put(boot, vm->config->cmdline, strlen(vm->config->cmdline) + 1, 1);
	if (!info.memmap_paddr || !info.cmdline_paddr)
		return 0;
	return boot_put(boot, &info, sizeof(info), sizeof(uint64_t));
}

/* All else is as vcpu_create left it: the descriptors above are those that its segment registers hold. */
static void set_registers(struct vcpu *vcpu, uint64_t entry, uint64_t root, uint64_t gdt, uint64_t info)
{
	vcpu->rip = entry;
	vcpu->gpr[RDI] = info;
	vcpu->cr3 = root;
	vcpu->gdtr = (struct vcpu_table){.base = gdt, .limit = sizeof(boot_gdt) - 1};
}

int image_boot(struct vm *vm)
{
	struct boot boot = {.mem = &vm->mem, .next = BOOT_START};
	uint64_t root = build_page_tables(&boot);
	uint64_t gdt = boot_put(&boot, boot_gdt, sizeof(boot_gdt), sizeof(uint64_t));
	uint64_t info = put_start_info(&boot, vm);

	if (!info) {
		fprintf(stderr,
			"ring3: command line and module names do not fit the %u KiB of boot information: shorten "
			"--append\n",
			(BOOT_END - BOOT_START) / 1024);
		return -E2BIG;
	}
	set_registers(vm->vcpu[0], vm->image->entry, root, gdt, info);
	return 0;
}
