/*
 * r3_bad_image NAME FILE: writes the image that is bad in the named way.
 */
#include "hypercalls/x86.h"
#include "tests/unit/elf_maker.h"

static struct maker m;

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
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc == 3 && i < sizeof(images) / sizeof(images[0]); i++) {
		if (strcmp(argv[1], images[i].name))
			continue;
		maker_init(&m);
		images[i].spoil();
		maker_write(&m);
		if (!rename(m.path, argv[2]))
			return 0;
		perror(argv[2]);
		unlink(m.path);
		return 1;
	}
	fprintf(stderr, "usage: r3_bad_image NAME FILE\n");
	return 2;
}
