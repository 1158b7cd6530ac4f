/*
 * Disks on the host. An overlay has a header, a map with a bit for each cluster of 4 KiB, and the clusters, each at its
 * own place in a sparse file. A cluster's bit reaches the file after its data, on a flush: what was not flushed may be
 * lost with the host, as on a disk with a cache, and what was there before stays whole.
 */
#include "monitor/host/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLUSTER		4096u
#define CLUSTER_SECTORS (CLUSTER / DISK_SECTOR)

struct header {
	char magic[16];
	uint32_t version, cluster;
	uint64_t base_bytes;
	int64_t base_changed_s, base_changed_ns; /* when the base was last written to */
};
#define MAGIC	"ring3 overlay\n"
#define VERSION 1

struct disk_file {
	struct disk_spec spec;
	int base, overlay; /* -1: none */
	uint64_t bytes;
	uint8_t *map;	    /* of the overlay */
	uint64_t map_bytes; /* multiple of a cluster */
	bool map_is_new;    /* it has bits that the file lacks */
	bool dirty, complained;
};

/* ------------------------------------------------------------------------------------------------------ opening */

static int refuse(const struct disk_spec *spec, const char *path, const char *why)
{
	fprintf(stderr, "ring3: %s %s: %s\n", spec->option ? spec->option : "--disk", path, why);
	return -1;
}

int disk_lock(int fd, bool writes)
{
	struct flock whole = {.l_type = writes ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

	if (!fcntl(fd, F_OFD_SETLK, &whole))
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int lock(const struct disk_spec *spec, int fd, const char *path, bool writes)
{
	int err = disk_lock(fd, writes);

	if (!err)
		return 0;
	if (err == -EAGAIN)
		return refuse(spec, path,
			      writes ? "somebody else uses it; end that guest, or give this one overlay=FILE"
				     : "somebody else writes to it; end that guest first");
	return refuse(spec, path, strerror(-err));
}

/* A regular file, locked. */
static int open_locked(const struct disk_spec *spec, const char *path, int flags, bool writes, struct stat *st)
{
	int fd = open(path, flags | O_CLOEXEC, 0666);

	if (fd < 0) {
		fprintf(stderr, "ring3: %s %s: %s: check the path and its permissions\n",
			spec->option ? spec->option : "--disk", path, strerror(errno));
		return -1;
	}
	if (fstat(fd, st)) {
		refuse(spec, path, strerror(errno));
	} else if (!S_ISREG(st->st_mode)) {
		refuse(spec, path, "this is no regular file: copy its contents to one first");
	} else if (!lock(spec, fd, path, writes)) {
		return fd;
	}
	close(fd);
	return -1;
}

static int open_base(struct disk_file *disk, struct stat *st)
{
	bool writes = !disk->spec.readonly && !disk->spec.overlay;

	disk->base = open_locked(&disk->spec, disk->spec.path, writes ? O_RDWR : O_RDONLY, writes, st);
	if (disk->base < 0)
		return -1;
	/* What is missing of the last sector reads as zeroes. */
	disk->bytes = ((uint64_t)st->st_size + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR;
	if (!disk->bytes)
		return refuse(&disk->spec, disk->spec.path, "this file is empty: make it longer with truncate");
	if (disk->bytes / DISK_SECTOR > DISK_SECTORS_MAX)
		return refuse(&disk->spec, disk->spec.path, "a disk has at most 128 GiB: make it smaller");
	return 0;
}

static struct header header_for(const struct stat *base)
{
	struct header header = {
		.version = VERSION,
		.cluster = CLUSTER,
		.base_bytes = (uint64_t)base->st_size,
		.base_changed_s = base->st_mtim.tv_sec,
		.base_changed_ns = base->st_mtim.tv_nsec,
	};

	memcpy(header.magic, MAGIC, sizeof(MAGIC));
	return header;
}

/* Reads or writes all of it; what lies behind the end of the file reads as zeroes. 0 or negative errno. */
static int transfer(int fd, void *bytes, uint64_t len, uint64_t at, bool write)
{
	uint8_t *next = bytes;

	while (len) {
		ssize_t part = write ? pwrite(fd, next, len, (off_t)at) : pread(fd, next, len, (off_t)at);

		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return -errno;
		if (part == 0 && write)
			return -EIO;
		if (part == 0) {
			memset(next, 0, len);
			return 0;
		}
		next += part;
		at += (uint64_t)part;
		len -= (uint64_t)part;
	}
	return 0;
}

static uint64_t data_start(const struct disk_file *disk)
{
	return CLUSTER + disk->map_bytes;
}

/* An empty file becomes an overlay. */
static int make_overlay(struct disk_file *disk, const struct header *header)
{
	int err = transfer(disk->overlay, (void *)header, sizeof(*header), 0, true);

	if (!err && ftruncate(disk->overlay, (off_t)(data_start(disk) + disk->bytes)))
		err = -errno;
	return err ? refuse(&disk->spec, disk->spec.overlay, strerror(-err)) : 0;
}

static int open_overlay(struct disk_file *disk, const struct stat *base)
{
	struct header wanted = header_for(base), found;
	struct stat st;
	int err;

	disk->overlay = open_locked(&disk->spec, disk->spec.overlay, O_RDWR | O_CREAT | O_NOFOLLOW, true, &st);
	if (disk->overlay < 0)
		return -1;
	disk->map_bytes = (disk->bytes / CLUSTER / 8 / CLUSTER + 1) * CLUSTER;
	disk->map = calloc(1, disk->map_bytes);
	if (!disk->map)
		return refuse(&disk->spec, disk->spec.overlay, "no memory left: end other programs first");
	if (!st.st_size)
		return make_overlay(disk, &wanted);
	err = transfer(disk->overlay, &found, sizeof(found), 0, false);
	if (err)
		return refuse(&disk->spec, disk->spec.overlay, strerror(-err));
	if (memcmp(found.magic, wanted.magic, sizeof(MAGIC)) || found.version != VERSION || found.cluster != CLUSTER)
		return refuse(&disk->spec, disk->spec.overlay,
			      "this is no overlay of ring3: name a file that is not there yet");
	if (memcmp(&found, &wanted, sizeof(wanted)))
		return refuse(&disk->spec, disk->spec.overlay,
			      "this overlay belongs to another file, or that file was changed since: name a new one");
	err = transfer(disk->overlay, disk->map, disk->map_bytes, CLUSTER, false);
	return err ? refuse(&disk->spec, disk->spec.overlay, strerror(-err)) : 0;
}

struct disk_file *disk_open(const struct disk_spec *spec)
{
	struct disk_file *disk = calloc(1, sizeof(*disk));
	struct stat base;

	if (!disk) {
		refuse(spec, spec->path, "no memory left: end other programs first");
		return NULL;
	}
	*disk = (struct disk_file){.spec = *spec, .base = -1, .overlay = -1};
	if (!open_base(disk, &base) && (!spec->overlay || !open_overlay(disk, &base)))
		return disk;
	disk_close(disk);
	return NULL;
}

void disk_close(struct disk_file *disk)
{
	if (!disk)
		return;
	disk_flush(disk);
	if (disk->base >= 0)
		close(disk->base);
	if (disk->overlay >= 0)
		close(disk->overlay);
	free(disk->map);
	free(disk);
}

uint32_t disk_sectors(const struct disk_file *disk)
{
	return (uint32_t)(disk->bytes / DISK_SECTOR);
}

bool disk_is_readonly(const struct disk_file *disk)
{
	return disk->spec.readonly;
}

/* ----------------------------------------------------------------------------------------------- with an overlay */

static bool is_over(const struct disk_file *disk, uint64_t cluster)
{
	return disk->map && (disk->map[cluster / 8] >> cluster % 8 & 1);
}

/* The whole cluster as it is below. */
static int read_below(const struct disk_file *disk, uint64_t cluster, uint8_t *to)
{
	uint64_t at = cluster * CLUSTER, len = disk->bytes - at < CLUSTER ? disk->bytes - at : CLUSTER;

	memset(to, 0, CLUSTER);
	return transfer(disk->base, to, len, at, false);
}

/* Part of one cluster. */
static int write_over(struct disk_file *disk, uint64_t at, const uint8_t *from, uint64_t len)
{
	uint8_t whole[CLUSTER];
	uint64_t cluster = at / CLUSTER;
	int err;

	if (is_over(disk, cluster))
		return transfer(disk->overlay, (void *)from, len, data_start(disk) + at, true);
	err = read_below(disk, cluster, whole);
	if (err)
		return err;
	memcpy(whole + at % CLUSTER, from, len);
	err = transfer(disk->overlay, whole, CLUSTER, data_start(disk) + cluster * CLUSTER, true);
	if (err)
		return err;
	disk->map[cluster / 8] |= (uint8_t)(1u << cluster % 8);
	disk->map_is_new = true;
	return 0;
}

static int read_over(const struct disk_file *disk, uint64_t at, uint8_t *to, uint64_t len)
{
	if (is_over(disk, at / CLUSTER))
		return transfer(disk->overlay, to, len, data_start(disk) + at, false);
	return transfer(disk->base, to, len, at, false);
}

/* ------------------------------------------------------------------------------------------------------- sectors */

static int told(struct disk_file *disk, int err, const char *what)
{
	if (err && !disk->complained)
		fprintf(stderr, "ring3: disk %s: cannot %s: %s; the guest is told of an error\n",
			disk->spec.overlay ? disk->spec.overlay : disk->spec.path, what, strerror(-err));
	disk->complained |= err != 0;
	return err;
}

static uint64_t within_cluster(uint64_t at, uint64_t len)
{
	uint64_t room = CLUSTER - at % CLUSTER;

	return len < room ? len : room;
}

int disk_read(struct disk_file *disk, uint32_t sector, void *to, unsigned count)
{
	uint64_t at = (uint64_t)sector * DISK_SECTOR, len = (uint64_t)count * DISK_SECTOR;
	uint8_t *next = to;
	int err = 0;

	if (!disk->map)
		return told(disk, transfer(disk->base, to, len, at, false), "read");
	for (uint64_t part; len && !err; len -= part, at += part, next += part) {
		part = within_cluster(at, len);
		err = read_over(disk, at, next, part);
	}
	return told(disk, err, "read");
}

int disk_write(struct disk_file *disk, uint32_t sector, const void *from, unsigned count)
{
	uint64_t at = (uint64_t)sector * DISK_SECTOR, len = (uint64_t)count * DISK_SECTOR;
	const uint8_t *next = from;
	int err = 0;

	if (disk->spec.readonly)
		return -EROFS;
	disk->dirty = true;
	if (!disk->map)
		return told(disk, transfer(disk->base, (void *)from, len, at, true), "write");
	for (uint64_t part; len && !err; len -= part, at += part, next += part) {
		part = within_cluster(at, len);
		err = write_over(disk, at, next, part);
	}
	return told(disk, err, "write");
}

static int sync_data(int fd)
{
	return fdatasync(fd) ? -errno : 0;
}

int disk_flush(struct disk_file *disk)
{
	int err;

	if (!disk->dirty)
		return 0;
	err = sync_data(disk->map ? disk->overlay : disk->base);
	if (!err && disk->map_is_new) {
		err = transfer(disk->overlay, disk->map, disk->map_bytes, CLUSTER, true);
		if (!err)
			err = sync_data(disk->overlay);
	}
	if (err)
		return told(disk, err, "flush");
	disk->dirty = disk->map_is_new = false;
	return 0;
}
