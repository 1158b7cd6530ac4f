/*
 * What an image says about itself: the ring3 note (hypercalls/abi.h), and those of other boot protocols.
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

/* Notes of Linux's vmlinux carry its name. */
#define LINUX_NOTE_NAME "Linux"

static bool note_is(const char *name, size_t name_len, const char *wanted)
{
	return name_len == strlen(wanted) + 1 && !memcmp(name, wanted, name_len);
}

static void take_note(struct image_notes *notes, const GElf_Nhdr *note, const char *name, const void *desc)
{
	size_t len = note->n_descsz;

	if (note_is(name, note->n_namesz, R3_NOTE_NAME) && note->n_type == R3_NOTE_ABI && !notes->ring3) {
		notes->ring3 = true;
		notes->abi_len = len;
		memcpy(&notes->abi, desc, len < sizeof(notes->abi) ? len : sizeof(notes->abi));
	}
	if (note_is(name, note->n_namesz, XEN_NOTE_NAME) && note->n_type == XEN_NOTE_PHYS32_ENTRY &&
	    len >= sizeof(uint32_t)) {
		notes->pvh = true;
		notes->pvh_entry = 0;
		memcpy(&notes->pvh_entry, desc, len < sizeof(uint64_t) ? sizeof(uint32_t) : sizeof(uint64_t));
	}
	if (note_is(name, note->n_namesz, LINUX_NOTE_NAME))
		notes->is_linux = true;
}

static void scan_notes(struct image *image, const GElf_Phdr *ph)
{
	Elf_Data *data = elf_getdata_rawchunk(image->elf, (int64_t)ph->p_offset, ph->p_filesz,
					      ph->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	size_t next = 0, name_at, desc_at;
	GElf_Nhdr note;

	if (!data)
		return;
	while ((next = gelf_getnote(data, next, &note, &name_at, &desc_at)) > 0) {
		const char *bytes = data->d_buf;

		take_note(&image->notes, &note, bytes + name_at, bytes + desc_at);
	}
}

/* Of a file that is no image, too: no more than image_read_elf would let pass. */
void image_find_notes(struct image *image)
{
	uint64_t left = IMAGE_NOTES_MAX;
	size_t count;

	image->notes = (struct image_notes){0};
	if (elf_kind(image->elf) != ELF_K_ELF || elf_getphdrnum(image->elf, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(image->elf, (int)i, &ph))
			return;
		if (ph.p_type != PT_NOTE || ph.p_filesz > left || ph.p_offset > image->file_size ||
		    ph.p_filesz > image->file_size - ph.p_offset)
			continue;
		left -= ph.p_filesz;
		scan_notes(image, &ph);
	}
}

bool image_is_vmlinux(const struct image *image)
{
	return image->notes.is_linux && !image->notes.ring3;
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
	const struct image_notes *notes = &image->notes;
	int err;

	if (!notes->ring3)
		return 0;
	if (notes->abi_len >= sizeof(notes->abi.abi_version) && notes->abi.abi_version != R3_ABI_VERSION)
		return image_refuse(image->path,
				    "speaks version %u of the ring3 ABI, this monitor version %u: build it again with "
				    "this monitor's pvguest",
				    notes->abi.abi_version, R3_ABI_VERSION);
	if (notes->abi_len < sizeof(notes->abi))
		return image_refuse(image->path,
				    "its ring3 note has %zu bytes instead of %zu: link it with pvguest.lds",
				    notes->abi_len, sizeof(notes->abi));
	if (!notes->abi.hypercall_page_gpa)
		return 0;
	err = check_hypercall_page(image, notes->abi.hypercall_page_gpa, ram_size);
	if (!err)
		image->hypercall_page = notes->abi.hypercall_page_gpa;
	return err;
}
