/*
 * What the files of this folder share: the loaded image itself. Everybody else uses
 * image.h. All numbers were read from the file once and passed the checks of elf.c and note.c.
 */
#ifndef MONITOR_VM_IMAGE_INTERNAL_H
#define MONITOR_VM_IMAGE_INTERNAL_H

#include <libelf.h>
#include <stdbool.h>
#include <stdint.h>

#include "monitor/vm/vm.h"

#define IMAGE_SEGMENTS_MAX 32

/* As much of a file as boot protocols look at to recognise it: Multiboot 2 looks farthest. */
#define IMAGE_HEAD     32768
#define IMAGE_HEAD_OWN 4096 /* that of an image with our note, which is asked for no other headers */

struct boot_protocol;
struct solo5_image;
struct bios_image;

/*
 * What is read whole of a file, whose headers may name as much as they like: far above what any kernel has. Bytes, all
 * notes together, and numbers of headers.
 */
#define IMAGE_NOTES_MAX	   (UINT64_C(1) << 20)
#define IMAGE_DYNAMIC_MAX  (UINT64_C(1) << 20)
#define IMAGE_SYMBOLS_MAX  (UINT64_C(16) << 20)
#define IMAGE_STRINGS_MAX  (UINT64_C(64) << 20)
#define IMAGE_HEADERS_MAX  4096u
#define IMAGE_SECTIONS_MAX 65536u

/* A PT_LOAD segment with memsz > 0. */
struct image_segment {
	uint64_t vaddr, paddr, memsz; /* bytes; [paddr, paddr+memsz) is RAM */
	uint64_t offset, filesz;      /* in the file; filesz <= memsz */
	uint32_t flags;		      /* PF_* */
};

/* A module (initrd) in RAM. */
struct image_module {
	const char *string; /* last component of its path, and the words given with it */
	uint64_t gpa, size;
};

struct image_symbol {
	uint64_t addr, size; /* size 0: unknown, up to the next symbol */
	const char *name;    /* printable; owned by the Elf handle */
};

/* What the notes of an ELF file say of how it is to be started. */
struct image_notes {
	bool ring3, is_linux, pvh;
	struct r3_note abi;
	size_t abi_len; /* bytes of the descriptor */
	uint64_t pvh_entry;
};

struct image {
	const char *path;
	int fd;
	Elf *elf;
	struct image_notes notes;
	uint64_t file_size, notes_size;
	unsigned has_dynamic;
	const struct boot_protocol *protocol;
	size_t head_len;
	_Alignas(uint64_t) uint8_t head[IMAGE_HEAD]; /* the first bytes of the file */

	uint64_t entry;
	struct image_segment segment[IMAGE_SEGMENTS_MAX];
	unsigned segment_count;
	uint64_t end; /* first page above the highest segment */

	uint64_t hypercall_page;		  /* gpa, 0: none */
	uint64_t eh_frame_hdr, eh_frame_hdr_size; /* gva and bytes, 0: none */

	struct image_module module[VM_MODULES_MAX];
	unsigned module_count;

	struct solo5_image *solo5; /* solo5.c's */
	struct bios_image *bios;   /* bios.c's */

	void *dwarf; /* of libdw; NULL: none, or not looked for yet */
	bool dwarf_tried;

	bool symbols_loaded;
	struct image_symbol *symbol; /* ascending addr */
	size_t symbol_count;
};

/* Prints "ring3: PATH: ..." as one line; always returns -ENOEXEC. */
int image_refuse(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Packed with gzip. */
bool image_is_packed(const struct image *image);
/* Makes image->fd what is packed in it. 0, -EINTR if the guest is to end, or as image_refuse. */
int image_unpack(struct vm *vm);

/* Before the library sees the file: it takes memory for as many headers as the file says. 0 or -ENOEXEC. */
int image_check_counts(const struct image *image);

/*
 * Reads the headers of image->elf (image->fd and file_size are set) and checks every number against the file, RAM, the
 * layout and what the engine can run. 0, or -ENOEXEC with the fault printed. ELF_FOREIGN: a kernel of somebody else's,
 * 32-bit perhaps, and what its file has for a dynamic linker is its own business.
 */
enum elf_rules { ELF_OWN, ELF_FOREIGN };
int image_read_elf(struct image *image, const struct vm *vm, enum elf_rules rules);
/* Fills image->notes, as far as the file is an ELF file that has some. */
void image_find_notes(struct image *image);
/* Obeys the ring3 note, if there is one. As image_read_elf. */
int image_read_notes(struct image *image, uint64_t ram_size);
/* The entry point is linked where it is loaded: for kernels entered with memory identity-mapped. As above. */
int image_check_entry(const struct image *image);
/*
 * Has the image entered without paging at `entry`, a physical address or, as some linkers have it, a virtual one that a
 * segment holds. As above.
 */
int image_set_physical_entry(struct image *image, uint64_t entry);
/* An ELF file that says in a note that it is Linux. */
bool image_is_vmlinux(const struct image *image);
/* Adds a segment outside ELF: [offset, offset+filesz) of the file to gpa, which has memsz bytes. As above. */
int image_add_flat(struct image *image, const struct vm *vm, uint64_t gpa, uint64_t offset, uint64_t filesz,
		   uint64_t memsz);
/* Reads all modules to RAM in ascending order above the image, each page-aligned. As above. */
int image_load_ascending(struct vm *vm);
/* Reads all modules to RAM, one behind the other, so that the last ends below `top`. As above. */
int image_load_joined(struct vm *vm, uint64_t top);
/* The loaded segment that holds the virtual range, or NULL. */
const struct image_segment *image_segment_of(const struct image *image, uint64_t vaddr, uint64_t len);

#endif
