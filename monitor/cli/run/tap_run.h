/*
 * `ring3 run --tap`: the guest's console as the report of its tests, and the verdict on the run.
 */
#ifndef MONITOR_CLI_TAP_RUN_H
#define MONITOR_CLI_TAP_RUN_H

struct vm;
struct vm_config;

/* Proves that config->junit_file can be written. 0 or negative errno with a message printed. */
int tap_run_check(const struct vm_config *config);
/* Reads along from now on, if config->tap says so; vm->console is open. */
void tap_run_watch(struct vm *vm);
/*
 * The guest has ended, or could not be started: says on stderr what came of the tests, writes the XML, and makes
 * vm->status 1 if it was 0 and not all is well.
 */
void tap_run_judge(struct vm *vm);

#endif
