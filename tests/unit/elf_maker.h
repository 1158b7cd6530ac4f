/*
 * Makes small ELF images, good ones and, by changing a field, bad ones.
 */
#ifndef TESTS_UNIT_ELF_MAKER_H
#define TESTS_UNIT_ELF_MAKER_H

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hypercalls/abi.h"

#define MAKER_BASE  0x200000u
#define MAKER_PAGES 0x1000u

/* One text segment at file offset 0x1000, one data segment at 0x2000, a ring3 note at 0x3000. */
struct maker {
	Elf64_Ehdr header;
	Elf64_Phdr ph[40];
	struct __attribute__((packed)) {
		Elf64_Nhdr header;
		char name[8];
		struct r3_note note;
	} note;
	uint8_t text[0x1000], data[0x1000];
	size_t file_size; /* what is written of it all */
	char path[64];
};

enum { MAKER_TEXT, MAKER_DATA, MAKER_NOTE, MAKER_PH_COUNT };

static inline Elf64_Phdr maker_load(uint64_t offset, uint64_t addr, uint64_t filesz, uint64_t memsz)
{
	return (Elf64_Phdr){.p_type = PT_LOAD,
			    .p_flags = PF_R | PF_X,
			    .p_offset = offset,
			    .p_vaddr = addr,
			    .p_paddr = addr,
			    .p_filesz = filesz,
			    .p_memsz = memsz,
			    .p_align = 0x1000};
}

static inline void maker_init(struct maker *m)
{
	memset(m, 0, sizeof(*m));
	memcpy(m->header.e_ident, ELFMAG, SELFMAG);
	m->header.e_ident[EI_CLASS] = ELFCLASS64;
	m->header.e_ident[EI_DATA] = ELFDATA2LSB;
	m->header.e_ident[EI_VERSION] = EV_CURRENT;
	m->header.e_type = ET_EXEC;
	m->header.e_machine = EM_X86_64;
	m->header.e_version = EV_CURRENT;
	m->header.e_entry = MAKER_BASE + 0x10;
	m->header.e_phoff = sizeof(m->header);
	m->header.e_ehsize = sizeof(m->header);
	m->header.e_phentsize = sizeof(m->ph[0]);
	m->header.e_phnum = MAKER_PH_COUNT;
	m->ph[MAKER_TEXT] = maker_load(0x1000, MAKER_BASE, 0x1000, 0x1000);
	m->ph[MAKER_DATA] = maker_load(0x2000, MAKER_BASE + 0x1000, 0x800, 0x3000);
	m->ph[MAKER_NOTE] =
		(Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 0x3000, .p_filesz = sizeof(m->note), .p_align = 4};
	m->note.header = (Elf64_Nhdr){sizeof(R3_NOTE_NAME), sizeof(struct r3_note), R3_NOTE_ABI};
	strcpy(m->note.name, R3_NOTE_NAME);
	m->note.note.abi_version = R3_ABI_VERSION;
	memset(m->text, 0x90, sizeof(m->text));
	memset(m->data, 0xdd, sizeof(m->data));
	m->file_size = 0x3000 + sizeof(m->note);
}

/* Writes the file; its path is m->path. The caller unlinks it. */
static inline void maker_write(struct maker *m)
{
	uint8_t *file = calloc(1, 0x4000);
	int fd;

	strcpy(m->path, "/tmp/ring3-unit-XXXXXX");
	fd = mkstemp(m->path);
	if (!file || fd < 0)
		abort();
	memcpy(file, &m->header, sizeof(m->header));
	memcpy(file + sizeof(m->header), m->ph, sizeof(m->ph));
	memcpy(file + 0x1000, m->text, sizeof(m->text));
	memcpy(file + 0x2000, m->data, sizeof(m->data));
	memcpy(file + 0x3000, &m->note, sizeof(m->note));
	if (write(fd, file, m->file_size) != (ssize_t)m->file_size)
		abort();
	close(fd);
	free(file);
}

#endif
