/*
 * Multiboot 1: ELF of both classes, or any file whose header says where it goes. The file is hostile: the header is
 * read once, from the copy in image->head, and each of its numbers is checked against the file and RAM.
 */
#include "monitor/boot/multiboot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/boot/boot.h"
#include "monitor/vm/layout.h"

/* Where in the file the header is, which is copied to *header as far as the file has it. */
static bool find_header(const struct image *image, struct mb1_header *header, uint64_t *offset)
{
	size_t end = image->head_len < MB1_HEADER_AREA ? image->head_len : MB1_HEADER_AREA;

	for (size_t at = 0; at + 3 * sizeof(uint32_t) <= end; at += MB1_HEADER_ALIGN) {
		size_t len = image->head_len - at < sizeof(*header) ? image->head_len - at : sizeof(*header);

		*header = (struct mb1_header){0};
		memcpy(header, image->head + at, len);
		*offset = at;
		if (header->magic == MB1_HEADER_MAGIC && header->magic + header->flags + header->checksum == 0)
			return true;
	}
	return false;
}

static bool is_multiboot(const struct image *image)
{
	struct mb1_header header;
	uint64_t offset;

	return !image->notes.ring3 && find_header(image, &header, &offset);
}

static int read_kernel(struct vm *vm)
{
	struct image *image = vm->image;
	struct mb1_header header;
	uint64_t offset;
	int err;

	if (!find_header(image, &header, &offset))
		abort();
	if (header.flags & MB1_REQUIRED & ~MB1_KNOWN)
		return image_refuse(
			image->path,
			"its Multiboot header has flags 0x%" PRIx32
			", and asks with them for more than the specification 0.6.96 knows: build it for that",
			header.flags);
	if (header.flags & MB1_ADDRESSES) {
		const struct boot_addresses addresses = {.header = header.header_addr,
							 .load = header.load_addr,
							 .load_end = header.load_end_addr,
							 .bss_end = header.bss_end_addr};

		err = boot_read_addresses(vm, offset, &addresses);
		return err ? err : image_set_physical_entry(image, header.entry_addr);
	}
	err = image_read_elf(image, vm, ELF_FOREIGN);
	return err ? err : image_set_physical_entry(image, image->entry);
}

/* ------------------------------------------------------------------------------------------------ its information */

static bool put_modules(struct boot *boot, const struct image *image, struct mb1_info *info)
{
	struct mb1_module list[VM_MODULES_MAX] = {0};

	for (unsigned i = 0; i < image->module_count; i++) {
		const struct image_module *module = &image->module[i];
		uint64_t name = boot_put(boot, module->string, strlen(module->string) + 1, 1);

		if (!name)
			return false;
		list[i] = (struct mb1_module){.start = (uint32_t)module->gpa,
					      .end = (uint32_t)(module->gpa + module->size),
					      .string = (uint32_t)name};
	}
	info->mods_count = image->module_count;
	info->mods_addr = (uint32_t)boot_put(boot, list, sizeof(list), sizeof(uint32_t));
	return info->mods_addr;
}

static bool put_mmap(struct boot *boot, const struct vm *vm, struct mb1_info *info)
{
	struct boot_range range[BOOT_RANGES_MAX];
	struct mb1_mmap map[BOOT_RANGES_MAX];
	unsigned count = boot_memory_map(vm, range);

	for (unsigned i = 0; i < count; i++)
		map[i] = (struct mb1_mmap){.size = sizeof(map[0]) - sizeof(map[0].size),
					   .addr = range[i].start,
					   .len = range[i].end - range[i].start,
					   .type = range[i].ram ? MB_MEMORY_RAM : MB_MEMORY_RESERVED};
	info->mmap_length = count * sizeof(map[0]);
	info->mmap_addr = (uint32_t)boot_put(boot, map, info->mmap_length, sizeof(uint32_t));
	return info->mmap_addr;
}

static void put_screen(const struct vm *vm, struct mb1_info *info)
{
	struct boot_video video = boot_video(vm);

	info->framebuffer_addr = video.width ? video.gpa : MB_TEXT_ADDR;
	info->framebuffer_pitch = video.width ? video.pitch : MB_TEXT_WIDTH * MB_TEXT_BPP / 8;
	info->framebuffer_width = video.width ? video.width : MB_TEXT_WIDTH;
	info->framebuffer_height = video.width ? video.height : MB_TEXT_HEIGHT;
	info->framebuffer_bpp = video.width ? BOOT_VIDEO_BITS : MB_TEXT_BPP;
	info->framebuffer_type = video.width ? MB_FRAMEBUFFER_RGB : MB_FRAMEBUFFER_TEXT;
	if (video.width)
		info->framebuffer_rgb = MB_RGB;
}

/* Its gpa; 0 if it does not fit. */
static uint64_t put_info(struct boot *boot, const struct vm *vm)
{
	struct mb1_info info = {
		.flags = MB1_HAS_MEMORY | MB1_HAS_CMDLINE | MB1_HAS_MODULES | MB1_HAS_MMAP | MB1_HAS_LOADER |
			 MB1_HAS_FRAMEBUFFER,
		.mem_lower = PC_LOW_END >> 10,
		.mem_upper = boot_upper_memory(vm),
	};

	put_screen(vm, &info);
	info.cmdline = (uint32_t)boot_put_cmdline(boot, vm);
	info.boot_loader_name = (uint32_t)boot_put(boot, BOOT_LOADER_NAME, sizeof(BOOT_LOADER_NAME), 1);
	if (!info.cmdline || !info.boot_loader_name || !put_modules(boot, vm->image, &info) ||
	    !put_mmap(boot, vm, &info))
		return 0;
	return boot_put(boot, &info, sizeof(info), sizeof(uint64_t));
}

static int multiboot_boot(struct vm *vm)
{
	return boot_flat(vm, MB1_BOOT_MAGIC, put_info);
}

const struct boot_protocol boot_multiboot = {
	.name = "a Multiboot kernel",
	.machine = MACHINE_PC,
	.memory = MEMORY_PC,
	.engine = ENGINE_PC,
	.bits = 32,
	.recognises = is_multiboot,
	.read = read_kernel,
	.load_modules = image_load_ascending,
	.boot = multiboot_boot,
};
