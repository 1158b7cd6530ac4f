/*
 * The single door to guest memory. Only guest_mem.c turns a guest address into a host pointer, and it checks the range
 * in one place. All that lies behind the door is hostile and may change at any moment: copy in once, check the copy.
 */
#ifndef MONITOR_VM_GUEST_MEM_H
#define MONITOR_VM_GUEST_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct vm;
struct vcpu;
struct spt;

struct guest_mem {
	int fd;	       /* memfd; cells map it too */
	uint8_t *base; /* whole RAM in the monitor, gpa 0 first */
	uint64_t size; /* bytes from gpa 0 to the end of RAM, multiple of 4096; a gpa is an offset into fd too */
	uint64_t ram;  /* bytes of RAM: size less the hole and `video` */
	uint64_t hole_start, hole_end; /* [start, end) is no RAM; start == end: there is no hole */
	uint64_t video;		       /* the last bytes, which are a display's and not the machine's RAM */

	/* Told of every write that gm_write makes; NULL as long as the machine has no shadow page tables. */
	struct spt *spt;
};

/* Makes RAM of size bytes (multiple of 4096, not 0). 0 or negative errno with a message printed. */
int gm_init(struct guest_mem *gm, uint64_t size);
/* The same, but what would lie at or above hole_start lies from hole_end up: where a PC has its devices. */
int gm_init_hole(struct guest_mem *gm, uint64_t size, uint64_t hole_start, uint64_t hole_end);
void gm_free(struct guest_mem *gm);

/* As gm_init, and `video` bytes from hole_end up, which are memory like RAM to all but gm_low_end and gm_high_end. */
int gm_init_video(struct guest_mem *gm, uint64_t size, uint64_t video, uint64_t hole_end);

/* The machine's own RAM is from 0 up to the former, and from hole_end up to the latter if that lies above. */
static inline uint64_t gm_low_end(const struct guest_mem *gm)
{
	return gm->hole_end ? gm->hole_start : gm->size;
}

static inline uint64_t gm_high_end(const struct guest_mem *gm)
{
	return gm->hole_end ? gm->size - gm->video : 0;
}

/* All of [gpa, gpa+len) is RAM. len 0 is valid at any gpa up to and including the end. */
bool gm_is_ram(const struct guest_mem *gm, uint64_t gpa, uint64_t len);

/*
 * Host pointer to [gpa, gpa+len), or NULL where gm_is_ram says no. Valid as long as the machine. For who must share
 * memory with the guest, not copy it: tests/checks/guest_mem.list names them, each with its reason.
 */
void *gm_ptr(const struct guest_mem *gm, uint64_t gpa, uint64_t len);

/* Copy between monitor and guest-physical memory: true if the whole range is RAM, else nothing is copied. */
bool gm_read(const struct guest_mem *gm, uint64_t gpa, void *to, uint64_t len);
bool gm_write(const struct guest_mem *gm, uint64_t gpa, const void *from, uint64_t len);
/* As pread(2), to [gpa, gpa+len), which is RAM; before the guest runs. */
ssize_t gm_read_file(const struct guest_mem *gm, uint64_t gpa, uint64_t len, int fd, uint64_t offset);

/* The monitor is about to write to these pages (monitor/host/prefault.h). */
void gm_prefault(const struct guest_mem *gm, uint64_t gpa, uint64_t len);

/* An access of the guest's at a gpa that is no RAM: to the bus, and told to who observes devices. */
void gm_read_device(struct vcpu *vcpu, uint64_t gpa, void *to, uint64_t len);
void gm_write_device(struct vcpu *vcpu, uint64_t gpa, const void *from, uint64_t len);

/* How a linear access failed: what the guest's exception would be. */
struct gm_fault {
	uint8_t vector; /* X86_VEC_PF, or X86_VEC_GP for a non-canonical address; descriptor loading also sets others */
	uint32_t error;
	uint64_t gva; /* for CR2 */
};

/* Who accesses: the present CPL, or the processor itself (descriptor tables, exception delivery: always supervisor). */
enum gm_privilege { GM_CPL, GM_SYSTEM };

/*
 * Copy between monitor and guest-virtual memory through the guest's page tables, setting accessed and dirty bits.
 * True on success. False: *fault says what to inject, and a prefix may have been copied. What a gva that
 * translates to no RAM means is the bus's to say.
 */
bool gm_read_gva(struct vcpu *vcpu, uint64_t gva, void *to, uint64_t len, enum gm_privilege who,
		 struct gm_fault *fault);
bool gm_write_gva(struct vcpu *vcpu, uint64_t gva, const void *from, uint64_t len, enum gm_privilege who,
		  struct gm_fault *fault);
/* True if gm_write_gva of this range would succeed now: for a write that must not be lost once its datum was taken. */
bool gm_probe_write_gva(struct vcpu *vcpu, uint64_t gva, uint64_t len, enum gm_privilege who, struct gm_fault *fault);
/* The same as an instruction fetch at the present CPL; returns how many bytes came before the fault. */
size_t gm_fetch(struct vcpu *vcpu, uint64_t gva, void *to, size_t len, struct gm_fault *fault);

/* For reports and debuggers: no bit is set, no privilege checked. Returns the bytes copied before the first hole. */
size_t gm_peek(struct vcpu *vcpu, uint64_t gva, void *to, size_t len);
size_t gm_poke(struct vcpu *vcpu, uint64_t gva, const void *from, size_t len);
/* Likewise, where the guest's tables lead; false if they lead nowhere. The gpa may lie outside RAM. */
bool gm_probe(struct vcpu *vcpu, uint64_t gva, uint64_t *gpa);
/* False if the host has no memory for the RAM that gva leads to at present; true also where it leads to none. */
bool gm_back(struct vcpu *vcpu, uint64_t gva);

#endif
