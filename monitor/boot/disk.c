/*
 * The image of a disk or floppy: its first sector is a boot sector that wants the rest read, which takes firmware; and
 * the image of a CD, as ISO 9660 has it. The command line gives it some where it can (options_files.c); otherwise it is
 * refused here, with words that help.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/boot/boot.h"
#include "monitor/host/disk_file.h"

#define SIGNATURE 510

static bool is_disk(const struct image *image)
{
	return image->file_size > DISK_SECTOR && image->file_size % DISK_SECTOR == 0 &&
	       image->head[SIGNATURE] == 0x55 && image->head[SIGNATURE + 1] == 0xaa &&
	       memcmp(image->head, ELFMAG, SELFMAG) != 0;
}

/* Its volume descriptors begin at sector 16: ECMA-119, 8.1. */
#define CD_DESCRIPTOR 0x8000u

static bool is_cd(const struct image *image)
{
	static const char id[] = {1, 'C', 'D', '0', '0', '1'};
	char descriptor[sizeof(id)];

	return image->file_size > CD_DESCRIPTOR &&
	       pread(image->fd, descriptor, sizeof(descriptor), CD_DESCRIPTOR) == sizeof(descriptor) &&
	       memcmp(descriptor, id, sizeof(id)) == 0;
}

static bool is_drive(const struct image *image)
{
	return is_disk(image) || is_cd(image);
}

static int refuse_disk(struct vm *vm)
{
	return image_refuse(vm->image->path, "is the image of a disk, which wants a PC's firmware: install seabios, or "
					     "give --bios FILE and this as --floppy, --disk or --cdrom");
}

/* Most kernels are: told by four bytes, before anything else is read. */
static bool is_elf(int fd)
{
	char magic[SELFMAG];

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

bool image_is_drive(const char *path, struct image_drive *drive)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct image *image = fd >= 0 && !is_elf(fd) ? calloc(1, sizeof(*image)) : NULL;
	bool is = false;
	struct stat st;
	ssize_t len;

	if (image && !fstat(fd, &st) && S_ISREG(st.st_mode)) {
		len = pread(fd, image->head, sizeof(image->head), 0);
		image->head_len = len > 0 ? (size_t)len : 0;
		image->fd = fd;
		image->file_size = (uint64_t)st.st_size;
		is = len > DISK_SECTOR && boot_protocol_of(image) == &boot_disk;
		*drive = (struct image_drive){image->file_size, is_cd(image)};
	}
	if (fd >= 0)
		close(fd);
	free(image);
	return is;
}

const struct boot_protocol boot_disk = {
	.name = "the image of a disk",
	.machine = MACHINE_PC,
	.memory = MEMORY_PC,
	.engine = ENGINE_PC,
	.bits = 16,
	.recognises = is_drive,
	.read = refuse_disk,
};
