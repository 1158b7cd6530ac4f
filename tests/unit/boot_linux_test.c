/*
 * Linux's boot protocol by the 64-bit entry: what a kernel finds in RAM and registers, and that a damaged or hostile
 * header is refused with one line. Values: Documentation/arch/x86/boot.rst of Linux.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/boot/image.h"
#include "monitor/boot/linux.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"
#include "tests/unit/capture.h"

#define MIB(n)	  ((uint64_t)(n) << 20)
#define PREFERRED MIB(16)
#define INIT_SIZE MIB(40)
#define SETUP	  2 /* sectors of the setup part */
#define PAYLOAD	  5000

static struct vm vm;
static struct vm_config config;
static struct vcpu vcpu;
static struct linux_header header;
static char kernel[] = "/tmp/ring3-bzimage.XXXXXX", initrd[2][32];
static size_t file_size;

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(data, 1, size, out), size);
	assert_int_equal(fclose(out), 0);
}

static void write_kernel(void)
{
	static uint8_t file[(1 + SETUP) * LINUX_SECTOR + PAYLOAD];

	memset(file, 0xee, sizeof(file));
	memcpy(file + LINUX_HEADER, &header, sizeof(header));
	memset(file + (1 + SETUP) * LINUX_SECTOR, 0x90, PAYLOAD);
	write_file(kernel, file, file_size);
}

static void machine_up(uint64_t ram)
{
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	config = (struct vm_config){.cmdline = "console=ttyS0", .kernel = kernel, .vcpus = 1};
	vm.config = &config;
	vm.vcpu[0] = &vcpu;
	vm.vcpu_count = 1;
	vcpu.vm = &vm;
	assert_int_equal(gm_init_hole(&vm.mem, ram, PC_HOLE_START, PC_HOLE_END), 0);
}

static void machine_down(void)
{
	image_free(&vm);
	gm_free(&vm.mem);
}

static int setup(void **state)
{
	static bool made;

	if (!made)
		close(mkstemp(kernel));
	made = true;
	header = (struct linux_header){.setup_sects = SETUP,
				       .jump = 0x6aeb,
				       .version = 0x20f,
				       .loadflags = LINUX_LOADED_HIGH,
				       .initrd_addr_max = 0x7fffffff,
				       .xloadflags = LINUX_XLF_KERNEL_64,
				       .cmdline_size = 2047,
				       .pref_address = PREFERRED,
				       .init_size = INIT_SIZE};
	memcpy(&header.header, LINUX_MAGIC, 4);
	file_size = (1 + SETUP) * LINUX_SECTOR + PAYLOAD;
	machine_up(MIB(128));
	return 0;
}

static int teardown(void **state)
{
	machine_down();
	return 0;
}

static void booted(void)
{
	write_kernel();
	assert_int_equal(image_load(&vm), 0);
	assert_int_equal(image_boot(&vm), 0);
}

static void refused(int status, const char *fragment)
{
	struct capture c;
	int err;

	write_kernel();
	capture_start(&c, stderr);
	err = image_load(&vm);
	if (!err && status)
		err = image_boot(&vm);
	capture_end(&c);
	assert_true(err < 0);
	if (!strstr(c.text, fragment))
		fail_msg("no \"%s\" in \"%s\"", fragment, c.text);
	assert_ptr_equal(strchr(c.text, '\n'), c.text + strlen(c.text) - 1);
}

static const struct linux_zero_page *zero_page(void)
{
	const void *page = gm_ptr(&vm.mem, vcpu.gpr[RSI], sizeof(struct linux_zero_page));

	assert_non_null(page);
	return page;
}

static void test_entry(void **state)
{
	const uint8_t *payload = gm_ptr(&vm.mem, PREFERRED, PAYLOAD);

	booted();
	assert_int_equal(image_machine(&vm), MACHINE_PC);
	assert_int_equal(vcpu.rip, PREFERRED + 0x200);
	assert_int_equal(payload[0], 0x90);
	assert_int_equal(payload[PAYLOAD - 1], 0x90);
	assert_int_equal(vcpu.sreg[SREG_CS].selector, 0x10);
	assert_int_equal(vcpu.sreg[SREG_DS].selector, 0x18);
	assert_int_equal(vcpu.sreg[SREG_SS].selector, 0x18);
	assert_false(vcpu.rflags & X86_RFLAGS_IF);
	assert_int_equal(vcpu.cr4, X86_CR4_PAE);
}

static void test_zero_page(void **state)
{
	const struct linux_zero_page *zero;

	booted();
	zero = zero_page();
	assert_memory_equal(&zero->header.header, "HdrS", 4);
	assert_int_equal(zero->header.type_of_loader, 0xff);
	assert_int_equal(zero->header.loadflags & 1, 1);
	assert_int_equal(zero->header.pref_address, PREFERRED);
	assert_string_equal(gm_ptr(&vm.mem, zero->header.cmd_line_ptr, 14), "console=ttyS0");
	assert_int_equal(zero->header.ramdisk_size, 0);
	/* The header ends where its jump lands; what the file has behind it is code. */
	assert_int_equal(zero->header_bytes[LINUX_HEADER_END(0x6a) - LINUX_HEADER], 0);
}

static void test_memory_map(void **state)
{
	const struct linux_e820 *map;

	booted();
	map = zero_page()->e820;
	assert_int_equal(zero_page()->e820_entries, 4);
	assert_true(map[0].addr == 0 && map[0].size == 0x9fc00 && map[0].type == 1);
	assert_true(map[1].addr == 0xe0000 && map[1].size == 0x20000 && map[1].type == 2);
	assert_true(map[2].addr == MIB(1) && map[2].size == MIB(127) && map[2].type == 1);
	assert_true(map[3].addr == 0xfffc0000 && map[3].size == 0x40000 && map[3].type == 2); /* the map's end */
}

/* RAM goes on above 4 GiB; what lies between is no RAM, and the kernel's tables map it for devices. */
static void test_hole(void **state)
{
	const struct linux_e820 *map;

	machine_down();
	machine_up(MIB(4096));
	booted();
	map = zero_page()->e820;
	assert_int_equal(zero_page()->e820_entries, 5);
	assert_true(map[2].addr == MIB(1) && map[2].addr + map[2].size == MIB(3072));
	assert_true(map[4].addr == MIB(4096) && map[4].size == MIB(1024) && map[4].type == 1);
	assert_null(gm_ptr(&vm.mem, MIB(3072), 1));
	assert_null(gm_ptr(&vm.mem, MIB(3072) - 1, 2));
	assert_null(gm_ptr(&vm.mem, MIB(4096) - 1, 2));
	assert_non_null(gm_ptr(&vm.mem, MIB(3072) - 1, 1));
	assert_non_null(gm_ptr(&vm.mem, MIB(5120) - 1, 1));
	assert_null(gm_ptr(&vm.mem, MIB(5120) - 1, 2));
}

/* A display with memory of its own, which is no RAM to the kernel, and shows a picture. */
static void test_video(void **state)
{
	const struct linux_zero_page *zero;

	gm_free(&vm.mem);
	assert_int_equal(gm_init_video(&vm.mem, MIB(128), PC_VIDEO_BYTES, PC_VIDEO), 0);
	config.video = (struct vm_video){1024, 768};
	booted();
	zero = zero_page();
	assert_int_equal(zero->e820_entries, 5);
	assert_true(zero->e820[2].addr == MIB(1) && zero->e820[2].size == MIB(127) && zero->e820[2].type == 1);
	assert_true(zero->e820[3].addr == PC_VIDEO && zero->e820[3].size == MIB(16) && zero->e820[3].type == 2);
	assert_int_equal(zero->orig_video_is_vga, LINUX_VIDEO_LINEAR);
	assert_int_equal(zero->lfb_base, PC_VIDEO);
	assert_int_equal(zero->lfb_size, 0x100);
	assert_int_equal(zero->lfb_linelength, 4096);
	assert_int_equal(*((const uint8_t *)zero + 0x27), 16); /* red_pos */
	assert_int_equal(vm.mem.ram, MIB(128));
}

/* Several archives are one initrd: behind each other, each padded to 4 bytes, page-aligned, below the kernel's bound.
 */
static void test_initrd(void **state)
{
	const struct linux_header *h;

	header.initrd_addr_max = MIB(100) - 1;
	for (unsigned i = 0; i < 2; i++) {
		snprintf(initrd[i], sizeof(initrd[i]), "/tmp/ring3-initrd.%u", i);
		write_file(initrd[i], i ? "second" : "first", i ? 6 : 5);
		config.modules[config.module_count++] = initrd[i];
	}
	booted();
	h = &zero_page()->header;
	assert_int_equal(h->ramdisk_image % 4096, 0);
	assert_true(h->ramdisk_image + h->ramdisk_size <= MIB(100));
	assert_true(h->ramdisk_image >= PREFERRED + INIT_SIZE);
	assert_int_equal(h->ramdisk_size, 8 + 6);
	assert_memory_equal(gm_ptr(&vm.mem, h->ramdisk_image, 14), "first\0\0\0second", 14);
	for (unsigned i = 0; i < 2; i++)
		unlink(initrd[i]);
}

static void test_initrd_too_big(void **state)
{
	static const uint8_t data[2 * 4096];

	header.initrd_addr_max = (uint32_t)(PREFERRED + INIT_SIZE + 4096 - 1);
	write_file("/tmp/ring3-initrd.big", data, sizeof(data));
	config.modules[config.module_count++] = "/tmp/ring3-initrd.big";
	refused(1, "does not fit: 8192 bytes, but between the kernel and 0x3801000, beyond which it takes none");
	unlink("/tmp/ring3-initrd.big");
}

static void test_old(void **state)
{
	header.version = 0x105;
	refused(0, "of boot protocol 1.05");
}

static void test_loaded_low(void **state)
{
	header.loadflags = 0;
	refused(0, "a Linux zImage");
}

static void test_truncated(void **state)
{
	file_size = (1 + SETUP) * LINUX_SECTOR;
	refused(0, "its kernel lies beyond the end");
}

static void test_setup_beyond(void **state)
{
	header.setup_sects = 255;
	refused(0, "its kernel lies beyond the end");
}

static void test_little_ram(void **state)
{
	header.init_size = (uint32_t)MIB(113);
	refused(0, "give more with --memory");
}

static void test_wrapping(void **state)
{
	header.pref_address = UINT64_MAX - 4095;
	refused(0, "give more with --memory");
}

static void test_below(void **state)
{
	header.pref_address = 0x10000;
	refused(0, "give more with --memory");
}

/* The last byte of the jump says that the header ends beyond the room for it. */
static void test_long_header(void **state)
{
	header.jump = 0xffeb;
	booted();
	assert_int_equal(zero_page()->e820_entries, 4);
	assert_int_equal(zero_page()->header_bytes[LINUX_HEADER_MAX - LINUX_HEADER - 1], 0xee);
}

static void test_long_command_line(void **state)
{
	header.cmdline_size = 12;
	refused(1, "the command line of 13 bytes is longer than this kernel's 12");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(entry),      T(zero_page), T(memory_map),	T(hole),
		T(video),      T(initrd),    T(initrd_too_big), T(old),
		T(loaded_low), T(truncated), T(setup_beyond),	T(little_ram),
		T(wrapping),   T(below),     T(long_header),	T(long_command_line),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	unlink(kernel);
	return failed;
}
