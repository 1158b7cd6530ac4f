/*
 * Guest memory: the one place where a guest address becomes a host pointer.
 */
#include "monitor/vm/guest_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "monitor/host/clock.h"
#include "monitor/host/prefault.h"
#include "monitor/host/refusal.h"
#include "monitor/vm/vm.h"
#include "monitor/vm/watch.h"
#include "shadowpt/shadowpt.h"

#define READ_PIECE (16 << 10) /* each of its pages is one more to be had from the host */

static int refuse(struct guest_mem *gm, uint64_t size, const char *call)
{
	int error = -errno;
	const char *remedy =
		error == -ENOMEM ? "ask for less with --memory, or raise 'ulimit -v'" : refusal_remedy(error);
	fprintf(stderr, "ring3: cannot make %lu MiB of guest RAM: %s: %s; %s\n", (unsigned long)(size >> 20), call,
		strerror(-error), remedy);
	gm_free(gm);
	return error;
}

int gm_init_hole(struct guest_mem *gm, uint64_t ram, uint64_t hole_start, uint64_t hole_end)
{
	uint64_t size = ram;
	*gm = (struct guest_mem){.fd = -1};
	if (size == 0 || size & X86_PAGE_MASK) {
		errno = EINVAL;
		return refuse(gm, size, "size is no multiple of a page");
	}
	if (ram > hole_start && hole_end > hole_start) {
		gm->hole_start = hole_start;
		gm->hole_end = hole_end;
		size += hole_end - hole_start;
	}
	gm->fd = memfd_create("ring3-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (gm->fd < 0)
		return refuse(gm, size, "memfd_create");
	if (ftruncate(gm->fd, (off_t)size))
		return refuse(gm, size, "ftruncate");
	/* RAM that shrank would turn every access here into SIGBUS. */
	if (fcntl(gm->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return refuse(gm, size, "F_ADD_SEALS");
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, gm->fd, 0);
	if (base == MAP_FAILED)
		return refuse(gm, size, "mmap");
	gm->base = base;
	gm->size = size;
	gm->ram = ram;
	/* A cell maps what its shadow page tables say, and must not inherit all of RAM. */
	if (madvise(base, size, MADV_DONTFORK))
		return refuse(gm, size, "madvise");
	return 0;
}

int gm_init(struct guest_mem *gm, uint64_t size)
{
	return gm_init_hole(gm, size, 0, 0);
}

int gm_init_video(struct guest_mem *gm, uint64_t size, uint64_t video, uint64_t hole_end)
{
	int err = gm_init_hole(gm, size + video, size, hole_end);
	if (err)
		return err;
	gm->ram = size;
	gm->video = video;
	return 0;
}

void gm_free(struct guest_mem *gm)
{
	if (gm->base)
		munmap(gm->base, gm->size);
	if (gm->fd >= 0)
		close(gm->fd);
	*gm = (struct guest_mem){.fd = -1};
}

bool gm_is_ram(const struct guest_mem *gm, uint64_t gpa, uint64_t len)
{
	if (len > gm->size || gpa > gm->size - len)
		return false;
	return gpa >= gm->hole_end || gpa + len <= gm->hole_start;
}

void *gm_ptr(const struct guest_mem *gm, uint64_t gpa, uint64_t len)
{
	return gm_is_ram(gm, gpa, len) ? gm->base + gpa : NULL;
}

bool gm_read(const struct guest_mem *gm, uint64_t gpa, void *to, uint64_t len)
{
	const void *from = gm_ptr(gm, gpa, len);
	if (!from)
		return false;
	if (len)
		memcpy(to, from, len);
	return true;
}

bool gm_write(const struct guest_mem *gm, uint64_t gpa, const void *from, uint64_t len)
{
	void *to = gm_ptr(gm, gpa, len);
	if (!to)
		return false;
	if (!len)
		return true;
	if (gm->spt)
		spt_note_write(gm->spt, gpa, len);
	memcpy(to, from, len);
	return true;
}

/* By way of the file that RAM is: the host then clears no page first, and maps none. */
ssize_t gm_read_file(const struct guest_mem *gm, uint64_t gpa, uint64_t len, int fd, uint64_t offset)
{
	static uint8_t piece[READ_PIECE];
	uint8_t *to = gm_ptr(gm, gpa, len);
	ssize_t done = 0, n = 0;
	if (!to)
		abort();
	prefault(piece, len < sizeof(piece) ? len : sizeof(piece));
	for (; (uint64_t)done < len; done += n) {
		uint64_t left = len - (uint64_t)done;
		n = pread(fd, piece, left < sizeof(piece) ? left : sizeof(piece), (off_t)offset + done);
		if (n <= 0)
			break;
		if (pwrite(gm->fd, piece, (size_t)n, (off_t)gpa + done) != n)
			memcpy(to + done, piece, (size_t)n);
	}
	return done ? done : n;
}

void gm_prefault(const struct guest_mem *gm, uint64_t gpa, uint64_t len)
{
	uint8_t *at = gm_ptr(gm, gpa, len);
	if (at)
		prefault(at, len);
}

static void observe(struct vcpu *vcpu, uint64_t gpa, const void *bytes, uint64_t len, bool write, uint64_t since)
{
	struct observed_access access = {.gpa = gpa, .len = len, .write = write, .since_tsc = since};
	memcpy(&access.value, bytes, len < sizeof(access.value) ? len : sizeof(access.value));
	OBSERVE(vcpu->vm, device, vcpu, &access);
}

static inline bool observed(const struct vcpu *vcpu)
{
	return vcpu->vm->observers.moments & R3_BIT(OBSERVE_device);
}

void gm_read_device(struct vcpu *vcpu, uint64_t gpa, void *to, uint64_t len)
{
	uint64_t since = observed(vcpu) ? clock_tsc() : 0;
	bus_read(&vcpu->vm->bus, gpa, to, len);
	if (since)
		observe(vcpu, gpa, to, len, false, since);
}

void gm_write_device(struct vcpu *vcpu, uint64_t gpa, const void *from, uint64_t len)
{
	uint64_t since = observed(vcpu) ? clock_tsc() : 0;
	bus_write(&vcpu->vm->bus, gpa, from, len);
	if (since)
		observe(vcpu, gpa, from, len, true, since);
}

/* How much of [gva, gva+len) lies in the page of gva. */
static uint64_t within_page(uint64_t gva, uint64_t len)
{
	uint64_t room = X86_PAGE_SIZE - (gva & X86_PAGE_MASK);
	return len < room ? len : room;
}

struct access {
	uint64_t root;
	uint32_t bits; /* X86_PF_* */
	bool implicit; /* CR4.SMAP holds whatever AC says (SDM 3A 4.6.1) */
	bool narrow;   /* linear addresses have 32 bits: behind the last one comes 0 */
};

static struct access access_of(const struct vcpu *vcpu, enum gm_privilege who, uint32_t bits)
{
	if (who == GM_SYSTEM)
		return (struct access){vcpu->cr3, bits, true, !vcpu_is_long(vcpu)};
	return (struct access){vcpu_root(vcpu), bits | (vcpu->cpl == 3 ? X86_PF_U : 0), false,
			       vcpu_code_bits(vcpu) != 64};
}

/* The linear address of byte `at` of an access that begins at gva. */
static uint64_t linear(uint64_t gva, uint64_t at, struct access access)
{
	return access.narrow && gva < R3_BIT(32) ? (uint32_t)(gva + at) : gva + at;
}

/* Where a gva leads: host is NULL where there is no RAM. */
struct place {
	uint64_t gpa;
	uint8_t *host;
};

/* Translates for an access that stays within one page. */
static bool translate(struct vcpu *vcpu, uint64_t gva, uint64_t len, struct access access, struct place *place,
		      struct gm_fault *fault)
{
	struct spt_translation at;
	struct spt_cpu paging = vcpu_paging(vcpu);
	paging.cr3 = access.root;
	if (access.implicit)
		paging.smap = vcpu->cr4 & X86_CR4_SMAP;
	if (!vcpu_canonical(gva)) {
		*fault = (struct gm_fault){.vector = X86_VEC_GP, .gva = gva};
		return false;
	}
	if (!spt_translate(vcpu->vm->spt, &paging, gva, access.bits, &at)) {
		*fault = (struct gm_fault){.vector = X86_VEC_PF, .error = at.error, .gva = gva};
		return false;
	}
	*place = (struct place){at.gpa, gm_ptr(&vcpu->vm->mem, at.gpa, len)};
	return true;
}

/* Reads page by page; returns the bytes that came before the fault. */
static uint64_t read_gva(struct vcpu *vcpu, uint64_t gva, uint8_t *to, uint64_t len, struct access access,
			 struct gm_fault *fault)
{
	uint64_t done = 0;
	while (done < len) {
		uint64_t at = linear(gva, done, access), part = within_page(at, len - done);
		struct place place;
		if (!translate(vcpu, at, part, access, &place, fault))
			break;
		if (place.host)
			memcpy(to + done, place.host, part);
		else if (access.bits & X86_PF_I)
			bus_fetch(&vcpu->vm->bus, place.gpa, to + done, part);
		else
			gm_read_device(vcpu, place.gpa, to + done, part);
		done += part;
	}
	return done;
}

/* What the guest's data breakpoints see: accesses of its own code. */
static void watch(struct vcpu *vcpu, uint64_t gva, uint64_t len, enum gm_privilege who, bool write)
{
	if (who == GM_CPL && (vcpu->dr[7] & X86_DR7_ALL_ENABLED))
		vcpu->data_hits |= watch_matches(vcpu->dr, vcpu->dr[7], X86_DR7_ENABLED(0), gva, len, write);
}

bool gm_read_gva(struct vcpu *vcpu, uint64_t gva, void *to, uint64_t len, enum gm_privilege who, struct gm_fault *fault)
{
	if (read_gva(vcpu, gva, to, len, access_of(vcpu, who, 0), fault) != len)
		return false;
	watch(vcpu, gva, len, who, false);
	return true;
}

size_t gm_fetch(struct vcpu *vcpu, uint64_t gva, void *to, size_t len, struct gm_fault *fault)
{
	return read_gva(vcpu, gva, to, len, access_of(vcpu, GM_CPL, X86_PF_I), fault);
}

bool gm_write_gva(struct vcpu *vcpu, uint64_t gva, const void *from, uint64_t len, enum gm_privilege who,
		  struct gm_fault *fault)
{
	struct access access = access_of(vcpu, who, X86_PF_W);
	const uint8_t *bytes = from;
	for (uint64_t done = 0, part; done < len; done += part) {
		uint64_t at = linear(gva, done, access);
		struct place place;
		part = within_page(at, len - done);
		if (!translate(vcpu, at, part, access, &place, fault))
			return false;
		if (place.host)
			memcpy(place.host, bytes + done, part);
		else
			gm_write_device(vcpu, place.gpa, bytes + done, part);
	}
	watch(vcpu, gva, len, who, true);
	return true;
}

bool gm_probe_write_gva(struct vcpu *vcpu, uint64_t gva, uint64_t len, enum gm_privilege who, struct gm_fault *fault)
{
	struct access access = access_of(vcpu, who, X86_PF_W);
	for (uint64_t done = 0, part; done < len; done += part) {
		uint64_t at = linear(gva, done, access);
		struct place place;
		part = within_page(at, len - done);
		if (!translate(vcpu, at, part, access, &place, fault))
			return false;
	}
	return true;
}

bool gm_probe(struct vcpu *vcpu, uint64_t gva, uint64_t *gpa)
{
	struct spt_cpu paging = vcpu_paging(vcpu);
	return vcpu_canonical(gva) && spt_probe_gpa(vcpu->vm->spt, &paging, gva, gpa);
}

bool gm_back(struct vcpu *vcpu, uint64_t gva)
{
	const struct guest_mem *gm = &vcpu->vm->mem;
	uint64_t gpa;
	if (!gm_probe(vcpu, gva, &gpa) || !gm_ptr(gm, gpa, 1))
		return true;
	off_t page = (off_t)(gpa & ~X86_PAGE_MASK);
	return !fallocate(gm->fd, FALLOC_FL_KEEP_SIZE, page, X86_PAGE_SIZE) || errno == EINTR;
}

size_t gm_peek(struct vcpu *vcpu, uint64_t gva, void *to, size_t len)
{
	size_t done = 0;
	while (done < len) {
		uint64_t part = within_page(gva + done, len - done);
		uint64_t gpa;
		if (!gm_probe(vcpu, gva + done, &gpa))
			break;
		if (bus_has_code(&vcpu->vm->bus, gpa))
			bus_fetch(&vcpu->vm->bus, gpa, (uint8_t *)to + done, part);
		else if (!gm_read(&vcpu->vm->mem, gpa, (uint8_t *)to + done, part))
			break;
		done += part;
	}
	return done;
}

size_t gm_poke(struct vcpu *vcpu, uint64_t gva, const void *from, size_t len)
{
	size_t done = 0;
	while (done < len) {
		uint64_t part = within_page(gva + done, len - done);
		uint64_t gpa;
		if (!gm_probe(vcpu, gva + done, &gpa) ||
		    !gm_write(&vcpu->vm->mem, gpa, (const uint8_t *)from + done, part))
			break;
		done += part;
	}
	return done;
}
