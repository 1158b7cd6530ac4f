/*
 * Event channels (pv=on only): up to R3_EVTCHN_PORTS ports, each a pending and a mask bit in the shared page.
 * With pv=off the calls return -R3_ENOSYS.
 */
#ifndef PVGUEST_EVENT_H
#define PVGUEST_EVENT_H

#include <stdbool.h>

#include <pvguest/language.h>

#include "hypercalls/abi.h"

PVG_BEGIN

/* The shared-info page; NULL with pv=off. */
extern struct r3_shared_info *pvg_shared_info;

/* A free port, masked until pvg_irq_register_line(port, ...), or -R3_E*. */
int pvg_event_alloc(void);
/* Marks the port pending. 0 or -R3_E*. */
int pvg_event_send(unsigned port);
/* Frees the port. 0 or -R3_E*. */
int pvg_event_close(unsigned port);
void pvg_event_mask(unsigned port, bool masked);

PVG_END

#endif
