/*
 * Mapping ELF programs: static ones, at fixed addresses or anywhere.
 */
#include "examples/tinix/core.h"

#define PIE_BASE    0x550000000000ul
#define HEADERS_MAX 64

struct elf_file {
	struct inode *inode;
	Elf64_Ehdr header;
	Elf64_Phdr program[HEADERS_MAX];
	uint64_t bias; /* added to the file's addresses */
};

static bool read_exactly(struct inode *inode, void *to, size_t len, uint64_t offset)
{
	return inode_read(inode, to, len, offset) == (int64_t)len;
}

static bool read_headers(struct elf_file *file)
{
	const Elf64_Ehdr *header = &file->header;

	return read_exactly(file->inode, &file->header, sizeof(*header), 0) &&
	       !memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       header->e_machine == EM_X86_64 && (header->e_type == ET_EXEC || header->e_type == ET_DYN) &&
	       header->e_phentsize == sizeof(Elf64_Phdr) && header->e_phnum && header->e_phnum <= HEADERS_MAX &&
	       read_exactly(file->inode, file->program, header->e_phnum * sizeof(Elf64_Phdr), header->e_phoff);
}

static bool segment_valid(const Elf64_Phdr *ph, uint64_t bias)
{
	uint64_t start = ph->p_vaddr + bias;

	return ph->p_filesz <= ph->p_memsz && !((ph->p_vaddr ^ ph->p_offset) & PAGE_MASK) && start >= USER_START &&
	       start < USER_END && ph->p_memsz < USER_END - start - PAGE_SIZE;
}

static bool overlaps(struct mm *mm, uint64_t start, uint64_t end)
{
	const struct vma *vma = vma_find(mm, start);

	return vma && vma->start < end;
}

static int map_segment(struct mm *mm, const struct elf_file *file, const Elf64_Phdr *ph)
{
	uint64_t address = ph->p_vaddr + file->bias, start = page_down(address);
	uint64_t file_end = ph->p_filesz ? page_up(address + ph->p_filesz) : start;
	uint64_t end = page_up(address + ph->p_memsz);
	unsigned prot = (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) |
			(ph->p_flags & PF_X ? PROT_EXEC : 0);
	int err = 0;

	if (!segment_valid(ph, file->bias) || overlaps(mm, start, end))
		return -ENOEXEC;
	if (file_end > start)
		err = mm_map(mm, start, file_end - start, prot, false, file->inode, page_down(ph->p_offset));
	if (!err && end > file_end)
		err = mm_map(mm, file_end, end - file_end, prot, false, NULL, 0);
	/* The file goes on where memory begins to be zero. */
	if (!err && ph->p_filesz && ph->p_memsz > ph->p_filesz && ph->p_flags & PF_W)
		err = zero_mm(mm, address + ph->p_filesz, file_end - (address + ph->p_filesz));
	return err;
}

/* Maps all segments; *end is where the highest ends, *headers where the program headers lie. */
static int map_segments(struct mm *mm, struct elf_file *file, uint64_t *end, uint64_t *headers)
{
	*headers = *end = 0;
	for (unsigned i = 0; i < file->header.e_phnum; i++) {
		const Elf64_Phdr *ph = &file->program[i];
		uint64_t into = file->header.e_phoff - ph->p_offset;
		int err;

		if (ph->p_type == PT_INTERP) {
			debug("%s: a program needs shared libraries, and there are none\n", current->name);
			return -ELIBACC;
		}
		if (ph->p_type != PT_LOAD || !ph->p_memsz)
			continue;
		err = map_segment(mm, file, ph);
		if (err)
			return err;
		if (file->header.e_phoff >= ph->p_offset && into < ph->p_filesz)
			*headers = ph->p_vaddr + file->bias + into;
		if (ph->p_flags & PF_X && !mm->info.start_code) {
			mm->info.start_code = ph->p_vaddr + file->bias;
			mm->info.end_code = mm->info.start_code + ph->p_filesz;
		}
		*end = max_u64(*end, ph->p_vaddr + file->bias + ph->p_memsz);
	}
	return *end ? 0 : -ENOEXEC;
}

static int load(struct mm *mm, struct elf_file *file, struct elf_image *image)
{
	int err;

	if (!read_headers(file))
		return -ENOEXEC;
	file->bias = file->header.e_type == ET_DYN ? PIE_BASE : 0;
	err = map_segments(mm, file, &image->end, &image->headers);
	if (err)
		return err;
	image->entry = file->header.e_entry + file->bias;
	image->header_count = file->header.e_phnum;
	return image->entry < USER_END ? 0 : -ENOEXEC;
}

int elf_load(struct mm *mm, struct inode *inode, struct elf_image *image)
{
	struct elf_file *file = kalloc(sizeof(*file));
	int err;

	if (!file)
		return -ENOMEM;
	*image = (struct elf_image){0};
	file->inode = inode;
	err = load(mm, file, image);
	kfree(file);
	return err;
}
