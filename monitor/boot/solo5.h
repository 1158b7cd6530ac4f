/*
 * Solo5's `hvt` interface as the unikernel sees it (Solo5: include/hvt_abi.h, mft_abi.h, elf_abi.h; ABI version 2), and
 * the devices that its manifest names, for monitor/device/solo5.c.
 */
#ifndef MONITOR_BOOT_SOLO5_H
#define MONITOR_BOOT_SOLO5_H

#include <stdint.h>

struct vm;

/* ------------------------------------------------------------------------------------------------------- hypercalls */

/* OUT of 32 bits to port base + number: the gpa of the call's arguments. */
#define SOLO5_PORT  0x500
#define SOLO5_PORTS 12 /* the last call's port, and all of 32 bits there */

enum solo5_call {
	SOLO5_WALLTIME = 1,
	SOLO5_PUTS,
	SOLO5_POLL,
	SOLO5_BLOCK_WRITE,
	SOLO5_BLOCK_READ,
	SOLO5_NET_WRITE,
	SOLO5_NET_READ,
	SOLO5_HALT,
	SOLO5_CALLS
};

/* What calls answer. */
enum solo5_result { SOLO5_OK, SOLO5_AGAIN, SOLO5_EINVAL, SOLO5_EUNSPEC };

struct solo5_walltime {
	uint64_t ns; /* out: since 1970 */
};
struct solo5_puts {
	uint64_t data, len;
};
struct solo5_poll {
	uint64_t timeout_ns; /* from now */
	uint64_t ready;	     /* out: handles with input, as bits */
	int32_t result;	     /* out: how many */
	uint32_t padding;
};
/* Of blocks and packets. */
struct solo5_transfer {
	uint64_t handle; /* index in the manifest */
	uint64_t offset; /* of blocks alone: packets have no such field */
	uint64_t data, len;
	int32_t result; /* out */
	uint32_t padding;
};
struct solo5_packet {
	uint64_t handle;
	uint64_t data, len;
	int32_t result; /* out */
	uint32_t padding;
};
struct solo5_halt {
	uint64_t cookie;
	int32_t status;
	uint32_t padding;
};
/* The status of a unikernel that gives up. */
#define SOLO5_STATUS_ABORT 255

/* ------------------------------------------------------------------------------------------------- what boot finds */

#define SOLO5_NOTE_NAME	   "Solo5"
#define SOLO5_NOTE_ABI	   0x31494241 /* "ABI1" */
#define SOLO5_NOTE_DEVICES 0x3154464d /* "MFT1" */
#define SOLO5_TARGET_HVT   1
#define SOLO5_ABI_VERSION  2
#define SOLO5_CMDLINE_MAX  8192 /* with its end */

struct solo5_abi {
	uint32_t target, version, reserved[2];
};

#define SOLO5_DEVICES_MAX      64
#define SOLO5_MANIFEST_VERSION 1
#define SOLO5_NAME_MAX	       67

enum solo5_type { SOLO5_BLOCK = 1, SOLO5_NET = 2, SOLO5_RESERVED = 1 << 30 };

struct solo5_entry {
	char name[SOLO5_NAME_MAX + 1];
	uint32_t type;
	uint64_t capacity; /* of a block device, bytes; set at boot */
	uint16_t sector;   /* bytes; set at boot */
	uint16_t padding[3];
	uint64_t host; /* the host's own */
	uint8_t attached;
	uint8_t padding2[7];
};

/* The manifest: entry 0 is reserved. */
struct solo5_manifest {
	uint32_t version, entries;
	struct solo5_entry entry[SOLO5_DEVICES_MAX];
};

struct solo5_boot_info {
	uint64_t memory;     /* bytes */
	uint64_t kernel_end; /* gpa */
	uint64_t tsc_hz;
	uint64_t cmdline, manifest; /* gpa */
	uint32_t host_features, guest_features;
	uint64_t net_ring;
};

/* ------------------------------------------------------------------------------------------ for the device's sake */

struct solo5_block {
	int fd;		   /* -1: the handle is no block device */
	uint64_t capacity; /* bytes */
	uint16_t sector;   /* bytes; capacity is a multiple */
};

/* What the handle stands for in vm's image; NULL: no block device. */
const struct solo5_block *image_solo5_block(const struct vm *vm, uint64_t handle);

#endif
