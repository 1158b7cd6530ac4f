/*
 * `ring3 bench`: measures what exits, hypercalls, faults and switches take here.
 */
#ifndef MONITOR_CLI_BENCH_BENCH_H
#define MONITOR_CLI_BENCH_BENCH_H

/* The exit status; argv[0] is the verb. */
int cli_bench(int argc, char **argv);

#endif
