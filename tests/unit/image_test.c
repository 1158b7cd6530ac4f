/*
 * Loading images: what a good one leaves in RAM and in the registers, and that every bad one is refused with one line
 * that names the fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "hypercalls/start_info.h"
#include "monitor/boot/image.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"
#include "tests/unit/capture.h"
#include "tests/unit/elf_maker.h"

#define RAM (16ULL << 20)

static struct vm vm;
static struct vm_config config;
static struct vcpu vcpu;
static struct maker maker;

static void machine_up(uint64_t ram)
{
	memset(&vm, 0, sizeof(vm));
	config = (struct vm_config){.cmdline = "", .memory = ram, .vcpus = 1};
	memset(&vcpu, 0, sizeof(vcpu));
	vm.config = &config;
	vm.vcpu[0] = &vcpu;
	vm.vcpu_count = 1;
	assert_int_equal(gm_init(&vm.mem, ram), 0);
}

static void machine_down(void)
{
	image_free(&vm);
	gm_free(&vm.mem);
}

static int setup(void **state)
{
	maker_init(&maker);
	machine_up(RAM);
	return 0;
}

static int teardown(void **state)
{
	machine_down();
	if (maker.path[0])
		unlink(maker.path);
	return 0;
}

/* Loads path and asserts that it is refused with exactly one line that holds the fragment. */
static void refused_path(const char *path, const char *fragment)
{
	struct capture c;
	int err;

	config.kernel = path;
	capture_start(&c, stderr);
	err = image_load(&vm);
	capture_end(&c);
	assert_true(err < 0);
	if (!strstr(c.text, fragment))
		fail_msg("no \"%s\" in \"%s\"", fragment, c.text);
	assert_int_equal(strncmp(c.text, "ring3: ", 7), 0);
	assert_ptr_equal(strchr(c.text, '\n'), c.text + strlen(c.text) - 1);
}

static void refused(const char *fragment)
{
	maker_write(&maker);
	refused_path(maker.path, fragment);
}

static void loaded(void)
{
	maker_write(&maker);
	config.kernel = maker.path;
	assert_int_equal(image_load(&vm), 0);
}

/* ------------------------------------------------------------------------------------------------------ good ones */

static void test_segments(void **state)
{
	const uint8_t *ram = gm_ptr(&vm.mem, 0, RAM);

	loaded();
	assert_int_equal(image_entry(&vm), MAKER_BASE + 0x10);
	assert_memory_equal(ram + MAKER_BASE, maker.text, sizeof(maker.text));
	assert_memory_equal(ram + MAKER_BASE + 0x1000, maker.data, 0x800);
	for (unsigned i = 0x1800; i < 0x4000; i++)
		assert_int_equal(ram[MAKER_BASE + i], 0);
}

static void test_load_address_differs(void **state)
{
	const uint8_t *ram = gm_ptr(&vm.mem, 0, RAM);

	maker.ph[MAKER_DATA].p_vaddr = 0x40000000;
	loaded();
	assert_int_equal(ram[MAKER_BASE + 0x1000], 0xdd);
}

static void test_no_note(void **state)
{
	maker.header.e_phnum = MAKER_NOTE;
	loaded();
	assert_int_equal(image_hypercall_page(&vm), 0);
}

static void test_hypercall_page(void **state)
{
	const uint8_t *page = gm_ptr(&vm.mem, MAKER_BASE + 0x2000, 4096);

	maker.note.note.hypercall_page_gpa = MAKER_BASE + 0x2000;
	loaded();
	image_fill_hypercall_page(&vm, "\x0f\x05\xc3", 3);
	assert_memory_equal(page, "\x0f\x05\xc3\xcc", 4);
	assert_int_equal(page[4095], 0xcc);
	assert_int_equal(page[4096], 0);
}

/* --------------------------------------------------------------------------------------------- files that are none */

static void test_no_file(void **state)
{
	refused_path("/nonexistent/kernel.elf", "No such file");
}

static void test_directory(void **state)
{
	refused_path("/tmp", "is a directory");
}

static void test_device(void **state)
{
	refused_path("/dev/null", "not a regular file");
}

static void test_empty(void **state)
{
	maker.file_size = 0;
	refused("is empty");
}

static void test_not_elf(void **state)
{
	memcpy(maker.header.e_ident, "#!/bin/sh\n", 10);
	refused("is not an ELF file, and no other kernel that ring3 boots");
}

static void test_one_byte(void **state)
{
	maker.file_size = 1;
	refused("is truncated: 1 bytes are too few");
}

static void test_linux(void **state)
{
	memset(maker.header.e_ident, 0, EI_NIDENT);
	memcpy((uint8_t *)maker.ph + 0x202 - sizeof(maker.header), "HdrS", 4);
	refused("a Linux kernel of boot protocol");
}

/* --------------------------------------------------------------------------------------------------- ELF header */

static void test_class(void **state)
{
	maker.header.e_ident[EI_CLASS] = ELFCLASS32;
	refused("32-bit ELF");
}

static void test_endian(void **state)
{
	maker.header.e_ident[EI_DATA] = ELFDATA2MSB;
	refused("little-endian");
}

static void test_machine(void **state)
{
	maker.header.e_machine = EM_AARCH64;
	refused("is built for machine 183, not for x86-64 (62)");
}

static void test_object(void **state)
{
	maker.header.e_type = ET_REL;
	refused("not linked: link it with pvguest.lds");
}

static void test_core(void **state)
{
	maker.header.e_type = ET_CORE;
	refused("not an executable (ELF type 4)");
}

static void test_header_truncated(void **state)
{
	maker.file_size = 40;
	refused("truncated");
}

static void test_program_headers_truncated(void **state)
{
	maker.file_size = sizeof(maker.header) + sizeof(maker.ph[0]) + 8;
	refused("truncated");
}

static void test_program_headers_elsewhere(void **state)
{
	maker.header.e_phoff = UINT64_MAX - 8;
	refused("truncated");
}

static void test_nothing_to_load(void **state)
{
	maker.header.e_phnum = 0;
	refused("has nothing to load");
}

/* ----------------------------------------------------------------------------------------------------- segments */

static void test_truncated(void **state)
{
	maker.file_size = 0x2400;
	refused("is truncated: segment 1 ends beyond");
}

static void test_offset_wraps(void **state)
{
	maker.ph[MAKER_DATA].p_offset = UINT64_MAX - 0x7ff;
	refused("is truncated: segment 1 ends beyond");
}

static void test_zeros_beyond(void **state)
{
	maker.ph[MAKER_DATA].p_filesz = 0;
	maker.ph[MAKER_DATA].p_offset = UINT64_MAX - 0xfff;
	loaded();
}

static void test_filesz_over_memsz(void **state)
{
	maker.ph[MAKER_DATA].p_memsz = 0x7ff;
	refused("more bytes in the file");
}

static void test_overlap(void **state)
{
	maker.ph[MAKER_DATA].p_paddr = MAKER_BASE + 0xfff;
	refused("overlaps the one at 0x200000");
}

static void test_low(void **state)
{
	maker.ph[MAKER_DATA].p_paddr = IMAGE_START - 1;
	refused("below 1 MiB");
}

static void test_outside_ram(void **state)
{
	maker.ph[MAKER_DATA].p_paddr = RAM - 0x2fff;
	refused("lies outside RAM, which is 16 MiB: give more with --memory, or lower the load address in pvguest.lds");
}

static void test_ends_with_ram(void **state)
{
	maker.ph[MAKER_DATA].p_paddr = RAM - 0x3000;
	loaded();
}

static void test_paddr_wraps(void **state)
{
	maker.ph[MAKER_DATA].p_paddr = UINT64_MAX - 0xfff;
	refused("lies outside RAM");
}

static void test_memsz_absurd(void **state)
{
	maker.ph[MAKER_DATA].p_memsz = 1ULL << 46;
	refused("lies outside RAM");
}

static void test_vaddr_wraps(void **state)
{
	maker.ph[MAKER_DATA].p_vaddr = UINT64_MAX - 0xfff;
	refused("in the upper half");
}

static void test_hole(void **state)
{
	maker.ph[MAKER_DATA].p_vaddr = GATE_HOLE_START - 0x2fff;
	refused("the monitor's hole: take --engine ");
}

static void test_below_hole(void **state)
{
	maker.ph[MAKER_DATA].p_vaddr = GATE_HOLE_START - 0x3000;
	loaded();
}

static void test_upper_half(void **state)
{
	maker.ph[MAKER_TEXT].p_vaddr = 0xffffffff81000000;
	refused("in the upper half, which code that runs directly does not have: take --engine ");
}

static void test_too_many_segments(void **state)
{
	for (unsigned i = 0; i < 40; i++)
		maker.ph[i] = maker_load(0x1000, MAKER_BASE + i * MAKER_PAGES, 0x1000, 0x1000);
	maker.header.e_phnum = 40;
	refused("more than 32 segments");
}

/* -------------------------------------------------------------------------------------------------------- entry */

static void test_entry_nowhere(void **state)
{
	maker.header.e_entry = 0x500000;
	refused("entry point 0x500000 lies in no loaded segment");
}

static void test_entry_in_bss(void **state)
{
	maker.header.e_entry = MAKER_BASE + 0x1800;
	refused("lies in no loaded segment");
}

static void test_entry_not_identity(void **state)
{
	maker.ph[MAKER_TEXT].p_vaddr = 0x40000000;
	maker.header.e_entry = 0x40000010;
	refused("it loads at (0x200010), but at entry memory is identity-mapped");
}

/* ------------------------------------------------------------------------------------------- programs, relocations */

static void test_interpreter(void **state)
{
	maker.ph[MAKER_NOTE].p_type = PT_INTERP;
	refused("dynamic linker");
}

static void dynamic(int64_t tag, uint64_t value)
{
	Elf64_Dyn dyn[2] = {{.d_tag = tag, .d_un.d_val = value}, {.d_tag = DT_NULL}};

	memcpy(maker.data, dyn, sizeof(dyn));
	maker.header.e_type = ET_DYN;
	maker.ph[MAKER_NOTE] =
		(Elf64_Phdr){.p_type = PT_DYNAMIC, .p_offset = 0x2000, .p_filesz = sizeof(dyn), .p_align = 8};
}

static void test_relocations(void **state)
{
	dynamic(DT_RELASZ, 24);
	refused("needs relocation");
}

static void test_position_independent(void **state)
{
	dynamic(DT_RELASZ, 0);
	loaded();
}

static void test_dynamic_truncated(void **state)
{
	dynamic(DT_RELASZ, 0);
	maker.ph[MAKER_NOTE].p_filesz = UINT64_MAX;
	refused("dynamic section");
}

/* -------------------------------------------------------------------------------------------------------- notes */

static void test_abi_version(void **state)
{
	char wanted[80];

	maker.note.note.abi_version = 77;
	snprintf(wanted, sizeof(wanted), "version 77 of the ring3 ABI, this monitor version %d", R3_ABI_VERSION);
	refused(wanted);
}

static void test_note_short(void **state)
{
	maker.note.header.n_descsz = 8;
	refused("note has 8 bytes instead of 16");
}

static void test_hypercall_page_misaligned(void **state)
{
	maker.note.note.hypercall_page_gpa = MAKER_BASE + 8;
	refused("not page-aligned");
}

static void test_hypercall_page_outside(void **state)
{
	maker.note.note.hypercall_page_gpa = RAM;
	refused("lies outside RAM");
}

static void test_hypercall_page_low(void **state)
{
	maker.note.note.hypercall_page_gpa = BOOT_START;
	refused("lies outside RAM");
}

static void test_hypercall_page_wraps(void **state)
{
	maker.note.note.hypercall_page_gpa = UINT64_MAX & ~0xfffULL;
	refused("lies outside RAM");
}

static void test_class_32(void **state)
{
	maker.header.e_ident[EI_CLASS] = ELFCLASS32;
	refused("32-bit ELF file that does not say how to start it");
}

/* ---------------------------------------------------------------------------------------------------- any garbage */

/* Overwrites one field-sized piece of the headers or the note with a value that bounds checks like least. */
static void damage(struct maker *m, unsigned *seed)
{
	static const uint64_t nasty[] = {0,	     1,		0x7fffffff, 0xffffffff,
					 1ULL << 47, INT64_MAX, UINT64_MAX, UINT64_MAX - 0xfff};
	uint8_t *piece = rand_r(seed) % 4 ? (uint8_t *)m : (uint8_t *)&m->note;
	size_t area = sizeof(m->header) + MAKER_PH_COUNT * sizeof(m->ph[0]);
	uint64_t value = rand_r(seed) % 2 ? nasty[(unsigned)rand_r(seed) % 8] : (uint64_t)rand_r(seed);
	size_t size = 1u << rand_r(seed) % 4;

	if (piece == (uint8_t *)&m->note)
		area = sizeof(m->note);
	memcpy(piece + (size_t)rand_r(seed) % (area - size), &value, size);
}

static void test_damage(void **state)
{
	unsigned seed = 1, refusals = 0;

	for (unsigned i = 0; i < 3000; i++) {
		struct capture c;
		int err;

		maker_init(&maker);
		for (unsigned n = 0; n <= i % 3; n++)
			damage(&maker, &seed);
		maker_write(&maker);
		config.kernel = maker.path;
		capture_start(&c, stderr);
		err = image_load(&vm);
		if (!err)
			err = image_boot(&vm) ? 1 : 0;
		capture_end(&c);
		image_free(&vm);
		unlink(maker.path);
		assert_true(err <= 0);
		assert_int_equal(err < 0, c.text[0] != 0);
		refusals += err < 0;
	}
	maker.path[0] = 0;
	assert_in_range(refusals, 1000, 2999);
}

/* ------------------------------------------------------------------------------------------------------ modules */

static char module_path[] = "/tmp/ring3-module-XXXXXX";

static void make_module(uint64_t size)
{
	int fd;

	strcpy(module_path + sizeof(module_path) - 7, "XXXXXX");
	fd = mkstemp(module_path);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "first", 5, 0), 5);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
	config.modules[config.module_count++] = module_path;
}

static void test_module(void **state)
{
	struct hvm_modlist_entry entry;
	struct hvm_start_info info;
	char name[sizeof(module_path)];

	make_module(5000);
	config.modules[config.module_count++] = module_path;
	loaded();
	assert_int_equal(image_boot(&vm), 0);
	unlink(module_path);
	assert_true(gm_read(&vm.mem, vcpu.gpr[RDI], &info, sizeof(info)));
	assert_int_equal(info.nr_modules, 2);
	assert_true(gm_read(&vm.mem, info.modlist_paddr + sizeof(entry), &entry, sizeof(entry)));
	assert_int_equal(entry.paddr, RAM - 4 * 4096);
	assert_int_equal(entry.size, 5000);
	assert_memory_equal(gm_ptr(&vm.mem, entry.paddr, 5), "first", 5);
	assert_true(gm_read(&vm.mem, entry.cmdline_paddr, name, strlen(module_path) - 4));
	assert_string_equal(name, strrchr(module_path, '/') + 1);
}

static void test_module_fills_ram(void **state)
{
	make_module(RAM - MAKER_BASE - 0x4000);
	loaded();
	unlink(module_path);
}

static void test_module_too_big(void **state)
{
	make_module(RAM - MAKER_BASE - 0x4000 + 1);
	refused("does not fit: 14663681 bytes, but between the kernel and the end of RAM 14663680 are free");
	unlink(module_path);
}

static void test_module_missing(void **state)
{
	config.modules[config.module_count++] = "/nonexistent/initrd";
	refused("/nonexistent/initrd: cannot open: No such file");
}

/* --------------------------------------------------------------------------------------------------------- boot */

/* The identity mapping, walked in the straightest way: gpa that gva maps to, or UINT64_MAX. */
static uint64_t walk(uint64_t gva)
{
	uint64_t table = vcpu.cr3, entry;

	for (int shift = 39; shift >= 21; shift -= 9) {
		assert_true(gm_read(&vm.mem, table + (gva >> shift) % 512 * 8, &entry, 8));
		if (!(entry & X86_PTE_P))
			return UINT64_MAX;
		assert_int_equal(entry & (X86_PTE_W | X86_PTE_A | X86_PTE_U | X86_PTE_G), X86_PTE_W | X86_PTE_A);
		table = entry & X86_PTE_ADDR;
		if (entry & X86_PTE_PS) {
			assert_true(entry & X86_PTE_D);
			return table + (gva & ((1ULL << shift) - 1));
		}
		assert_in_range(table, BOOT_START, BOOT_END - 4096);
	}
	return UINT64_MAX;
}

static void check_identity(uint64_t ram)
{
	machine_down();
	machine_up(ram);
	loaded();
	assert_int_equal(image_boot(&vm), 0);
	for (uint64_t gva = 0; gva < ram; gva += ram / 32 + 0x1234)
		assert_int_equal(walk(gva), gva);
	assert_int_equal(walk(ram - 1), ram - 1);
	assert_int_equal(walk(ram), UINT64_MAX);
	unlink(maker.path);
}

static void test_page_tables(void **state)
{
	check_identity(4ULL << 20);
	check_identity(64ULL << 20);
	check_identity((5ULL << 30) + (6ULL << 20));
	check_identity(1ULL << 40);
	maker.path[0] = 0;
}

/* What the GDT holds for a selector. */
static uint64_t descriptor(uint16_t selector)
{
	uint64_t value;

	assert_true(selector + 7 <= vcpu.gdtr.limit);
	assert_true(gm_read(&vm.mem, vcpu.gdtr.base + selector, &value, sizeof(value)));
	return value;
}

static void test_registers(void **state)
{
	struct vcpu *fresh = vcpu_create(&vm, 0);

	vm.vcpu[0] = fresh;
	loaded();
	assert_int_equal(image_boot(&vm), 0);
	assert_int_equal(fresh->rip, MAKER_BASE + 0x10);
	assert_int_equal(fresh->gpr[RSP], 0);
	assert_int_equal(fresh->rflags, X86_RFLAGS_FIXED);
	assert_int_equal(fresh->cpl, 0);
	assert_int_equal(fresh->cr3 & X86_PAGE_MASK, 0);
	vcpu = *fresh;
	vcpu_free(fresh);
	assert_int_equal(descriptor(vcpu.sreg[SREG_CS].selector), vcpu.sreg[SREG_CS].descriptor);
	assert_int_equal(descriptor(vcpu.sreg[SREG_SS].selector), vcpu.sreg[SREG_SS].descriptor);
}

static void test_gdt(void **state)
{
	loaded();
	assert_int_equal(image_boot(&vm), 0);
	assert_int_equal(descriptor(0), 0);
	assert_int_equal(descriptor(BOOT_CS), 0x00af9b000000ffff);
	assert_int_equal(descriptor(BOOT_DS), 0x00cf93000000ffff);
	assert_int_equal(descriptor(BOOT_USER_DS), 0x00cff3000000ffff);
	assert_int_equal(descriptor(BOOT_USER_CS), 0x00affb000000ffff);
}

static void test_start_info(void **state)
{
	struct hvm_memmap_entry map[3];
	struct hvm_start_info info;

	config.cmdline = "pv=on verbose";
	loaded();
	assert_int_equal(image_boot(&vm), 0);
	assert_in_range(vcpu.gpr[RDI], BOOT_START, BOOT_END - sizeof(info));
	assert_true(gm_read(&vm.mem, vcpu.gpr[RDI], &info, sizeof(info)));
	assert_int_equal(info.magic, HVM_START_MAGIC);
	assert_int_equal(info.version, 1);
	assert_int_equal(info.nr_modules, 0);
	assert_string_equal(gm_ptr(&vm.mem, info.cmdline_paddr, 14), "pv=on verbose");
	assert_int_equal(info.memmap_entries, 3);
	assert_true(gm_read(&vm.mem, info.memmap_paddr, map, sizeof(map)));
	assert_int_equal(map[0].type, HVM_MEMMAP_RESERVED);
	assert_int_equal(map[1].addr, 0xa0000);
	assert_int_equal(map[2].addr, IMAGE_START);
	assert_int_equal(map[2].size, RAM - IMAGE_START);
	assert_int_equal(map[2].type, HVM_MEMMAP_RAM);
}

static void test_cmdline_too_long(void **state)
{
	char *line = malloc(BOOT_END);
	struct capture c;
	int err;

	memset(line, 'x', BOOT_END - 1);
	line[BOOT_END - 1] = 0;
	config.cmdline = line;
	loaded();
	capture_start(&c, stderr);
	err = image_boot(&vm);
	capture_end(&c);
	assert_int_equal(err, -E2BIG);
	assert_non_null(strstr(c.text, "shorten --append"));
	free(line);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(segments),
		T(load_address_differs),
		T(no_note),
		T(hypercall_page),
		T(no_file),
		T(directory),
		T(device),
		T(empty),
		T(not_elf),
		T(one_byte),
		T(linux),
		T(class),
		T(endian),
		T(machine),
		T(object),
		T(core),
		T(header_truncated),
		T(program_headers_truncated),
		T(program_headers_elsewhere),
		T(nothing_to_load),
		T(truncated),
		T(zeros_beyond),
		T(offset_wraps),
		T(filesz_over_memsz),
		T(overlap),
		T(low),
		T(outside_ram),
		T(ends_with_ram),
		T(paddr_wraps),
		T(memsz_absurd),
		T(vaddr_wraps),
		T(hole),
		T(below_hole),
		T(upper_half),
		T(too_many_segments),
		T(entry_nowhere),
		T(entry_in_bss),
		T(entry_not_identity),
		T(interpreter),
		T(relocations),
		T(position_independent),
		T(dynamic_truncated),
		T(abi_version),
		T(note_short),
		T(hypercall_page_misaligned),
		T(hypercall_page_outside),
		T(hypercall_page_low),
		T(hypercall_page_wraps),
		T(class_32),
		T(damage),
		T(module),
		T(module_fills_ram),
		T(module_too_big),
		T(module_missing),
		T(page_tables),
		T(registers),
		T(gdt),
		T(start_info),
		T(cmdline_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
