/*
 * Options that name files in parts: disks, and firmware.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor/boot/image.h"
#include "monitor/cli/common/options_table.h"
#include "monitor/device/floppy.h"
#include "monitor/device/vbe.h"
#include "monitor/vm/vm.h"

error_t options_refuse(const char *format, ...)
{
	va_list args;

	fputs("ring3: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EINVAL;
}

/* FILE and what is said of it. The words are kept in `words`. */
static error_t parse_drive(const char *option, const char *text, char words[OPTIONS_DISK_MAX], struct disk_spec *drive)
{
	char *next;

	if (strlen(text) >= OPTIONS_DISK_MAX)
		return options_refuse("%s: this is too long for a name", option);
	next = strcpy(words, text);
	*drive = (struct disk_spec){.path = strsep(&next, ","), .option = option};
	for (char *word; (word = strsep(&next, ","));) {
		if (!strcmp(word, "readonly"))
			drive->readonly = true;
		else if (!strncmp(word, "overlay=", strlen("overlay=")) && word[strlen("overlay=")])
			drive->overlay = word + strlen("overlay=");
		else
			return options_refuse("%s: '%s' is none of readonly, overlay=FILE", option, word);
	}
	if (!*drive->path)
		return options_refuse("%s: name a file", option);
	if (drive->readonly && drive->overlay)
		return options_refuse("%s %s: an overlay is written to: leave out readonly, or the overlay", option,
				      drive->path);
	return 0;
}

static error_t take_disk(const char *text, struct vm_config *config)
{
	static char words[VM_DISKS_MAX][OPTIONS_DISK_MAX];
	unsigned n = config->disk_count;

	if (n == VM_DISKS_MAX)
		return options_refuse("--disk %s: there can be no more than %u disks", text, VM_DISKS_MAX);
	if (parse_drive("--disk", text, words[n], &config->disks[n]))
		return EINVAL;
	config->disk_count++;
	return 0;
}

static error_t take_floppy(const char *text, struct vm_config *config)
{
	static char words[VM_FLOPPIES_MAX][OPTIONS_DISK_MAX];
	unsigned n = config->floppy_count;

	if (n == VM_FLOPPIES_MAX)
		return options_refuse("--floppy %s: there can be no more than %u floppy drives", text, VM_FLOPPIES_MAX);
	if (parse_drive("--floppy", text, words[n], &config->floppies[n]))
		return EINVAL;
	config->floppy_count++;
	return 0;
}

/* There is one drive, whose disc nobody writes on. */
static error_t take_cdrom(const char *text, struct vm_config *config)
{
	static char words[OPTIONS_DISK_MAX];

	if (config->cdrom.path)
		return options_refuse("--cdrom %s: there is one drive, which has %s: leave one out", text,
				      config->cdrom.path);
	if (parse_drive("--cdrom", text, words, &config->cdrom))
		return EINVAL;
	if (config->cdrom.overlay)
		return options_refuse("--cdrom %s: a CD-ROM is not written to: leave out the overlay",
				      config->cdrom.path);
	config->cdrom.readonly = true;
	return 0;
}

/* QEMU has a word before the letters, which may be left out. */
static error_t take_boot(const char *text, struct vm_config *config)
{
	const char *letters = strncmp(text, "order=", strlen("order=")) ? text : text + strlen("order=");

	if (!*letters || letters[strspn(letters, "acd")] || strlen(letters) > 3)
		return options_refuse("--boot: '%s' is no order to try drives in: give a for the floppy, c for the "
				      "disk, d for the CD-ROM, or more of them: there is no network",
				      letters);
	config->boot_order = letters;
	return 0;
}

error_t options_drive(int key, const char *text, struct vm_config *config)
{
	switch (key) {
	case OPT_DISK:
		return take_disk(text, config);
	case OPT_FLOPPY:
		return take_floppy(text, config);
	case OPT_CDROM:
		return take_cdrom(text, config);
	default:
		return take_boot(text, config);
	}
}

static error_t take_video(const char *text, struct vm_config *config)
{
	unsigned width = 0, height = 0;
	char end;

	if (sscanf(text, "%4ux%4u%c", &width, &height, &end) != 2 || !width || !height || width > VBE_WIDTH_MAX ||
	    height > VBE_HEIGHT_MAX || width % VBE_WIDTH_STEP)
		return options_refuse(
			"--video: '%s' is no size of a picture: give one such as 1024x768, of at most %ux%u "
			"and a width in steps of %u",
			text, VBE_WIDTH_MAX, VBE_HEIGHT_MAX, VBE_WIDTH_STEP);
	config->video = (struct vm_video){(uint16_t)width, (uint16_t)height};
	return 0;
}

error_t options_display(int key, const char *text, struct vm_config *config)
{
	if (key == OPT_VIDEO)
		return take_video(text, config);
	if (key == OPT_SCREEN)
		config->screen = true;
	else
		config->picture_file = text;
	return 0;
}

/* Where SeaBIOS's package has the display's BIOS. */
static const char *vga_beside(const char *bios)
{
	static char path[OPTIONS_DISK_MAX];
	const char *slash = strrchr(bios, '/');
	int folder = slash ? (int)(slash - bios) + 1 : 0;
	int length = snprintf(path, sizeof(path), "%.*svgabios-isavga.bin", folder, bios);

	return length < (int)sizeof(path) && !access(path, R_OK) ? path : NULL;
}

error_t options_bios(const char *text, struct vm_config *config)
{
	static char words[OPTIONS_DISK_MAX];
	char *vga;

	if (config->bios)
		return options_refuse("--bios %s: a machine has one firmware: leave one out", text);
	if (strlen(text) >= OPTIONS_DISK_MAX)
		return options_refuse("--bios: this is too long for a name");
	vga = strchr(strcpy(words, text), ',');
	if (vga)
		*vga++ = 0;
	if (!*words || (vga && (strncmp(vga, "vga=", strlen("vga=")) || !vga[strlen("vga=")])))
		return options_refuse("--bios %s: give the firmware's file, and perhaps its display's: FILE,vga=FILE",
				      text);
	config->bios = true;
	config->bios_file = words;
	config->vga_rom = vga ? vga + strlen("vga=") : vga_beside(words);
	return 0;
}

/* Where Debian's package has it. */
#define SEABIOS "/usr/share/seabios/bios-256k.bin"

static error_t add_first(struct disk_spec *drives, unsigned *count, unsigned max, const char *option, const char *path)
{
	if (*count == max)
		return options_refuse("%s is the image of a disk, and there are %u given with %s: leave one out", path,
				      max, option);
	memmove(&drives[1], &drives[0], *count * sizeof(*drives));
	drives[0] = (struct disk_spec){.path = path, .option = option, .readonly = access(path, W_OK) != 0};
	++*count;
	return 0;
}

static error_t boot_image(struct vm_config *config, const char *kind, const char *option, const char *order)
{
	fprintf(stderr, "ring3: %s is the image of a %s: booting it with --bios " SEABIOS " %s\n", config->kernel, kind,
		option);
	if (!config->boot_order)
		config->boot_order = order;
	config->kernel = NULL;
	return options_bios(SEABIOS, config);
}

/* The image that is given as the kernel becomes the first drive of its kind. */
static error_t take_image(struct vm_config *config, const struct image_drive *drive)
{
	const uint64_t sectors = drive->bytes / DISK_SECTOR;
	bool floppy = sectors <= UINT32_MAX && floppy_format_of((uint32_t)sectors);
	const char *path = config->kernel;

	if (drive->is_cd)
		return take_cdrom(path, config) ? EINVAL : boot_image(config, "CD", "--cdrom", "dca");
	if (floppy ? add_first(config->floppies, &config->floppy_count, VM_FLOPPIES_MAX, "--floppy", path)
		   : add_first(config->disks, &config->disk_count, VM_DISKS_MAX, "--disk", path))
		return EINVAL;
	return boot_image(config, "disk", floppy ? "--floppy" : "--disk", floppy ? "acd" : "cad");
}

static bool has_seabios(void)
{
	return !access(SEABIOS, R_OK);
}

error_t options_take_image(struct vm_config *config)
{
	bool has_drives = config->disk_count || config->floppy_count || config->cdrom.path;
	struct image_drive drive;

	if (config->bios)
		return 0;
	if (config->kernel)
		return image_is_drive(config->kernel, &drive) && has_seabios() ? take_image(config, &drive) : 0;
	if (!has_drives)
		return 0;
	return has_seabios()
		       ? options_bios(SEABIOS, config)
		       : options_refuse("no firmware to boot the disk with: install seabios, or give --bios FILE");
}

error_t options_take_bios(struct vm_config *config)
{
	if (config->kernel)
		return options_refuse(
			"--bios starts the machine, and what boots is on --disk: leave out the kernel %s, or --bios",
			config->kernel);
	if (config->module_count || *config->cmdline)
		return options_refuse(
			"--bios: firmware takes no command line and no modules: leave out --append and --module");
	config->kernel = config->bios_file;
	return 0;
}
