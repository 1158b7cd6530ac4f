/*
 * A kernel that was packed with gzip, as boot loaders take it: unpacked into memory of its own, which is the image's
 * file from then on. The file is hostile: it is read in pieces, and what it may become is bounded.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "monitor/boot/internal.h"

/* Far above any kernel. */
#define UNPACKED_MAX (UINT64_C(256) << 20)
#define PIECE	     (UINT64_C(256) << 10)

/* zlib's: the file has gzip's header, and a window of any size. */
#define WINDOW_OF_GZIP (16 + MAX_WBITS)

struct unpacking {
	z_stream stream;
	int to;
	uint64_t read, written;
	uint8_t in[PIECE], out[PIECE];
};

bool image_is_packed(const struct image *image)
{
	static const uint8_t magic[] = {0x1f, 0x8b, Z_DEFLATED};

	return image->head_len > sizeof(magic) && !memcmp(image->head, magic, sizeof(magic));
}

static int write_out(struct unpacking *u, const struct image *image)
{
	size_t len = sizeof(u->out) - u->stream.avail_out;

	if (len > UNPACKED_MAX - u->written)
		return image_refuse(image->path,
				    "is more than %u MiB when unpacked, and no kernel is: unpack it and look",
				    (unsigned)(UNPACKED_MAX >> 20));
	for (size_t done = 0; done < len;) {
		ssize_t n = write(u->to, u->out + done, len - done);

		if (n < 0 && errno != EINTR)
			return image_refuse(image->path, "cannot be unpacked: %s: end other programs first",
					    strerror(errno));
		done += n < 0 ? 0 : (size_t)n;
	}
	u->written += len;
	u->stream.next_out = u->out;
	u->stream.avail_out = sizeof(u->out);
	return 0;
}

/* Has the library look at a piece when it has none. */
static int read_in(struct unpacking *u, const struct image *image)
{
	ssize_t n;

	if (u->stream.avail_in)
		return 0;
	n = pread(image->fd, u->in, sizeof(u->in), (off_t)u->read);
	if (n < 0 && errno != EINTR)
		return image_refuse(image->path, "cannot read: %s: copy it to another disk", strerror(errno));
	if (n == 0)
		return image_refuse(image->path, "ends in the midst of what gzip packed: build it again");
	if (n > 0) {
		u->read += (uint64_t)n;
		u->stream.next_in = u->in;
		u->stream.avail_in = (uInt)n;
	}
	return 0;
}

static int unpack(struct vm *vm, struct unpacking *u)
{
	const struct image *image = vm->image;
	int state = Z_OK, err;

	u->stream.next_out = u->out;
	u->stream.avail_out = sizeof(u->out);
	while (state != Z_STREAM_END) {
		if (vm_end_if_over(vm))
			return -EINTR;
		err = read_in(u, image);
		if (err)
			return err;
		state = inflate(&u->stream, Z_NO_FLUSH);
		if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR)
			return image_refuse(image->path, "is packed with gzip, and damaged: build it again");
		err = write_out(u, image);
		if (err)
			return err;
	}
	return 0;
}

int image_unpack(struct vm *vm)
{
	struct image *image = vm->image;
	struct unpacking *u = calloc(1, sizeof(*u));
	int err;

	if (!u || inflateInit2(&u->stream, WINDOW_OF_GZIP) != Z_OK) {
		free(u);
		return image_refuse(image->path, "cannot be unpacked: end other programs first");
	}
	u->to = memfd_create("ring3 kernel", MFD_CLOEXEC);
	err = u->to < 0 ? image_refuse(image->path, "cannot be unpacked: %s: end other programs first", strerror(errno))
			: unpack(vm, u);
	inflateEnd(&u->stream);
	if (!err) {
		close(image->fd);
		image->fd = u->to;
		image->file_size = u->written;
		image->head_len = 0;
	} else if (u->to >= 0) {
		close(u->to);
	}
	free(u);
	return err;
}
