/*
 * The protocols that enter a kernel without long mode: what it finds in RAM and registers, and that a damaged or
 * hostile header is refused with one line. Values: the Multiboot and Multiboot2 specifications, docs/misc/pvh.pandoc of
 * Xen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hypercalls/start_info.h"
#include "monitor/boot/image.h"
#include "monitor/boot/linux.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"
#include "tests/unit/capture.h"
#include "tests/unit/elf_maker.h"

#define RAM	 (16u << 20)
#define MODULE_A 5000
#define MODULE_B 3

static struct vm vm;
static struct vm_config config;
static struct vcpu vcpu;
static struct maker maker;
static uint8_t flat[0x4000]; /* a file that is no ELF */
static size_t flat_size;
static char path[64], module[2][64];

static void write_file(char *name, const void *data, size_t size)
{
	int fd;

	strcpy(name, "/tmp/ring3-foreign-XXXXXX");
	fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

static int setup(void **state)
{
	maker_init(&maker);
	maker.header.e_phnum = MAKER_NOTE;
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0xee, sizeof(vcpu));
	memset(vcpu.gpr, 0, sizeof(vcpu.gpr));
	memset(flat, 0, sizeof(flat));
	flat_size = 0;
	config = (struct vm_config){.cmdline = "one two", .vcpus = 1};
	vm = (struct vm){.config = &config, .vcpu[0] = &vcpu, .vcpu_count = 1, .kind = MACHINE_PC};
	vcpu.vm = &vm;
	return gm_init(&vm.mem, RAM);
}

static int teardown(void **state)
{
	image_free(&vm);
	gm_free(&vm.mem);
	unlink(path);
	for (unsigned i = 0; i < config.module_count; i++)
		unlink(module[i]);
	return 0;
}

static void with_modules(void)
{
	static uint8_t a[MODULE_A], b[MODULE_B];

	memset(a, 0xaa, sizeof(a));
	memset(b, 0xbb, sizeof(b));
	write_file(module[0], a, sizeof(a));
	write_file(module[1], b, sizeof(b));
	config.modules[0] = module[0];
	config.modules[1] = module[1];
	config.module_count = 2;
}

/* The flat file if there is one, else the ELF file. */
static void write_kernel(void)
{
	if (flat_size) {
		write_file(path, flat, flat_size);
	} else {
		maker_write(&maker);
		strcpy(path, maker.path);
	}
	config.kernel = path;
}

static void booted(void)
{
	write_kernel();
	assert_int_equal(image_load(&vm), 0);
	assert_int_equal(image_machine(&vm), MACHINE_PC);
	assert_int_equal(image_boot(&vm), 0);
}

static void refused(const char *fragment)
{
	struct capture c;
	int err;

	write_kernel();
	capture_start(&c, stderr);
	err = image_load(&vm);
	if (!err)
		err = image_boot(&vm);
	capture_end(&c);
	assert_true(err < 0);
	if (!strstr(c.text, fragment))
		fail_msg("no \"%s\" in \"%s\"", fragment, c.text);
	assert_ptr_equal(strchr(c.text, '\n'), c.text + strlen(c.text) - 1);
}

static const void *ram(uint64_t gpa)
{
	const void *at = gm_ptr(&vm.mem, gpa, 4096);

	assert_non_null(at);
	return at;
}

static uint32_t word(uint64_t gpa)
{
	uint32_t value;

	memcpy(&value, ram(gpa), sizeof(value));
	return value;
}

static uint64_t quad(uint64_t gpa)
{
	return word(gpa) | (uint64_t)word(gpa + 4) << 32;
}

/* Multiboot 3.2: the machine state. */
static void is_flat(uint64_t entry)
{
	assert_true(vcpu.rip == entry);
	assert_int_equal(vcpu.cr0, X86_CR0_PE | X86_CR0_ET);
	assert_true(vcpu.cr4 == 0 && vcpu.efer == 0);
	assert_int_equal(vcpu_paging_mode(&vcpu), SPT_NO_PAGING);
	assert_int_equal(vcpu_code_bits(&vcpu), 32);
	assert_true(vcpu.gpr[RSP] == BOOT_START + 0x4000);
	for (unsigned i = 0; i < SREG_COUNT; i++) {
		const struct vcpu_segment *s = &vcpu.sreg[i];

		assert_true(s->present && s->base == 0 && s->limit == UINT32_MAX);
		assert_int_equal(!!(s->descriptor & X86_DESC_CODE), i == SREG_CS);
		assert_true(s->descriptor & X86_DESC_DB && s->descriptor & X86_DESC_RW);
		assert_true(quad(vcpu.gdtr.base + s->selector) == s->descriptor);
	}
}

/* ---------------------------------------------------------------------------------------------------- Multiboot 1 */

static void put_header(uint8_t *at, uint32_t flags, uint32_t header, uint32_t load, uint32_t load_end, uint32_t bss_end,
		       uint32_t entry)
{
	const uint32_t words[] = {0x1badb002, flags, -0x1badb002u - flags, header, load, load_end, bss_end, entry};

	memcpy(at, words, sizeof(words));
}

static void test_multiboot(void **state)
{
	uint64_t info, mods;

	put_header(maker.text + 0x40, 7, 0, 0, 0, 0, 0);
	with_modules();
	booted();
	is_flat(MAKER_BASE + 0x10);
	assert_int_equal(vcpu.gpr[RAX], 0x2badb002);
	info = vcpu.gpr[RBX];
	assert_int_equal(word(info), 0x124d);
	assert_int_equal(word(info + 4), 639);
	assert_int_equal(word(info + 8), 15 * 1024);
	assert_string_equal(ram(word(info + 16)), strcat(strcpy((char[99]){0}, strrchr(path, '/') + 1), " one two"));
	/* Each on a page of its own, above the image. */
	assert_int_equal(word(info + 20), 2);
	mods = word(info + 24);
	assert_int_equal(word(mods), MAKER_BASE + 0x4000);
	assert_int_equal(word(mods + 4), MAKER_BASE + 0x4000 + MODULE_A);
	assert_string_equal(ram(word(mods + 8)), strrchr(module[0], '/') + 1);
	assert_int_equal(word(mods + 16), MAKER_BASE + 0x6000);
	assert_int_equal(word(mods + 20), MAKER_BASE + 0x6000 + MODULE_B);
	assert_int_equal(*(const uint8_t *)ram(word(mods + 16)), 0xbb);
	/* Four ranges, each with its size before it. */
	assert_int_equal(word(info + 44), 4 * 24);
	assert_int_equal(word(word(info + 48)), 20);
	assert_int_equal(word(word(info + 48) + 20), 1);
	assert_int_equal(word(word(info + 48) + 24 + 20), 2);
	assert_int_equal(word(word(info + 48) + 48 + 4), 0x100000);
	assert_int_equal(word(word(info + 48) + 48 + 12), RAM - 0x100000);
	assert_string_equal(ram(word(info + 64)), "ring3");
	/* The screen: 0xb8000, 160 bytes a line, 80 by 25 characters of 16 bits. */
	assert_int_equal(word(info + 88), 0xb8000);
	assert_int_equal(word(info + 96), 160);
	assert_int_equal(word(info + 100), 80);
	assert_int_equal(word(info + 104), 25);
	assert_int_equal(word(info + 108) & 0xffff, 0x0210);
}

/* Linked high: the entry is virtual, as some linkers have it, or physical, as others do. */
static void test_multiboot_entry(void **state)
{
	put_header(maker.text, 0, 0, 0, 0, 0, 0);
	maker.ph[MAKER_TEXT].p_vaddr = 0xc0200000;
	maker.header.e_entry = 0xc0200010;
	booted();
	is_flat(MAKER_BASE + 0x10);
}

static void test_multiboot_physical_entry(void **state)
{
	put_header(maker.text, 0, 0, 0, 0, 0, 0);
	maker.ph[MAKER_TEXT].p_vaddr = 0xffffffff80200000;
	vm.engine_ops = engine_find("interpret");
	booted();
	is_flat(MAKER_BASE + 0x10);
}

static void test_multiboot_32(void **state)
{
	const Elf32_Phdr load = {.p_type = PT_LOAD,
				 .p_offset = 0x1000,
				 .p_vaddr = 0x80200000,
				 .p_paddr = MAKER_BASE,
				 .p_filesz = 0x1000,
				 .p_memsz = 0x5000,
				 .p_flags = PF_R | PF_X,
				 .p_align = 4096};
	Elf32_Ehdr header = {.e_type = ET_EXEC,
			     .e_machine = EM_386,
			     .e_version = EV_CURRENT,
			     .e_entry = MAKER_BASE,
			     .e_phoff = sizeof(header),
			     .e_ehsize = sizeof(header),
			     .e_phentsize = sizeof(load),
			     .e_phnum = 1};

	memcpy(header.e_ident, maker.header.e_ident, EI_NIDENT);
	header.e_ident[EI_CLASS] = ELFCLASS32;
	memcpy(flat, &header, sizeof(header));
	memcpy(flat + sizeof(header), &load, sizeof(load));
	put_header(flat + 0x1000, 1, 0, 0, 0, 0, 0);
	flat[0x1fff] = 0x77;
	flat_size = 0x2000;
	booted();
	is_flat(MAKER_BASE);
	assert_int_equal(*(const uint8_t *)ram(MAKER_BASE + 0xfff), 0x77);
}

/* The a.out kludge: the header at 0x100 in a file says where all of it goes. */
static void test_addresses(void **state)
{
	put_header(flat + 0x100, R3_BIT(16), 0x300100, 0x300080, 0x301080, 0x309000, 0x300200);
	flat[0x107f] = 0x77;
	flat_size = 0x1080;
	booted();
	is_flat(0x300200);
	assert_int_equal(*(const uint8_t *)ram(0x30107f), 0x77);
}

/* All of the file, and no more than that. */
static void test_addresses_open(void **state)
{
	put_header(flat + 0x100, R3_BIT(16), 0x300100, 0x300000, 0, 0, 0x300000 + 0x1fff);
	flat[0x1fff] = 0x77;
	flat_size = 0x2000;
	booted();
	is_flat(0x301fff);
	assert_int_equal(*(const uint8_t *)ram(0x301fff), 0x77);
}

/* What is loaded begins behind the header. */
static void test_addresses_behind(void **state)
{
	put_header(flat + 0x100, R3_BIT(16), 0x300100, 0x300140, 0x301000, 0x309000, 0x300200);
	flat[0x13f] = 0x55;
	flat[0x140] = 0x66;
	flat[0xfff] = 0x77;
	flat_size = 0x1000;
	booted();
	is_flat(0x300200);
	assert_int_equal(*(const uint8_t *)ram(0x30013f), 0);
	assert_int_equal(*(const uint8_t *)ram(0x300140), 0x66);
	assert_int_equal(*(const uint8_t *)ram(0x300fff), 0x77);
}

static void test_addresses_hostile(void **state)
{
	static const struct {
		uint32_t header, load, load_end, bss_end, entry;
		const char *fragment;
	} bad[] = {
		{0x300100, 0x301000, 0, 0, 0x300200, "correct the addresses"}, /* from behind the file */
		{0x300100, 0xffffffff, 0, 0, 0x300200, "correct the addresses"},
		{0x300100, 0x300fff, 0x301001, 0, 0x300fff, "truncated"},
		{0x300100, 0x2fff00, 0, 0, 0x300200, "correct the addresses"}, /* from before the file */
		{0x300100, 0x300000, 0x2fffff, 0, 0x300200, "correct the addresses"},
		{0x300100, 0x300000, 0x302000, 0, 0x300200, "truncated"},
		{0x300100, 0x300000, 0xffffffff, 0, 0x300200, "truncated"},
		{0x300100, 0x300000, 0x300000, 0, 0x300000, "truncated|lies in no loaded segment"},
		{0x300100, 0x300000, 0, 0xffffffff, 0x300200, "outside RAM"},
		{0x80100, 0x80000, 0, 0, 0x80200, "below 1 MiB"},
		{0xfffff100, 0xfffff000, 0, 0, 0xfffff200, "outside RAM"},
		{0x300100, 0x300000, 0, 0x309000, 0x301000, "lies in no loaded segment"},
		{0x300100, 0x300000, 0, 0, 0x2fffff, "lies in no loaded segment"},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *alternative = strchr(bad[i].fragment, '|');

		teardown(NULL);
		setup(NULL);
		put_header(flat + 0x100, R3_BIT(16), bad[i].header, bad[i].load, bad[i].load_end, bad[i].bss_end,
			   bad[i].entry);
		flat_size = 0x1000;
		refused(alternative ? alternative + 1 : bad[i].fragment);
	}
}

static void test_multiboot_asks_more(void **state)
{
	put_header(maker.text, 8, 0, 0, 0, 0, 0);
	refused("flags 0x8, and asks with them for more");
}

/* One byte short of what it takes to be seen: it is no Multiboot kernel then. */
static void test_multiboot_far(void **state)
{
	put_header(maker.text + 0x1000 - 12 - 0x1000 + 0xff4, 0, 0, 0, 0, 0, 0);
	maker.ph[MAKER_TEXT].p_offset = 0x1000;
	booted();
	is_flat(MAKER_BASE + 0x10);
}

/* Low memory is a kernel's up to where the boot information begins; modules lie above 1 MiB all the same. */
static void test_low(void **state)
{
	put_header(maker.text, 0, 0, 0, 0, 0, 0);
	maker.header.e_entry = 0x8010;
	maker.ph[MAKER_TEXT].p_vaddr = maker.ph[MAKER_TEXT].p_paddr = 0x8000;
	maker.ph[MAKER_DATA].p_type = PT_NULL;
	with_modules();
	booted();
	is_flat(0x8010);
	assert_int_equal(word(word(vcpu.gpr[RBX] + 24)), IMAGE_START);
}

static void test_low_taken(void **state)
{
	static const uint64_t bad[] = {0x4ff, BOOT_START - 0xfff, BOOT_START, BOOT_END, IMAGE_START - 1};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		teardown(NULL);
		setup(NULL);
		put_header(maker.text, 0, 0, 0, 0, 0, 0);
		maker.ph[MAKER_TEXT].p_paddr = bad[i];
		refused("below 1 MiB");
	}
}

static void test_modules_too_big(void **state)
{
	put_header(maker.text, 0, 0, 0, 0, 0, 0);
	maker.ph[MAKER_DATA].p_memsz = RAM - MAKER_BASE - 0x2000;
	with_modules();
	refused("does not fit: 5000 bytes, but between the kernel and the end of RAM 4096 are free");
}

/* The note of a guest made for ring3 counts more than a header of another protocol. */
static void test_ring3_first(void **state)
{
	maker.header.e_phnum = MAKER_PH_COUNT;
	put_header(maker.text, 0, 0, 0, 0, 0, 0);
	write_kernel();
	assert_int_equal(image_open(&vm), 0);
	assert_int_equal(image_machine(&vm), MACHINE_PLAIN);
}

static void test_engine(void **state)
{
	vm.engine_ops = engine_find("trap");
	put_header(maker.text, 0, 0, 0, 0, 0, 0);
	refused("is a Multiboot kernel and starts in 32-bit mode, which engine trap does not run: take --engine "
		"translate or hybrid or interpret");
}

static void test_long_command_line(void **state)
{
	static char line[BOOT_END - BOOT_START];

	memset(line, 'x', sizeof(line) - 1);
	config.cmdline = line;
	put_header(maker.text, 0, 0, 0, 0, 0, 0);
	refused("shorten --append");
}

/* ---------------------------------------------------------------------------------------------------- Multiboot 2 */

/* A header with these words for tags. */
static void put_header2(uint8_t *at, uint32_t architecture, const uint32_t *tags, uint32_t bytes)
{
	const uint32_t words[] = {0xe85250d6, architecture, 16 + bytes, -(0xe85250d6u + architecture + 16 + bytes)};

	memcpy(at, words, sizeof(words));
	memcpy(at + 16, tags, bytes);
}

/* The tag's body in the information at vcpu's RBX; 0 if it has none. */
static uint64_t tag(uint32_t type, uint32_t *size)
{
	uint64_t info = vcpu.gpr[RBX], at = info + 8, end = info + word(info);

	assert_int_equal(info & 7, 0);
	while (at < end) {
		uint32_t is = word(at);

		*size = word(at + 4);
		if (is == type)
			return at + 8;
		assert_true(is != 0);
		at = (at + *size + 7) & ~7ull;
	}
	return 0;
}

static void test_multiboot2(void **state)
{
	static const uint32_t tags[] = {
		1,
		12,
		6,
		0, /* an information request */
		3,
		12,
		MAKER_BASE + 0x20,
		0, /* another entry than the ELF file's */
		0x10000 | 99,
		8,
		0,
		8, /* an unknown one that is optional, and the end */
	};
	uint32_t size;
	uint64_t at;

	put_header2(maker.text + 0x800, 0, tags, sizeof(tags));
	with_modules();
	booted();
	is_flat(MAKER_BASE + 0x20);
	assert_int_equal(vcpu.gpr[RAX], 0x36d76289);
	assert_string_equal(ram(tag(1, &size)), "one two");
	assert_int_equal(size, 8 + 8);
	assert_string_equal(ram(tag(2, &size)), "ring3");
	at = tag(3, &size);
	assert_int_equal(word(at), MAKER_BASE + 0x4000);
	assert_int_equal(word(at + 4), MAKER_BASE + 0x4000 + MODULE_A);
	assert_string_equal(ram(at + 8), strrchr(module[0], '/') + 1);
	at = tag(4, &size);
	assert_true(word(at) == 639 && word(at + 4) == 15 * 1024);
	at = tag(6, &size);
	assert_true(size == 16 + 4 * 24 && word(at) == 24 && word(at + 4) == 0);
	assert_true(word(at + 8) == 0 && word(at + 16) == PC_LOW_END && word(at + 24) == 1);
	at = tag(8, &size);
	assert_true(quad(at) == 0xb8000 && word(at + 8) == 160 && word(at + 12) == 80 && word(at + 16) == 25);
	assert_non_null(tag(15, &size));
	/* The end, and nothing behind it. */
	assert_int_equal(quad(vcpu.gpr[RBX] + word(vcpu.gpr[RBX]) - 8), 0x800000000);
}

static void test_multiboot2_addresses(void **state)
{
	static const uint32_t tags[] = {2, 24, 0x300100, 0x300000, 0x300800, 0x302000, 3, 12, 0x300400, 0, 0, 8};

	put_header2(flat + 0x100, 0, tags, sizeof(tags));
	flat_size = 0x1000;
	booted();
	is_flat(0x300400);
}

static void test_multiboot2_hostile(void **state)
{
	static const struct {
		uint32_t architecture, tags[8], bytes;
		const char *fragment;
	} bad[] = {
		{4, {0, 8}, 8, "for architecture 4"},
		{0, {99, 8}, 8, "type 99 that is not known"},
		{0, {1, 7}, 8, "ends beyond it"},
		{0, {1, 0}, 8, "ends beyond it"},
		{0, {1, 9}, 8, "ends beyond it"},
		{0, {1, 0xffffffff}, 8, "ends beyond it"},
		{0, {2, 8}, 8, "type 2 that is too short"},
		{0, {3, 11, MAKER_BASE}, 12, "type 3 that is too short"},
		{0, {3, 12, RAM}, 12, "lies in no loaded segment"},
		{0, {2, 24, 0x300100, 0x300000, 0, 0}, 24, "names addresses and no entry"},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		teardown(NULL);
		setup(NULL);
		put_header2(maker.text + 0x100, bad[i].architecture, bad[i].tags, bad[i].bytes);
		if (bad[i].tags[0] == 2 && bad[i].bytes == 24) {
			put_header2(flat + 0x100, 0, bad[i].tags, 24);
			flat_size = 0x1000;
		}
		refused(bad[i].fragment);
	}
}

/* A tag that ends within the header, but not its padding: there is nothing behind it. */
static void test_multiboot2_ends(void **state)
{
	static const uint32_t tags[] = {3, 12, MAKER_BASE + 0x30};

	put_header2(maker.text + 0x100, 0, tags, sizeof(tags));
	booted();
	is_flat(MAKER_BASE + 0x30);
}

/* ------------------------------------------------------------------------------------------------------------ PVH */

static void put_pvh_note(uint64_t entry, uint32_t size)
{
	maker.header.e_phnum = MAKER_PH_COUNT;
	maker.note.header = (Elf64_Nhdr){4, size, 18};
	memcpy(maker.note.name, "Xen", 4);
	memcpy(maker.note.name + 4, &entry, size);
}

static void test_pvh(void **state)
{
	const struct hvm_start_info *info;
	const struct hvm_modlist_entry *list;

	for (uint32_t size = 4; size <= 8; size += 4) {
		teardown(NULL);
		setup(NULL);
		put_pvh_note(MAKER_BASE + 0x40, size);
		with_modules();
		booted();
		is_flat(MAKER_BASE + 0x40);
		info = ram(vcpu.gpr[RBX]);
		assert_int_equal(info->magic, HVM_START_MAGIC);
		assert_int_equal(info->version, 1);
		assert_string_equal(ram(info->cmdline_paddr), "one two");
		assert_int_equal(info->memmap_entries, 4);
		assert_int_equal(info->rsdp_paddr, PC_RSDP);
		assert_int_equal(info->nr_modules, 2);
		list = ram(info->modlist_paddr);
		assert_int_equal(list[1].paddr, MAKER_BASE + 0x6000);
		assert_int_equal(list[1].size, MODULE_B);
	}
}

static void test_pvh_hostile(void **state)
{
	put_pvh_note(MAKER_BASE + 0x1000 + 0x800, 4);
	refused("lies in no loaded segment");
	teardown(NULL);
	setup(NULL);
	put_pvh_note(R3_BIT(32) | MAKER_BASE, 8);
	refused("lies in no loaded segment");
}

/* -------------------------------------------------------------------------------------------------- a boot sector */

static void test_sector(void **state)
{
	flat[510] = 0x55;
	flat[511] = 0xaa;
	flat_size = 512;
	booted();
	assert_true(vcpu.rip == 0x7c00 && vcpu.gpr[RDX] == 0x80);
	assert_int_equal(vcpu.cr0, X86_CR0_ET);
	assert_int_equal(vcpu_code_bits(&vcpu), 16);
	assert_true(vcpu_is_8086(&vcpu));
	for (unsigned i = 0; i < SREG_COUNT; i++)
		assert_true(vcpu.sreg[i].base == 0 && vcpu.sreg[i].limit == 0xffff && vcpu.sreg[i].present);
	assert_int_equal(word(0x7dfc) >> 16, 0xaa55);
	assert_true(vcpu.idtr.base == 0 && vcpu.idtr.limit == 0x3ff);
}

static void test_no_sector(void **state)
{
	flat[510] = 0x55;
	flat_size = 512;
	refused("is not an ELF file, and no other kernel that ring3 boots");
}

static void test_sector_engine(void **state)
{
	vm.engine_ops = engine_find("trap");
	flat[510] = 0x55;
	flat[511] = 0xaa;
	flat_size = 512;
	refused("is a boot sector and starts in 16-bit mode");
}

/* ----------------------------------------------------------------------------------------------- Linux, 32 bits */

static void put_linux(uint16_t version, uint16_t xloadflags)
{
	struct linux_header header = {.setup_sects = 1,
				      .jump = 0x6aeb,
				      .version = version,
				      .loadflags = LINUX_LOADED_HIGH,
				      .code32_start = 0x100000,
				      .initrd_addr_max = 0x7fffffff,
				      .xloadflags = xloadflags,
				      .cmdline_size = 2047,
				      .pref_address = 0x400000,
				      .init_size = 0x200000};

	memcpy(&header.header, LINUX_MAGIC, 4);
	memcpy(flat + LINUX_HEADER, &header, sizeof(header));
	flat_size = 0x4000;
	flat[0x400] = 0x77;
}

static void test_linux(void **state)
{
	const struct linux_zero_page *zero;

	put_linux(0x20f, 0);
	booted();
	is_flat(0x400000);
	assert_true(vcpu.sreg[SREG_CS].selector == 0x10 && vcpu.sreg[SREG_DS].selector == 0x18);
	assert_true(vcpu.gpr[RBP] == 0 && vcpu.gpr[RDI] == 0 && vcpu.gpr[RBX] == 0);
	zero = ram(vcpu.gpr[RSI]);
	assert_string_equal(ram(zero->header.cmd_line_ptr), "one two");
	assert_int_equal(*(const uint8_t *)ram(0x400000), 0x77);
}

/* Before version 2.10 nobody said where it would like to be, and before 2.12 not whether there is a 64-bit entry. */
static void test_linux_old(void **state)
{
	put_linux(0x206, LINUX_XLF_KERNEL_64);
	booted();
	is_flat(0x100000);
}

static void test_linux_64(void **state)
{
	put_linux(0x20f, LINUX_XLF_KERNEL_64);
	booted();
	assert_true(vcpu.rip == 0x400200);
	assert_int_equal(vcpu_paging_mode(&vcpu), SPT_4_LEVEL);
}

static bool is_disk(size_t size)
{
	struct image_drive drive;
	bool is;

	unlink(path);
	write_file(path, flat, size);
	is = image_is_drive(path, &drive);
	assert_true(!is || (drive.bytes == size && !drive.is_cd));
	return is;
}

/* A boot sector with more behind it, which may be a kernel for Multiboot: GRUB's disks have one. */
static void test_disk(void **state)
{
	const uint32_t multiboot[] = {0x1badb002, 0x00010000, 0u - 0x1badb002 - 0x00010000, 0x100400, 0x100000};
	struct capture c;

	flat[510] = 0x55;
	assert_false(is_disk(1024));
	flat[511] = 0xaa;
	assert_true(is_disk(1024));
	memcpy(flat + 0x400, multiboot, sizeof(multiboot));
	assert_true(is_disk(sizeof(flat)));
	assert_false(is_disk(512)); /* entered as it is */
	assert_false(is_disk(1025));
	memcpy(flat + 0x202, "HdrS", 4); /* Linux's sector ends so too */
	assert_false(is_disk(sizeof(flat)));
	memset(flat + 0x202, 0, 4);
	memcpy(flat, "\177ELF", 4);
	assert_false(is_disk(sizeof(flat)));
	memset(flat, 0, 4);
	assert_false(image_is_drive("/nowhere/at/all", &(struct image_drive){0}));
	assert_false(image_is_drive("/dev/null", &(struct image_drive){0}));
	/* Without firmware it is refused, and not taken for that kernel. */
	assert_true(is_disk(sizeof(flat)));
	config.kernel = path;
	capture_start(&c, stderr);
	assert_int_not_equal(image_load(&vm), 0);
	capture_end(&c);
	assert_non_null(strstr(c.text, "is the image of a disk"));
}

/* The image of a CD, whether its first sector is a disk's or empty. */
static void test_cd(void **state)
{
	static uint8_t cd[0x9000];
	struct image_drive drive;
	struct capture c;

	for (unsigned n = 0; n < 2; n++) {
		unlink(path);
		memcpy(cd + 0x8000, "\1CD001\1", 7);
		write_file(path, cd, sizeof(cd));
		assert_true(image_is_drive(path, &drive));
		assert_true(drive.is_cd && drive.bytes == sizeof(cd));
		memcpy(cd + 510, "\x55\xaa", 2);
	}
	config.kernel = path;
	capture_start(&c, stderr);
	assert_int_not_equal(image_load(&vm), 0);
	capture_end(&c);
	assert_non_null(strstr(c.text, "--cdrom"));
	unlink(path);
	write_file(path, cd, 0x8003);
	assert_false(image_is_drive(path, &drive) && drive.is_cd);
}

/* The type of the byte at gpa as its registers give it, where at most one range holds it: SDM 3A 11.11.4.1 */
static unsigned memory_type(uint64_t gpa)
{
	const struct vcpu_mtrr *mtrr = &vcpu.mtrr;
	unsigned index, byte;

	if (gpa < IMAGE_START) {
		index = gpa < 0x80000 ? VCPU_MTRR_64K
				      : (gpa < 0xc0000 ? VCPU_MTRR_16K + (gpa - 0x80000) / 0x20000
						       : VCPU_MTRR_4K + (gpa - 0xc0000) / 0x8000);
		byte = gpa < 0x80000 ? gpa >> 16 : gpa < 0xc0000 ? gpa >> 14 & 7 : gpa >> 12 & 7;
		return mtrr->fixed[index] >> 8 * byte & 0xff;
	}
	for (unsigned i = 0; i < VCPU_MTRR_RANGES; i++) {
		uint64_t base = mtrr->range[2 * i], mask = mtrr->range[2 * i + 1] & ~X86_PAGE_MASK;

		if ((mtrr->range[2 * i + 1] & X86_MTRR_VALID) && (gpa & mask) == (base & mask))
			return base & 0xff;
	}
	return mtrr->all_else & 0xff;
}

static void test_memory_types(void **state)
{
	static const struct {
		uint64_t gpa;
		unsigned type;
	} cases[] = {{0, X86_MEMORY_WB},	   {PC_LOW_END - 1, X86_MEMORY_WB}, {0xa0000, X86_MEMORY_UC},
		     {0xbffff, X86_MEMORY_UC},	   {0xc0000, X86_MEMORY_WP},	    {IMAGE_START - 1, X86_MEMORY_WP},
		     {IMAGE_START, X86_MEMORY_WB}, {0xbfffffff, X86_MEMORY_WB},	    {0xc0000000, X86_MEMORY_UC},
		     {0xfee00000, X86_MEMORY_UC},  {0xffffffff, X86_MEMORY_UC},	    {0x100000000, X86_MEMORY_WB}};

	memset(&vcpu.mtrr, 0, sizeof(vcpu.mtrr));
	put_header(maker.text + 0x40, 7, 0, 0, 0, 0, 0);
	booted();
	assert_true(vcpu.mtrr.all_else & X86_MTRR_ENABLE && vcpu.mtrr.all_else & X86_MTRR_ENABLE_FIXED);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(memory_type(cases[i].gpa), cases[i].type);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(multiboot),
		T(memory_types),
		T(cd),
		T(multiboot_entry),
		T(multiboot_physical_entry),
		T(multiboot_32),
		T(addresses),
		T(addresses_open),
		T(addresses_behind),
		T(addresses_hostile),
		T(multiboot_asks_more),
		T(multiboot_far),
		T(low),
		T(low_taken),
		T(modules_too_big),
		T(ring3_first),
		T(engine),
		T(long_command_line),
		T(multiboot2),
		T(multiboot2_addresses),
		T(multiboot2_hostile),
		T(multiboot2_ends),
		T(pvh),
		T(pvh_hostile),
		T(sector),
		T(no_sector),
		T(disk),
		T(sector_engine),
		T(linux),
		T(linux_old),
		T(linux_64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
