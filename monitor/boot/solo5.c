/*
 * The protocol of Solo5's unikernels for the target `hvt`: entered in 64-bit mode with the boot information in RDI, the
 * first 64 KiB not present, and page tables that are not the unikernel's: they hold each segment to its rights.
 */
#include "monitor/boot/solo5.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/boot/boot.h"
#include "monitor/host/clock.h"
#include "monitor/host/disk_file.h"
#include "monitor/host/walls/names.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

#define SOLO5_CS 0x08
#define SOLO5_DS 0x10

static const uint64_t boot_gdt[] = {
	0,
	[SOLO5_CS / 8] = SEG_FLAT_CODE(0),
	[SOLO5_DS / 8] = SEG_FLAT_DATA(0),
};

/* Solo5's own limit. */
#define MEMORY_MAX     R3_BIT(32)
#define MEMORY_DEFAULT (UINT64_C(512) << 20)

struct solo5_image {
	struct solo5_manifest manifest;
	struct solo5_block block[SOLO5_DEVICES_MAX];
};

/* ----------------------------------------------------------------------------------------------------------- notes */

/* The manifest's structure begins on a multiple of 8 in its note, and so 4 bytes behind the name. */
#define MANIFEST_PADDING 4

/* Notes one behind the other, all aligned to 4 bytes, whatever the header says of alignment. */
static const uint8_t *find_in(const uint8_t *bytes, size_t size, uint32_t type, size_t *len)
{
	const size_t name_len = sizeof(SOLO5_NOTE_NAME), name_room = (name_len + 3) & ~3ul;
	Elf64_Nhdr note;

	while (size >= sizeof(note)) {
		memcpy(&note, bytes, sizeof(note));
		size_t name = ((size_t)note.n_namesz + 3) & ~3ul, desc = ((size_t)note.n_descsz + 3) & ~3ul;

		bytes += sizeof(note);
		size -= sizeof(note);
		if (name > size || note.n_descsz > size - name)
			return NULL;
		if (note.n_type == type && name == name_room && !memcmp(bytes, SOLO5_NOTE_NAME, name_len)) {
			*len = note.n_descsz;
			return bytes + name;
		}
		if (desc > size - name)
			return NULL;
		bytes += name + desc;
		size -= name + desc;
	}
	return NULL;
}

/* No more than image_read_elf would let pass: the library copies what it is asked for. */
static const uint8_t *find_note(const struct image *image, uint32_t type, size_t *len)
{
	uint64_t left = IMAGE_NOTES_MAX;
	size_t count;

	if (elf_getphdrnum(image->elf, &count) < 0)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *desc;
		Elf_Data *data;
		GElf_Phdr ph;

		if (!gelf_getphdr(image->elf, (int)i, &ph))
			return NULL;
		if (ph.p_type != PT_NOTE || ph.p_filesz > left || ph.p_offset > image->file_size ||
		    ph.p_filesz > image->file_size - ph.p_offset)
			continue;
		left -= ph.p_filesz;
		data = elf_getdata_rawchunk(image->elf, (int64_t)ph.p_offset, ph.p_filesz, ELF_T_BYTE);
		desc = data ? find_in(data->d_buf, data->d_size, type, len) : NULL;
		if (desc)
			return desc;
	}
	return NULL;
}

static bool is_solo5(const struct image *image)
{
	size_t size = 0, len;
	const char *ident = elf_getident(image->elf, &size);

	return elf_kind(image->elf) == ELF_K_ELF && ident && size >= EI_NIDENT && ident[EI_CLASS] == ELFCLASS64 &&
	       find_note(image, SOLO5_NOTE_ABI, &len);
}

static int check_abi(const struct image *image)
{
	struct solo5_abi abi = {0};
	size_t len = 0;
	const uint8_t *desc = find_note(image, SOLO5_NOTE_ABI, &len);

	memcpy(&abi, desc, len < sizeof(abi) ? len : sizeof(abi));
	if (abi.target != SOLO5_TARGET_HVT)
		return image_refuse(image->path,
				    "is a unikernel for another target of Solo5 (%u): build it for hvt (-z "
				    "solo5-abi=hvt)",
				    abi.target);
	if (abi.version != SOLO5_ABI_VERSION)
		return image_refuse(image->path,
				    "wants version %u of Solo5's hvt interface, and ring3 has %u: build it with a "
				    "Solo5 that has that",
				    abi.version, SOLO5_ABI_VERSION);
	return 0;
}

/* Letters and digits, which can also be shown; the reserved entry has none. */
static bool is_name(const char name[SOLO5_NAME_MAX + 1], bool reserved)
{
	size_t len = strnlen(name, SOLO5_NAME_MAX + 1);

	for (size_t i = 0; i < len; i++)
		if (!((name[i] >= '0' && name[i] <= '9') || (name[i] >= 'A' && name[i] <= 'Z') ||
		      (name[i] >= 'a' && name[i] <= 'z')))
			return false;
	return reserved ? !len : len && len <= SOLO5_NAME_MAX;
}

static int read_manifest(const struct image *image, struct solo5_manifest *manifest)
{
	const size_t fixed = offsetof(struct solo5_manifest, entry);
	size_t len = 0;
	const uint8_t *desc = find_note(image, SOLO5_NOTE_DEVICES, &len);

	if (!desc)
		return image_refuse(image->path, "has no manifest of Solo5's: build it again with solo5-elftool");
	if (len < MANIFEST_PADDING + fixed || len - MANIFEST_PADDING > sizeof(*manifest))
		return image_refuse(image->path, "its Solo5 manifest is damaged: build it again with solo5-elftool");
	memcpy(manifest, desc + MANIFEST_PADDING, len - MANIFEST_PADDING);
	if (manifest->version != SOLO5_MANIFEST_VERSION || !manifest->entries ||
	    manifest->entries > SOLO5_DEVICES_MAX ||
	    len - MANIFEST_PADDING != fixed + manifest->entries * sizeof(manifest->entry[0]))
		return image_refuse(image->path, "its Solo5 manifest is damaged: build it again with solo5-elftool");
	for (unsigned i = 0; i < manifest->entries; i++) {
		struct solo5_entry *entry = &manifest->entry[i];

		/* What the host decides is not taken from the file. */
		memset(&entry->capacity, 0, sizeof(*entry) - offsetof(struct solo5_entry, capacity));
		if (!is_name(entry->name, i == 0) || (i == 0) != (entry->type == SOLO5_RESERVED))
			return image_refuse(image->path,
					    "its Solo5 manifest is damaged: build it again with solo5-elftool");
	}
	return 0;
}

/* --------------------------------------------------------------------------------------------------------- devices */

static const struct vm_block *find_block(const struct vm_config *config, const char *name)
{
	for (unsigned i = 0; i < config->block_count; i++)
		if (strlen(name) == config->block[i].name_len &&
		    !strncmp(name, config->block[i].name, config->block[i].name_len))
			return &config->block[i];
	return NULL;
}

static int open_block(const struct vm_block *block, const char *name, struct solo5_block *out)
{
	struct stat st;

	out->sector = block->sector ? block->sector : 512;
	out->fd = open(names_find(block->file), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (out->fd < 0 || fstat(out->fd, &st) < 0)
		return image_refuse(block->file,
				    "cannot open for reading and writing: %s: check the path and its "
				    "permissions",
				    strerror(errno));
	if (!S_ISREG(st.st_mode))
		return image_refuse(block->file, "is not a regular file: copy its contents to one first");
	if (st.st_size < out->sector || st.st_size % out->sector)
		return image_refuse(block->file,
				    "has %jd bytes, which are no whole blocks of %u for the device '%s': make it "
				    "longer with truncate",
				    (intmax_t)st.st_size, out->sector, name);
	if (disk_lock(out->fd, true))
		return image_refuse(block->file, "is another guest's disk at the moment: give each its own");
	out->capacity = (uint64_t)st.st_size;
	return 0;
}

/* Every device of the manifest has its file, and every file its device. */
static int attach(const struct image *image, const struct vm_config *config, struct solo5_image *solo5)
{
	unsigned used = 0;

	for (unsigned i = 1; i < solo5->manifest.entries; i++) {
		struct solo5_entry *entry = &solo5->manifest.entry[i];
		const struct vm_block *block = find_block(config, entry->name);
		int err;

		if (entry->type == SOLO5_NET)
			return image_refuse(image->path,
					    "wants a network device '%s', and ring3 has none yet: build it without",
					    entry->name);
		if (entry->type != SOLO5_BLOCK)
			return image_refuse(image->path, "wants a device '%s' of an unknown kind (%u)", entry->name,
					    entry->type);
		if (!block)
			return image_refuse(image->path,
					    "wants a block device '%s': name its file with --block %s=FILE",
					    entry->name, entry->name);
		err = open_block(block, entry->name, &solo5->block[i]);
		if (err)
			return err;
		entry->capacity = solo5->block[i].capacity;
		entry->sector = solo5->block[i].sector;
		entry->attached = true;
		used++;
	}
	if (used != config->block_count)
		return image_refuse(image->path,
				    "has %u block device%s, and --block names %u: leave out what it does not have",
				    used, used == 1 ? "" : "s", config->block_count);
	return 0;
}

const struct solo5_block *image_solo5_block(const struct vm *vm, uint64_t handle)
{
	const struct solo5_image *solo5 = vm->image->solo5;

	if (!solo5 || handle >= solo5->manifest.entries || solo5->block[handle].fd < 0)
		return NULL;
	return &solo5->block[handle];
}

static void solo5_free(struct image *image)
{
	struct solo5_image *solo5 = image->solo5;

	for (unsigned i = 0; solo5 && i < SOLO5_DEVICES_MAX; i++)
		if (solo5->block[i].fd >= 0)
			close(solo5->block[i].fd);
	free(solo5);
	image->solo5 = NULL;
}

static int solo5_read(struct vm *vm)
{
	struct image *image = vm->image;
	struct solo5_image *solo5 = calloc(1, sizeof(*solo5));
	int err;

	if (!solo5)
		return image_refuse(image->path, "no memory left to read it: end other programs first");
	for (unsigned i = 0; i < SOLO5_DEVICES_MAX; i++)
		solo5->block[i].fd = -1;
	image->solo5 = solo5;
	if (vm->mem.size > MEMORY_MAX)
		return image_refuse(image->path, "can have 4 GiB of RAM at most: give less with --memory");
	err = check_abi(image);
	if (!err)
		err = image_read_elf(image, vm, ELF_FOREIGN);
	if (!err)
		err = image_check_entry(image);
	if (!err)
		err = read_manifest(image, &solo5->manifest);
	return err ? err : attach(image, vm->config, solo5);
}

/* ------------------------------------------------------------------------------------------------------ page tables */

#define LARGE_SIZE R3_BIT(X86_LARGE_SHIFT)
#define PRESENT	   (X86_PTE_P | X86_PTE_A | X86_PTE_D)

struct tables {
	struct boot *boot;
	uint64_t root;
	bool full; /* the boot area is */
};

/* Sets the entry for gva at `level`, making the tables that lead there. */
static void set_entry(struct tables *tables, uint64_t gva, unsigned level, uint64_t value)
{
	uint64_t table = tables->root, entry = 0;

	for (unsigned at = X86_PT_LEVELS;; at--) {
		uint64_t slot = table + (gva >> (X86_PAGE_SHIFT + 9 * (at - 1))) % X86_PT_ENTRIES * sizeof(entry);

		if (at == level) {
			if (!gm_write(tables->boot->mem, slot, &value, sizeof(value)))
				abort();
			return;
		}
		if (!gm_read(tables->boot->mem, slot, &entry, sizeof(entry)))
			abort();
		if (!entry) {
			entry = boot_alloc(tables->boot, X86_PAGE_SIZE, X86_PAGE_SIZE);
			if (!entry) {
				tables->full = true;
				return;
			}
			entry |= PRESENT | X86_PTE_W;
			if (!gm_write(tables->boot->mem, slot, &entry, sizeof(entry)))
				abort();
		}
		table = entry & X86_PTE_ADDR;
	}
}

/*
 * Code that may be executed and not read has this key of supervisor pages, which is not asked of execution, and counts
 * where the engine has such keys.
 */
#define CODE_KEY R3_U64(1)

/* What the unikernel may do with the page: as its segment says, and no instruction in data. */
static uint64_t page_rights(const struct image *image, uint64_t gpa)
{
	uint64_t rights = X86_PTE_NX, key = CODE_KEY << X86_PTE_KEY_SHIFT;
	bool covered = false;

	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct image_segment *s = &image->segment[i];

		if (gpa + X86_PAGE_SIZE <= s->paddr || gpa >= s->paddr + s->memsz)
			continue;
		covered = true;
		rights |= s->flags & PF_W ? X86_PTE_W : 0;
		rights &= s->flags & PF_X ? ~X86_PTE_NX : ~R3_U64(0);
		key = s->flags & (PF_R | PF_W) ? 0 : key; /* what can be written can be read */
	}
	if (!covered)
		return X86_PTE_NX | X86_PTE_W;
	return rights & X86_PTE_NX ? rights : rights | key;
}

/* The image page by page, all above it as data. What boot leaves for the unikernel is mapped by map_boot. */
static void map_memory(struct tables *tables, const struct vm *vm)
{
	uint64_t gpa = IMAGE_START, size = vm->mem.size;

	for (; gpa < size && (gpa < vm->image->end || gpa % LARGE_SIZE); gpa += X86_PAGE_SIZE)
		set_entry(tables, gpa, 1, gpa | PRESENT | page_rights(vm->image, gpa));
	for (; gpa < size; gpa += LARGE_SIZE)
		set_entry(tables, gpa, 2, gpa | PRESENT | X86_PTE_W | X86_PTE_NX | X86_PTE_PS);
}

/* Read-only, and nothing of the tables: no two kinds share a page. */
static void map_boot(struct tables *tables, uint64_t start, uint64_t end)
{
	for (uint64_t gpa = start & ~X86_PAGE_MASK; gpa < end; gpa += X86_PAGE_SIZE)
		set_entry(tables, gpa, 1, gpa | PRESENT | X86_PTE_NX);
}

/* -------------------------------------------------------------------------------------------------------- the entry */

static uint64_t tsc_hz(void)
{
	struct clock_rate rate;

	clock_start();
	rate = clock_guest_rate();
	/* Ticks of a second by clock_rate_ns, the other way round. */
	unsigned __int128 ticks = ((unsigned __int128)CLOCK_NS_PER_SEC << 32) / rate.mul;
	return (uint64_t)(rate.shift < 0 ? ticks << -rate.shift : ticks >> rate.shift);
}

static uint64_t put_boot_info(struct boot *boot, const struct vm *vm)
{
	const struct solo5_manifest *manifest = &vm->image->solo5->manifest;
	struct solo5_boot_info info = {
		.memory = vm->mem.size,
		.kernel_end = vm->image->end,
		.tsc_hz = tsc_hz(),
		.cmdline = boot_put(boot, vm->config->cmdline, strlen(vm->config->cmdline) + 1, 1),
		.manifest = boot_put(boot, manifest,
				     offsetof(struct solo5_manifest, entry) +
					     manifest->entries * sizeof(manifest->entry[0]),
				     sizeof(uint64_t)),
	};

	return info.cmdline && info.manifest ? boot_put(boot, &info, sizeof(info), sizeof(uint64_t)) : 0;
}

static void set_registers(struct vcpu *vcpu, uint64_t root, uint64_t gdt, uint64_t info)
{
	const struct vm *vm = vcpu->vm;

	vcpu->rip = vm->image->entry;
	vcpu->gpr[RDI] = info;
	vcpu->gpr[RSP] = vm->mem.size - sizeof(uint64_t);
	vcpu->cr3 = root;
	if (vm->cpu.has[CPU_pks]) {
		vcpu->cr4 |= X86_CR4_PKS;
		vcpu->pkrs = X86_KEY_AD << CODE_KEY * X86_KEY_BITS;
	}
	vcpu->gdtr = (struct vcpu_table){.base = gdt, .limit = sizeof(boot_gdt) - 1};
	for (unsigned i = 0; i < SREG_COUNT; i++)
		vcpu->sreg[i] = seg_make(SOLO5_DS, boot_gdt[SOLO5_DS / 8]);
	vcpu->sreg[SREG_CS] = seg_make(SOLO5_CS, boot_gdt[SOLO5_CS / 8]);
}

static int solo5_boot(struct vm *vm)
{
	struct boot boot;
	struct tables tables = {.boot = &boot};
	uint64_t gdt, info, shown;

	if (strlen(vm->config->cmdline) >= SOLO5_CMDLINE_MAX) {
		fprintf(stderr, "ring3: Solo5's command line has %d bytes at most: shorten --append\n",
			SOLO5_CMDLINE_MAX - 1);
		return -E2BIG;
	}
	boot_begin(&boot, vm);
	tables.root = boot_alloc(&boot, X86_PAGE_SIZE, X86_PAGE_SIZE);
	map_memory(&tables, vm);
	/* The tables of the boot area itself are there by now: it shares those of the first pages. */
	shown = tables.full ? 0 : boot_alloc(&boot, 0, X86_PAGE_SIZE);
	gdt = boot_put(&boot, boot_gdt, sizeof(boot_gdt), sizeof(uint64_t));
	info = put_boot_info(&boot, vm);
	if (!shown || !gdt || !info) {
		fprintf(stderr,
			"ring3: page tables and manifest do not fit the %u KiB of boot information: the image "
			"is too large\n",
			(BOOT_END - BOOT_START) / 1024);
		return -E2BIG;
	}
	map_boot(&tables, shown, boot.next);
	set_registers(vm->vcpu[0], tables.root, gdt, info);
	return 0;
}

const struct boot_protocol boot_solo5 = {
	.name = "Solo5 hvt",
	.machine = MACHINE_SOLO5,
	.memory = MEMORY_DEFAULT,
	.bits = 64,
	.recognises = is_solo5,
	.read = solo5_read,
	.boot = solo5_boot,
	.free = solo5_free,
};
