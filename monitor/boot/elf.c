/*
 * Reading the ELF headers of an image (System V ABI, chapters 4 and 5) and refusing what cannot be loaded. The file is
 * as hostile as the guest: every sum is done by subtraction from a checked bound, so none can wrap.
 */
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor/boot/boot.h"
#include "monitor/boot/image.h"
#include "monitor/boot/internal.h"
#include "monitor/vm/layout.h"

#define MIB(bytes) (((bytes) + 0xfffff) >> 20)

/*
 * System V ABI, chapter 4: numbers that do not fit the header stand in the first section header, which is where the two
 * classes differ.
 */
struct counts {
	uint64_t headers, sections;
};

static bool read_at(const struct image *image, void *to, size_t size, uint64_t offset)
{
	return offset <= INT64_MAX && pread(image->fd, to, size, (off_t)offset) == (ssize_t)size;
}

static bool counts64(const struct image *image, struct counts *counts)
{
	Elf64_Shdr first = {0};
	Elf64_Ehdr header;

	if (!read_at(image, &header, sizeof(header), 0))
		return false;
	if (header.e_shoff && !read_at(image, &first, sizeof(first), header.e_shoff))
		first = (Elf64_Shdr){0};
	counts->headers = header.e_phnum == PN_XNUM ? first.sh_info : header.e_phnum;
	counts->sections = header.e_shnum ? header.e_shnum : first.sh_size;
	return true;
}

static bool counts32(const struct image *image, struct counts *counts)
{
	Elf32_Shdr first = {0};
	Elf32_Ehdr header;

	if (!read_at(image, &header, sizeof(header), 0))
		return false;
	if (header.e_shoff && !read_at(image, &first, sizeof(first), header.e_shoff))
		first = (Elf32_Shdr){0};
	counts->headers = header.e_phnum == PN_XNUM ? first.sh_info : header.e_phnum;
	counts->sections = header.e_shnum ? header.e_shnum : first.sh_size;
	return true;
}

static int refuse_ident(const struct image *image, const unsigned char *ident)
{
	return image_refuse(image->path,
			    "is not a little-endian 64-bit ELF file (class %u, encoding %u, version %u): build it "
			    "for x86-64",
			    ident[EI_CLASS], ident[EI_DATA], ident[EI_VERSION]);
}

int image_check_counts(const struct image *image)
{
	unsigned char ident[EI_NIDENT];
	struct counts counts;
	bool known;

	if (!read_at(image, ident, sizeof(ident), 0) || memcmp(ident, ELFMAG, SELFMAG))
		return 0;
	if (ident[EI_DATA] != ELFDATA2LSB)
		return refuse_ident(image, ident);
	known = ident[EI_CLASS] == ELFCLASS32 ? counts32(image, &counts) : counts64(image, &counts);
	if (known && (counts.headers > IMAGE_HEADERS_MAX || counts.sections > IMAGE_SECTIONS_MAX))
		return image_refuse(image->path,
				    "has %" PRIu64 " program headers and %" PRIu64
				    " sections, and no kernel has more than %u and %u: link it again with pvguest.lds",
				    counts.headers, counts.sections, IMAGE_HEADERS_MAX, IMAGE_SECTIONS_MAX);
	return 0;
}

static int check_ident(const struct image *image, enum elf_rules rules)
{
	size_t size = 0;
	const char *ident = elf_getident(image->elf, &size);

	if (image->file_size < sizeof(Elf64_Ehdr))
		return image_refuse(image->path,
				    "is truncated: %" PRIu64
				    " bytes are too few for an ELF file: build or copy it again",
				    image->file_size);
	if (elf_kind(image->elf) != ELF_K_ELF || !ident || size < EI_NIDENT)
		return image_refuse(image->path, "is not an ELF file, and no other kernel that ring3 boots: "
						 "docs/boot.md names them");
	if (ident[EI_CLASS] == ELFCLASS32 && rules == ELF_OWN)
		return image_refuse(image->path,
				    "is a 32-bit ELF file that does not say how to start it, by a Multiboot header or "
				    "a PVH note: add one, or build for x86-64 (-m64) and link with pvguest.lds");
	if ((ident[EI_CLASS] != ELFCLASS64 && ident[EI_CLASS] != ELFCLASS32) || ident[EI_VERSION] != EV_CURRENT)
		return refuse_ident(image, (const unsigned char *)ident);
	return 0;
}

static int check_header(const struct image *image, const GElf_Ehdr *header)
{
	bool wide = header->e_ident[EI_CLASS] == ELFCLASS64;

	if (header->e_machine != (wide ? EM_X86_64 : EM_386))
		return image_refuse(image->path, "is built for machine %u, not for x86-64 (%u)%s: build it for x86-64",
				    header->e_machine, EM_X86_64, wide ? "" : ", nor for i386 (3)");
	if (header->e_type == ET_REL)
		return image_refuse(image->path, "is an object file that was not linked: link it with pvguest.lds");
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return image_refuse(image->path, "is not an executable (ELF type %u): link it with pvguest.lds",
				    header->e_type);
	return 0;
}

/* The virtual side: what a cell can map. */
static int check_segment_vaddr(const struct image *image, size_t index, const GElf_Phdr *ph, const struct vm *vm)
{
	char names[ENGINE_NAMES_MAX];

	if (vm->engine_ops && vm->engine_ops->kernel_anywhere)
		return 0;
	if (ph->p_vaddr >= GVA_LOWER_END || ph->p_memsz > GVA_LOWER_END - ph->p_vaddr)
		return image_refuse(image->path,
				    "segment %zu is linked at virtual address 0x%" PRIx64
				    ", in the upper half, which code that runs directly does not have: take --engine "
				    "%s, or link the kernel low, with pvguest.lds",
				    index, ph->p_vaddr, engine_names(engine_is_anywhere, names, sizeof(names)));
	if (ph->p_vaddr < GATE_HOLE_END && ph->p_vaddr + ph->p_memsz > GATE_HOLE_START)
		return image_refuse(
			image->path,
			"segment %zu is linked at virtual address 0x%" PRIx64 ", in PML4 slot 127 (0x%" PRIx64
			" up), the monitor's hole: take --engine %s, or link the kernel low, with pvguest.lds",
			index, ph->p_vaddr, (uint64_t)GATE_HOLE_START,
			engine_names(engine_is_anywhere, names, sizeof(names)));
	return 0;
}

/* A PC's kernel may use low memory up to where the boot area begins. */
static bool is_free_below_1m(const struct image *image, const GElf_Phdr *ph)
{
	return image->protocol && image->protocol->machine == MACHINE_PC && ph->p_paddr >= BIOS_DATA_END &&
	       ph->p_paddr < BOOT_START && ph->p_memsz <= BOOT_START - ph->p_paddr;
}

/* The physical side: where it is loaded. */
static int check_segment_paddr(const struct image *image, size_t index, const GElf_Phdr *ph,
			       const struct guest_mem *mem)
{
	if (ph->p_paddr < IMAGE_START && !is_free_below_1m(image, ph))
		return image_refuse(image->path,
				    "segment %zu loads at 0x%" PRIx64 ", below 1 MiB, where the monitor puts boot "
				    "information: set the load address in pvguest.lds to 0x%x or above",
				    index, ph->p_paddr, IMAGE_START);
	if (!gm_is_ram(mem, ph->p_paddr, ph->p_memsz))
		return image_refuse(image->path,
				    "segment %zu (0x%" PRIx64 ", %" PRIu64 " bytes) lies outside RAM, which is %" PRIu64
				    " MiB: give more with --memory, or lower the load address in pvguest.lds",
				    index, ph->p_paddr, ph->p_memsz, MIB(mem->ram));
	return 0;
}

static int check_segment_file(const struct image *image, size_t index, const GElf_Phdr *ph)
{
	if (ph->p_filesz > ph->p_memsz)
		return image_refuse(image->path,
				    "segment %zu has more bytes in the file (%" PRIu64 ") than in memory (%" PRIu64
				    "): the file is damaged, link it again with pvguest.lds",
				    index, ph->p_filesz, ph->p_memsz);
	/* Of a segment that has no byte in the file the offset says nothing. */
	if (ph->p_filesz && (ph->p_offset > image->file_size || ph->p_filesz > image->file_size - ph->p_offset))
		return image_refuse(image->path,
				    "is truncated: segment %zu ends beyond the file's %" PRIu64 " bytes: build or copy "
				    "it again",
				    index, image->file_size);
	return 0;
}

static int check_overlap(const struct image *image, size_t index, const struct image_segment *seg)
{
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct image_segment *old = &image->segment[i];

		if (seg->paddr < old->paddr + old->memsz && old->paddr < seg->paddr + seg->memsz)
			return image_refuse(image->path,
					    "segment %zu at 0x%" PRIx64 " overlaps the one at 0x%" PRIx64
					    ": give each its own load address (AT in pvguest.lds)",
					    index, seg->paddr, old->paddr);
	}
	return 0;
}

static int add_segment(struct image *image, size_t index, const GElf_Phdr *ph, const struct vm *vm)
{
	struct image_segment *seg = &image->segment[image->segment_count];
	int err = check_segment_file(image, index, ph);

	if (!err && !ph->p_memsz)
		return 0;
	if (!err)
		err = check_segment_paddr(image, index, ph, &vm->mem);
	if (!err)
		err = check_segment_vaddr(image, index, ph, vm);
	if (err)
		return err;
	if (image->segment_count == IMAGE_SEGMENTS_MAX)
		return image_refuse(image->path, "has more than %u segments to load: merge sections in pvguest.lds",
				    IMAGE_SEGMENTS_MAX);
	*seg = (struct image_segment){.vaddr = ph->p_vaddr,
				      .paddr = ph->p_paddr,
				      .memsz = ph->p_memsz,
				      .offset = ph->p_offset,
				      .filesz = ph->p_filesz,
				      .flags = ph->p_flags};
	err = check_overlap(image, index, seg);
	if (err)
		return err;
	image->segment_count++;
	if (image->end < IMAGE_START)
		image->end = IMAGE_START; /* modules lie above it */
	if (seg->paddr + seg->memsz > image->end)
		image->end = (seg->paddr + seg->memsz + X86_PAGE_MASK) & ~X86_PAGE_MASK;
	return 0;
}

/* Refuses what would need a dynamic linker: nobody would apply the relocations. */
static int check_dynamic(const struct image *image, const GElf_Phdr *ph)
{
	Elf_Data *data = NULL;

	if (!ph->p_filesz)
		return 0;
	if (ph->p_filesz > IMAGE_DYNAMIC_MAX)
		return image_refuse(image->path,
				    "has a dynamic section of %" PRIu64
				    " bytes, and no kernel has more than %ju: link it with pvguest.lds",
				    (uint64_t)ph->p_filesz, (uintmax_t)IMAGE_DYNAMIC_MAX);
	if (ph->p_offset <= image->file_size && ph->p_filesz <= image->file_size - ph->p_offset)
		data = elf_getdata_rawchunk(image->elf, (int64_t)ph->p_offset, ph->p_filesz, ELF_T_DYN);
	if (!data)
		return image_refuse(image->path, "is truncated within its dynamic section: build it again");
	for (int i = 0; (size_t)i < data->d_size / sizeof(Elf64_Dyn); i++) {
		GElf_Dyn dyn;

		if (!gelf_getdyn(data, i, &dyn) || dyn.d_tag == DT_NULL)
			break;
		if ((dyn.d_tag == DT_RELASZ || dyn.d_tag == DT_RELSZ || dyn.d_tag == DT_RELRSZ ||
		     dyn.d_tag == DT_PLTRELSZ) &&
		    dyn.d_un.d_val)
			return image_refuse(image->path,
					    "needs relocation, and a kernel has no dynamic linker: link it "
					    "at a fixed address with pvguest.lds (-static -no-pie)");
	}
	return 0;
}

static int check_notes(struct image *image, const GElf_Phdr *ph)
{
	image->notes_size += ph->p_filesz < IMAGE_NOTES_MAX ? ph->p_filesz : IMAGE_NOTES_MAX + 1;
	if (image->notes_size <= IMAGE_NOTES_MAX)
		return 0;
	return image_refuse(image->path, "has more than %ju bytes of notes: link it again with pvguest.lds",
			    (uintmax_t)IMAGE_NOTES_MAX);
}

static int read_program_header(struct image *image, size_t index, const GElf_Phdr *ph, const struct vm *vm,
			       enum elf_rules rules)
{
	if (rules == ELF_FOREIGN && (ph->p_type == PT_INTERP || ph->p_type == PT_DYNAMIC))
		return 0;
	switch (ph->p_type) {
	case PT_LOAD:
		return add_segment(image, index, ph, vm);
	case PT_INTERP:
		return image_refuse(image->path, "wants a dynamic linker, so it is a program and no kernel: link a "
						 "freestanding one with pvguest.lds (-static -nostdlib)");
	case PT_DYNAMIC:
		return image->has_dynamic++ ? image_refuse(image->path, "has two dynamic sections: link it again")
					    : check_dynamic(image, ph);
	case PT_NOTE:
		return check_notes(image, ph);
	case PT_GNU_EH_FRAME:
		image->eh_frame_hdr = ph->p_vaddr;
		image->eh_frame_hdr_size = ph->p_memsz;
		return 0;
	default:
		return 0;
	}
}

int image_check_entry(const struct image *image)
{
	const struct image_segment *seg = image_segment_of(image, image->entry, 1);

	if (!seg || image->entry - seg->vaddr >= seg->filesz)
		return image_refuse(image->path,
				    "its entry point 0x%" PRIx64
				    " lies in no loaded segment: name the entry symbol with "
				    "ENTRY() in the linker script, as pvguest.lds does",
				    image->entry);
	if (seg->vaddr != seg->paddr)
		return image_refuse(image->path,
				    "its entry point 0x%" PRIx64
				    " is linked at another address than it loads at (0x%" PRIx64
				    "), but at entry memory is identity-mapped: make both equal, as pvguest.lds does",
				    image->entry, seg->paddr + (image->entry - seg->vaddr));
	return 0;
}

int image_set_physical_entry(struct image *image, uint64_t entry)
{
	const struct image_segment *linked = image_segment_of(image, entry, 1);

	image->entry = linked ? linked->paddr + (entry - linked->vaddr) : entry;
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct image_segment *seg = &image->segment[i];

		if (image->entry <= UINT32_MAX && image->entry >= seg->paddr && image->entry - seg->paddr < seg->filesz)
			return 0;
	}
	return image_refuse(image->path, "its entry point 0x%" PRIx64 " lies in no loaded segment: build it again",
			    entry);
}

int image_add_flat(struct image *image, const struct vm *vm, uint64_t gpa, uint64_t offset, uint64_t filesz,
		   uint64_t memsz)
{
	const GElf_Phdr ph = {.p_vaddr = gpa, .p_paddr = gpa, .p_offset = offset, .p_filesz = filesz, .p_memsz = memsz};

	return add_segment(image, 0, &ph, vm);
}

int image_read_elf(struct image *image, const struct vm *vm, enum elf_rules rules)
{
	GElf_Ehdr header;
	size_t count;
	int err = check_ident(image, rules);

	if (err)
		return err;
	if (!gelf_getehdr(image->elf, &header) || elf_getphdrnum(image->elf, &count) < 0)
		return image_refuse(image->path, "is truncated within its ELF header: build or copy it again");
	/* The library counts only what the file holds. */
	if (header.e_phnum != PN_XNUM && count < header.e_phnum)
		return image_refuse(image->path,
				    "is truncated: its program headers lie beyond its end: build or copy it again");
	err = check_header(image, &header);
	if (err)
		return err;
	image->entry = header.e_entry;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(image->elf, (int)i, &ph))
			return image_refuse(
				image->path,
				"is truncated: program header %zu lies beyond its end: build or copy it again", i);
		err = read_program_header(image, i, &ph, vm, rules);
		if (err)
			return err;
	}
	if (!image->segment_count)
		return image_refuse(image->path, "has nothing to load: link it with pvguest.lds");
	if (image->eh_frame_hdr_size && !image_segment_of(image, image->eh_frame_hdr, image->eh_frame_hdr_size))
		image->eh_frame_hdr_size = 0;
	return 0;
}
