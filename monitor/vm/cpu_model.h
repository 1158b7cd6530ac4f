/*
 * Models of processors by name, as --cpu has them: which of the features that host and engine give a machine shows.
 */
#ifndef MONITOR_VM_CPU_MODEL_H
#define MONITOR_VM_CPU_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "monitor/vm/cpu.h"

/* All zeroes is the model `host`. */
struct cpu_model {
	bool chosen; /* features differ from what host and engine give */
	enum cpu_vendor { CPU_VENDOR_HOST, CPU_VENDOR_AMD, CPU_VENDOR_INTEL } vendor;
	enum cpu_wish { CPU_ANY, CPU_WITHOUT, CPU_WANTED } wish[CPU_FEATURE_COUNT];
};

/* "MODEL,+FEATURE,-FEATURE,vendor=NAME"; false: `wrong` says what there is not. */
bool cpu_model_parse(const char *text, struct cpu_model *model, char *wrong, size_t size);
/* What there is, for people. */
void cpu_model_list(FILE *out);

#endif
