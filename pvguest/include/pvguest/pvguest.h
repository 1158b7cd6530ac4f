/*
 * The whole guest library in one include. A guest is a freestanding C program with
 *
 *	int main(const char *cmdline);
 *
 * linked with pvguest_add_executable(); what main returns becomes the exit status of `ring3 run`.
 */
#ifndef PVGUEST_H
#define PVGUEST_H

#include <pvguest/catch.h>
#include <pvguest/console.h>
#include <pvguest/context.h>
#include <pvguest/copy.h>
#include <pvguest/cpu.h>
#include <pvguest/event.h>
#include <pvguest/fpu.h>
#include <pvguest/hypercall.h>
#include <pvguest/irq.h>
#include <pvguest/map.h>
#include <pvguest/ops.h>
#include <pvguest/page.h>
#include <pvguest/panic.h>
#include <pvguest/start.h>
#include <pvguest/string.h>
#include <pvguest/test.h>
#include <pvguest/time.h>
#include <pvguest/trap.h>
#include <pvguest/user.h>

#endif
