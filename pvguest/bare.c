/*
 * Started by another hypervisor or a boot loader: what it tells is made what the monitor tells, and the processor is
 * asked what it has, as the monitor would have set it.
 */
#include "pvguest/bare.h"

#include "pvguest/internal.h"

#define RANGES_MAX  64
#define MODULES_MAX 16

/* Multiboot 0.6.96, 3.3; which of it is there */
#define MULTIBOOT_CMDLINE R3_BIT(2)
#define MULTIBOOT_MODULES R3_BIT(3)
#define MULTIBOOT_MEMMAP  R3_BIT(6)

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t modules, modules_addr, symbols[4];
	uint32_t map_bytes, map_addr;
};

struct multiboot_module {
	uint32_t start, end, string, reserved;
};

struct multiboot_range {
	uint32_t size; /* of what follows */
	uint64_t addr, len;
	uint32_t type; /* as PVH's */
} __attribute__((packed));

/* SDM 2A, CPUID */
#define CPUID_FEATURES	 1
#define CPUID_XSAVE	 R3_BIT(26) /* ECX */
#define CPUID_STRUCTURED 7
#define CPUID_FSGSBASE	 R3_BIT(0) /* EBX */
#define CPUID_XSTATE	 0xd	   /* EAX: what XCR0 may have */

static struct hvm_start_info info = {.magic = HVM_START_MAGIC, .version = HVM_START_VERSION};
static struct hvm_memmap_entry ranges[RANGES_MAX];
static struct hvm_modlist_entry modules[MODULES_MAX];
/* Loaders put it anywhere, in memory that is free by their map. */
static char words[2048];

static void take_cmdline(uint64_t gpa)
{
	if (gpa)
		pvg_strlcpy(words, pvg_gpa_to_ptr(gpa), sizeof(words));
	info.cmdline_paddr = pvg_ptr_to_gpa(words);
}

/* As far as it is mapped. */
static void add_range(uint64_t addr, uint64_t len, uint32_t type)
{
	if (addr >= PVG_BARE_MAPPED || info.memmap_entries == RANGES_MAX)
		return;
	if (len > PVG_BARE_MAPPED - addr)
		len = PVG_BARE_MAPPED - addr;
	ranges[info.memmap_entries++] = (struct hvm_memmap_entry){.addr = addr, .size = len, .type = type};
}

static void add_module(uint64_t start, uint64_t len, uint64_t string)
{
	if (start >= PVG_BARE_MAPPED || len > PVG_BARE_MAPPED - start)
		pvg_panic("a module lies at 0x%lx, and no more than 4 GiB are mapped", start);
	if (info.nr_modules < MODULES_MAX)
		modules[info.nr_modules++] = (struct hvm_modlist_entry){start, len, string, 0};
}

static void take_multiboot(const struct multiboot_info *from)
{
	const struct multiboot_module *module = pvg_gpa_to_ptr(from->modules_addr);
	const struct multiboot_range *range;

	take_cmdline(from->flags & MULTIBOOT_CMDLINE ? from->cmdline : 0);
	for (uint32_t i = 0; from->flags & MULTIBOOT_MODULES && i < from->modules; i++)
		add_module(module[i].start, module[i].end - module[i].start, module[i].string);
	if (!(from->flags & MULTIBOOT_MEMMAP))
		pvg_panic("the loader gave no memory map");
	for (uint32_t at = 0; at < from->map_bytes; at += range->size + sizeof(range->size)) {
		range = pvg_gpa_to_ptr(from->map_addr + at);
		add_range(range->addr, range->len, range->type);
	}
}

static void take_pvh(const struct hvm_start_info *from)
{
	const struct hvm_modlist_entry *module = pvg_gpa_to_ptr(from->modlist_paddr);
	const struct hvm_memmap_entry *range = pvg_gpa_to_ptr(from->memmap_paddr);

	if (from->magic != HVM_START_MAGIC || !from->version)
		pvg_panic("PVH's information, version 1 at least, is not at %p", (const void *)from);
	take_cmdline(from->cmdline_paddr);
	for (uint32_t i = 0; i < from->nr_modules; i++)
		add_module(module[i].paddr, module[i].size, module[i].cmdline_paddr);
	for (uint32_t i = 0; i < from->memmap_entries; i++)
		add_range(range[i].addr, range[i].size, range[i].type);
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static struct cpuid cpuid(uint32_t leaf)
{
	struct cpuid got;

	__asm__ volatile("cpuid" : "=a"(got.eax), "=b"(got.ebx), "=c"(got.ecx), "=d"(got.edx) : "a"(leaf), "c"(0));
	return got;
}

/* CR4 and XCR0 as the monitor has them, beyond what bare.S sets, which every processor with a 64-bit mode has. */
static void set_processor(void)
{
	uint64_t cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	if (cpuid(0).eax >= CPUID_STRUCTURED && cpuid(CPUID_STRUCTURED).ebx & CPUID_FSGSBASE)
		cr4 |= X86_CR4_FSGSBASE;
	if (cpuid(CPUID_FEATURES).ecx & CPUID_XSAVE)
		cr4 |= X86_CR4_OSXSAVE;
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
	if (cr4 & X86_CR4_OSXSAVE)
		__asm__ volatile("xsetbv" : : "a"(cpuid(CPUID_XSTATE).eax & R3_GUEST_XCR0), "d"(0), "c"(0));
}

const struct hvm_start_info *pvg_bare_info(uint64_t way, uint64_t gpa)
{
	set_processor();
	if (way == PVG_BARE_MULTIBOOT)
		take_multiboot(pvg_gpa_to_ptr(gpa));
	else
		take_pvh(pvg_gpa_to_ptr(gpa));
	info.modlist_paddr = pvg_ptr_to_gpa(modules);
	info.memmap_paddr = pvg_ptr_to_gpa(ranges);
	return &info;
}
