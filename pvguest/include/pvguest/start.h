/*
 * What the guest was started with, and how it ends.
 */
#ifndef PVGUEST_START_H
#define PVGUEST_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pvguest/language.h>

#include "hypercalls/abi.h"
#include "hypercalls/start_info.h"

PVG_BEGIN

/* Exit status of a guest that panicked. */
#define PVG_STATUS_PANIC R3_STATUS_PANIC

/* Provided by the guest's author. The result, 0 to R3_EXIT_MAX, is the exit status. */
int main(const char *cmdline);

/* Boot information as the monitor wrote it, and the command line ("" if none). Valid for ever. */
const struct hvm_start_info *pvg_start_info(void);
const char *pvg_cmdline(void);

/*
 * Value of `key=value` on the command line (words separated by spaces; the last one wins): copied to value, cut to
 * size, always terminated. False and "" if the key is not there.
 */
bool pvg_option(const char *key, char *value, size_t size);

/* Writes out the console and ends the guest with status 0 to R3_EXIT_MAX; larger ones are cut to R3_EXIT_MAX. */
PVG_NORETURN void pvg_exit(unsigned status);

/*
 * A kernel is guarded against itself: page 0 and a page below each stack are absent, text is r-x, read-only data r--,
 * all other RAM rw-. One that defines this as false (`bool pvg_guarded = false;`) keeps the map that it was entered
 * with, all RAM rwx. map=guarded and map=flat on the command line choose for any kernel.
 */
extern bool pvg_guarded;

/* The image in memory, page-aligned: [pvg_image_start, pvg_image_end). */
extern char pvg_image_start[], pvg_image_end[];

PVG_END

#endif
