/*
 * The interpreter for other engines: `hybrid` runs the guest's kernel with it.
 */
#ifndef MONITOR_ENGINE_INTERPRET_INTERPRET_H
#define MONITOR_ENGINE_INTERPRET_INTERPRET_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;
struct vm_exit;
struct engine_ops;
struct engine_watch;

/*
 * Makes the interpreter's state for each vCPU. FPU state is that of fpu_of, through its fpu_get and fpu_set; NULL: the
 * interpreter's own. 0 or negative errno with a message printed; interpret_destroy in any case.
 */
int interpret_create(struct vm *vm, const struct engine_ops *fpu_of);
void interpret_destroy(struct vm *vm);
/* As engine_ops.enter, fill_hypercall_page. */
void interpret_enter(struct vcpu *vcpu, struct vm_exit *exit);
void interpret_fill_hypercall_page(struct vm *vm);
/* Likewise watch and watch_hits. */
int interpret_watch(struct vm *vm, const struct engine_watch *wanted);
unsigned interpret_watch_hits(struct vcpu *vcpu);
/* interpret_watch asked for something. */
bool interpret_watching(const struct vcpu *vcpu);
/* For an engine that sets spt_set_written itself, after interpret_create: what the interpreter has to be told. */
void interpret_code_written(struct vm *vm, uint64_t gpa);
/*
 * Likewise, for what such an engine keeps of guest code: as long as interpret_stores, `written` is for a store of the
 * interpreter's own, and `stored` says where. It returns whether the frame is watched still.
 */
bool interpret_stores(const struct vm *vm);
void interpret_set_stored(struct vm *vm, bool (*stored)(struct vm *vm, uint64_t gpa, uint64_t len));

/*
 * For an engine that runs guest code directly, at an instruction whose access the host cannot map: executes that one
 * instruction and fills *exit, EXIT_KICK if nothing came of it. interpret_destroy ends what this makes.
 */
void interpret_one(struct vcpu *vcpu, struct vm_exit *exit);

/*
 * As interpret_enter, for an engine with interpret_create, but goes back with EXIT_KICK once so many instructions came
 * without a sensitive one. Returns how many of these there were.
 */
unsigned interpret_on(struct vcpu *vcpu, struct vm_exit *exit, unsigned patience);

/*
 * The same for code that runs in cells otherwise: to a page fault or a call of its kernel's, which *exit is, so
 * many instructions at most, of which those that must be decoded count more. False: it is to go on in its cell, perhaps
 * at an instruction that shows what the processor is, or that raises another exception, or that is sensitive: those are
 * executed where they always are.
 */
bool interpret_visit(struct vcpu *vcpu, struct vm_exit *exit, unsigned patience);

#endif
