/*
 * `ring3 bench`: what is measured, in which ways, and the samples that come of it.
 */
#ifndef MONITOR_CLI_BENCH_H
#define MONITOR_CLI_BENCH_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#define BENCH_SAMPLES_MAX 256

/* Ways of running that are compared; each row is measured in each. */
enum bench_way {
	BENCH_SIGNAL_1, /* transport signal, one host CPU */
	BENCH_SIGNAL_2, /* transport signal, two */
	BENCH_PTRACE_1, /* transport ptrace, which uses one */
	BENCH_WAYS,
};

struct bench_way_info {
	const char *title, *transport, *cpus;
};
extern const struct bench_way_info bench_ways[BENCH_WAYS];

/* What the host does by itself, for comparison. */
enum bench_native {
	BENCH_NATIVE_TRAP,    /* CLI -> SIGSEGV handler -> sigreturn in one process: the floor */
	BENCH_NATIVE_YIELD,   /* to another process and back, on one CPU, by yielding */
	BENCH_NATIVE_LINE,    /* on two CPUs, by a word that both watch; the one native that one CPU cannot have */
	BENCH_NATIVE_FUTEX,   /* on one CPU, by sleeping and waking */
	BENCH_NATIVE_TOUCH,   /* first touch of a page of a shared mapping */
	BENCH_NATIVE_MAP,     /* a page of a memfd mapped, populated, in place of another */
	BENCH_NATIVE_COMPUTE, /* one turn of bench_compute */
	BENCH_NATIVE_PROCESS, /* exec to exit of /bin/true */
	BENCH_NATIVES,
};

/* What a figure should reach, for one and two CPUs; 0: nothing asked. */
struct bench_reach {
	double ns[2];	 /* absolute, at most */
	double ratio[2]; /* against `native`, at most */
};

struct bench_row {
	const char *name;	  /* for --rows, JSON, and the guest's bench= */
	const char *title;	  /* what one operation is */
	enum bench_native native; /* bench_native_of says which in which way */
	uint64_t count;		  /* operations a round; 0: not measured inside the guest */
	struct bench_reach reach;
	const char *guest; /* bench= if it is not the name; NULL: it is */
	bool neighbour;	   /* another program keeps one of the host's CPUs busy meanwhile */
};
extern const struct bench_row bench_rows[];
extern const unsigned bench_row_count;
/* What a row is compared with in a way: where two CPUs hand over, they do by a word that both watch. */
enum bench_native bench_native_of(unsigned row, enum bench_way way);

struct bench_native_info {
	const char *name, *title;
};
extern const struct bench_native_info bench_natives[BENCH_NATIVES];

/* Time of one operation in ns, once a round. */
struct bench_samples {
	unsigned count;
	double ns[BENCH_SAMPLES_MAX];
};

#define BENCH_ROWS_MAX 32

struct bench {
	const char *guest, *hello; /* images */
	const char *json;	   /* NULL: none */
	unsigned passes;	   /* times that everything is gone through */
	unsigned rounds;	   /* samples a pass */
	unsigned divisor;	   /* operations a round are fewer by this */
	bool row_wanted[BENCH_ROWS_MAX];
	bool way_wanted[BENCH_WAYS];
	double load_before, load_after;
	struct bench_samples native[BENCH_NATIVES];
	struct bench_samples row[BENCH_ROWS_MAX][BENCH_WAYS];
	/* The row's native counterpart, measured right before it each time: what its ratio is against. */
	struct bench_samples paired[BENCH_ROWS_MAX][BENCH_WAYS];
};

void bench_add(struct bench_samples *samples, double ns);
/* 0 without samples. */
double bench_median(const struct bench_samples *samples);
/* The spread: what a tenth of the samples lie below, and a tenth above. */
double bench_low(const struct bench_samples *samples);
double bench_high(const struct bench_samples *samples);

/* native.c: adds the samples of one pass. 0 or negative errno with a message printed. */
int bench_measure_native(const struct bench *bench, enum bench_native native, struct bench_samples *samples);
/* peer.c: ns of a hand-over to another process and back; negative if the host refuses it. The caller is bound to one
 * CPU of `allowed`, the other goes to another of them for BENCH_NATIVE_LINE. */
double bench_peer_ns(enum bench_native native, unsigned trips, const cpu_set_t *allowed);
/* ns from exec to exit of the program, its output discarded; negative if it failed, with a message printed. */
double bench_process(char *const argv[]);

/* run.c: one pass of one row in one way, in a guest of its own. 0 or negative errno with a message printed. */
int bench_measure_row(struct bench *bench, unsigned row, enum bench_way way);

/* report.c */
void bench_print(const struct bench *bench);
/* Writes the document to bench->json ("-": standard output). 0 or negative errno with a message printed. */
int bench_write_json(const struct bench *bench);

#endif
