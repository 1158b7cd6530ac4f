/*
 * Loading: opens the image, has it checked (elf.c, note.c), and reads it and the modules straight into
 * guest RAM. What a segment leaves beyond its file part is zero because RAM is fresh.
 */
#include "monitor/boot/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/boot/boot.h"
#include "monitor/boot/internal.h"
#include "monitor/host/walls/names.h"

int image_refuse(const char *path, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "ring3: %s: ", path);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return -ENOEXEC;
}

/* Opens a regular, readable file: descriptor and size, or negative errno with a message printed. */
static int open_file(const char *path, uint64_t *size)
{
	struct stat st;
	int fd = open(names_find(path), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return image_refuse(path, "cannot open: %s: check the path and its permissions", strerror(errno));
	if (fstat(fd, &st) < 0) {
		image_refuse(path, "cannot look at it: %s: copy it to a local file system", strerror(errno));
	} else if (S_ISDIR(st.st_mode)) {
		image_refuse(path, "is a directory: name a file");
	} else if (!S_ISREG(st.st_mode)) {
		image_refuse(path, "is not a regular file: copy its contents to one first");
	} else {
		*size = (uint64_t)st.st_size;
		return fd;
	}
	close(fd);
	return -ENOEXEC;
}

/* What is read between two looks at whether the guest is to end. */
#define READ_MAX (UINT64_C(4) << 20)

/* Reads [offset, offset+len) of the file to RAM at gpa. 0, -EINTR if the guest is to end, or as image_refuse. */
static int read_to_ram(struct vm *vm, const char *path, int fd, uint64_t offset, uint64_t gpa, uint64_t len)
{
	while (len) {
		ssize_t n = gm_read_file(&vm->mem, gpa, len < READ_MAX ? len : READ_MAX, fd, offset);

		if (vm_end_if_over(vm))
			return -EINTR;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return image_refuse(path, "cannot read: %s: copy it to another disk", strerror(errno));
		if (n == 0)
			return image_refuse(path, "became shorter while it was read: finish building it, then start");
		gpa += (uint64_t)n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* Of the first bytes of the file as many as `size`; those that have been read stay as they were. */
static int read_head(struct image *image, size_t size)
{
	size_t had = image->head_len;
	ssize_t len;

	if (!image->file_size)
		return image_refuse(image->path, "is empty: build it again");
	len = pread(image->fd, image->head + had, size - had, (off_t)had);
	if (len < 0)
		return image_refuse(image->path, "cannot read: %s: copy it to another disk", strerror(errno));
	image->head_len = had + (size_t)len;
	return 0;
}

static int open_file_and_head(struct vm *vm)
{
	struct image *image = vm->image;
	int err;

	image->fd = open_file(image->path, &image->file_size);
	if (image->fd < 0)
		return image->fd;
	err = read_head(image, IMAGE_HEAD_OWN);
	if (!err && image_is_packed(image)) {
		err = image_unpack(vm);
		if (!err)
			err = read_head(image, IMAGE_HEAD_OWN);
	}
	if (err)
		return err;
	if (elf_version(EV_CURRENT) == EV_NONE)
		abort();
	if (image_check_counts(image))
		return -ENOEXEC;
	image->elf = elf_begin(image->fd, ELF_C_READ, NULL);
	if (!image->elf)
		return image_refuse(image->path, "cannot be read as ELF: %s: build it again", elf_errmsg(-1));
	image_find_notes(image);
	return image->notes.ring3 ? 0 : read_head(image, IMAGE_HEAD);
}

static int load_segments(struct vm *vm)
{
	const struct image *image = vm->image;

	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct image_segment *seg = &image->segment[i];
		int err = read_to_ram(vm, image->path, image->fd, seg->offset, seg->paddr, seg->filesz);

		if (err)
			return err;
	}
	return 0;
}

/* Modules end at `top` at the latest: the end of RAM, or less if the kernel has it so. */
static int refuse_module(const struct vm *vm, const char *path, uint64_t top, uint64_t size, uint64_t room)
{
	if (top < gm_low_end(&vm->mem))
		return image_refuse(path,
				    "does not fit: %ju bytes, but between the kernel and %#jx, beyond which it takes "
				    "none whatever RAM there is, %ju are free: make it smaller",
				    (uintmax_t)size, (uintmax_t)top, (uintmax_t)room);
	return image_refuse(path,
			    "does not fit: %ju bytes, but between the kernel and the end of RAM %ju are "
			    "free: give more RAM with --memory",
			    (uintmax_t)size, (uintmax_t)room);
}

/* The last component of a module's path, and the words given with it. */
static const char *module_string(const struct vm_config *config, unsigned n)
{
	const char *path = config->modules[n], *slash = strrchr(path, '/');

	return (config->module_texts[n] ? config->module_texts[n] : path) + (slash ? slash + 1 - path : 0);
}

/* Reads an opened module to gpa, where there is room, and closes it. */
static int read_module(struct vm *vm, const char *path, int fd, uint64_t gpa, uint64_t size)
{
	unsigned n = vm->image->module_count++;
	int err;

	vm->image->module[n] = (struct image_module){.string = module_string(vm->config, n), .gpa = gpa, .size = size};
	err = read_to_ram(vm, path, fd, 0, gpa, size);
	close(fd);
	return err;
}

/* Loads one module below *top, which it lowers. */
static int load_module(struct vm *vm, const char *path, uint64_t *top)
{
	uint64_t size, room = *top - vm->image->end;
	int fd = open_file(path, &size);

	if (fd < 0)
		return fd;
	if (size > room) {
		close(fd);
		return refuse_module(vm, path, gm_low_end(&vm->mem), size, room);
	}
	*top = (*top - size) & ~X86_PAGE_MASK;
	return read_module(vm, path, fd, *top, size);
}

static int load_modules(struct vm *vm)
{
	uint64_t top = gm_low_end(&vm->mem);

	if (vm->image->protocol->load_modules)
		return vm->image->protocol->load_modules(vm);
	for (unsigned i = 0; i < vm->config->module_count; i++) {
		int err = load_module(vm, vm->config->modules[i], &top);

		if (err)
			return err;
	}
	return 0;
}

int image_load_ascending(struct vm *vm)
{
	uint64_t top = gm_low_end(&vm->mem), at = vm->image->end, size;
	int err = 0;

	for (unsigned i = 0; !err && i < vm->config->module_count; i++) {
		const char *path = vm->config->modules[i];
		int fd = open_file(path, &size);

		if (fd < 0)
			return fd;
		if (at > top || size > top - at) {
			close(fd);
			return refuse_module(vm, path, top, size, at > top ? 0 : top - at);
		}
		err = read_module(vm, path, fd, at, size);
		at = (at + size + X86_PAGE_MASK) & ~X86_PAGE_MASK;
	}
	return err;
}

#define JOINED_ALIGN 4

int image_load_joined(struct vm *vm, uint64_t top)
{
	uint64_t size[VM_MODULES_MAX], sum = 0, room = top > vm->image->end ? top - vm->image->end : 0, at;
	const char *const *path = vm->config->modules;
	int fd[VM_MODULES_MAX], err = 0;
	unsigned opened = 0, count = vm->config->module_count;

	for (; !err && opened < count; opened++) {
		fd[opened] = open_file(path[opened], &size[opened]);
		if (fd[opened] < 0)
			err = fd[opened];
		else if (sum > room || size[opened] > room - sum)
			err = refuse_module(vm, path[opened], top, size[opened], sum > room ? 0 : room - sum);
		else
			sum += (size[opened] + JOINED_ALIGN - 1) & ~(uint64_t)(JOINED_ALIGN - 1);
	}
	if (!err && sum > room)
		err = refuse_module(vm, path[count - 1], top, sum, room);
	at = err ? 0 : (top - sum) & ~X86_PAGE_MASK;
	for (unsigned i = 0; i < opened; i++) {
		if (err) {
			if (fd[i] >= 0)
				close(fd[i]);
			continue;
		}
		err = read_module(vm, path[i], fd[i], at, size[i]);
		at += (size[i] + JOINED_ALIGN - 1) & ~(uint64_t)(JOINED_ALIGN - 1);
	}
	return err;
}

int image_open(struct vm *vm)
{
	struct image *image = calloc(1, sizeof(*image));
	int err;

	if (!image) {
		fprintf(stderr, "ring3: out of memory: end other programs first\n");
		return -ENOMEM;
	}
	image->path = vm->config->kernel;
	image->fd = -1;
	vm->image = image;
	err = open_file_and_head(vm);
	if (!err)
		image->protocol = vm->config->bios ? &boot_bios : boot_protocol_of(image);
	return err;
}

/* The engine runs what its kernel starts with. */
static int check_engine(const struct vm *vm)
{
	const struct boot_protocol *protocol = vm->image->protocol;
	char names[ENGINE_NAMES_MAX];

	if (protocol->bits == 64 || !vm->engine_ops || vm->engine_ops->any_mode)
		return 0;
	return image_refuse(vm->image->path,
			    "is %s and starts in %u-bit mode, which engine %s does not run: take --engine %s",
			    protocol->name, protocol->bits, vm->engine_ops->name,
			    engine_names(engine_has_any_mode, names, sizeof(names)));
}

int image_load(struct vm *vm)
{
	int err = vm->image ? 0 : image_open(vm);

	if (!err)
		err = check_engine(vm);
	if (!err)
		err = vm->image->protocol->read(vm);
	if (!err)
		err = load_segments(vm);
	if (!err)
		err = load_modules(vm);
	return err;
}

enum vm_kind image_machine(const struct vm *vm)
{
	return vm->image ? vm->image->protocol->machine : MACHINE_PLAIN;
}

uint64_t image_memory(const struct vm *vm)
{
	return vm->image->protocol->memory;
}

const char *image_engine(const struct vm *vm)
{
	return vm->image->protocol->engine;
}

void image_free(struct vm *vm)
{
	struct image *image = vm->image;

	if (!image)
		return;
	if (image->protocol && image->protocol->free)
		image->protocol->free(image);
	free(image->symbol);
	elf_end(image->elf);
	if (image->fd >= 0)
		close(image->fd);
	free(image);
	vm->image = NULL;
}

void image_fill_hypercall_page(struct vm *vm, const void *code, size_t len)
{
	enum { INT3 = 0xcc };
	uint64_t gpa = vm->image->hypercall_page;
	uint8_t page[R3_HYPERCALL_PAGE_SIZE];

	if (!gpa)
		return;
	if (len > sizeof(page))
		abort();
	memset(page, INT3, sizeof(page));
	memcpy(page, code, len);
	if (!gm_write(&vm->mem, gpa, page, sizeof(page)))
		abort();
}

uint64_t image_hypercall_page(const struct vm *vm)
{
	return vm->image->hypercall_page;
}

const char *image_path(const struct vm *vm)
{
	return vm->image ? vm->image->path : vm->config->kernel;
}

unsigned image_entry_bits(const struct vm *vm)
{
	return vm->image->protocol->bits;
}

unsigned image_bits(const struct vm *vm)
{
	const struct image *image = vm->image;

	if (!image || image->head_len < EI_NIDENT || memcmp(image->head, ELFMAG, SELFMAG))
		return 0;
	return image->head[EI_CLASS] == ELFCLASS32 ? 32 : 64;
}

uint64_t image_entry(const struct vm *vm)
{
	return vm->image->entry;
}

const struct image_segment *image_segment_of(const struct image *image, uint64_t vaddr, uint64_t len)
{
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct image_segment *seg = &image->segment[i];

		if (vaddr >= seg->vaddr && vaddr - seg->vaddr < seg->memsz && len <= seg->memsz - (vaddr - seg->vaddr))
			return seg;
	}
	return NULL;
}

bool image_gpa(const struct vm *vm, uint64_t gva, uint64_t *gpa)
{
	const struct image_segment *seg = vm->image ? image_segment_of(vm->image, gva, 1) : NULL;

	if (seg)
		*gpa = seg->paddr + (gva - seg->vaddr);
	return seg;
}

bool image_eh_frame_hdr(const struct vm *vm, uint64_t *gva, uint64_t *size)
{
	if (!vm->image || !vm->image->eh_frame_hdr_size)
		return false;
	*gva = vm->image->eh_frame_hdr;
	*size = vm->image->eh_frame_hdr_size;
	return true;
}
