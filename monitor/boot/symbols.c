/*
 * The image's symbols: read when somebody first asks for a name, sorted, searched by bisection.
 */
#include <ctype.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/boot/image.h"
#include "monitor/boot/internal.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"

/* What reading symbols may take once the guest is over. */
#define LATE_NS (CLOCK_NS_PER_SEC / 4)
/* Labels in assembly have no size and may lie within a function: how many to look past for the one that covers. */
#define SYMBOLS_LOOK_BACK 16

/* Bytes of a name. */
#define NAME_MAX_LEN 4096
/* Symbols between two looks at whether somebody still wants their names. */
#define SYMBOLS_AT_ONCE 1024

static int compare(const void *a, const void *b)
{
	const struct image_symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->size < y->size ? -1 : x->size > y->size;
}

/* Names go to a terminal: one that could steer it is no name, nor is one that fills it. */
static bool printable(const char *name)
{
	size_t len = 0;

	if (!name || !*name)
		return false;
	for (; name[len]; len++) {
		if (len == NAME_MAX_LEN || !isascii((unsigned char)name[len]) || !isgraph((unsigned char)name[len]))
			return false;
	}
	return true;
}

static bool wanted(const struct image *image, const GElf_Sym *sym)
{
	unsigned type = GELF_ST_TYPE(sym->st_info);

	return sym->st_shndx != SHN_UNDEF && sym->st_shndx != SHN_ABS &&
	       (type == STT_FUNC || type == STT_NOTYPE || type == STT_OBJECT) &&
	       image_segment_of(image, sym->st_value, 0);
}

/* The library would read, or unpack, whatever the headers name. */
static bool readable(const struct image *image, const GElf_Shdr *symbols)
{
	GElf_Shdr strings;

	return symbols->sh_size <= IMAGE_SYMBOLS_MAX && !(symbols->sh_flags & SHF_COMPRESSED) &&
	       gelf_getshdr(elf_getscn(image->elf, symbols->sh_link), &strings) &&
	       strings.sh_size <= IMAGE_STRINGS_MAX && !(strings.sh_flags & SHF_COMPRESSED);
}

/* The report of a guest that is over wants names too: there is a moment for them, but for a signal that comes
 * meanwhile. */
static bool give_up(const struct vm *vm, uint64_t since, unsigned quits)
{
	return events_quits() != quits || (vm_is_over(vm) && clock_ns() - since > LATE_NS);
}

static void read_table(struct vm *vm, Elf_Scn *section, const GElf_Shdr *header)
{
	struct image *image = vm->image;
	Elf_Data *data = readable(image, header) ? elf_getdata(section, NULL) : NULL;
	size_t count = data ? data->d_size / gelf_fsize(image->elf, ELF_T_SYM, 1, EV_CURRENT) : 0;
	uint64_t since = clock_ns();
	unsigned quits = events_quits();

	if (!data)
		image_refuse(image->path, "its symbols cannot be read: reports and traces have no names");
	image->symbol = calloc(count ? count : 1, sizeof(*image->symbol));
	if (!image->symbol)
		return;
	for (size_t i = 0; i < count && i <= INT32_MAX; i++) {
		const char *name;
		GElf_Sym sym;

		if (i % SYMBOLS_AT_ONCE == 0 && give_up(vm, since, quits))
			break;
		if (!gelf_getsym(data, (int)i, &sym) || !wanted(image, &sym))
			continue;
		name = elf_strptr(image->elf, header->sh_link, sym.st_name);
		if (printable(name))
			image->symbol[image->symbol_count++] = (struct image_symbol){sym.st_value, sym.st_size, name};
	}
	qsort(image->symbol, image->symbol_count, sizeof(*image->symbol), compare);
}

static void load_symbols(struct vm *vm)
{
	struct image *image = vm->image;
	Elf_Scn *section = NULL;

	image->symbols_loaded = true;
	while ((section = elf_nextscn(image->elf, section))) {
		GElf_Shdr header;

		if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB) {
			read_table(vm, section, &header);
			return;
		}
	}
}

const char *image_symbol(struct vm *vm, uint64_t addr, uint64_t *offset)
{
	struct image *image = vm->image;
	size_t low = 0, high;

	if (!image || !image_segment_of(image, addr, 0))
		return NULL;
	if (!image->symbols_loaded)
		load_symbols(vm);
	for (high = image->symbol_count; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (image->symbol[middle].addr <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t back = 0; back < SYMBOLS_LOOK_BACK && back < low; back++) {
		const struct image_symbol *sym = &image->symbol[low - 1 - back];

		if (!sym->size || addr - sym->addr < sym->size) {
			*offset = addr - sym->addr;
			return sym->name;
		}
	}
	return NULL;
}
