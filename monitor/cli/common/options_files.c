/*
 * Options that name files in parts: disks, and firmware.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor/cli/common/options_table.h"
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

error_t options_disk(const char *text, struct vm_config *config)
{
	static char words[VM_DISKS_MAX][OPTIONS_DISK_MAX];
	struct disk_spec *disk;
	char *next;

	if (config->disk_count == VM_DISKS_MAX)
		return options_refuse("--disk %s: there can be no more than %u disks", text, VM_DISKS_MAX);
	if (strlen(text) >= OPTIONS_DISK_MAX)
		return options_refuse("--disk: this is too long for a name");
	disk = &config->disks[config->disk_count];
	next = strcpy(words[config->disk_count], text);
	*disk = (struct disk_spec){.path = strsep(&next, ",")};
	for (char *word; (word = strsep(&next, ","));) {
		if (!strcmp(word, "readonly"))
			disk->readonly = true;
		else if (!strncmp(word, "overlay=", strlen("overlay=")) && word[strlen("overlay=")])
			disk->overlay = word + strlen("overlay=");
		else
			return options_refuse("--disk: '%s' is none of readonly, overlay=FILE", word);
	}
	if (!*disk->path)
		return options_refuse("--disk: name a file");
	if (disk->readonly && disk->overlay)
		return options_refuse("--disk %s: an overlay is written to: leave out readonly, or the overlay",
				      disk->path);
	config->disk_count++;
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
