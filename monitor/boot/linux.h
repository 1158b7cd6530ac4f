/*
 * What a boot loader and Linux tell each other: Documentation/arch/x86/boot.rst and zero-page.rst of Linux. Offsets are
 * in the file and, for the header, in the zero page alike.
 */
#ifndef MONITOR_BOOT_LINUX_H
#define MONITOR_BOOT_LINUX_H

#include <stdint.h>

#define LINUX_SECTOR 512

/* The setup header lies at LINUX_HEADER and ends at LINUX_HEADER_END(the byte at LINUX_JUMP). */
#define LINUX_HEADER	       0x1f1
#define LINUX_JUMP	       0x201
#define LINUX_HEADER_END(jump) (0x202u + (jump))
#define LINUX_HEADER_MAX       0x290 /* end of the room for it in the zero page */
#define LINUX_MAGIC_OFFSET     0x202
#define LINUX_MAGIC	       "HdrS"

/* The header from LINUX_HEADER on, as of version 2.12. */
struct linux_header {
	uint8_t setup_sects; /* 0 means 4 */
	uint16_t root_flags;
	uint32_t syssize;
	uint16_t ram_size, vid_mode, root_dev, boot_flag, jump;
	uint32_t header; /* LINUX_MAGIC */
	uint16_t version;
	uint32_t realmode_switch;
	uint16_t start_sys_seg, kernel_version;
	uint8_t type_of_loader, loadflags;
	uint16_t setup_move_size;
	uint32_t code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
	uint16_t heap_end_ptr;
	uint8_t ext_loader_ver, ext_loader_type;
	uint32_t cmd_line_ptr, initrd_addr_max, kernel_alignment;
	uint8_t relocatable_kernel, min_alignment;
	uint16_t xloadflags;
	uint32_t cmdline_size, hardware_subarch;
	uint64_t hardware_subarch_data;
	uint32_t payload_offset, payload_length;
	uint64_t setup_data, pref_address;
	uint32_t init_size, handover_offset;
} __attribute__((packed));

#define LINUX_VERSION_HEADER	0x200
#define LINUX_VERSION_PREFERS	0x20a /* the first with pref_address and init_size */
#define LINUX_VERSION_64	0x20c /* the first that says whether there is a 64-bit entry */
#define LINUX_LOADER_UNDEFINED	0xff
#define LINUX_LOADED_HIGH	0x01
#define LINUX_XLF_KERNEL_64	0x01
#define LINUX_ENTRY_64		0x200 /* of the 64-bit entry, from where the kernel was loaded */
#define LINUX_BOOT_CS		0x10
#define LINUX_BOOT_DS		0x18
#define LINUX_CMDLINE_OLD	255  /* bytes that every kernel takes */
#define LINUX_CMDLINE_DEFAULT	2047 /* of x86-64, where the file does not say */
#define LINUX_INITRD_MAX_OLD	0x37ffffffu
#define LINUX_E820_MAX		128
#define LINUX_E820_RAM		1
#define LINUX_E820_RESERVED	2
#define LINUX_VIDEO_TYPE_VGAC	0x22
#define LINUX_VIDEO_MODE_TEXT80 3
#define LINUX_VIDEO_VGA		1    /* orig_video_is_vga: text */
#define LINUX_VIDEO_LINEAR	0x23 /* a VESA mode with linear memory */
#define LINUX_LFB_UNIT		0x10000

struct linux_e820 {
	uint64_t addr, size;
	uint32_t type;
} __attribute__((packed));

/* The zero page, struct boot_params of Linux: what is filled in here. */
struct linux_zero_page {
	uint8_t orig_x, orig_y; /* of the cursor */
	uint16_t ext_mem_k, orig_video_page;
	uint8_t orig_video_mode, orig_video_cols, flags, unused2;
	uint16_t orig_video_ega_bx, unused3;
	uint8_t orig_video_lines, orig_video_is_vga;
	uint16_t orig_video_points;
	uint16_t lfb_width, lfb_height, lfb_depth;
	uint32_t lfb_base, lfb_size; /* in 64 KiB */
	uint16_t unused4[2], lfb_linelength;
	uint8_t red_size, red_pos, green_size, green_pos, blue_size, blue_pos, reserved_size, reserved_pos;
	uint8_t unused9[0x70 - 0x2e];
	uint64_t acpi_rsdp;
	uint8_t unused5[0x1e8 - 0x78];
	uint8_t e820_entries;
	uint8_t unused6[LINUX_HEADER - 0x1e9];
	union {
		struct linux_header header;
		uint8_t header_bytes[LINUX_HEADER_MAX - LINUX_HEADER];
	};
	uint8_t unused7[0x2d0 - LINUX_HEADER_MAX];
	struct linux_e820 e820[LINUX_E820_MAX];
	uint8_t unused8[0x1000 - 0x2d0 - LINUX_E820_MAX * sizeof(struct linux_e820)];
} __attribute__((packed));

_Static_assert(sizeof(struct linux_zero_page) == 0x1000, "the zero page is a page");

#endif
