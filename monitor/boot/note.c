/*
 * What an image says about itself: the ring3 note (hypercalls/abi.h), and the marks of other boot protocols, so that a
 * kernel made for one of those is told what to change instead of running into the weeds.
 */
#include <errno.h>
#include <gelf.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "monitor/boot/image.h"
#include "monitor/boot/internal.h"

/* Xen public/elfnote.h: the 32-bit entry point of a PVH kernel. */
#define XEN_NOTE_NAME	      "Xen"
#define XEN_NOTE_PHYS32_ENTRY 18

/* Multiboot specification 3.1.1 and Multiboot2 specification 3.1.1: magic, where to look, and alignment. */
#define MULTIBOOT1_MAGIC 0x1badb002u
#define MULTIBOOT1_AREA	 8192
#define MULTIBOOT2_MAGIC 0xe85250d6u
#define MULTIBOOT2_ALIGN 8

/* Notes of Linux's vmlinux carry its name. */
#define LINUX_NOTE_NAME "Linux"

struct notes {
	bool ring3, pvh, is_linux;
	struct r3_note abi;
	size_t abi_len; /* bytes of the descriptor */
};

static bool note_is(const char *name, size_t name_len, const char *wanted)
{
	return name_len == strlen(wanted) + 1 && !memcmp(name, wanted, name_len);
}

static void scan_notes(const struct image *image, const GElf_Phdr *ph, struct notes *notes)
{
	Elf_Data *data = elf_getdata_rawchunk(image->elf, (int64_t)ph->p_offset, ph->p_filesz,
					      ph->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	size_t next = 0, name_at, desc_at;
	GElf_Nhdr note;

	if (!data)
		return;
	while ((next = gelf_getnote(data, next, &note, &name_at, &desc_at)) > 0) {
		const char *bytes = data->d_buf;

		if (note_is(bytes + name_at, note.n_namesz, R3_NOTE_NAME) && note.n_type == R3_NOTE_ABI &&
		    !notes->ring3) {
			notes->ring3 = true;
			notes->abi_len = note.n_descsz;
			memcpy(&notes->abi, bytes + desc_at,
			       note.n_descsz < sizeof(notes->abi) ? note.n_descsz : sizeof(notes->abi));
		}
		if (note_is(bytes + name_at, note.n_namesz, XEN_NOTE_NAME) && note.n_type == XEN_NOTE_PHYS32_ENTRY)
			notes->pvh = true;
		if (note_is(bytes + name_at, note.n_namesz, LINUX_NOTE_NAME))
			notes->is_linux = true;
	}
}

/* Of a file that is no image, too, for a hint: no more than image_read_elf would let pass. */
static void find_notes(const struct image *image, struct notes *notes)
{
	uint64_t left = IMAGE_NOTES_MAX;
	size_t count;

	*notes = (struct notes){0};
	if (elf_getphdrnum(image->elf, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(image->elf, (int)i, &ph))
			return;
		if (ph.p_type != PT_NOTE || ph.p_filesz > left || ph.p_offset > image->file_size ||
		    ph.p_filesz > image->file_size - ph.p_offset)
			continue;
		left -= ph.p_filesz;
		scan_notes(image, &ph, notes);
	}
}

bool image_is_vmlinux(const struct image *image)
{
	size_t size = 0;
	const char *ident = elf_getident(image->elf, &size);
	struct notes notes;

	if (elf_kind(image->elf) != ELF_K_ELF || !ident || size < EI_NIDENT || ident[EI_CLASS] != ELFCLASS64)
		return false;
	find_notes(image, &notes);
	return notes.is_linux && !notes.ring3;
}

static bool is_multiboot(const uint32_t *words, size_t count)
{
	for (size_t i = 0; i + 4 <= count; i++) {
		if (words[i] == MULTIBOOT1_MAGIC && i * 4 < MULTIBOOT1_AREA &&
		    words[i] + words[i + 1] + words[i + 2] == 0)
			return true;
		if (words[i] == MULTIBOOT2_MAGIC && i * 4 % MULTIBOOT2_ALIGN == 0 &&
		    words[i] + words[i + 1] + words[i + 2] + words[i + 3] == 0)
			return true;
	}
	return false;
}

const char *image_foreign_hint(const struct image *image)
{
	struct notes notes;

	if (is_multiboot((const uint32_t *)image->head, image->head_len / 4))
		return "a Multiboot kernel";
	find_notes(image, &notes);
	return notes.pvh ? "a PVH kernel" : NULL;
}

static int check_hypercall_page(const struct image *image, uint64_t gpa, uint64_t ram_size)
{
	if (gpa & X86_PAGE_MASK)
		return image_refuse(image->path,
				    "its hypercall page 0x%" PRIx64 " is not page-aligned: align it to 4096, as "
				    "pvguest.lds does",
				    gpa);
	if (gpa < IMAGE_START || gpa >= ram_size || ram_size - gpa < R3_HYPERCALL_PAGE_SIZE)
		return image_refuse(image->path,
				    "its hypercall page 0x%" PRIx64 " lies outside RAM [0x%x, 0x%" PRIx64
				    "): keep it in the image, as pvguest.lds does",
				    gpa, IMAGE_START, ram_size);
	return 0;
}

int image_read_notes(struct image *image, uint64_t ram_size)
{
	struct notes notes;
	const char *hint;
	int err;

	find_notes(image, &notes);
	if (!notes.ring3) {
		hint = image_foreign_hint(image);
		if (hint)
			return image_refuse(image->path,
					    "is %s, which starts in 32-bit mode; ring3 enters kernels in 64-bit mode: "
					    "link it with pvguest, whose note says that it can",
					    hint);
		return 0;
	}
	if (notes.abi_len >= sizeof(notes.abi.abi_version) && notes.abi.abi_version != R3_ABI_VERSION)
		return image_refuse(image->path,
				    "speaks version %u of the ring3 ABI, this monitor version %u: build it again with "
				    "this monitor's pvguest",
				    notes.abi.abi_version, R3_ABI_VERSION);
	if (notes.abi_len < sizeof(notes.abi))
		return image_refuse(image->path,
				    "its ring3 note has %zu bytes instead of %zu: link it with pvguest.lds",
				    notes.abi_len, sizeof(notes.abi));
	if (!notes.abi.hypercall_page_gpa)
		return 0;
	err = check_hypercall_page(image, notes.abi.hypercall_page_gpa, ram_size);
	if (!err)
		image->hypercall_page = notes.abi.hypercall_page_gpa;
	return err;
}
