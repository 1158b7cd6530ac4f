/*
 * r3_bad_image NAME FILE: writes the image that is bad in the named way.
 */
#include <stdbool.h>

#include "hypercalls/x86.h"
#include "monitor/boot/linux.h"
#include "tests/unit/elf_maker.h"

static struct maker m;

/* What is no ELF file is this instead. */
static uint8_t raw[0x4000];
static size_t raw_size;

static void empty(void)
{
	m.file_size = 0;
}

static void not_elf(void)
{
	memcpy(m.header.e_ident, "#!/bin/sh\n", 10);
}

static void class_32(void)
{
	m.header.e_ident[EI_CLASS] = ELFCLASS32;
}

static void big_endian(void)
{
	m.header.e_ident[EI_DATA] = ELFDATA2MSB;
}

static void machine(void)
{
	m.header.e_machine = EM_AARCH64;
}

static void object(void)
{
	m.header.e_type = ET_REL;
}

static void truncated_header(void)
{
	m.file_size = 40;
}

static void truncated_table(void)
{
	m.file_size = sizeof(m.header) + sizeof(m.ph[0]) + 8;
}

static void truncated_segment(void)
{
	m.file_size = 0x2100;
}

static void no_segments(void)
{
	m.ph[MAKER_TEXT].p_type = m.ph[MAKER_DATA].p_type = PT_NULL;
}

static void overlap(void)
{
	m.ph[MAKER_DATA].p_paddr = m.ph[MAKER_DATA].p_vaddr = MAKER_BASE + 0x800;
}

static void below_1m(void)
{
	m.ph[MAKER_DATA].p_paddr = m.ph[MAKER_DATA].p_vaddr = 0x90000;
}

static void outside_ram(void)
{
	m.ph[MAKER_DATA].p_paddr = m.ph[MAKER_DATA].p_vaddr = 0x40000000;
}

static void wrapping(void)
{
	m.ph[MAKER_DATA].p_paddr = 0xfffffffffffff000;
}

static void huge(void)
{
	m.ph[MAKER_DATA].p_memsz = 0x40000000;
}

static void hole(void)
{
	m.ph[MAKER_DATA].p_vaddr = 0x3f8000000000;
}

static void upper_half(void)
{
	m.ph[MAKER_DATA].p_vaddr = 0xffffffff80000000;
}

static void entry_nowhere(void)
{
	m.header.e_entry = 0x500000;
}

static void abi_version(void)
{
	m.note.note.abi_version = 99;
}

static void hypercall_page(void)
{
	m.note.note.hypercall_page_gpa = 0x40000000;
}

static void interpreter(void)
{
	m.ph[MAKER_NOTE].p_type = PT_INTERP;
}

/* A Multiboot header in the text: magic, flags, and where the file goes. */
static void multiboot(uint32_t flags, uint32_t header, uint32_t load, uint32_t load_end, uint32_t bss_end)
{
	const uint32_t words[] = {0x1badb002, flags, -0x1badb002u - flags, header, load, load_end, bss_end, MAKER_BASE};

	m.header.e_phnum = MAKER_NOTE;
	memcpy(m.text, words, sizeof(words));
}

static void multiboot_asks(void)
{
	multiboot(0x100, 0, 0, 0, 0);
}

static void multiboot_before(void)
{
	multiboot(R3_BIT(16), MAKER_BASE + 0x1001, MAKER_BASE, 0, 0);
}

static void multiboot_huge(void)
{
	multiboot(R3_BIT(16), MAKER_BASE + 0x1000, MAKER_BASE, 0, 0xffffffff);
}

static void multiboot_entry(void)
{
	multiboot(0, 0, 0, 0, 0);
	m.header.e_entry = 0x500000;
}

/* A Multiboot2 header with one tag. */
static void multiboot2(uint32_t type, uint32_t size)
{
	const uint32_t words[] = {0xe85250d6, 0, 24, -(0xe85250d6u + 24), type, size};

	m.header.e_phnum = MAKER_NOTE;
	memcpy(m.text, words, sizeof(words));
}

static void multiboot2_tag(void)
{
	multiboot2(1, 0x80000000);
}

static void multiboot2_unknown(void)
{
	multiboot2(77, 8);
}

static void pvh_entry(void)
{
	const uint32_t entry = 0x500000;

	m.note.header = (Elf64_Nhdr){4, sizeof(entry), 18};
	memcpy(m.note.name, "Xen", 4);
	memcpy(m.note.name + 4, &entry, sizeof(entry));
}

/* ---------------------------------------------------------------------------------------------------------- bzImage */

static struct linux_header linux_kernel(void)
{
	return (struct linux_header){.setup_sects = 3,
				     .header = 0x53726448, /* LINUX_MAGIC */
				     .version = 0x20f,
				     .loadflags = LINUX_LOADED_HIGH,
				     .code32_start = 0x100000,
				     .initrd_addr_max = 0x7fffffff,
				     .xloadflags = LINUX_XLF_KERNEL_64,
				     .cmdline_size = 2047,
				     .pref_address = 0x1000000,
				     .init_size = 0x100000};
}

static void put_linux(struct linux_header header)
{
	memcpy(raw + LINUX_HEADER, &header, sizeof(header));
	raw_size = sizeof(raw);
}

/* LINUX(NAME, header.FIELD = ...;): a kernel that is bad in that. */
#define LINUX(name, ...)                                                                                               \
	static void name(void)                                                                                         \
	{                                                                                                              \
		struct linux_header header = linux_kernel();                                                           \
		__VA_ARGS__                                                                                            \
		put_linux(header);                                                                                     \
	}

LINUX(linux_old, header.version = 0x105;)
LINUX(linux_low, header.loadflags = 0;)
LINUX(linux_setup, header.setup_sects = 255;)
LINUX(linux_below, header.pref_address = 0xff000;)
LINUX(linux_wrapping, header.pref_address = UINT64_MAX - 0xfff;)
LINUX(linux_end, header.pref_address = 0x1ffffff; header.init_size = 2;)
LINUX(linux_huge, header.init_size = UINT32_MAX;)
LINUX(linux_32_below, header.xloadflags = 0; header.version = 0x209; header.code32_start = 0;)
LINUX(linux_32_above, header.xloadflags = 0; header.version = 0x209; header.code32_start = UINT32_MAX;)
LINUX(linux_32_huge, header.xloadflags = 0; header.init_size = UINT32_MAX;)

static void linux_cut(void)
{
	put_linux(linux_kernel());
	raw_size = 4 * LINUX_SECTOR;
}

/* ------------------------------------------------------------------------------------------------------ boot sectors
 */

static void sector(void)
{
	memset(raw, 0xf4, 510);
	raw[510] = 0x55;
	raw[511] = 0xaa;
	raw_size = 512;
}

static void sector_unsigned(void)
{
	sector();
	raw[511] = 0xab;
}

static void sector_cut(void)
{
	sector();
	memmove(raw, raw + 1, 511);
	raw_size = 511;
}

static const struct {
	const char *name;
	void (*spoil)(void);
} images[] = {
	{"empty", empty},
	{"not_elf", not_elf},
	{"class_32", class_32},
	{"big_endian", big_endian},
	{"machine", machine},
	{"object", object},
	{"truncated_header", truncated_header},
	{"truncated_table", truncated_table},
	{"truncated_segment", truncated_segment},
	{"no_segments", no_segments},
	{"overlap", overlap},
	{"below_1m", below_1m},
	{"outside_ram", outside_ram},
	{"wrapping", wrapping},
	{"huge", huge},
	{"hole", hole},
	{"upper_half", upper_half},
	{"entry_nowhere", entry_nowhere},
	{"abi_version", abi_version},
	{"hypercall_page", hypercall_page},
	{"interpreter", interpreter},
	{"multiboot_asks", multiboot_asks},
	{"multiboot_before", multiboot_before},
	{"multiboot_huge", multiboot_huge},
	{"multiboot_entry", multiboot_entry},
	{"multiboot2_tag", multiboot2_tag},
	{"multiboot2_unknown", multiboot2_unknown},
	{"pvh_entry", pvh_entry},
	{"linux_old", linux_old},
	{"linux_low", linux_low},
	{"linux_setup", linux_setup},
	{"linux_cut", linux_cut},
	{"linux_below", linux_below},
	{"linux_wrapping", linux_wrapping},
	{"linux_end", linux_end},
	{"linux_huge", linux_huge},
	{"linux_32_below", linux_32_below},
	{"linux_32_above", linux_32_above},
	{"linux_32_huge", linux_32_huge},
	{"sector", sector},
	{"sector_unsigned", sector_unsigned},
	{"sector_cut", sector_cut},
};

static bool write_raw(const char *path)
{
	FILE *file = fopen(path, "w");
	bool written = file && fwrite(raw, raw_size, 1, file) == 1;

	return (!file || !fclose(file)) && written;
}

static bool write_image(const char *path)
{
	if (raw_size)
		return write_raw(path);
	maker_write(&m);
	if (!rename(m.path, path))
		return true;
	unlink(m.path);
	return false;
}

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc == 3 && i < sizeof(images) / sizeof(images[0]); i++) {
		if (strcmp(argv[1], images[i].name))
			continue;
		maker_init(&m);
		images[i].spoil();
		if (write_image(argv[2]))
			return 0;
		perror(argv[2]);
		return 1;
	}
	fprintf(stderr, "usage: r3_bad_image NAME FILE\n");
	return 2;
}
