/*
 * The pair of 8259 interrupt controllers (pv=off): lines 0 to 15 arrive on vectors PVG_VEC_PIC onwards.
 */
#include "pvguest/internal.h"
#include "pvguest/pc.h"

#define PER_CHIP 8

static uint16_t masked_lines = 0xffff & ~(1u << PIC_LINE_CASCADE);

static uint16_t chip(unsigned line)
{
	return line < PER_CHIP ? X86_PORT_PIC1 : X86_PORT_PIC2;
}

/* A line that went low again before it was acknowledged shows as line 7 of its chip, without its in-service bit. */
static bool is_spurious(unsigned line)
{
	if (line % PER_CHIP != PER_CHIP - 1)
		return false;
	pvg_outb(chip(line) + PIC_COMMAND, PIC_READ_ISR);
	return !(pvg_inb(chip(line) + PIC_COMMAND) & 1u << (PER_CHIP - 1));
}

static void interrupt(struct pvg_frame *frame, void *arg)
{
	unsigned line = (unsigned)frame->vector - PVG_VEC_PIC;
	bool spurious = is_spurious(line);

	(void)arg;
	/* End of interrupt first: the handler may wait for the next one. Masked until IRET all the same. */
	if (line >= PER_CHIP && !spurious)
		pvg_outb(X86_PORT_PIC2 + PIC_COMMAND, PIC_EOI);
	if (line >= PER_CHIP || !spurious)
		pvg_outb(X86_PORT_PIC1 + PIC_COMMAND, PIC_EOI);
	if (!spurious)
		pvg_irq_dispatch(line);
}

static void write_masks(void)
{
	pvg_outb(X86_PORT_PIC1 + PIC_DATA, (uint8_t)masked_lines);
	pvg_outb(X86_PORT_PIC2 + PIC_DATA, (uint8_t)(masked_lines >> PER_CHIP));
}

void pvg_pic_init(void)
{
	pvg_outb(X86_PORT_PIC1 + PIC_COMMAND, PIC_ICW1_INIT);
	pvg_outb(X86_PORT_PIC2 + PIC_COMMAND, PIC_ICW1_INIT);
	pvg_outb(X86_PORT_PIC1 + PIC_DATA, PVG_VEC_PIC);
	pvg_outb(X86_PORT_PIC2 + PIC_DATA, PVG_VEC_PIC + PER_CHIP);
	pvg_outb(X86_PORT_PIC1 + PIC_DATA, PIC_ICW3_MASTER);
	pvg_outb(X86_PORT_PIC2 + PIC_DATA, PIC_ICW3_SLAVE);
	pvg_outb(X86_PORT_PIC1 + PIC_DATA, PIC_ICW4_8086);
	pvg_outb(X86_PORT_PIC2 + PIC_DATA, PIC_ICW4_8086);
	write_masks();
	for (unsigned line = 0; line < PIC_LINES; line++)
		pvg_trap_register(PVG_VEC_PIC + line, interrupt, NULL);
}

void pvg_pic_mask(unsigned line, bool masked)
{
	uint16_t bit = (uint16_t)(1u << line);
	bool enabled = pvg_irq_save();

	masked_lines = masked ? masked_lines | bit : masked_lines & (uint16_t)~bit;
	write_masks();
	pvg_irq_restore(enabled);
}
