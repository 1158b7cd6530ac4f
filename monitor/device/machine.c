/*
 * The devices of the machine, in one list. To add one: write its file, give it ports here.
 */
#include "monitor/device/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "monitor/boot/bios.h"
#include "monitor/device/acpi_tables.h"
#include "monitor/device/console.h"
#include "monitor/device/internal.h"
#include "monitor/device/mp_table.h"
#include "monitor/device/nvram.h"
#include "monitor/device/picture.h"
#include "monitor/device/ports.h"
#include "monitor/device/screen.h"
#include "monitor/device/typing.h"
#include "monitor/host/clock.h"
#include "monitor/trace/trace.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"

/* Lines of the interrupt controllers, as on every PC. */
#define IRQ_PIT	     ACPI_IRQ_PIT
#define IRQ_KEYBOARD 1
#define IRQ_COM1     4
#define IRQ_FLOPPY   6
#define IRQ_RTC	     8
#define IRQ_MOUSE    12
#define IRQ_ATA	     14
#define IRQ_ATAPI    15

/* --------------------------------------------------------------------------------------------------------- lines */

static unsigned pin_of(unsigned line)
{
	return line == IRQ_PIT ? ACPI_PIN_PIT : line;
}

/* Both controllers see each line; which one passes it on is the guest's to say. */
static void set_line(void *arg, unsigned line, bool level)
{
	struct machine *machine = arg;

	if (line < PIC_LINES)
		pic_set_line(&machine->pic, line, level);
	if (machine->has_apics)
		ioapic_set_line(&machine->ioapic, pin_of(line), level);
}

static void set_timer_line(void *arg, unsigned line, bool level)
{
	struct machine *machine = arg;

	if (!hpet_replaces(&machine->hpet))
		set_line(machine, line, level);
}

static void set_hpet_line(void *arg, bool isa, unsigned line, bool level)
{
	struct machine *machine = arg;

	if (isa)
		set_line(machine, line, level);
	else
		ioapic_set_line(&machine->ioapic, line, level);
}

static bool send(void *lapic, const struct apic_message *message)
{
	return lapic_receive(lapic, message);
}

static struct irq_line irq(struct machine *machine, unsigned line)
{
	bool replaceable = line == IRQ_PIT || line == IRQ_RTC;

	return (struct irq_line){.set = replaceable ? set_timer_line : set_line, .controller = machine, .line = line};
}

/* ------------------------------------------------------------------------------------------------------- the list */

/* There is no firmware to start again from: a guest that resets its machine has ended, as one that switches it off. */
static void power_off(void *vm)
{
	vm_end(vm, 0);
}

/* Without a screen what is typed on the console comes from the keyboard, as long as nobody listens to the serial line.
 */
static void pull_key(void *arg)
{
	struct vm *vm = arg;
	struct machine *machine = vm->machine;
	struct console *console = machine->typing ? machine->typing : vm->console;
	struct i8042_key key;

	if ((!machine->typing && uart_listens(&machine->uart)) || !i8042_wants_key(&machine->keyboard))
		return;
	console_listen(console);
	if (typing_read(console, &key))
		i8042_type(&machine->keyboard, key);
}

/* What firmware finds, to do its work with; and what it would have left, where there is none. */
static void attach_firmware(struct vm *vm, struct machine *machine)
{
	struct bios_file rom = bios_rom(vm);

	if (rom.data)
		rom_init(&machine->rom, &vm->bus, PC_HOLE_END, rom.data, rom.size);
	bios_files_add(&machine->bios_files, vm, &machine->fw_cfg);
	firmware_log_init(&machine->firmware_log, &vm->bus);
}

/* Its IDE controller has two channels, whether there are disks or not. */
static void attach_piix3(struct vm *vm, struct machine *machine)
{
	pci_add_piix3(&machine->pci);
	if (!vm->config->disk_files[0])
		ata_attach_empty(&vm->bus, ATA_PORT, ATA_PORT_CONTROL);
	if (vm->config->cdrom_file)
		atapi_init(&machine->atapi, &vm->bus, vm->config->cdrom_file, irq(machine, IRQ_ATAPI));
	else
		ata_attach_empty(&vm->bus, ATA_PORT_2, ATA_PORT_2_CONTROL);
}

static void put_tables(struct vm *vm)
{
	acpi_put_tables(vm, PC_RSDP);
	mp_put_table(vm);
}

static void attach_pc(struct vm *vm, struct machine *machine)
{
	rtc_init(&machine->rtc, &vm->bus, &vm->timers, irq(machine, IRQ_RTC), clock_guest_ns, clock_guest_wall_ns());
	nvram_fill(&machine->rtc, vm);
	i8042_init(&machine->keyboard, &vm->bus, irq(machine, IRQ_KEYBOARD), irq(machine, IRQ_MOUSE), pull_key,
		   power_off, vm);
	vga_init(&machine->vga, &vm->bus);
	if (vm->mem.video)
		vbe_init(&machine->vbe, &vm->bus, &vm->mem);
	/* Firmware chooses a mode itself. */
	if (vm->mem.video && !vm->config->bios)
		vbe_show(&machine->vbe, vm->config->video.width, vm->config->video.height);
	acpi_pm_init(&machine->pm, &vm->bus, clock_guest_ns, power_off, vm);
	pci_init(&machine->pci, &vm->bus, power_off, vm);
	if (vm->mem.video)
		pci_add_display(&machine->pci);
	lapic_init(&machine->lapic, vm->vcpu[0], &vm->bus, &vm->timers, clock_guest_ns, ioapic_eoi, &machine->ioapic);
	ioapic_init(&machine->ioapic, &vm->bus, send, &machine->lapic);
	hpet_init(&machine->hpet, &vm->bus, &vm->timers, clock_guest_ns, set_hpet_line, machine);
	machine->has_apics = true;
	fw_cfg_init(&machine->fw_cfg, &vm->bus, vm->mem.ram, vm->vcpu_count);
	dma_init(&machine->dma, &vm->bus, &vm->mem, !vm->config->bios);
	if (vm->config->floppy_files[0])
		floppy_init(&machine->floppy, &vm->bus, &machine->dma, vm->config->floppy_files,
			    irq(machine, IRQ_FLOPPY), &vm->timers, clock_guest_ns, !vm->config->bios);
	if (vm->config->testdev)
		testdev_init(&machine->testdev, &vm->bus, (struct irq_line){.set = set_line, .controller = machine});
	if (vm->config->testdev && !vm->config->bios)
		testdev_leave_firmware(vm);
	if (vm->config->bios || vm->config->disk_files[0] || vm->config->cdrom_file)
		attach_piix3(vm, machine);
	if (vm->config->bios)
		attach_firmware(vm, machine);
	else
		put_tables(vm);
}

static void attach_devices(struct vm *vm, struct machine *machine)
{
	pic_init(&machine->pic, &vm->bus);
	pit_init(&machine->pit, &vm->bus, &vm->timers, irq(machine, IRQ_PIT), clock_guest_ns);
	uart_init(&machine->uart, &vm->bus, vm->console, irq(machine, IRQ_COM1));
	debugcon_attach(vm);
	post_attach(vm);
	exit_port_attach(vm);
	/* They would lie on the same ports. */
	if (vm->kind == MACHINE_SOLO5)
		solo5_init(&machine->solo5, vm);
	else
		panic_port_attach(vm);
	if (vm->config->disk_files[0])
		ata_init(&machine->ata, &vm->bus, vm->config->disk_files, irq(machine, IRQ_ATA));
	if (vm->kind == MACHINE_PC)
		attach_pc(vm, machine);
}

static int no_memory(struct vm *vm)
{
	fprintf(stderr, "ring3: no memory for the devices; free some or raise 'ulimit -v'\n");
	machine_exit(vm);
	return -ENOMEM;
}

static int check_drives(const struct vm *vm)
{
	if (vm->kind == MACHINE_PC || (!vm->config->floppy_files[0] && !vm->config->cdrom_file))
		return 0;
	if (vm->config->floppy_files[0])
		fprintf(stderr, "ring3: --floppy: the machine of %s has no floppy drives: leave it out\n",
			vm->config->kernel);
	else
		fprintf(stderr, "ring3: --cdrom: the machine of %s has no CD-ROM drive: leave it out\n",
			vm->config->kernel);
	return -EINVAL;
}

/* Keys are the keyboard's from the start, and the serial line has no input. */
static int attach_screen(struct vm *vm, struct machine *machine)
{
	if (vm->kind != MACHINE_PC) {
		fprintf(stderr, "ring3: --screen: the machine of %s has no screen: leave it out\n", vm->config->kernel);
		return -EINVAL;
	}
	machine->typing = console_open(vm, vm->config->no_input ? -1 : STDIN_FILENO, -1);
	if (!machine->typing)
		return no_memory(vm);
	console_listen(machine->typing);
	machine->screen = screen_open(vm, &machine->vga, &machine->vbe, vm->config->screen_fd);
	return machine->screen ? 0 : no_memory(vm);
}

int machine_init(struct vm *vm)
{
	const struct vm_config *config = vm->config;
	bool input = !config->no_input && !config->screen;

	if (check_drives(vm))
		return -EINVAL;
	/* What shows the screen shows nothing else. */
	vm->console = console_open(
		vm, input ? STDIN_FILENO : -1,
		config->no_output || (config->screen && config->screen_fd == STDOUT_FILENO) ? -1 : STDOUT_FILENO);
	vm->machine = calloc(1, sizeof(*vm->machine));
	if (!vm->console || !vm->machine)
		return no_memory(vm);
	attach_devices(vm, vm->machine);
	return config->screen ? attach_screen(vm, vm->machine) : 0;
}

/* Bus and timers point into what is freed here: the machine does not run again. */
void machine_exit(struct vm *vm)
{
	console_close(vm->console);
	if (vm->machine) {
		console_close(vm->machine->typing);
		screen_close(vm->machine->screen);
	}
	free(vm->machine);
	vm->console = NULL;
	vm->machine = NULL;
}

/* ----------------------------------------------------------------------------------------------- for the run loop */

/* The 8259's output hangs on LINT0 of the first processor, and on pin 0 of the I/O APIC. */
static bool pic_waits(const struct machine *machine)
{
	if (!pic_pending(&machine->pic))
		return false;
	return !machine->has_apics || lapic_passes_8259(&machine->lapic) || ioapic_passes_8259(&machine->ioapic);
}

static bool lapic_waits(const struct machine *machine)
{
	return machine->has_apics && lapic_pending(&machine->lapic);
}

/* The interrupt controllers hang on the first vCPU. */
bool machine_irq_pending(struct vcpu *vcpu)
{
	const struct machine *machine = vcpu->vm->machine;

	return vcpu->id == 0 && (pic_waits(machine) || lapic_waits(machine));
}

bool machine_irq_held(struct vcpu *vcpu)
{
	const struct machine *machine = vcpu->vm->machine;

	return vcpu->id == 0 && machine->has_apics && lapic_held(&machine->lapic);
}

uint8_t machine_irq_ack(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->vm->machine;

	return lapic_waits(machine) ? lapic_ack(&machine->lapic) : pic_ack(&machine->pic);
}

bool machine_take_nmi(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->vm->machine;

	return vcpu->id == 0 && machine->has_apics && lapic_take_nmi(&machine->lapic);
}

unsigned machine_irq_line(const struct vm *vm, uint8_t vector)
{
	const struct machine *machine = vm->machine;
	unsigned pin = machine->has_apics ? ioapic_pin_of(&machine->ioapic, vector) : IOAPIC_PINS;

	if (pin < IOAPIC_PINS)
		return pin == ACPI_PIN_PIT ? IRQ_PIT : pin;
	return pic_line_of(&machine->pic, vector);
}

struct lapic *machine_lapic(const struct vm *vm)
{
	return vm->machine && vm->machine->has_apics ? &vm->machine->lapic : NULL;
}

const struct ioapic *machine_ioapic(const struct vm *vm)
{
	return &vm->machine->ioapic;
}

const struct pic *machine_pic(const struct vm *vm)
{
	return &vm->machine->pic;
}

bool machine_poll(struct vm *vm, uint64_t now)
{
	uint64_t deadline = timers_next(&vm->timers);

	if (deadline <= now && trace_wants(vm, TRACE_timer))
		trace_timer(vm, deadline, now);
	timers_run(&vm->timers, now);
	if (console_deadline(vm->console) <= now)
		console_flush(vm->console);
	bool input = console_poll(vm->console);
	if (vm->machine->typing)
		console_poll(vm->machine->typing);
	uart_update(&vm->machine->uart);
	if (vm->kind == MACHINE_PC)
		i8042_update(&vm->machine->keyboard);
	return input;
}

uint64_t machine_deadline(struct vm *vm)
{
	uint64_t timers = timers_next(&vm->timers), console = console_deadline(vm->console);

	return timers < console ? timers : console;
}

void machine_flush(struct vm *vm)
{
	console_flush(vm->console);
	if (vm->ended && vm->machine->screen)
		screen_paint(vm->machine->screen);
}

bool machine_print_screen(const struct vm *vm, FILE *out)
{
	struct vbe_picture picture;

	if (vm->kind != MACHINE_PC || !vm->machine)
		return false;
	if (!vbe_look(&vm->machine->vbe, &picture))
		return vga_print(&vm->machine->vga, &vm->mem, out);
	fprintf(out, "  (graphics, %u by %u in %u colours, memory at 0x%" PRIx64 ")\n", picture.width, picture.height,
		vbe_colours(&picture), picture.gpa);
	return true;
}

bool machine_write_picture(const struct vm *vm, FILE *out)
{
	return vm->kind == MACHINE_PC && vm->machine &&
	       picture_write(&vm->machine->vga, &vm->machine->vbe, &vm->mem, out);
}

bool machine_print_firmware(const struct vm *vm, unsigned lines, FILE *out)
{
	return vm->config->bios && vm->machine && firmware_log_print(&vm->machine->firmware_log, lines, out);
}
