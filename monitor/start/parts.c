/*
 * The parts of a machine. The list below is all of start-up, in order; going through it backwards is all of shutdown.
 */
#include "monitor/start/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hypercalls/host/hc.h"
#include "monitor/boot/image.h"
#include "monitor/debug/gdb/gdb.h"
#include "monitor/debug/narrate/narrate.h"
#include "monitor/debug/trace/trace.h"
#include "monitor/device/machine.h"
#include "monitor/host/events.h"
#include "monitor/trace/trace.h"
#include "monitor/vm/budget.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"

static int out_of_memory(void)
{
	fprintf(stderr, "ring3: this host has no memory left: end other programs first\n");
	return -ENOMEM;
}

static void kick(void *vm)
{
	vm_kick(vm);
}

static int events_up(struct vm *vm)
{
	return events_init(&vm->attention, kick, vm);
}

static void events_down(struct vm *vm)
{
	events_exit();
}

/* What the user left open, the kernel's boot protocol decides. */
static int kernel_up(struct vm *vm)
{
	int err = image_open(vm);

	if (!err && !vm->config->engine_given && image_engine(vm))
		vm->engine_ops = engine_find(image_engine(vm));
	if (err)
		return err;
	vm->kind = image_machine(vm);
	vm->memory = vm->config->memory_given ? vm->config->memory : image_memory(vm);
	return 0;
}

static int ram_up(struct vm *vm)
{
	bool video = vm->config->video.width;
	if (video && (vm->kind != MACHINE_PC || vm->memory > PC_HOLE_START)) {
		fprintf(stderr, "ring3: --video: %s\n",
			vm->kind == MACHINE_PC ? "there is room for it beside 3 GiB of RAM at most: give -m 3G"
					       : "the machine of this kernel has no display: leave it out");
		return -EINVAL;
	}
	if (video)
		return gm_init_video(&vm->mem, vm->memory, PC_VIDEO_BYTES, PC_VIDEO);
	if (vm->kind == MACHINE_PC)
		return gm_init_hole(&vm->mem, vm->memory, PC_HOLE_START, PC_HOLE_END);
	return gm_init(&vm->mem, vm->memory);
}

static void ram_down(struct vm *vm)
{
	gm_free(&vm->mem);
}

/* What --cpu asks for is there, and the kernel can start on it. */
static int check_model(const struct vm *vm)
{
	enum cpu_feature lacks = cpu_wanting(&vm->cpu, &vm->config->cpu);
	if (lacks < CPU_FEATURE_COUNT) {
		fprintf(stderr,
			"ring3: --cpu: neither this host nor engine %s gives %s: add ,-%s or name another model\n",
			vm->engine_ops->name, cpu_feature_name(lacks), cpu_feature_name(lacks));
		return -ENOTSUP;
	}
	if (!vm->cpu.has[CPU_lm] && image_entry_bits(vm) == 64) {
		fputs("ring3: --cpu: the kernel starts in 64-bit mode, which this model does not have: take x86-64 or "
		      "a "
		      "later one\n",
		      stderr);
		return -ENOTSUP;
	}
	return 0;
}

static int vcpus_up(struct vm *vm)
{
	for (; vm->vcpu_count < vm->config->vcpus; vm->vcpu_count++) {
		vm->vcpu[vm->vcpu_count] = vcpu_create(vm, vm->vcpu_count);
		if (!vm->vcpu[vm->vcpu_count])
			return out_of_memory();
	}
	return check_model(vm);
}

static void vcpus_down(struct vm *vm)
{
	while (vm->vcpu_count)
		vcpu_free(vm->vcpu[--vm->vcpu_count]);
}

static int hypercalls_up(struct vm *vm)
{
	vm->hc = hc_create(vm);
	return vm->hc ? 0 : out_of_memory();
}

static void hypercalls_down(struct vm *vm)
{
	hc_destroy(vm->hc);
}

/* The lowest address that this process may map: the host's vm.mmap_min_addr, in whole pages. */
static uint64_t lowest_gva(void)
{
	static uint64_t lowest; /* asked once: behind its walls the monitor may not read it */
	char text[24] = "";
	int fd;

	if (lowest)
		return lowest;
	fd = open("/proc/sys/vm/mmap_min_addr", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		lowest = strtoull(text, NULL, 10);
	if (fd >= 0)
		close(fd);
	lowest = (lowest + X86_PAGE_MASK) & ~X86_PAGE_MASK;
	if (!lowest)
		lowest = X86_PAGE_SIZE;
	return lowest;
}

static int paging_up(struct vm *vm)
{
	const struct spt_config config = {
		.ram_size = vm->mem.size,
		.hole_start = vm->mem.hole_start,
		.hole_end = vm->mem.hole_end,
		.view = {{{lowest_gva(), GATE_HOLE_START}, {GATE_HOLE_END, LAYOUT_TASK_END}}, .count = 2},
		.physical_bits = CPU_PHYSICAL_BITS,
		.memory_max = budget_shadow(vm->mem.ram)};

	vm->spt = spt_create(&config, trace_shadow_ops(vm), vm);
	vm->mem.spt = vm->spt;
	return vm->spt ? 0 : out_of_memory();
}

/* Piece by piece it takes longer to give back than the host takes for all. */
static struct spt *volatile left_to_host;

static void paging_down(struct vm *vm)
{
	vm->mem.spt = NULL;
	if (vm->leaves)
		left_to_host = vm->spt;
	else
		spt_destroy(vm->spt);
}

static int engine_up(struct vm *vm)
{
	return vm->engine_ops->init(vm);
}

static void engine_down(struct vm *vm)
{
	vm->engine_ops->exit(vm);
}

static int boot_up(struct vm *vm)
{
	vm->engine_ops->fill_hypercall_page(vm);
	return image_boot(vm);
}

/*
 * What comes up is taken down even if it failed half-way, so each `down` copes with that. The image comes before what
 * costs processes, so that a bad one is told at once; statistics come first, so that they are written last.
 */
static const struct part {
	const char *mark;
	int (*up)(struct vm *vm);
	void (*down)(struct vm *vm);
	int status; /* of the process, if it fails */
} parts[] = {
	{"kernel", kernel_up, image_free, VM_STATUS_IMAGE},
	{"trace", trace_up, trace_down, VM_STATUS_HOST},
	{"events", events_up, events_down, VM_STATUS_HOST},
	{"ram", ram_up, ram_down, VM_STATUS_HOST},
	{"image", image_load, NULL, VM_STATUS_IMAGE},
	{"vcpus", vcpus_up, vcpus_down, VM_STATUS_HOST},
	{"narrate", narrate_up, narrate_down, VM_STATUS_HOST},
	{"gdb", gdb_up, gdb_down, VM_STATUS_HOST},
	{"devices", machine_init, machine_exit, VM_STATUS_HOST},
	{"hypercalls", hypercalls_up, hypercalls_down, VM_STATUS_HOST},
	{"paging", paging_up, paging_down, VM_STATUS_HOST},
	{"engine", engine_up, engine_down, VM_STATUS_HOST},
	{"boot", boot_up, NULL, VM_STATUS_HOST},
};

#define PART_COUNT (sizeof(parts) / sizeof(parts[0]))

size_t parts_up(struct vm *vm)
{
	for (size_t i = 0; i < PART_COUNT; i++) {
		if (parts[i].up(vm)) {
			vm_end(vm, parts[i].status);
			return i + 1;
		}
		stats_mark(&vm->stats, parts[i].mark);
	}
	return PART_COUNT;
}

void parts_down(struct vm *vm, size_t tried)
{
	while (tried--) {
		if (parts[tried].down)
			parts[tried].down(vm);
	}
}
