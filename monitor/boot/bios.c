/*
 * A PC's firmware, as it is burnt into its ROM: the ROM ends at 4 GiB and is entered there, 16 bytes before, as the
 * processor starts after reset; its last 128 KiB are shadowed below 1 MiB (Intel 440FX data sheet, memory map).
 */
#include "monitor/boot/bios.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/boot/boot.h"
#include "monitor/host/walls/names.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/segment.h"

#define ROM_STEP     0x10000u
#define ROM_MAX	     (UINT64_C(16) << 20)
#define SHADOW_MAX   0x20000u
#define OPTION_MAX   0x10000u /* what SeaBIOS and others make room for, at 0xc0000 */
#define RESET_CS     0xf000
#define RESET_CS_GPA 0xffff0000u
#define RESET_IP     0xfff0

struct bios_image {
	struct bios_file rom, vga;
};

struct bios_file bios_rom(const struct vm *vm)
{
	return vm->image && vm->image->bios ? vm->image->bios->rom : (struct bios_file){0};
}

struct bios_file bios_vga_rom(const struct vm *vm)
{
	return vm->image && vm->image->bios ? vm->image->bios->vga : (struct bios_file){0};
}

/* Never by its contents: the command line says that it is one. */
static bool is_bios(const struct image *image)
{
	return false;
}

/* Reads `size` bytes of fd. 0 or as image_refuse. */
static int read_whole(const char *path, int fd, uint64_t size, struct bios_file *file)
{
	uint8_t *data = malloc(size);
	uint64_t done = 0;

	if (!data)
		return image_refuse(path, "no memory left to read it: end other programs first");
	file->data = data;
	while (done < size) {
		ssize_t n = pread(fd, data + done, size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return image_refuse(path, "cannot read: %s: copy it to another disk",
					    n < 0 ? strerror(errno) : "it became shorter");
		done += (uint64_t)n;
	}
	file->size = size;
	return 0;
}

/* An option ROM: PCI Firmware Specification, 5.1 */
static int read_vga(const char *path, struct bios_file *file)
{
	int fd = open(names_find(path), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err = image_refuse(path, "cannot open: %s: check the path and its permissions", strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_size < 3 || st.st_size > OPTION_MAX) {
		err = image_refuse(path, "is no display's BIOS: that is a file of up to 64 KiB, such as SeaBIOS's "
					 "vgabios-isavga.bin");
	} else {
		err = read_whole(path, fd, (uint64_t)st.st_size, file);
		if (!err && (file->data[0] != 0x55 || file->data[1] != 0xaa))
			err = image_refuse(path, "is no display's BIOS, which begins with 55 aa: name SeaBIOS's "
						 "vgabios-isavga.bin");
	}
	if (fd >= 0)
		close(fd);
	return err;
}

static int read_bios(struct vm *vm)
{
	struct image *image = vm->image;

	if (image->file_size % ROM_STEP || image->file_size > ROM_MAX)
		return image_refuse(image->path,
				    "is no PC's firmware: its %ju bytes are no multiple of 64 KiB, up to 16 MiB: name "
				    "a whole ROM, such as SeaBIOS's bios-256k.bin",
				    (uintmax_t)image->file_size);
	if (!gm_is_ram(&vm->mem, 0, IMAGE_START))
		return image_refuse(image->path, "wants 1 MiB of RAM: give it more");
	image->bios = calloc(1, sizeof(*image->bios));
	if (!image->bios)
		return image_refuse(image->path, "no memory left to read it: end other programs first");
	image->end = IMAGE_START;
	image->entry = RESET_CS_GPA + RESET_IP;
	if (vm->config->vga_rom && read_vga(vm->config->vga_rom, &image->bios->vga))
		return -ENOEXEC;
	return read_whole(image->path, image->fd, image->file_size, &image->bios->rom);
}

static void free_bios(struct image *image)
{
	if (!image->bios)
		return;
	free((void *)image->bios->rom.data);
	free((void *)image->bios->vga.data);
	free(image->bios);
}

/* SDM 3A table 9-1. */
static int reset(struct vm *vm)
{
	struct vcpu *vcpu = vm->vcpu[0];
	struct bios_file rom = bios_rom(vm);
	uint32_t shadow = rom.size < SHADOW_MAX ? (uint32_t)rom.size : SHADOW_MAX;
	struct cpuid_query query = {.leaf = 1, .count = 1};
	uint32_t answer[CPUID_REGISTERS];

	if (!gm_write(&vm->mem, IMAGE_START - shadow, rom.data + rom.size - shadow, shadow))
		abort();
	cpu_cpuid(&vm->cpu, &query, answer);
	vcpu->rip = RESET_IP;
	vcpu->gpr[RDX] = answer[CPUID_EAX];
	vcpu->cr0 = X86_CR0_ET;
	vcpu->cr3 = vcpu->cr4 = vcpu->efer = 0;
	if (vm->cpu.xcr0)
		vcpu->xcr0 = X86_XCR0_X87;
	vcpu->idtr = vcpu->gdtr = (struct vcpu_table){.base = 0, .limit = UINT16_MAX};
	for (unsigned i = 0; i < SREG_COUNT; i++)
		vcpu->sreg[i] = seg_make_8086(0, false);
	vcpu->sreg[SREG_CS] = seg_make_8086(RESET_CS, false);
	vcpu->sreg[SREG_CS].base = RESET_CS_GPA;
	return 0;
}

const struct boot_protocol boot_bios = {
	.name = "a PC's firmware",
	.machine = MACHINE_PC,
	.memory = MEMORY_PC,
	.engine = ENGINE_PC,
	.bits = 16,
	.recognises = is_bios,
	.read = read_bios,
	.boot = reset,
	.free = free_bios,
};
