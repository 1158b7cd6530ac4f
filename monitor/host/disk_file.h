/*
 * Files that are a guest's disks: raw, sector by sector. A file is locked against a second writer as long as it is
 * open. With an overlay the file itself is only read, and what is written goes to the overlay, which belongs to that
 * file as it is and is refused with any other.
 */
#ifndef MONITOR_HOST_DISK_FILE_H
#define MONITOR_HOST_DISK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#define DISK_SECTOR	 512
#define DISK_SECTORS_MAX (1u << 28) /* what ATA addresses with 28 bits */

struct disk_spec {
	const char *path;
	const char *overlay; /* NULL: none */
	bool readonly;
	const char *option; /* that named it; NULL: --disk */
};

struct disk_file;

/*
 * Locks the whole file, for as long as the descriptor is open: against whoever writes to it, or against everybody. 0,
 * or -EAGAIN if somebody has it, or another negative errno.
 */
int disk_lock(int fd, bool writes);

/* NULL with a message printed. What is opened stays good behind the monitor's walls. */
struct disk_file *disk_open(const struct disk_spec *spec);
/* What the guest wrote since the last flush is flushed too. */
void disk_close(struct disk_file *disk);

uint32_t disk_sectors(const struct disk_file *disk);
bool disk_is_readonly(const struct disk_file *disk);
/*
 * [sector, sector + count) lies within the disk. 0 or negative errno: the first failure of a disk is also told on
 * stderr. What was written outlives the host once disk_flush has returned 0.
 */
int disk_read(struct disk_file *disk, uint32_t sector, void *to, unsigned count);
int disk_write(struct disk_file *disk, uint32_t sector, const void *from, unsigned count);
int disk_flush(struct disk_file *disk);

#endif
