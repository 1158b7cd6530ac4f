/*
 * Mapping ELF programs at fixed addresses or anywhere, and the interpreter (the dynamic linker) that one may name.
 */
#include "examples/tinix/core.h"

#define PIE_BASE     0x550000000000ul
#define HEADERS_SIZE 65536 /* bytes of program headers */

struct elf_file {
	struct inode *inode;
	Elf64_Ehdr header;
	Elf64_Phdr *program;
	uint64_t bias; /* added to the file's addresses */
};

static bool read_exactly(struct inode *inode, void *to, size_t len, uint64_t offset)
{
	return inode_read(inode, to, len, offset) == (int64_t)len;
}

static int read_headers(struct elf_file *file)
{
	const Elf64_Ehdr *header = &file->header;
	size_t size;

	if (!read_exactly(file->inode, &file->header, sizeof(*header), 0) ||
	    memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_machine != EM_X86_64 || (header->e_type != ET_EXEC && header->e_type != ET_DYN) ||
	    header->e_phentsize != sizeof(Elf64_Phdr) || !header->e_phnum)
		return -ENOEXEC;
	size = header->e_phnum * sizeof(Elf64_Phdr);
	if (size > HEADERS_SIZE)
		return -ENOEXEC;
	file->program = kalloc(size);
	if (!file->program)
		return -ENOMEM;
	return read_exactly(file->inode, file->program, size, header->e_phoff) ? 0 : -ENOEXEC;
}

static bool segment_valid(const Elf64_Phdr *ph, uint64_t bias)
{
	uint64_t start = ph->p_vaddr + bias;

	return ph->p_filesz <= ph->p_memsz && !((ph->p_vaddr ^ ph->p_offset) & PAGE_MASK) && start >= USER_START &&
	       start < USER_END && ph->p_memsz < USER_END - start - PAGE_SIZE;
}

/* What an earlier segment has there gives way, as Linux has it. */
static int map_segment(struct mm *mm, const struct elf_file *file, const Elf64_Phdr *ph)
{
	uint64_t address = ph->p_vaddr + file->bias, start = page_down(address);
	uint64_t file_end = ph->p_filesz ? page_up(address + ph->p_filesz) : start;
	uint64_t end = page_up(address + ph->p_memsz);
	unsigned prot = (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) |
			(ph->p_flags & PF_X ? PROT_EXEC : 0);
	int err;

	if (!segment_valid(ph, file->bias))
		return -ENOEXEC;
	err = mm_unmap(mm, start, end);
	if (!err && file_end > start)
		err = mm_map(mm, start, file_end - start, prot, 0, file->inode, page_down(ph->p_offset));
	if (!err && end > file_end)
		err = mm_map(mm, file_end, end - file_end, prot, 0, NULL, 0);
	/* The file goes on where memory begins to be zero. */
	if (!err && ph->p_filesz && ph->p_memsz > ph->p_filesz && ph->p_flags & PF_W)
		err = zero_mm(mm, address + ph->p_filesz, file_end - (address + ph->p_filesz));
	return err;
}

/* Maps all segments; *end is where the highest ends. */
static int map_segments(struct mm *mm, const struct elf_file *file, uint64_t *end)
{
	*end = 0;
	for (unsigned i = 0; i < file->header.e_phnum; i++) {
		const Elf64_Phdr *ph = &file->program[i];
		int err;

		if (ph->p_type != PT_LOAD || !ph->p_memsz)
			continue;
		err = map_segment(mm, file, ph);
		if (err)
			return err;
		*end = max_u64(*end, ph->p_vaddr + file->bias + ph->p_memsz);
	}
	return *end ? 0 : -ENOEXEC;
}

/* ---------------------------------------------------------------------------------------------- the interpreter */

/* Addresses from the lowest page to the end of the highest, of a file that may be anywhere; 0 if that is no size. */
static uint64_t span(const struct elf_file *file, uint64_t *lowest)
{
	uint64_t end = 0;

	*lowest = UINT64_MAX;
	for (unsigned i = 0; i < file->header.e_phnum; i++) {
		const Elf64_Phdr *ph = &file->program[i];

		if (ph->p_type != PT_LOAD || !ph->p_memsz)
			continue;
		if (ph->p_vaddr >= USER_END || ph->p_memsz >= USER_END - ph->p_vaddr)
			return 0;
		*lowest = min_u64(*lowest, page_down(ph->p_vaddr));
		end = max_u64(end, page_up(ph->p_vaddr + ph->p_memsz));
	}
	return end ? end - *lowest : 0;
}

static int place_interpreter(struct mm *mm, struct elf_file *file, struct elf_image *image)
{
	uint64_t lowest, end, length, at;
	int err = read_headers(file);

	if (err)
		return err == -ENOEXEC ? -ELIBBAD : err;
	length = span(file, &lowest);
	at = length ? mm_find_free(mm, length) : 0;
	if (!at)
		return length ? -ENOMEM : -ELIBBAD;
	if (file->header.e_type == ET_DYN)
		file->bias = at - lowest;
	err = map_segments(mm, file, &end);
	image->base = file->bias;
	image->start = file->header.e_entry + file->bias;
	return err == -ENOEXEC || image->start >= USER_END ? -ELIBBAD : err;
}

static int load_interpreter(struct mm *mm, struct inode *program, const Elf64_Phdr *ph, struct elf_image *image)
{
	struct elf_file *file = kalloc(sizeof(*file));
	char *path = kalloc(PATH_MAX);
	int err = file && path ? 0 : -ENOMEM;

	if (!err && (ph->p_filesz < 2 || ph->p_filesz > PATH_MAX ||
		     !read_exactly(program, path, ph->p_filesz, ph->p_offset) || path[ph->p_filesz - 1]))
		err = -ENOEXEC;
	if (!err)
		err = inode_open_exec(path, &file->inode);
	if (!err) {
		err = place_interpreter(mm, file, image);
		inode_put(file->inode);
		kfree(file->program);
	}
	kfree(path);
	kfree(file);
	return err;
}

/* -------------------------------------------------------------------------------------------------- the program */

static void describe(struct mm *mm, const struct elf_file *file, struct elf_image *image)
{
	image->entry = image->start = file->header.e_entry + file->bias;
	image->header_count = file->header.e_phnum;
	for (unsigned i = 0; i < file->header.e_phnum; i++) {
		const Elf64_Phdr *ph = &file->program[i];
		uint64_t into = file->header.e_phoff - ph->p_offset;

		if (ph->p_type == PT_GNU_STACK)
			image->stack_executes = ph->p_flags & PF_X;
		if (ph->p_type != PT_LOAD)
			continue;
		if (file->header.e_phoff >= ph->p_offset && into < ph->p_filesz)
			image->headers = ph->p_vaddr + file->bias + into;
		if (ph->p_flags & PF_X && !mm->info.start_code) {
			mm->info.start_code = ph->p_vaddr + file->bias;
			mm->info.end_code = mm->info.start_code + ph->p_filesz;
		}
	}
}

static int load(struct mm *mm, struct elf_file *file, struct elf_image *image)
{
	int err = read_headers(file);

	if (err)
		return err;
	file->bias = file->header.e_type == ET_DYN ? PIE_BASE : 0;
	err = map_segments(mm, file, &image->end);
	if (err)
		return err;
	describe(mm, file, image);
	if (image->entry >= USER_END)
		return -ENOEXEC;
	for (unsigned i = 0; i < file->header.e_phnum; i++)
		if (file->program[i].p_type == PT_INTERP)
			return load_interpreter(mm, file->inode, &file->program[i], image);
	return 0;
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
	kfree(file->program);
	kfree(file);
	return err;
}
