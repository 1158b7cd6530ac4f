/*
 * Boot information in the layout of PVH's hvm_start_info, version 1 (Xen public/arch-x86/hvm/start_info.h).
 * The monitor enters the guest with its gpa in RDI. All addresses are guest-physical.
 */
#ifndef R3_START_INFO_H
#define R3_START_INFO_H

#include <stdint.h>

#define HVM_START_MAGIC	  0x336ec578u
#define HVM_START_VERSION 1

#define HVM_MEMMAP_RAM	    1
#define HVM_MEMMAP_RESERVED 2

struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr; /* zero-terminated */
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct hvm_modlist_entry {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};

struct hvm_memmap_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

#ifndef __cplusplus /* has another word for it */
_Static_assert(sizeof(struct hvm_start_info) == 56, "start info layout is ABI");
#endif

#endif
