/*
 * What the kernel of a boot protocol was given, on the console: each fact that the host must have told is printed, so
 * that the test compares all of it. 32-bit, freestanding, without pvguest: nothing of ring3's own is used.
 */
#include "tests/modes/console.h"

#include "hypercalls/start_info.h"
#include "monitor/boot/linux.h"
#include "monitor/boot/multiboot.h"

void report(uint32_t magic, uint32_t info);

static const void *at(uint32_t address)
{
	return (const void *)address;
}

/* Flags that the code before may have changed. */
#define ARITHMETIC 0x8d5u

/* The state in which all of these enter a kernel. */
static void print_state(void)
{
	uint32_t cr0, flags;
	uint16_t cs, ds, ss;

	__asm__("mov %%cr0, %0" : "=r"(cr0));
	__asm__("pushfl\n\tpopl %0" : "=r"(flags));
	__asm__("mov %%cs, %0" : "=r"(cs));
	__asm__("mov %%ds, %0" : "=r"(ds));
	__asm__("mov %%ss, %0" : "=r"(ss));
	print("CR0 %x flags %x CS %x DS %x SS %x\n", cr0, flags & ~ARITHMETIC, cs, ds, ss);
}

static void print_memory(uint64_t start, uint64_t len, uint32_t type)
{
	print("memory %x to %x, type %u\n", (uint32_t)start, (uint32_t)(start + len), type);
}

static void print_module(uint32_t start, uint32_t size, const char *name)
{
	print("module %s of %u bytes at a page's start %u: %s", name, size, !(start & 0xfff), (const char *)at(start));
}

#if defined(MULTIBOOT)

void report(uint32_t magic, uint32_t address)
{
	const struct mb1_info *info = at(address);
	const struct mb1_module *module = at(info->mods_addr);

	print("Multiboot: magic %x, flags %x\n", magic, info->flags);
	print_state();
	print("command line: %s\n", (const char *)at(info->cmdline));
	print("loader: %s\n", (const char *)at(info->boot_loader_name));
	print("lower %u KiB, upper %u KiB\n", info->mem_lower, info->mem_upper);
	for (uint32_t offset = 0; offset < info->mmap_length;) {
		const struct mb1_mmap *entry = at(info->mmap_addr + offset);

		print_memory(entry->addr, entry->len, entry->type);
		offset += entry->size + sizeof(entry->size);
	}
	for (uint32_t i = 0; i < info->mods_count; i++)
		print_module(module[i].start, module[i].end - module[i].start, at(module[i].string));
	print("screen at %x, %u by %u, type %u\n", (uint32_t)info->framebuffer_addr, info->framebuffer_width,
	      info->framebuffer_height, info->framebuffer_type);
	leave(0);
}

#elif defined(MULTIBOOT2)

static void print_tag(const struct mb2_tag_head *tag)
{
	const void *body = tag + 1;
	const struct mb2_mmap *map = body;
	const struct mb2_mmap_entry *entry = (const void *)(map + 1);

	switch (tag->type) {
	case MB2_CMDLINE:
		print("command line: %s\n", (const char *)body);
		break;
	case MB2_LOADER_NAME:
		print("loader: %s\n", (const char *)body);
		break;
	case MB2_MEMORY:
		print("lower %u KiB, upper %u KiB\n", ((const uint32_t *)body)[0], ((const uint32_t *)body)[1]);
		break;
	case MB2_MODULE:
		print_module(((const uint32_t *)body)[0], ((const uint32_t *)body)[1] - ((const uint32_t *)body)[0],
			     (const char *)body + 8);
		break;
	case MB2_MMAP:
		for (uint32_t n = (tag->size - sizeof(*tag) - sizeof(*map)) / map->entry_size; n; n--, entry++)
			print_memory(entry->addr, entry->len, entry->type);
		break;
	default:
		print("tag %u of %u bytes\n", tag->type, tag->size);
	}
}

void report(uint32_t magic, uint32_t address)
{
	const struct mb2_info *info = at(address);
	const struct mb2_tag_head *tag = at(address + sizeof(*info));

	print("Multiboot2: magic %x\n", magic);
	print_state();
	while (tag->type != MB2_END) {
		print_tag(tag);
		tag = (const void *)((const char *)tag + ((tag->size + MB2_ALIGN - 1) & ~(MB2_ALIGN - 1u)));
	}
	print("the end is the size's: %u\n", (uint32_t)tag + tag->size - address == info->total_size);
	leave(0);
}

#elif defined(PVH)

void report(uint32_t magic, uint32_t address)
{
	const struct hvm_start_info *info = at(address);
	const struct hvm_memmap_entry *map = at((uint32_t)info->memmap_paddr);
	const struct hvm_modlist_entry *module = at((uint32_t)info->modlist_paddr);

	print("PVH: magic %x, version %u\n", info->magic, info->version);
	print_state();
	print("command line: %s\n", (const char *)at((uint32_t)info->cmdline_paddr));
	for (uint32_t i = 0; i < info->memmap_entries; i++)
		print_memory(map[i].addr, map[i].size, map[i].type);
	for (uint32_t i = 0; i < info->nr_modules; i++)
		print_module((uint32_t)module[i].paddr, (uint32_t)module[i].size,
			     at((uint32_t)module[i].cmdline_paddr));
	print("root pointer: %c%c%c\n", *(const char *)at((uint32_t)info->rsdp_paddr),
	      *(const char *)at((uint32_t)info->rsdp_paddr + 1), *(const char *)at((uint32_t)info->rsdp_paddr + 2));
	leave(0);
}

#elif defined(LINUX)

void report(uint32_t none, uint32_t address)
{
	const struct linux_zero_page *zero = at(address);

	print("Linux: boot protocol %x, loader %x\n", zero->header.version, zero->header.type_of_loader);
	print_state();
	print("command line: %s\n", (const char *)at(zero->header.cmd_line_ptr));
	for (unsigned i = 0; i < zero->e820_entries; i++)
		print_memory(zero->e820[i].addr, zero->e820[i].size, zero->e820[i].type);
	print_module(zero->header.ramdisk_image, zero->header.ramdisk_size, "initrd");
	leave(0);
}

#endif
