/*
 * Source lines of the image's code, from its DWARF through libdw. The file may hold anything: only for a process that
 * may fail (monitor/debug/crash/jail.h).
 */
#include <elfutils/libdw.h>

#include "monitor/boot/image.h"
#include "monitor/boot/internal.h"

static Dwarf *dwarf_of(struct image *image)
{
	if (!image->dwarf_tried) {
		image->dwarf_tried = true;
		image->dwarf = dwarf_begin_elf(image->elf, DWARF_C_READ, NULL);
	}
	return image->dwarf;
}

/* By the table of address ranges, or, since not every compiler writes one, unit by unit. */
static Dwarf_Die *unit_of(Dwarf *dwarf, uint64_t addr, Dwarf_Die *die)
{
	Dwarf_CU *unit = NULL;

	if (dwarf_addrdie(dwarf, addr, die))
		return die;
	while (dwarf_get_units(dwarf, unit, &unit, NULL, NULL, die, NULL) == 0) {
		if (dwarf_haspc(die, addr) > 0)
			return die;
	}
	return NULL;
}

bool image_line(struct vm *vm, uint64_t addr, const char **file, int *line)
{
	struct image *image = vm->image;
	Dwarf *dwarf = image && image_segment_of(image, addr, 0) ? dwarf_of(image) : NULL;
	Dwarf_Die storage, *unit = dwarf ? unit_of(dwarf, addr, &storage) : NULL;
	Dwarf_Line *at = unit ? dwarf_getsrc_die(unit, addr) : NULL;

	if (!at || dwarf_lineno(at, line) || *line <= 0)
		return false;
	*file = dwarf_linesrc(at, NULL, NULL);
	return *file;
}
