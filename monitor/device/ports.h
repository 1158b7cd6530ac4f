/*
 * The devices that are a single port: they keep no state of their own.
 */
#ifndef MONITOR_DEVICE_PORTS_H
#define MONITOR_DEVICE_PORTS_H

struct vm;

void debugcon_attach(struct vm *vm);
void exit_port_attach(struct vm *vm);
void panic_port_attach(struct vm *vm);
void post_attach(struct vm *vm);

#endif
