/*
 * A core file of the guest: headers, notes, and then RAM once, as a sparse file. Each guest-virtual range that the page
 * tables in force map is a segment whose bytes lie in that RAM, so however often a page is mapped, it is there once.
 */
#include "monitor/debug/core/core.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/boot/image.h"
#include "monitor/debug/core/internal.h"
#include "monitor/debug/state/state.h"
#include "monitor/host/events.h"
#include "monitor/host/output_file.h"
#include "monitor/vm/vm.h"

/* Ranges that one file describes; the tables of a hostile guest could ask for millions. */
#define RANGES_MAX 16384

struct core {
	struct vm *vm;
	struct core_buffer segments; /* Elf64_Phdr of the ranges; p_offset counts from RAM until the layout is known */
	struct core_buffer notes;
	size_t count;
	bool cut; /* ranges were left out */
	int error;
	unsigned quits; /* events_quits() at the start: a signal since then ends the writing */
	uint64_t ram_offset;
};

/* --------------------------------------------------------------------------------------------------------- ranges */

static void add_segment(struct core *core, uint64_t gva, uint64_t gpa, uint64_t len, uint32_t flags)
{
	const Elf64_Phdr segment = {.p_type = PT_LOAD,
				    .p_flags = flags,
				    .p_offset = gpa,
				    .p_vaddr = gva,
				    .p_paddr = gpa,
				    .p_filesz = len,
				    .p_memsz = len,
				    .p_align = X86_PAGE_SIZE};

	core->error = core_append(&core->segments, &segment, sizeof(segment));
	if (!core->error)
		core->count++;
}

static void visit_range(void *arg, const struct tables_range *range)
{
	struct core *core = arg;
	uint64_t size = core->vm->mem.size;
	uint32_t flags = PF_R | (strchr(range->rights, 'w') ? PF_W : 0) | (strchr(range->rights, 'x') ? PF_X : 0);

	if (range->gpa < size && !core->error)
		add_segment(core, range->gva, range->gpa,
			    range->len < size - range->gpa ? range->len : size - range->gpa, flags);
}

static void gather(struct core *core)
{
	struct vcpu *vcpu = core->vm->vcpu[0];

	core->cut = !tables_each_range(vcpu, vcpu_root(vcpu), RANGES_MAX, visit_range, core);
	if (!core->error)
		add_segment(core, CORE_PHYSICAL, 0, core->vm->mem.size, PF_R | PF_W);
	if (!core->error)
		core->error = core_notes(core->vm, &core->notes);
}

/* -------------------------------------------------------------------------------------------------------- writing */

static int write_at(const struct core *core, int fd, const void *data, size_t len, uint64_t offset)
{
	const uint8_t *from = data;

	while (len) {
		ssize_t n = pwrite(fd, from, len, (off_t)offset);
		if (events_quits() != core->quits)
			return -EINTR;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		from += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int write_headers(struct core *core, int fd)
{
	const uint64_t notes = sizeof(Elf64_Ehdr) + (core->count + 1) * sizeof(Elf64_Phdr);
	const Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE},
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (uint16_t)(core->count + 1),
	};
	const Elf64_Phdr note = {
		.p_type = PT_NOTE, .p_offset = notes, .p_filesz = core->notes.len, .p_memsz = core->notes.len};
	Elf64_Phdr *segments = (Elf64_Phdr *)core->segments.data;
	int error = write_at(core, fd, &header, sizeof(header), 0);

	core->ram_offset = (notes + core->notes.len + X86_PAGE_MASK) & ~X86_PAGE_MASK;
	for (size_t i = 0; i < core->count; i++)
		segments[i].p_offset += core->ram_offset;
	if (!error)
		error = write_at(core, fd, &note, sizeof(note), sizeof(header));
	if (!error)
		error = write_at(core, fd, segments, core->count * sizeof(*segments), sizeof(header) + sizeof(note));
	return error ? error : write_at(core, fd, core->notes.data, core->notes.len, notes);
}

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, X86_PAGE_SIZE - 1);
}

/* What RAM holds from start to end, leaving holes for pages of zeroes. */
static int write_pages(const struct core *core, int fd, uint64_t start, uint64_t end)
{
	const uint8_t *ram = core->vm->mem.base;
	int error = 0;

	for (uint64_t at = start; at < end && !error; at += X86_PAGE_SIZE)
		if (!is_zero(ram + at))
			error = write_at(core, fd, ram + at, X86_PAGE_SIZE, core->ram_offset + at);
	return error;
}

/* Pages that RAM's file never had are not even looked at. */
static int write_ram(const struct core *core, int fd)
{
	const struct guest_mem *mem = &core->vm->mem;
	int error = ftruncate(fd, (off_t)(core->ram_offset + mem->size)) ? -errno : 0;

	for (uint64_t at = 0; at < mem->size && !error;) {
		off_t data = lseek(mem->fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		off_t hole = data < 0 ? -1 : lseek(mem->fd, data, SEEK_HOLE);
		uint64_t start = data < 0 ? at : (uint64_t)data & ~X86_PAGE_MASK;
		uint64_t end = hole < 0 ? mem->size : ((uint64_t)hole + X86_PAGE_MASK) & ~X86_PAGE_MASK;
		error = write_pages(core, fd, start, end < mem->size ? end : mem->size);
		at = end;
	}
	return error;
}

/* ---------------------------------------------------------------------------------------------------- the file */

/* A core has holes and is written out of order. */
static int check_place(const char *path)
{
	struct stat st;

	return lstat(path, &st) || S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? 0 : -EINVAL;
}

static const char *remedy(int error)
{
	switch (-error) {
	case ENOSPC:
	case EDQUOT:
		return "make room there, or name a file on another disk";
	case EFBIG:
		return "raise 'ulimit -f'";
	case EINVAL:
	case EEXIST:
	case ELOOP:
		return "name a file of its own, not a link, a device or the kernel";
	case EPERM:
		return "start ring3 with --core and that name";
	default:
		return "name a file that can be written";
	}
}

static int write_all(struct core *core, int fd)
{
	gather(core);
	if (core->error)
		return core->error;
	int error = write_headers(core, fd);
	return error ? error : write_ram(core, fd);
}

int core_write(struct vm *vm, const char *path, FILE *say)
{
	struct core core = {.vm = vm, .quits = events_quits()};
	void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
	struct output_file file;
	int error = check_place(path);

	if (!error)
		error = output_open_private(&file, path);
	if (!error)
		error = output_finish(&file, write_all(&core, file.fd));
	signal(SIGXFSZ, before);
	free(core.segments.data);
	free(core.notes.data);
	if (error)
		fprintf(say, "ring3: no core in %s: %s; %s\n", path, output_error(-error), remedy(error));
	else
		fprintf(say, "ring3: core in %s%s; look at it with: gdb %s %s\n", path,
			core.cut ? " (some address ranges left out: the page tables have too many)" : "",
			image_path(vm), path);
	return error;
}

void core_check_path(const char *path)
{
	int error = check_place(path);

	if (!error)
		error = output_check(path);

	if (error)
		fprintf(stderr, "ring3: --core %s: %s: there will be no core should the guest crash; %s\n", path,
			output_error(-error), remedy(error));
}
