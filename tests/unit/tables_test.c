/*
 * What firmware leaves in memory for operating systems, read as they do: ACPI tables from the root pointer on
 * (ACPI 6.4, chapter 5), and the MultiProcessor table (MultiProcessor Specification 1.4, chapter 4).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "monitor/device/acpi_tables.h"
#include "monitor/device/mp_table.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"

#define RAM (4u << 20)

static struct vm vm;
static struct vm_config config;
static struct vcpu vcpu;

static int setup(void **state)
{
	config = (struct vm_config){.cmdline = "", .vcpus = 1};
	vm = (struct vm){.config = &config, .vcpu[0] = &vcpu, .vcpu_count = 1, .kind = MACHINE_PC};
	return gm_init(&vm.mem, RAM);
}

static int teardown(void **state)
{
	gm_free(&vm.mem);
	return 0;
}

static uint64_t at(uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	assert_true(gm_read(&vm.mem, gpa, &value, size));
	return value;
}

/* All bytes of it come to 0. */
static void sums_up(uint64_t gpa, unsigned length)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < length; i++)
		sum = (uint8_t)(sum + at(gpa + i, 1));
	assert_int_equal(sum, 0);
}

static void is(uint64_t gpa, const char *signature)
{
	for (unsigned i = 0; signature[i]; i++)
		assert_int_equal(at(gpa + i, 1), signature[i]);
}

/* The table that RSDT and XSDT name, alike, in this place. */
static uint64_t table(unsigned place, const char *signature)
{
	uint64_t rsdt = at(PC_RSDP + 16, 4), xsdt = at(PC_RSDP + 24, 8), found;

	is(rsdt, "RSDT");
	is(xsdt, "XSDT");
	assert_int_equal(at(rsdt + 4, 4), 36 + 3 * 4);
	assert_int_equal(at(xsdt + 4, 4), 36 + 3 * 8);
	sums_up(rsdt, 36 + 3 * 4);
	sums_up(xsdt, 36 + 3 * 8);
	found = at(xsdt + 36 + 8 * place, 8);
	assert_int_equal(found, at(rsdt + 36 + 4 * place, 4));
	is(found, signature);
	sums_up(found, (unsigned)at(found + 4, 4));
	return found;
}

static void test_root(void **state)
{
	acpi_put_tables(&vm, PC_RSDP);
	assert_int_equal(PC_RSDP % 16, 0);
	assert_in_range(PC_RSDP, 0xe0000, 0xfffff);
	is(PC_RSDP, "RSD PTR ");
	assert_int_equal(at(PC_RSDP + 15, 1), 2);
	assert_int_equal(at(PC_RSDP + 20, 4), 36);
	sums_up(PC_RSDP, 20);
	sums_up(PC_RSDP, 36);
}

static void test_fadt(void **state)
{
	uint64_t fadt, dsdt;

	acpi_put_tables(&vm, PC_RSDP);
	fadt = table(0, "FACP");
	assert_int_equal(at(fadt + 4, 4), 276);
	dsdt = at(fadt + 40, 4);
	assert_int_equal(at(fadt + 140, 8), dsdt);
	is(dsdt, "DSDT");
	sums_up(dsdt, (unsigned)at(dsdt + 4, 4));
	is(at(fadt + 36, 4), "FACS");
	assert_int_equal(at(fadt + 36, 4) % 64, 0);
	assert_int_equal(at(fadt + 46, 2), 9);	   /* SCI */
	assert_int_equal(at(fadt + 56, 4), 0x600); /* event block, control block, timer; in both forms */
	assert_int_equal(at(fadt + 64, 4), 0x604);
	assert_int_equal(at(fadt + 76, 4), 0x608);
	assert_int_equal(at(fadt + 148, 4), 0x03002001); /* I/O space, 32 bits, as doublewords */
	assert_int_equal(at(fadt + 152, 8), 0x600);
	assert_int_equal(at(fadt + 176, 8), 0x604);
	assert_int_equal(at(fadt + 212, 8), 0x608);
	assert_int_equal(at(fadt + 88, 4), 0x04000204);	     /* their lengths */
	assert_int_equal(at(fadt + 108, 1), 0x32);	     /* the century in NVRAM */
	assert_true(at(fadt + 112, 4) & UINT64_C(1) << 10);  /* it can be reset: */
	assert_int_equal(at(fadt + 120, 8), 0xcf9);	     /* by this port */
	assert_true((at(fadt + 128, 1) & 6) == 6);	     /* with this value */
	assert_false(at(fadt + 112, 4) & UINT64_C(1) << 20); /* the registers are there */
}

static void test_madt(void **state)
{
	uint64_t madt, end;
	unsigned seen[5] = {0};

	acpi_put_tables(&vm, PC_RSDP);
	madt = table(1, "APIC");
	end = madt + at(madt + 4, 4);
	assert_int_equal(at(madt + 36, 4), 0xfee00000);
	assert_int_equal(at(madt + 40, 4), 1); /* there are 8259s too */
	for (uint64_t entry = madt + 44; entry < end; entry += at(entry + 1, 1)) {
		static const uint8_t lengths[] = {8, 12, 10, 0, 6};
		unsigned type = (unsigned)at(entry, 1);

		assert_true(type < sizeof(lengths) && lengths[type]);
		assert_int_equal(at(entry + 1, 1), lengths[type]);
		seen[type]++;
		if (type == 0)
			assert_int_equal(at(entry + 2, 6), 0x000000010000); /* processor 0, APIC 0, enabled */
		if (type == 1)
			assert_int_equal(at(entry + 4, 8), 0xfec00000); /* from interrupt 0 on */
		if (type == 2 && seen[type] == 1)
			assert_int_equal(at(entry + 2, 8), 0x0000000000020000); /* the 8254 is at pin 2 */
		if (type == 2 && seen[type] == 2)
			assert_int_equal(at(entry + 2, 8), 0x000d000000090900); /* SCI: level, high */
		if (type == 4)
			assert_int_equal(at(entry + 2, 4), 0x010000ff); /* NMI at LINT1 of all */
	}
	assert_true(seen[0] == 1 && seen[1] == 1 && seen[2] == 2 && seen[4] == 1);
}

static void test_hpet(void **state)
{
	uint64_t hpet;

	acpi_put_tables(&vm, PC_RSDP);
	hpet = table(2, "HPET");
	assert_int_equal(at(hpet + 4, 4), 56);
	assert_int_equal(at(hpet + 40, 1), 0); /* in memory */
	assert_int_equal(at(hpet + 44, 8), 0xfed00000);
}

/* Elsewhere, as firmware may put them: all that they name moves along. */
static void test_elsewhere(void **state)
{
	const uint32_t root = 0x200000;
	uint64_t xsdt;

	acpi_put_tables(&vm, root);
	sums_up(root, 36);
	xsdt = at(root + 24, 8);
	assert_in_range(xsdt, root + ACPI_RSDP_BYTES, root + ACPI_TABLES_BYTES - 1);
	sums_up(xsdt, (unsigned)at(xsdt + 4, 4));
	for (unsigned n = 0; n < 3; n++)
		assert_in_range(at(xsdt + 36 + 8 * n, 8), root, root + ACPI_TABLES_BYTES - 1);
}

/* On a boundary of 16 bytes between 0xf0000 and 0xfffff, where kernels search for it. */
static uint64_t mp_pointer(void)
{
	for (uint64_t gpa = 0xf0000; gpa < 0x100000; gpa += 16)
		if (at(gpa, 4) == 0x5f504d5f)
			return gpa;
	fail();
	return 0;
}

static void test_multiprocessor(void **state)
{
	uint64_t pointer, header, entry;
	unsigned seen[5] = {0}, pins = 0;

	mp_put_table(&vm);
	pointer = mp_pointer();
	assert_int_equal(at(pointer + 8, 1), 1);
	sums_up(pointer, 16);
	assert_int_equal(at(pointer + 11, 1), 0); /* no default configuration: there is a table */
	header = at(pointer + 4, 4);
	is(header, "PCMP");
	sums_up(header, (unsigned)at(header + 4, 2));
	assert_int_equal(at(header + 36, 4), 0xfee00000);
	entry = header + 44;
	for (unsigned n = 0; n < at(header + 34, 2); n++) {
		unsigned type = (unsigned)at(entry, 1);

		assert_true(type < 5);
		seen[type]++;
		if (type == 0)
			assert_int_equal(at(entry + 3, 1), 3); /* enabled, and the one that starts */
		if (type == 1)
			is(entry + 2, "ISA   ");
		if (type == 2)
			assert_int_equal(at(entry + 4, 4), 0xfec00000);
		if (type == 3) {
			unsigned line = (unsigned)at(entry + 5, 1), pin = (unsigned)at(entry + 7, 1);

			assert_int_equal(pin, line ? line : 2);
			pins |= 1u << pin;
		}
		entry += type ? 8 : 20;
	}
	assert_int_equal(entry, header + at(header + 4, 2));
	assert_true(seen[0] == 1 && seen[1] == 1 && seen[2] == 1 && seen[3] == 15 && seen[4] == 2);
	assert_int_equal(pins, 0xfffe); /* each its own: 0 is what the 8259 would be at */
	assert_int_equal(at(0x40e, 2) << 4, PC_LOW_END);
	assert_int_equal(at(0x413, 2) << 10, PC_LOW_END);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(root), T(fadt), T(madt), T(hpet), T(elsewhere), T(multiprocessor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
