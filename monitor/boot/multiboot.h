/*
 * What Multiboot kernels and boot loaders tell each other: the Multiboot specification 0.6.96, chapter 3, and the
 * Multiboot2 specification 2.0, chapter 3.
 */
#ifndef MONITOR_BOOT_MULTIBOOT_H
#define MONITOR_BOOT_MULTIBOOT_H

#include <stdint.h>

/* --------------------------------------------------------------------------------------------------- Multiboot 1 */

#define MB1_HEADER_MAGIC 0x1badb002u
#define MB1_HEADER_AREA	 8192 /* bytes from the file's start */
#define MB1_HEADER_ALIGN 4
#define MB1_BOOT_MAGIC	 0x2badb002u

/* Header flags. A kernel cannot do without what bits 0 to 15 ask for. */
#define MB1_ALIGN_MODULES R3_BIT(0)
#define MB1_WANTS_MEMORY  R3_BIT(1)
#define MB1_WANTS_VIDEO	  R3_BIT(2)
#define MB1_KNOWN	  (MB1_ALIGN_MODULES | MB1_WANTS_MEMORY | MB1_WANTS_VIDEO)
#define MB1_REQUIRED	  0xffffu
#define MB1_ADDRESSES	  R3_BIT(16) /* the fields from header_addr on say where the file goes */

struct mb1_header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

/* Information flags: which fields are valid. */
#define MB1_HAS_MEMORY	    R3_BIT(0)
#define MB1_HAS_CMDLINE	    R3_BIT(2)
#define MB1_HAS_MODULES	    R3_BIT(3)
#define MB1_HAS_MMAP	    R3_BIT(6)
#define MB1_HAS_LOADER	    R3_BIT(9)
#define MB1_HAS_FRAMEBUFFER R3_BIT(12)

/* How a pixel of MB_FRAMEBUFFER_RGB is made up. */
struct mb_rgb {
	uint8_t red_at, red_bits, green_at, green_bits, blue_at, blue_bits;
};

struct mb1_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB from 0 and from 1 MiB */
	uint32_t boot_device, cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr, config_table;
	uint32_t boot_loader_name, apm_table;
	uint32_t vbe[4];
	uint64_t framebuffer_addr;
	uint32_t framebuffer_pitch, framebuffer_width, framebuffer_height;
	uint8_t framebuffer_bpp, framebuffer_type;
	struct mb_rgb framebuffer_rgb;
} __attribute__((packed));

struct mb1_module {
	uint32_t start, end, string, reserved;
};

/* `size` does not count itself. */
struct mb1_mmap {
	uint32_t size;
	uint64_t addr, len;
	uint32_t type;
} __attribute__((packed));

/* --------------------------------------------------------------------------------------------------- Multiboot 2 */

#define MB2_HEADER_MAGIC 0xe85250d6u
#define MB2_HEADER_AREA	 32768
#define MB2_ALIGN	 8 /* of the header, and of each tag of either side */
#define MB2_ARCH_I386	 0
#define MB2_BOOT_MAGIC	 0x36d76289u

struct mb2_header {
	uint32_t magic, architecture, length, checksum;
};

enum mb2_header_tag {
	MB2_HEADER_END,
	MB2_HEADER_INFORMATION,
	MB2_HEADER_ADDRESS,
	MB2_HEADER_ENTRY,
	MB2_HEADER_CONSOLE,
	MB2_HEADER_FRAMEBUFFER,
	MB2_HEADER_MODULE_ALIGN,
	MB2_HEADER_EFI_BOOT_SERVICES,
	MB2_HEADER_EFI32_ENTRY,
	MB2_HEADER_EFI64_ENTRY,
	MB2_HEADER_RELOCATABLE,
};
#define MB2_HEADER_OPTIONAL 1 /* flag of a header tag: may be ignored */

/* Of either side: what follows is size bytes long, this included. */
struct mb2_header_tag_head {
	uint16_t type, flags;
	uint32_t size;
};

struct mb2_header_address {
	struct mb2_header_tag_head head;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr;
};

struct mb2_header_entry {
	struct mb2_header_tag_head head;
	uint32_t entry_addr;
};

struct mb2_info {
	uint32_t total_size, reserved;
};

enum mb2_tag {
	MB2_END,
	MB2_CMDLINE,
	MB2_LOADER_NAME,
	MB2_MODULE,
	MB2_MEMORY,
	MB2_BOOT_DEVICE,
	MB2_MMAP,
	MB2_VBE,
	MB2_FRAMEBUFFER,
	MB2_ELF_SECTIONS,
	MB2_APM,
	MB2_EFI32,
	MB2_EFI64,
	MB2_SMBIOS,
	MB2_ACPI_OLD,
	MB2_ACPI_NEW,
};

struct mb2_tag_head {
	uint32_t type, size;
};

struct mb2_module {
	uint32_t start, end;
};

struct mb2_memory {
	uint32_t lower, upper;
};

struct mb2_mmap {
	uint32_t entry_size, entry_version;
};

struct mb2_mmap_entry {
	uint64_t addr, len;
	uint32_t type, reserved;
};

struct mb2_framebuffer {
	uint64_t addr;
	uint32_t pitch, width, height;
	uint8_t bpp, type;
	uint16_t reserved;
} __attribute__((packed));

/* ---------------------------------------------------------------------------------------------------------- both */

#define MB_MEMORY_RAM	   1
#define MB_MEMORY_RESERVED 2

/* The screen that is there: text, in characters of 16 bits. */
#define MB_FRAMEBUFFER_RGB  1
#define MB_RGB		    ((struct mb_rgb){BOOT_VIDEO_RED, 8, BOOT_VIDEO_GREEN, 8, BOOT_VIDEO_BLUE, 8})
#define MB_FRAMEBUFFER_TEXT 2
#define MB_TEXT_ADDR	    0xb8000
#define MB_TEXT_WIDTH	    80
#define MB_TEXT_HEIGHT	    25
#define MB_TEXT_BPP	    16

#endif
