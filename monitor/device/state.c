/*
 * The devices' state: what of each is the guest's, and what is wiring.
 */
#include "monitor/vm/state.h"
#include "monitor/device/internal.h"

#define STATE_OF struct pic_chip
static const struct state_field pic_chip_fields[] = {
	STATE_GUEST(lines),
	STATE_GUEST(irr),
	STATE_GUEST(imr),
	STATE_GUEST(isr),
	STATE_GUEST(elcr),
	STATE_GUEST(base),
	STATE_GUEST(highest),
	STATE_GUEST(init),
	STATE_GUEST(single),
	STATE_GUEST(wants_icw4),
	STATE_GUEST(auto_eoi),
	STATE_GUEST(rotate_on_auto_eoi),
	STATE_GUEST(special_fully_nested),
	STATE_GUEST(special_mask),
	STATE_GUEST(read_isr),
	STATE_GUEST(poll),
	STATE_GUEST(master),
};
#undef STATE_OF
static const struct state_list pic_chip_state = STATE_LIST(struct pic_chip, pic_chip_fields);

#define STATE_OF struct pic
static const struct state_field pic_fields[] = {STATE_PARTS(chip, pic_chip_state)};
#undef STATE_OF
static const struct state_list pic_state = STATE_LIST(struct pic, pic_fields);

#define STATE_OF struct pit_channel
static const struct state_field pit_channel_fields[] = {
	STATE_GUEST(mode),	     STATE_GUEST(bcd),	  STATE_GUEST(access),	      STATE_GUEST(write_high),
	STATE_GUEST(read_high),	     STATE_GUEST(low),	  STATE_GUEST(loaded),	      STATE_GUEST(triggered),
	STATE_GUEST(gate),	     STATE_GUEST(count),  STATE_GUEST(start),	      STATE_GUEST(held),
	STATE_GUEST(status_latched), STATE_GUEST(status), STATE_GUEST(count_latched), STATE_GUEST(latch),
};
#undef STATE_OF
static const struct state_list pit_channel_state = STATE_LIST(struct pit_channel, pit_channel_fields);

#define STATE_OF struct pit
static const struct state_field pit_fields[] = {
	STATE_PARTS(channel, pit_channel_state),
	STATE_PART(timer, timer_state),
	STATE_HOST(irq),
	STATE_GUEST(speaker),
	STATE_HOST(clock),
	STATE_GUEST(epoch),
};
#undef STATE_OF
static const struct state_list pit_state = STATE_LIST(struct pit, pit_fields);

#define STATE_OF struct uart
static const struct state_field uart_fields[] = {
	STATE_HOST(console),	  STATE_HOST(irq),	   STATE_GUEST(ier),	    STATE_GUEST(fcr),
	STATE_GUEST(lcr),	  STATE_GUEST(mcr),	   STATE_GUEST(scratch),    STATE_GUEST(divisor),
	STATE_GUEST(modem_delta), STATE_GUEST(hung_up),	   STATE_GUEST(overrun),    STATE_GUEST(thre_interrupt),
	STATE_ARRAY(loop),	  STATE_GUEST(loop_count), STATE_GUEST(idle_polls), STATE_GUEST(heard),
};
#undef STATE_OF
static const struct state_list uart_state = STATE_LIST(struct uart, uart_fields);

#define STATE_OF struct ata_drive
static const struct state_field ata_drive_fields[] = {
	STATE_HOST(file),      STATE_GUEST(status), STATE_GUEST(error),
	STATE_GUEST(multiple), STATE_GUEST(heads),  STATE_GUEST(sectors),
};
#undef STATE_OF
static const struct state_list ata_drive_state = STATE_LIST(struct ata_drive, ata_drive_fields);

#define STATE_OF struct ata
static const struct state_field ata_fields[] = {
	STATE_PARTS(drive, ata_drive_state),
	STATE_GUEST(features),
	STATE_GUEST(count),
	STATE_GUEST(low),
	STATE_GUEST(mid),
	STATE_GUEST(high),
	STATE_GUEST(select),
	STATE_GUEST(control),
	STATE_GUEST(interrupt),
	STATE_GUEST(transfer),
	STATE_GUEST(sector),
	STATE_GUEST(left),
	STATE_GUEST(per_block),
	STATE_GUEST(at),
	STATE_GUEST(filled),
	STATE_ARRAY(buffer),
	STATE_HOST(irq),
};
#undef STATE_OF
static const struct state_list ata_state = STATE_LIST(struct ata, ata_fields);

#define STATE_OF struct atapi
static const struct state_field atapi_fields[] = {
	STATE_HOST(file),    STATE_GUEST(features),  STATE_GUEST(reason),    STATE_GUEST(low),
	STATE_GUEST(select), STATE_GUEST(control),   STATE_GUEST(status),    STATE_GUEST(error),
	STATE_GUEST(limit),  STATE_GUEST(interrupt), STATE_GUEST(sense_key), STATE_GUEST(sense_code),
	STATE_GUEST(phase),  STATE_GUEST(by_packet), STATE_ARRAY(packet),    STATE_GUEST(got),
	STATE_GUEST(asked),  STATE_GUEST(at),	     STATE_GUEST(end),	     STATE_GUEST(filled),
	STATE_GUEST(sector), STATE_GUEST(left),	     STATE_ARRAY(buffer),    STATE_HOST(irq),
};
#undef STATE_OF
static const struct state_list atapi_state = STATE_LIST(struct atapi, atapi_fields);

#define STATE_OF struct dma_channel
static const struct state_field dma_channel_fields[] = {
	STATE_GUEST(first_address), STATE_GUEST(first_count), STATE_GUEST(address),
	STATE_GUEST(count),	    STATE_GUEST(mode),
};
#undef STATE_OF
static const struct state_list dma_channel_state = STATE_LIST(struct dma_channel, dma_channel_fields);

#define STATE_OF struct dma_chip
static const struct state_field dma_chip_fields[] = {
	STATE_PARTS(channel, dma_channel_state),
	STATE_GUEST(command),
	STATE_GUEST(ended),
	STATE_GUEST(requests),
	STATE_GUEST(mask),
	STATE_GUEST(high),
};
#undef STATE_OF
static const struct state_list dma_chip_state = STATE_LIST(struct dma_chip, dma_chip_fields);

#define STATE_OF struct dma
static const struct state_field dma_fields[] = {
	STATE_PARTS(chip, dma_chip_state),
	STATE_ARRAY(page),
	STATE_HOST(mem),
	STATE_HOST(wire),
};
#undef STATE_OF
static const struct state_list dma_state = STATE_LIST(struct dma, dma_fields);

#define STATE_OF struct floppy_drive
static const struct state_field floppy_drive_fields[] = {STATE_HOST(file), STATE_HOST(format), STATE_GUEST(changed)};
#undef STATE_OF
static const struct state_list floppy_drive_state = STATE_LIST(struct floppy_drive, floppy_drive_fields);

#define STATE_OF struct floppy
static const struct state_field floppy_fields[] = {
	STATE_PARTS(drive, floppy_drive_state),
	STATE_GUEST(output),
	STATE_GUEST(tape),
	STATE_GUEST(rate),
	STATE_ARRAY(specify),
	STATE_ARRAY(configure),
	STATE_GUEST(perpendicular),
	STATE_GUEST(locked),
	STATE_ARRAY(cylinder),
	STATE_GUEST(last_sector),
	STATE_GUEST(passing),
	STATE_GUEST(phase),
	STATE_ARRAY(command),
	STATE_GUEST(given),
	STATE_GUEST(wanted),
	STATE_ARRAY(result),
	STATE_GUEST(told),
	STATE_GUEST(results),
	STATE_GUEST(ready),
	STATE_GUEST(sought),
	STATE_ARRAY(seek_status),
	STATE_GUEST(was_reset),
	STATE_GUEST(polls),
	STATE_GUEST(task),
	STATE_GUEST(c),
	STATE_GUEST(h),
	STATE_GUEST(r),
	STATE_GUEST(n),
	STATE_GUEST(left),
	STATE_GUEST(at),
	STATE_GUEST(filled),
	STATE_ARRAY(buffer),
	STATE_PART(timer, timer_state),
	STATE_GUEST(seen),
	STATE_HOST(clock),
	STATE_HOST(dma),
	STATE_HOST(irq),
};
#undef STATE_OF
static const struct state_list floppy_state = STATE_LIST(struct floppy, floppy_fields);

#define STATE_OF struct solo5
static const struct state_field solo5_fields[] = {STATE_HOST(vm), STATE_PART(timer, timer_state)};
#undef STATE_OF
static const struct state_list solo5_state = STATE_LIST(struct solo5, solo5_fields);

#define STATE_OF struct rtc
static const struct state_field rtc_fields[] = {
	STATE_GUEST(index),
	STATE_ARRAY(bytes),
	STATE_GUEST(offset),
	STATE_GUEST(period_start),
	STATE_PART(second, timer_state),
	STATE_PART(period, timer_state),
	STATE_HOST(irq),
	STATE_HOST(clock),
};
#undef STATE_OF
static const struct state_list rtc_state = STATE_LIST(struct rtc, rtc_fields);

#define STATE_OF struct i8042_mouse
static const struct state_field i8042_mouse_fields[] = {
	STATE_GUEST(command),	STATE_GUEST(rate),    STATE_GUEST(resolution), STATE_GUEST(remote),
	STATE_GUEST(reporting), STATE_GUEST(scaling), STATE_GUEST(wrapping),   STATE_GUEST(last),
};
#undef STATE_OF
static const struct state_list i8042_mouse_state = STATE_LIST(struct i8042_mouse, i8042_mouse_fields);

#define STATE_OF struct i8042
static const struct state_field i8042_fields[] = {
	STATE_GUEST(config),
	STATE_GUEST(command),
	STATE_GUEST(keyboard_command),
	STATE_GUEST(output_port),
	STATE_GUEST(scan_set),
	STATE_GUEST(releasing),
	STATE_GUEST(scanning),
	STATE_GUEST(talking),
	STATE_GUEST(looks),
	STATE_ARRAY(queue),
	STATE_GUEST(queued),
	STATE_GUEST(mouse_bytes),
	STATE_PART(mouse, i8042_mouse_state),
	STATE_HOST(irq),
	STATE_HOST(mouse_irq),
	STATE_HOST(pull),
	STATE_HOST(reset),
	STATE_HOST(arg),
};
#undef STATE_OF
static const struct state_list i8042_state = STATE_LIST(struct i8042, i8042_fields);

#define STATE_OF struct vga
static const struct state_field vga_fields[] = {
	STATE_GUEST(crtc_index),
	STATE_ARRAY(crtc),
	STATE_GUEST(attribute_index),
	STATE_ARRAY(attribute),
	STATE_GUEST(attribute_is_data),
	STATE_GUEST(sequencer_index),
	STATE_ARRAY(sequencer),
	STATE_GUEST(graphics_index),
	STATE_ARRAY(graphics),
	STATE_GUEST(misc),
	STATE_GUEST(feature),
	STATE_GUEST(enable),
	STATE_GUEST(dac_mask),
	STATE_GUEST(dac_reading),
	STATE_GUEST(dac_write),
	STATE_GUEST(dac_read),
	STATE_ARRAY(dac),
	STATE_GUEST(retraces),
};
#undef STATE_OF
static const struct state_list vga_state = STATE_LIST(struct vga, vga_fields);

#define STATE_OF struct vbe
static const struct state_field vbe_fields[] = {STATE_HOST(mem), STATE_GUEST(index), STATE_ARRAY(value)};
#undef STATE_OF
static const struct state_list vbe_state = STATE_LIST(struct vbe, vbe_fields);

#define STATE_OF struct acpi_pm
static const struct state_field acpi_pm_fields[] = {
	STATE_GUEST(status),   STATE_GUEST(enable), STATE_GUEST(control),
	STATE_HOST(power_off), STATE_HOST(arg),	    STATE_HOST(clock),
};
#undef STATE_OF
static const struct state_list acpi_pm_state = STATE_LIST(struct acpi_pm, acpi_pm_fields);

#define STATE_OF struct pci_function
static const struct state_field pci_function_fields[] = {STATE_GUEST(at), STATE_ARRAY(config), STATE_ARRAY(writable)};
#undef STATE_OF
static const struct state_list pci_function_state = STATE_LIST(struct pci_function, pci_function_fields);

#define STATE_OF struct pci
static const struct state_field pci_fields[] = {
	STATE_GUEST(address),	STATE_GUEST(reset),	STATE_PARTS(function, pci_function_state),
	STATE_GUEST(functions), STATE_HOST(reset_line), STATE_HOST(arg),
};
#undef STATE_OF
static const struct state_list pci_state = STATE_LIST(struct pci, pci_fields);

#define STATE_OF struct lapic
static const struct state_field lapic_fields[] = {
	STATE_HOST(vcpu),      STATE_HOST(region),    STATE_GUEST(id),
	STATE_GUEST(task_low), STATE_GUEST(logical),  STATE_GUEST(format),
	STATE_GUEST(spurious), STATE_GUEST(error),    STATE_GUEST(error_next),
	STATE_ARRAY(lvt),      STATE_GUEST(command),  STATE_ARRAY(in_service),
	STATE_ARRAY(requests), STATE_ARRAY(levels),   STATE_GUEST(nmi),
	STATE_GUEST(divide),   STATE_GUEST(initial),  STATE_GUEST(stopped),
	STATE_GUEST(start),    STATE_GUEST(deadline), STATE_PART(timer, timer_state),
	STATE_HOST(expired),   STATE_HOST(interval),  STATE_HOST(expected),
	STATE_HOST(longer),    STATE_HOST(expects),   STATE_HOST(clock),
	STATE_HOST(ended),     STATE_HOST(arg),
};
#undef STATE_OF
static const struct state_list lapic_state = STATE_LIST(struct lapic, lapic_fields);

#define STATE_OF struct ioapic
static const struct state_field ioapic_fields[] = {
	STATE_GUEST(id), STATE_GUEST(select), STATE_GUEST(lines), STATE_ARRAY(entry), STATE_HOST(send), STATE_HOST(arg),
};
#undef STATE_OF
static const struct state_list ioapic_state = STATE_LIST(struct ioapic, ioapic_fields);

#define STATE_OF struct hpet_comparator
static const struct state_field hpet_comparator_fields[] = {
	STATE_HOST(hpet),   STATE_HOST(index),	 STATE_GUEST(config),
	STATE_GUEST(match), STATE_GUEST(period), STATE_PART(timer, timer_state),
};
#undef STATE_OF
static const struct state_list hpet_comparator_state = STATE_LIST(struct hpet_comparator, hpet_comparator_fields);

#define STATE_OF struct hpet
static const struct state_field hpet_fields[] = {
	STATE_GUEST(config), STATE_GUEST(status), STATE_GUEST(counter),
	STATE_GUEST(start),  STATE_HOST(clock),	  STATE_PARTS(comparator, hpet_comparator_state),
	STATE_HOST(set),     STATE_HOST(arg),
};
#undef STATE_OF
static const struct state_list hpet_state = STATE_LIST(struct hpet, hpet_fields);

/* Its files are the same in every machine of one command line. */
#define STATE_OF struct fw_cfg
static const struct state_field fw_cfg_fields[] = {
	STATE_GUEST(key),	 STATE_GUEST(at),  STATE_GUEST(ram),
	STATE_GUEST(processors), STATE_HOST(file), STATE_GUEST(files),
};
#undef STATE_OF
static const struct state_list fw_cfg_state = STATE_LIST(struct fw_cfg, fw_cfg_fields);

#define STATE_OF struct testdev
static const struct state_field testdev_fields[] = {STATE_GUEST(port), STATE_HOST(irq), STATE_ARRAY(bytes)};
#undef STATE_OF
static const struct state_list testdev_state = STATE_LIST(struct testdev, testdev_fields);

#define STATE_OF struct firmware_log
static const struct state_field firmware_log_fields[] = {STATE_GUEST(written), STATE_ARRAY(text)};
#undef STATE_OF
static const struct state_list firmware_log_state = STATE_LIST(struct firmware_log, firmware_log_fields);

#define STATE_OF struct machine
static const struct state_field machine_fields[] = {
	STATE_PART(pic, pic_state),
	STATE_PART(pit, pit_state),
	STATE_PART(uart, uart_state),
	STATE_PART(ata, ata_state),
	STATE_PART(solo5, solo5_state),
	STATE_PART(dma, dma_state),
	STATE_PART(atapi, atapi_state),
	STATE_PART(floppy, floppy_state),
	STATE_PART(rtc, rtc_state),
	STATE_NAMED_PART("i8042", keyboard, i8042_state),
	STATE_PART(vga, vga_state),
	STATE_PART(vbe, vbe_state),
	STATE_HOST(screen),
	STATE_HOST(typing),
	STATE_NAMED_PART("acpi_pm", pm, acpi_pm_state),
	STATE_PART(pci, pci_state),
	STATE_PART(lapic, lapic_state),
	STATE_PART(ioapic, ioapic_state),
	STATE_PART(hpet, hpet_state),
	STATE_HOST(has_apics),
	STATE_PART(fw_cfg, fw_cfg_state),
	STATE_PART(testdev, testdev_state),
	STATE_HOST(rom),
	STATE_HOST(bios_files),
	STATE_PART(firmware_log, firmware_log_state),
};
#undef STATE_OF
const struct state_list machine_state = STATE_LIST(struct machine, machine_fields);
