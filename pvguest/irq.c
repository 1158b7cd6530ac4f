/*
 * Interrupt lines and their handlers, whatever brings the interrupt: the 8259 pair or event channels.
 */
#include "pvguest/internal.h"

struct line {
	pvg_irq_handler handler;
	void *arg;
};

static struct line lines[PVG_IRQ_LINES];

int pvg_irq_register_line(unsigned line, pvg_irq_handler handler, void *arg)
{
	bool enabled;

	if (line >= PVG_IRQ_LINES)
		return -R3_EINVAL;
	enabled = pvg_irq_save();
	lines[line] = (struct line){handler, arg};
	pvg_ops->irq_mask(line, !handler);
	pvg_irq_restore(enabled);
	return 0;
}

int pvg_irq_register(unsigned source, pvg_irq_handler handler, void *arg)
{
	int line = pvg_ops->irq_bind(source);

	return line < 0 ? line : pvg_irq_register_line((unsigned)line, handler, arg);
}

void pvg_irq_dispatch(unsigned line)
{
	const struct line *l = &lines[line];

	if (l->handler)
		l->handler(l->arg);
}
