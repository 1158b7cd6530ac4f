/*
 * Multiboot 2: as Multiboot 1, with tags on both sides. The file is as hostile: tags are walked in the copy in
 * image->head, within the header's length, which lies within the area for it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/boot/boot.h"
#include "monitor/boot/multiboot.h"
#include "monitor/vm/layout.h"

/* The header with its tags, as it lies in image->head; NULL if there is none. */
static const uint8_t *find_header(const struct image *image, struct mb2_header *header)
{
	for (size_t at = 0; at + sizeof(*header) <= image->head_len; at += MB2_ALIGN) {
		memcpy(header, image->head + at, sizeof(*header));
		if (header->magic == MB2_HEADER_MAGIC &&
		    header->magic + header->architecture + header->length + header->checksum == 0 &&
		    header->length >= sizeof(*header) && header->length <= image->head_len - at)
			return image->head + at;
	}
	return NULL;
}

static bool is_multiboot2(const struct image *image)
{
	struct mb2_header header;

	return !image->notes.ring3 && find_header(image, &header);
}

/* What the tags of the header say. */
struct wishes {
	bool has_addresses, has_entry;
	struct boot_addresses addresses;
	uint32_t entry;
};

static int refuse_tag(const struct image *image, unsigned type, const char *why)
{
	return image_refuse(image->path, "its Multiboot2 header has a tag of type %u %s", type, why);
}

/* One tag, of which `room` bytes lie in the header. */
static int take_tag(const struct image *image, const uint8_t *at, const struct mb2_header_tag_head *head,
		    struct wishes *wishes)
{
	struct mb2_header_address address;
	struct mb2_header_entry entry;

	switch (head->type) {
	case MB2_HEADER_ADDRESS:
		if (head->size < sizeof(address))
			return refuse_tag(image, head->type, "that is too short: build it again");
		memcpy(&address, at, sizeof(address));
		wishes->has_addresses = true;
		wishes->addresses = (struct boot_addresses){.header = address.header_addr,
							    .load = address.load_addr,
							    .load_end = address.load_end_addr,
							    .bss_end = address.bss_end_addr};
		return 0;
	case MB2_HEADER_ENTRY:
		if (head->size < sizeof(entry))
			return refuse_tag(image, head->type, "that is too short: build it again");
		memcpy(&entry, at, sizeof(entry));
		wishes->has_entry = true;
		wishes->entry = entry.entry_addr;
		return 0;
	case MB2_HEADER_INFORMATION:
	case MB2_HEADER_CONSOLE:
	case MB2_HEADER_FRAMEBUFFER:
	case MB2_HEADER_MODULE_ALIGN:
	case MB2_HEADER_EFI_BOOT_SERVICES:
	case MB2_HEADER_EFI32_ENTRY:
	case MB2_HEADER_EFI64_ENTRY:
	case MB2_HEADER_RELOCATABLE:
		return 0;
	default:
		return head->flags & MB2_HEADER_OPTIONAL
			       ? 0
			       : refuse_tag(image, head->type, "that is not known and not optional: build it for 2.0");
	}
}

static int read_tags(const struct image *image, struct wishes *wishes)
{
	struct mb2_header header;
	struct mb2_header_tag_head head;
	const uint8_t *base = find_header(image, &header);
	int err = 0;

	*wishes = (struct wishes){0};
	if (!base)
		abort();
	if (header.architecture != MB2_ARCH_I386)
		return image_refuse(image->path,
				    "is a Multiboot2 kernel for architecture %" PRIu32 ": build it for i386",
				    header.architecture);
	for (uint32_t at = sizeof(header); !err && header.length - at >= sizeof(head);
	     at += (head.size + MB2_ALIGN - 1) & ~(MB2_ALIGN - 1u)) {
		memcpy(&head, base + at, sizeof(head));
		if (head.type == MB2_HEADER_END)
			break;
		if (head.size < sizeof(head) || head.size > header.length - at)
			return refuse_tag(image, head.type, "that ends beyond it: build it again");
		err = take_tag(image, base + at, &head, wishes);
		/* Rounded up, it may end beyond. */
		if (header.length - at - head.size < MB2_ALIGN)
			break;
	}
	return err;
}

static int read_kernel(struct vm *vm)
{
	struct image *image = vm->image;
	struct mb2_header header;
	struct wishes wishes;
	int err = read_tags(image, &wishes);

	if (err)
		return err;
	if (wishes.has_addresses)
		err = boot_read_addresses(vm, (uint64_t)(find_header(image, &header) - image->head), &wishes.addresses);
	else
		err = image_read_elf(image, vm, ELF_FOREIGN);
	if (err)
		return err;
	if (wishes.has_addresses && !wishes.has_entry)
		return image_refuse(image->path, "its Multiboot2 header names addresses and no entry: add the tag");
	return image_set_physical_entry(image, wishes.has_entry ? wishes.entry : image->entry);
}

/* ------------------------------------------------------------------------------------------------ its information */

/* A tag with two parts, each of which may be empty. False if the area is full. */
static bool put_tag(struct boot *boot, enum mb2_tag type, const void *fixed, size_t fixed_len, const void *data,
		    size_t len)
{
	const struct mb2_tag_head head = {.type = type, .size = (uint32_t)(sizeof(head) + fixed_len + len)};

	return boot_put(boot, &head, sizeof(head), MB2_ALIGN) && (!fixed_len || boot_put(boot, fixed, fixed_len, 1)) &&
	       (!len || boot_put(boot, data, len, 1));
}

static bool put_string(struct boot *boot, enum mb2_tag type, const char *text)
{
	return put_tag(boot, type, NULL, 0, text, strlen(text) + 1);
}

static bool put_modules(struct boot *boot, const struct image *image)
{
	for (unsigned i = 0; i < image->module_count; i++) {
		const struct image_module *module = &image->module[i];
		const struct mb2_module where = {.start = (uint32_t)module->gpa,
						 .end = (uint32_t)(module->gpa + module->size)};

		if (!put_tag(boot, MB2_MODULE, &where, sizeof(where), module->string, strlen(module->string) + 1))
			return false;
	}
	return true;
}

static bool put_memory(struct boot *boot, const struct vm *vm)
{
	const struct mb2_memory memory = {.lower = PC_LOW_END >> 10, .upper = boot_upper_memory(vm)};
	struct mb2_mmap_entry map[BOOT_RANGES_MAX];
	const struct mb2_mmap head = {.entry_size = sizeof(map[0])};
	struct boot_range range[BOOT_RANGES_MAX];
	unsigned count = boot_memory_map(vm, range);

	for (unsigned i = 0; i < count; i++)
		map[i] = (struct mb2_mmap_entry){.addr = range[i].start,
						 .len = range[i].end - range[i].start,
						 .type = range[i].ram ? MB_MEMORY_RAM : MB_MEMORY_RESERVED};
	return put_tag(boot, MB2_MEMORY, &memory, sizeof(memory), NULL, 0) &&
	       put_tag(boot, MB2_MMAP, &head, sizeof(head), map, count * sizeof(map[0]));
}

static bool put_screen(struct boot *boot, const struct vm *vm)
{
	const struct boot_video video = boot_video(vm);
	const struct mb2_framebuffer picture = {.addr = video.gpa,
						.pitch = video.pitch,
						.width = video.width,
						.height = video.height,
						.bpp = BOOT_VIDEO_BITS,
						.type = MB_FRAMEBUFFER_RGB};
	const struct mb_rgb rgb = MB_RGB;
	const struct mb2_framebuffer text = {.addr = MB_TEXT_ADDR,
					     .pitch = MB_TEXT_WIDTH * MB_TEXT_BPP / 8,
					     .width = MB_TEXT_WIDTH,
					     .height = MB_TEXT_HEIGHT,
					     .bpp = MB_TEXT_BPP,
					     .type = MB_FRAMEBUFFER_TEXT};

	return video.width ? put_tag(boot, MB2_FRAMEBUFFER, &picture, sizeof(picture), &rgb, sizeof(rgb))
			   : put_tag(boot, MB2_FRAMEBUFFER, &text, sizeof(text), NULL, 0);
}

/* The screen, and a copy of ACPI's root pointer. */
static bool put_machine(struct boot *boot, const struct vm *vm)
{
	enum { RSDP_SIZE = 36 };
	uint8_t rsdp[RSDP_SIZE];

	if (!put_screen(boot, vm))
		return false;
	if (vm->kind != MACHINE_PC || !gm_read(boot->mem, PC_RSDP, rsdp, sizeof(rsdp)))
		return true;
	return put_tag(boot, MB2_ACPI_NEW, NULL, 0, rsdp, sizeof(rsdp));
}

static uint64_t put_info(struct boot *boot, const struct vm *vm)
{
	struct mb2_info info = {0};
	uint64_t gpa = boot_put(boot, &info, sizeof(info), MB2_ALIGN);
	bool whole = gpa && put_string(boot, MB2_CMDLINE, vm->config->cmdline) &&
		     put_string(boot, MB2_LOADER_NAME, BOOT_LOADER_NAME) && put_modules(boot, vm->image) &&
		     put_memory(boot, vm) && put_machine(boot, vm) && put_tag(boot, MB2_END, NULL, 0, NULL, 0);

	if (!whole)
		return 0;
	info.total_size = (uint32_t)(boot->next - gpa);
	if (!gm_write(boot->mem, gpa, &info, sizeof(info)))
		abort();
	return gpa;
}

static int multiboot2_boot(struct vm *vm)
{
	return boot_flat(vm, MB2_BOOT_MAGIC, put_info);
}

const struct boot_protocol boot_multiboot2 = {
	.name = "a Multiboot2 kernel",
	.machine = MACHINE_PC,
	.memory = MEMORY_PC,
	.engine = ENGINE_PC,
	.bits = 32,
	.recognises = is_multiboot2,
	.read = read_kernel,
	.load_modules = image_load_ascending,
	.boot = multiboot2_boot,
};
