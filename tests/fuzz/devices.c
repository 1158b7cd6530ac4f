/*
 * Devices under random accesses: devices SEED COUNT. A PC's: ports of all of them, and their memory, in all sizes, at
 * moments that deadlines lie between, and registers of the processor's that tell of them; interrupts are taken or
 * left. Then a unikernel's calls, with arguments anywhere. Nothing may crash, and no access may take long.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "monitor/boot/solo5.h"
#include "monitor/device/ata.h"
#include "monitor/device/hpet.h"
#include "monitor/device/ioapic.h"
#include "monitor/device/lapic.h"
#include "monitor/device/machine.h"
#include "monitor/device/testdev.h"
#include "monitor/device/vga.h"
#include "monitor/emulate/group.h"
#include "monitor/host/clock.h"
#include "tests/unit/machine_fixture.h"

/* No single step of this test's may take longer: a signal is answered in less. */
#define ACCESS_NS 100000000u

static uint64_t state;

/* xorshift64*, after Vigna. */
static uint64_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * R3_U64(0x2545f4914f6cdd1d);
}

static uint64_t below(uint64_t n)
{
	return draw() % n;
}

static uint64_t any_value(void)
{
	return draw() >> below(64) ^ (below(4) ? 0 : ~R3_U64(0));
}

static void any_port(struct vm *vm)
{
	const struct bus_range *range = &vm->bus.range[below(vm->bus.count)];
	uint16_t port = (uint16_t)(below(64) ? range->base + below(range->length) : draw());
	unsigned size = 1u << below(3);
	uint32_t value = (uint32_t)any_value() & (uint32_t)(R3_BIT(8 * size) - 1);

	for (unsigned n = below(16) ? 1 : 300; n; n--)
		bus_io(&vm->bus, port, size, draw() & 1, &value);
}

static void any_memory(struct vm *vm)
{
	static const uint64_t bases[] = {X86_APIC_BASE_RESET, IOAPIC_BASE, HPET_BASE, TESTDEV_MEMORY};
	uint64_t bytes[8] = {any_value(), any_value()};
	uint64_t gpa = bases[below(4)] + (below(4) ? below(0x400) & ~R3_U64(0xf) : below(0x1100));
	uint64_t len = below(8) ? 4 : below(sizeof(bytes) + 1);

	if (draw() & 1)
		bus_write(&vm->bus, gpa, bytes, len);
	else
		bus_read(&vm->bus, gpa, bytes, len);
}

/* RDMSR and WRMSR of what a PC's kernel finds: memory types, keys of supervisor pages, the APIC's, those of makers. */
static void any_register(struct vcpu *vcpu)
{
	static const uint32_t around[] = {0,
					  X86_MSR_APIC_BASE,
					  X86_MSR_MTRR_FIRST,
					  X86_MSR_MTRR_64K,
					  X86_MSR_MTRR_4K,
					  X86_MSR_PAT,
					  X86_MSR_MTRR_DEFAULT,
					  X86_MSR_PKRS,
					  X86_MSR_X2APIC_FIRST,
					  X86_MSR_EFER,
					  X86_MSR_K7_EVNTSEL0};
	uint64_t value = any_value();

	vcpu->cpl = 0;
	vcpu->gpr[RCX] = around[below(sizeof(around) / sizeof(around[0]))] + below(24);
	vcpu->gpr[RAX] = value;
	vcpu->gpr[RDX] = value >> 32;
	if (draw() & 1)
		emu_rdmsr(vcpu, NULL);
	else if (vcpu->gpr[RCX] != X86_MSR_EFER) /* the mode is the fixture's */
		emu_wrmsr(vcpu, NULL);
}

/* A function of the chipset's, or none: some of its registers, in all sizes. */
static void any_function(struct vm *vm)
{
	uint32_t function = (uint32_t)below(4) << 11 | (uint32_t)below(5) << 8, value;

	for (unsigned n = below(8); n; n--) {
		value = (uint32_t)R3_BIT(31) | function | (below(4) ? (uint32_t)below(0x100) : (uint32_t)draw());
		bus_io(&vm->bus, X86_PORT_PCI, 4, true, &value);
		value = (uint32_t)any_value();
		bus_io(&vm->bus, (uint16_t)(X86_PORT_PCI + 4 + below(4)), 1u << below(3), draw() & 1, &value);
	}
}

static void any_msr(struct vm *vm)
{
	struct lapic *apic = machine_lapic(vm);
	uint64_t value = any_value();

	switch (below(8)) {
	case 0:
		lapic_write_base(apic, (value & 0xc00) | X86_APIC_BASE_RESET | (below(4) ? 0 : value));
		break;
	case 1:
		lapic_write_deadline(apic, clock_guest_tsc() + value);
		break;
	case 2:
		vm->vcpu[0]->cr8 = value & 15;
		break;
	case 3:
		lapic_read_msr(apic, (unsigned)below(0x100), &value);
		break;
	default:
		lapic_write_msr(apic, (unsigned)below(0x40), value);
	}
}

/* Whatever the registers say and the text memory holds is printed within bounds. */
static void any_screen(struct vm *vm, FILE *nowhere)
{
	uint64_t text[32];

	for (unsigned i = 0; i < 32; i++)
		text[i] = draw();
	gm_write(&vm->mem, VGA_TEXT + below(0x8000 - sizeof(text)), text, sizeof(text));
	machine_print_screen(vm, nowhere);
	machine_write_picture(vm, nowhere);
	machine_print_firmware(vm, (unsigned)below(100), nowhere);
	rewind(nowhere);
}

/*
 * A command of the floppy controller's that is mostly one it has, for a drive that may not be there, with the DMA
 * channel set to whatever, or with bytes by its FIFO.
 */
static void any_floppy(struct vm *vm)
{
	static const uint8_t codes[] = {0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0c,
					0x0d, 0x0e, 0x0f, 0x10, 0x12, 0x13, 0x14, 0x16, 0x8f};
	static const uint16_t dma[] = {0x0c, 0x04, 0x04, 0x05, 0x05, 0x81, 0x0b, 0x0a, 0x0f, 0xd4, 0xd6};
	uint32_t value, code = codes[below(sizeof(codes))] | (draw() & 0xe0);

	for (unsigned i = 0; i < sizeof(dma) / sizeof(dma[0]); i++) {
		value = (uint8_t)draw();
		if (!below(4))
			bus_io(&vm->bus, dma[i], 1, true, &value);
	}
	value = below(8) ? 0x1c : (uint8_t)draw();
	bus_io(&vm->bus, X86_PORT_FLOPPY + 2, 1, true, &value);
	bus_io(&vm->bus, X86_PORT_FLOPPY + 5, 1, true, &code);
	for (unsigned i = below(12); i; i--) {
		value = below(4) ? (uint32_t)below(40) : (uint8_t)draw();
		bus_io(&vm->bus, X86_PORT_FLOPPY + 5, 1, true, &value);
	}
	for (unsigned i = below(8) ? 10 : 2000; i; i--)
		bus_io(&vm->bus, X86_PORT_FLOPPY + 5, 1, draw() & 1, &value);
}

/* A packet that is mostly one the CD-ROM drive knows, and some of what it answers. */
static void any_packet(struct vm *vm)
{
	static const uint8_t codes[] = {0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x43,
					0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xbb, 0xbd, 0xbe};
	uint32_t value;

	for (unsigned reg = 1; reg < 7; reg++) {
		value = reg == 6 || reg == 1 ? 0 : (uint8_t)draw();
		bus_io(&vm->bus, (uint16_t)(ATA_PORT_2 + reg), 1, true, &value);
	}
	value = below(8) ? 0xa0 : (uint8_t)draw();
	bus_io(&vm->bus, ATA_PORT_2 + 7, 1, true, &value);
	for (unsigned n = 0; n < 6; n++) {
		value = below(4) ? (uint32_t)below(4) << 8 : (uint16_t)draw();
		if (!n)
			value = (uint32_t)below(4) << 8 | codes[below(sizeof(codes))];
		bus_io(&vm->bus, ATA_PORT_2, 2, true, &value);
	}
	for (unsigned n = below(64) ? 20 : 9000; n; n--)
		bus_io(&vm->bus, ATA_PORT_2, 1u << below(3), false, &value);
}

/* What the mouse is asked, and what stays unread of its answers. */
static void any_mouse(struct vm *vm)
{
	uint32_t to_mouse = 0xd4, byte = below(4) ? 0xe0 | (uint32_t)below(32) : (uint8_t)draw();

	bus_io(&vm->bus, X86_PORT_KBD_COMMAND, 1, true, &to_mouse);
	bus_io(&vm->bus, X86_PORT_KBD_DATA, 1, true, &byte);
	for (unsigned i = below(6); i; i--)
		bus_io(&vm->bus, X86_PORT_KBD_DATA, 1, false, &byte);
}

static void any_interrupt(struct vm *vm)
{
	struct vcpu *vcpu = vm->vcpu[0];

	if (machine_irq_pending(vcpu))
		machine_irq_line(vm, machine_irq_ack(vcpu));
	machine_take_nmi(vcpu);
	if (below(4))
		bus_write(&vm->bus, X86_APIC_BASE_RESET + 0xb0, &(uint32_t){0}, 4);
}

/* A disk without a name: what is written to it is gone with the program. */
static struct disk_file *scratch_disk(off_t bytes)
{
	char path[] = "/tmp/ring3-disk-XXXXXX";
	int fd = mkstemp(path);
	struct disk_file *disk = NULL;

	if (fd >= 0 && !ftruncate(fd, bytes))
		disk = disk_open(&(struct disk_spec){.path = path});
	if (!disk)
		abort();
	unlink(path);
	close(fd);
	return disk;
}

/* ---------------------------------------------------------------------------------------------------- a unikernel's */

#define BLOCK_SECTORS 64u

static struct solo5_block block = {.capacity = BLOCK_SECTORS * DISK_SECTOR, .sector = DISK_SECTOR};

/* The manifest has one block device (the linker leads here what the monitor asks its image). */
const struct solo5_block *__wrap_image_solo5_block(const struct vm *vm, uint64_t handle);
const struct solo5_block *__wrap_image_solo5_block(const struct vm *vm, uint64_t handle)
{
	return handle == 1 ? &block : NULL;
}

/* A word of a call's: an address, a length or a number, most within bounds or at one. */
static uint64_t any_word(void)
{
	static const uint64_t bounds[] = {0,	   1,	       DISK_SECTOR, BLOCK_SECTORS * DISK_SECTOR,
					  FIX_RAM, R3_BIT(32), R3_BIT(63)};

	switch (below(8)) {
	case 0:
		return any_value();
	case 1 ... 3:
		return bounds[below(sizeof(bounds) / sizeof(bounds[0]))] + below(3) - 1;
	default:
		return below(2) ? below(FIX_RAM) : below(BLOCK_SECTORS) * DISK_SECTOR;
	}
}

static void any_call(struct vm *vm)
{
	uint64_t words[5] = {below(4) ? 1 : any_word(), any_word(), any_word(), any_word(), any_value()};
	uint32_t gpa = (uint32_t)(below(8) ? below(FIX_RAM) & ~R3_U64(7) : any_word());
	uint16_t call = (uint16_t)(below(32) ? 1 + below(SOLO5_CALLS) : below(SOLO5_PORTS));

	gm_write(&vm->mem, gpa, words, sizeof(words));
	bus_io(&vm->bus, SOLO5_PORT + call, below(32) ? 4 : 1u << below(3), below(32), &gpa);
}

static void call_or_port(struct vm *vm, FILE *nowhere)
{
	switch (below(8)) {
	case 0:
		any_port(vm);
		break;
	case 1:
		clock_advance(draw() >> below(50) >> 14);
		machine_poll(vm, clock_guest_ns());
		break;
	default:
		any_call(vm);
	}
}

/* -------------------------------------------------------------------------------------------------------------------
 */

static void one_access(struct vm *vm, FILE *nowhere)
{
	switch (below(13)) {
	case 12:
		any_register(vm->vcpu[0]);
		break;
	case 11:
		any_function(vm);
		break;
	case 10:
		any_packet(vm);
		break;
	case 9:
		any_mouse(vm);
		break;
	case 8:
		any_floppy(vm);
		break;
	case 0 ... 2:
		any_port(vm);
		break;
	case 3:
		if (!below(64))
			any_screen(vm, nowhere);
		/* fall through */
	case 4:
		any_memory(vm);
		break;
	case 5:
		any_msr(vm);
		break;
	case 6:
		any_interrupt(vm);
		break;
	default:
		clock_advance(draw() >> below(50) >> 14);
		machine_poll(vm, clock_guest_ns());
	}
}

/* Of the processor's time: what others do on this host does not count. */
static uint64_t spent_ns(void)
{
	struct timespec spent;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
	return (uint64_t)spent.tv_sec * 1000000000 + (uint64_t)spent.tv_nsec;
}

/* Whether each was through in time. */
static bool try_all(struct vm *vm, uint64_t count, void (*access)(struct vm *vm, FILE *nowhere), FILE *nowhere)
{
	for (uint64_t n = 0; n < count; n++) {
		const uint64_t before = spent_ns();

		access(vm, nowhere);
		if (spent_ns() - before > ACCESS_NS) {
			fprintf(stderr, "access %" PRIu64 " took %" PRIu64 " ms\n", n, (spent_ns() - before) / 1000000);
			return false;
		}
		vm->ended = false; /* it may have switched itself off */
	}
	return true;
}

static bool try_machine(struct vm *vm, enum vm_kind kind, uint64_t count, void (*access)(struct vm *vm, FILE *nowhere),
			FILE *nowhere)
{
	bool in_time;

	vm->bus = (struct bus){0};
	vm->timers = (struct timers){0};
	vm->kind = kind;
	if (machine_init(vm))
		return false;
	in_time = try_all(vm, count, access, nowhere);
	machine_exit(vm);
	return in_time;
}

static bool try_pc(struct machine_fixture *m, uint64_t count, FILE *nowhere)
{
	struct vm_config *config = &m->config;
	bool in_time;

	config->disk_files[0] = scratch_disk(1 << 20);
	config->floppy_files[0] = scratch_disk(1440 << 10);
	config->floppy_files[1] = scratch_disk(5 << 9);
	config->cdrom_file = scratch_disk(100 * 2048 + 512);
	in_time = try_machine(&m->vm, MACHINE_PC, count, one_access, nowhere);
	disk_close(config->disk_files[0]);
	disk_close(config->floppy_files[0]);
	disk_close(config->floppy_files[1]);
	disk_close(config->cdrom_file);
	config->disk_files[0] = config->floppy_files[0] = config->floppy_files[1] = config->cdrom_file = NULL;
	return in_time;
}

static bool try_unikernel(struct machine_fixture *m, uint64_t count, FILE *nowhere)
{
	bool in_time;

	block.fd = memfd_create("block", MFD_CLOEXEC);
	if (block.fd < 0 || ftruncate(block.fd, (off_t)block.capacity))
		return false;
	m->config.testdev = m->config.bios = false;
	in_time = try_machine(&m->vm, MACHINE_SOLO5, count, call_or_port, nowhere);
	close(block.fd);
	return in_time;
}

#define FUZZ_VIDEO 0x10000

int main(int argc, char **argv)
{
	struct machine_fixture *m = fix_make();
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 1000000;
	FILE *nowhere = fopen("/dev/null", "w");
	bool well;

	if (!nowhere)
		return 1;
	state = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * R3_U64(0x9e3779b97f4a7c15) + 1;
	m->config.no_input = m->config.no_output = m->config.testdev = m->config.bios = true;
	m->vm.vcpu_count = 1;
	m->vm.mem.video = FUZZ_VIDEO;
	clock_freeze();
	well = try_pc(m, count, nowhere) && try_unikernel(m, count / 10, nowhere);
	fclose(nowhere);
	fix_free(m);
	return !well;
}
