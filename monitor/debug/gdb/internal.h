/*
 * The debugger's stub, shared by its files.
 */
#ifndef MONITOR_DEBUG_GDB_INTERNAL_H
#define MONITOR_DEBUG_GDB_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "monitor/debug/gdb/link.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/vm.h"

/* Payload bytes of one packet, either way; told as PacketSize. */
#define GDB_PACKET  4096
#define GDB_BREAKS  256
#define GDB_INPUT   512
#define GDB_SIGINT  2
#define GDB_SIGTRAP 5
#define GDB_SIGABRT 6
#define GDB_SIGSEGV 11

/* What the Z and z packets call their kinds. */
enum gdb_kind { BREAK_SOFTWARE, BREAK_HARDWARE, WATCH_WRITE, WATCH_READ, WATCH_ACCESS };

/* A software breakpoint: INT3 in guest RAM while the guest runs, and only then. */
struct gdb_break {
	uint64_t gva, gpa;
	uint8_t original;
	bool placed;
};

/* One in a debug register of the processor. */
struct gdb_watch {
	bool used;
	enum gdb_kind kind;
	uint64_t gva;
	unsigned len;
};

/* Bytes on their way to being a packet. */
struct gdb_parser {
	enum { PARSE_IDLE, PARSE_BODY, PARSE_ESCAPE, PARSE_SUM1, PARSE_SUM2 } state;
	uint8_t sum, wanted;
	bool too_long;
	size_t len;
	char body[GDB_PACKET + 1]; /* escapes undone; a 0 behind it */
};

struct gdb {
	struct observer observer;
	struct vm *vm;
	struct gdb_link link;
	struct gdb_parser parser;
	bool no_ack;
	unsigned bits;		       /* of code, as the debugger was told: registers are narrow below 64 */
	bool physical;		       /* memory packets mean guest-physical addresses */
	char sent[2 * GDB_PACKET + 8]; /* the last packet, for a peer that asks again */
	size_t sent_len;

	bool stopped;	 /* the guest does not run until the debugger says so */
	bool stop_asked; /* Ctrl-C, or a new connection */
	bool owes_stop;	 /* the debugger waits for a stop reply */
	bool ended;	 /* the guest will not run again */
	int signal;	 /* of the last stop, and what its reply says besides signal and thread */
	char stop_note[64];
	uint64_t stop_rip;

	bool steps;    /* asked for by the debugger: stop after one instruction */
	bool stepping; /* one instruction is being made, for the debugger or to get over a breakpoint */
	bool entered;  /* since the last look at the step; its end was last_exit, its beginning entry_rip */
	uint64_t entry_rip;
	struct vm_exit last_exit;

	struct gdb_break breaks[GDB_BREAKS];
	unsigned break_count;
	struct gdb_watch watches[ENGINE_WATCHES];

	uint32_t stop_on;	     /* bits by enum stats_exit: `monitor stop on` */
	uint64_t counts[STAT_COUNT]; /* exits as they were when the guest was resumed */
};

static inline struct vcpu *gdb_vcpu(struct gdb *gdb)
{
	return gdb->vm->vcpu[0];
}

/* Where the next instruction lies, as a linear address. */
static inline uint64_t gdb_pc(struct gdb *gdb)
{
	return vcpu_code_address(gdb_vcpu(gdb), gdb_vcpu(gdb)->rip);
}
static inline void gdb_set_pc(struct gdb *gdb, uint64_t gva)
{
	struct vcpu *vcpu = gdb_vcpu(gdb);

	vcpu->rip = vcpu_code_bits(vcpu) == 64 ? gva : (uint32_t)(gva - vcpu->sreg[SREG_CS].base);
}

/* gdb_packet.c: framing. Feeds one byte; true when parser.body holds a whole packet. A byte 3 outside sets stop_asked.
 */
bool packet_feed(struct gdb *gdb, uint8_t byte);
/* Sends one packet; binary data is escaped. A peer that is gone is noticed at the next read. */
void packet_send_data(struct gdb *gdb, const void *data, size_t len);
void packet_send(struct gdb *gdb, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Hexadecimal: bytes to digits (2 * len, no 0 behind), and back: the bytes made, which end at the first wrong digit. */
void packet_to_hex(char *to, const void *from, size_t len);
size_t packet_from_hex(void *to, const char *from, size_t digits);
/* Reads a hexadecimal number and the character behind it, which must be `end` (0: end of packet). */
bool packet_number(const char **at, uint64_t *value, char end);

/* gdb_command.c: answers the packet in parser.body of len bytes. */
void command_answer(struct gdb *gdb, char *body, size_t len);
void command_send_stop(struct gdb *gdb);

/* gdb.c */
void gdb_resume(struct gdb *gdb, bool steps);
/* Lets go of the guest: no breakpoint stays, it runs. */
void gdb_detach(struct gdb *gdb);
/* The same, and the guest ends: who has looked at it wants no report of it. */
void gdb_dismiss(struct gdb *gdb);

/* gdb_reset.c: the debugger asked for a reset; its connection is made to outlive the machine; and is taken over. */
void reset_want(struct gdb *gdb);
void reset_bequeath(struct gdb *gdb);
bool reset_inherit(struct gdb *gdb);

/* gdb_registers.c */
void registers_read_all(struct gdb *gdb);
void registers_write_all(struct gdb *gdb, const char *hex, size_t digits);
void registers_read(struct gdb *gdb, unsigned number);
void registers_write(struct gdb *gdb, unsigned number, const char *hex, size_t digits);
/* description.c: of the present connection; valid ever after. NULL when memory is out. */
const char *registers_xml(const struct gdb *gdb);

/* gdb_memory.c: the packets m, M, x, X behind their letter. */
void memory_packet(struct gdb *gdb, char letter, char *body, size_t len);

/* gdb_break.c: negative errno; -ENOTSUP where the kind is none that can be had here. */
int break_insert(struct gdb *gdb, enum gdb_kind kind, uint64_t gva, unsigned len);
int break_remove(struct gdb *gdb, enum gdb_kind kind, uint64_t gva, unsigned len);
void break_remove_all(struct gdb *gdb);
/* Puts the INT3s into RAM, but for the one at index `except`; and takes them out again. */
void break_place(struct gdb *gdb, int except);
void break_lift(struct gdb *gdb);
/* The breakpoint whose byte lies where gva leads, or -1. Several may lie there; the one set at gva comes first. */
int break_find(struct gdb *gdb, uint64_t gva);
/* A hit of a debug register since the last entry, or NULL. */
const struct gdb_watch *break_hit(struct gdb *gdb);

/* gdb_monitor.c: performs a `monitor` command. */
void monitor_command(struct gdb *gdb, const char *line, FILE *out);

#endif
