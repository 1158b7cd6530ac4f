/*
 * Linux's boot protocol by its 64-bit and its 32-bit entry: bzImage, which unpacks itself, and vmlinux. The file is
 * hostile: each number of its header is read once, from the copy in image->head, and checked against the file and RAM.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/boot/boot.h"
#include "monitor/boot/image.h"
#include "monitor/boot/linux.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

static const uint64_t boot_gdt[] = {
	0,
	[LINUX_BOOT_CS / 8] = SEG_FLAT_CODE(0),
	[LINUX_BOOT_DS / 8] = SEG_FLAT_DATA(0),
};

/* ------------------------------------------------------------------------------------------------ reading a bzImage */

static bool has_header(const struct image *image)
{
	return image->head_len >= LINUX_HEADER + sizeof(struct linux_header) &&
	       !memcmp(image->head + LINUX_MAGIC_OFFSET, LINUX_MAGIC, strlen(LINUX_MAGIC));
}

static void read_header(const struct image *image, struct linux_header *header)
{
	memcpy(header, image->head + LINUX_HEADER, sizeof(*header));
}

/* Where its protected-mode part lies in the file. */
static uint64_t payload_offset(const struct linux_header *header)
{
	return (1u + (header->setup_sects ? header->setup_sects : 4)) * LINUX_SECTOR;
}

static bool has_entry_64(const struct image *image)
{
	struct linux_header header;

	if (!has_header(image))
		return false;
	read_header(image, &header);
	return header.version >= LINUX_VERSION_64 && (header.xloadflags & LINUX_XLF_KERNEL_64);
}

static int check_header(const struct image *image, const struct linux_header *header)
{
	if (header->version < LINUX_VERSION_HEADER)
		return image_refuse(image->path,
				    "is a Linux kernel of boot protocol %u.%02u: build one of this century",
				    header->version >> 8, header->version & 0xffu);
	if (!(header->loadflags & LINUX_LOADED_HIGH))
		return image_refuse(image->path, "is a Linux zImage, which loads below 1 MiB: build a bzImage");
	if (payload_offset(header) >= image->file_size)
		return image_refuse(image->path,
				    "is truncated: its kernel lies beyond the end: build or copy it again");
	return 0;
}

/* Where the protected-mode part is loaded, and how much RAM it takes there until it has unpacked itself. */
static void where_to(const struct linux_header *header, uint64_t size, uint64_t *address, uint64_t *need)
{
	bool says = header->version >= LINUX_VERSION_PREFERS;

	*address = says ? header->pref_address : header->code32_start;
	*need = says && header->init_size > size ? header->init_size : size;
}

/* `entry`: from where it is loaded. */
static int read_bzimage(struct vm *vm, uint64_t entry)
{
	struct image *image = vm->image;
	struct linux_header header;
	uint64_t low_end = gm_low_end(&vm->mem);
	uint64_t offset, size, need, address;
	int err;

	read_header(image, &header);
	err = check_header(image, &header);
	if (err)
		return err;
	offset = payload_offset(&header);
	size = image->file_size - offset;
	where_to(&header, size, &address, &need);
	if (address < IMAGE_START || address >= low_end || need > low_end - address)
		return image_refuse(image->path,
				    "wants %" PRIu64 " MiB of RAM at 0x%" PRIx64
				    " to unpack itself, and RAM ends at 0x%" PRIx64 ": give more with --memory",
				    (need >> 20) + 1, address, low_end);
	image->segment[0] = (struct image_segment){
		.vaddr = address, .paddr = address, .memsz = need, .offset = offset, .filesz = size};
	image->segment_count = 1;
	image->entry = address + entry;
	image->end = (address + need + X86_PAGE_MASK) & ~X86_PAGE_MASK;
	return 0;
}

static int linux_read(struct vm *vm)
{
	return read_bzimage(vm, LINUX_ENTRY_64);
}

static int linux_read_32(struct vm *vm)
{
	return read_bzimage(vm, 0);
}

/* --------------------------------------------------------------------------------------------------------- initrd */

/* All modules behind each other, each padded to 4 bytes as cpio archives are: Linux takes them for one initrd. */
static int linux_load_modules(struct vm *vm)
{
	struct linux_header header = {.initrd_addr_max = LINUX_INITRD_MAX_OLD};
	uint64_t top = gm_low_end(&vm->mem);

	if (has_header(vm->image))
		read_header(vm->image, &header);
	if (top > (uint64_t)header.initrd_addr_max + 1)
		top = ((uint64_t)header.initrd_addr_max + 1) & ~X86_PAGE_MASK;
	return image_load_joined(vm, top);
}

/* ------------------------------------------------------------------------------------------------- the zero page */

static void put_e820(struct linux_zero_page *zero, const struct vm *vm)
{
	struct boot_range range[BOOT_RANGES_MAX];
	unsigned count = boot_memory_map(vm, range);

	zero->e820_entries = (uint8_t)count;
	for (unsigned i = 0; i < count; i++)
		zero->e820[i] = (struct linux_e820){range[i].start, range[i].end - range[i].start,
						    range[i].ram ? LINUX_E820_RAM : LINUX_E820_RESERVED};
}

static void put_picture(struct linux_zero_page *zero, const struct boot_video *video)
{
	zero->orig_video_is_vga = LINUX_VIDEO_LINEAR;
	zero->lfb_base = (uint32_t)video->gpa;
	zero->lfb_size = PC_VIDEO_BYTES / LINUX_LFB_UNIT;
	zero->lfb_width = (uint16_t)video->width;
	zero->lfb_height = (uint16_t)video->height;
	zero->lfb_depth = BOOT_VIDEO_BITS;
	zero->lfb_linelength = (uint16_t)video->pitch;
	zero->red_size = zero->green_size = zero->blue_size = zero->reserved_size = 8;
	zero->red_pos = BOOT_VIDEO_RED;
	zero->green_pos = BOOT_VIDEO_GREEN;
	zero->blue_pos = BOOT_VIDEO_BLUE;
	zero->reserved_pos = BOOT_VIDEO_RED + 8;
}

static void put_screen(struct linux_zero_page *zero, const struct vm *vm)
{
	struct boot_video video = boot_video(vm);

	if (video.width) {
		put_picture(zero, &video);
		return;
	}
	zero->orig_video_mode = LINUX_VIDEO_MODE_TEXT80;
	zero->orig_video_cols = 80;
	zero->orig_video_lines = 25;
	zero->orig_video_is_vga = LINUX_VIDEO_VGA;
	zero->orig_video_points = 16;
}

/* The kernel's own header, as far as it has one and there is room. */
static void put_header(struct linux_zero_page *zero, const struct image *image)
{
	size_t end = LINUX_HEADER_END(image->head[LINUX_JUMP]);

	if (!has_header(image)) {
		memcpy(&zero->header.header, LINUX_MAGIC, sizeof(zero->header.header));
		zero->header.version = LINUX_VERSION_64;
		zero->header.loadflags = LINUX_LOADED_HIGH;
		return;
	}
	if (end > LINUX_HEADER_MAX)
		end = LINUX_HEADER_MAX;
	memcpy(zero->header_bytes, image->head + LINUX_HEADER, end - LINUX_HEADER);
}

uint64_t boot_zero_page(struct boot *boot, const struct vm *vm)
{
	struct linux_zero_page zero = {0};
	const struct image *image = vm->image;
	uint64_t cmdline = boot_put(boot, vm->config->cmdline, strlen(vm->config->cmdline) + 1, 16);

	if (!cmdline)
		return 0;
	put_header(&zero, image);
	if (vm->kind == MACHINE_PC)
		zero.acpi_rsdp = PC_RSDP;
	put_e820(&zero, vm);
	put_screen(&zero, vm);
	zero.header.type_of_loader = LINUX_LOADER_UNDEFINED;
	zero.header.cmd_line_ptr = (uint32_t)cmdline;
	if (image->module_count) {
		const struct image_module *first = &image->module[0], *last = &image->module[image->module_count - 1];

		zero.header.ramdisk_image = (uint32_t)first->gpa;
		zero.header.ramdisk_size = (uint32_t)(last->gpa + last->size - first->gpa);
	}
	return boot_put(boot, &zero, sizeof(zero), X86_PAGE_SIZE);
}

/* ------------------------------------------------------------------------------------------------------ the entry */

/* Nothing is on that a kernel switches on itself: what the boot protocol asks for is all there is. */
static void set_registers(struct vcpu *vcpu, uint64_t entry, uint64_t root, uint64_t gdt, uint64_t zero_page)
{
	vcpu->rip = entry;
	vcpu->gpr[RSI] = zero_page;
	vcpu->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_PG;
	vcpu->cr3 = root;
	vcpu->cr4 = X86_CR4_PAE;
	vcpu->efer = X86_EFER_LME | X86_EFER_LMA;
	if (vcpu->vm->cpu.xcr0)
		vcpu->xcr0 = X86_XCR0_X87;
	vcpu->gdtr = (struct vcpu_table){.base = gdt, .limit = sizeof(boot_gdt) - 1};
	for (unsigned i = 0; i < SREG_COUNT; i++)
		vcpu->sreg[i] = seg_make(LINUX_BOOT_DS, boot_gdt[LINUX_BOOT_DS / 8]);
	vcpu->sreg[SREG_CS] = seg_make(LINUX_BOOT_CS, boot_gdt[LINUX_BOOT_CS / 8]);
}

static size_t cmdline_max(const struct image *image)
{
	struct linux_header header;

	if (!has_header(image))
		return LINUX_CMDLINE_DEFAULT;
	read_header(image, &header);
	return header.cmdline_size ? header.cmdline_size : LINUX_CMDLINE_OLD;
}

/* The zero page; 0, and a line printed, if that cannot be. */
static uint64_t linux_zero_page(struct boot *boot, const struct vm *vm)
{
	size_t length = strlen(vm->config->cmdline), most = cmdline_max(vm->image);
	uint64_t zero_page = length > most ? 0 : boot_zero_page(boot, vm);

	if (!zero_page)
		fprintf(stderr,
			"ring3: the command line of %zu bytes is longer than this kernel's %zu: shorten --append\n",
			length, most);
	return zero_page;
}

static int linux_boot(struct vm *vm)
{
	uint64_t root, gdt, zero_page;
	struct boot boot;

	boot_begin(&boot, vm);
	/* Devices too: the first 4 GiB are a machine's, whatever RAM it has. */
	root = boot_page_tables(&boot, vm->mem.size > PC_HOLE_END ? vm->mem.size : PC_HOLE_END);
	gdt = boot_put(&boot, boot_gdt, sizeof(boot_gdt), sizeof(uint64_t));
	zero_page = linux_zero_page(&boot, vm);
	if (!zero_page)
		return -E2BIG;
	set_registers(vm->vcpu[0], vm->image->entry, root, gdt, zero_page);
	return 0;
}

static int linux_boot_32(struct vm *vm)
{
	struct boot boot;
	uint64_t zero_page;

	boot_begin(&boot, vm);
	if (!boot_enter_flat(&boot, vm, LINUX_BOOT_CS))
		abort(); /* it is the first there */
	zero_page = linux_zero_page(&boot, vm);
	vm->vcpu[0]->gpr[RSI] = zero_page;
	return zero_page ? 0 : -E2BIG;
}

const struct boot_protocol boot_linux = {
	.name = "a Linux bzImage",
	.machine = MACHINE_PC,
	.memory = MEMORY_PC,
	.engine = ENGINE_PC,
	.bits = 64,
	.recognises = has_entry_64,
	.read = linux_read,
	.load_modules = linux_load_modules,
	.boot = linux_boot,
};

const struct boot_protocol boot_linux_32 = {
	.name = "a Linux bzImage",
	.machine = MACHINE_PC,
	.memory = MEMORY_PC,
	.engine = ENGINE_PC,
	.bits = 32,
	.recognises = has_header,
	.read = linux_read_32,
	.load_modules = linux_load_modules,
	.boot = linux_boot_32,
};

/* -------------------------------------------------------------------------------------------------------- vmlinux */

static bool is_64_bit(const struct image *image)
{
	return image->head[EI_CLASS] == ELFCLASS64;
}

static bool is_vmlinux(const struct image *image)
{
	return image_is_vmlinux(image) && is_64_bit(image);
}

static bool is_vmlinux_32(const struct image *image)
{
	return image_is_vmlinux(image) && !is_64_bit(image);
}

/* The entry is a physical address, whatever the segments are linked at. */
static int vmlinux_read(struct vm *vm)
{
	int err = image_read_elf(vm->image, vm, ELF_FOREIGN);

	return err ? err : image_set_physical_entry(vm->image, vm->image->entry);
}

const struct boot_protocol boot_linux_elf = {
	.name = "a Linux vmlinux",
	.machine = MACHINE_PC,
	.memory = MEMORY_PC,
	.engine = ENGINE_PC,
	.bits = 64,
	.recognises = is_vmlinux,
	.read = vmlinux_read,
	.load_modules = linux_load_modules,
	.boot = linux_boot,
};

const struct boot_protocol boot_linux_elf_32 = {
	.name = "a Linux vmlinux",
	.machine = MACHINE_PC,
	.memory = MEMORY_PC,
	.engine = ENGINE_PC,
	.bits = 32,
	.recognises = is_vmlinux_32,
	.read = vmlinux_read,
	.load_modules = linux_load_modules,
	.boot = linux_boot_32,
};
