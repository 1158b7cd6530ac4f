/*
 * The small machine with its paravirtual side: console on pipes, hypercalls made as a guest makes them.
 */
#ifndef TESTS_UNIT_HC_FIXTURE_H
#define TESTS_UNIT_HC_FIXTURE_H

#include "hypercalls/abi.h"
#include "hypercalls/host/hc.h"
#include "hypercalls/host/hc_internal.h"
#include "tests/unit/machine_fixture.h"

struct hc_fixture {
	struct machine_fixture *m;
	struct vm *vm;
	struct vcpu *vcpu;
	int in[2], out[2]; /* the console's pipes */
};

int hcf_setup(void **state);
int hcf_teardown(void **state);

/* Loads the registers and dispatches; what RAX holds afterwards. HC(f, name, args...) fills up with zeros. */
int64_t hcf_call(struct hc_fixture *f, uint64_t nr, const uint64_t arg[HC_ARGS]);
#define HC(f, name, ...) hcf_call(f, R3_HC_##name, (const uint64_t[HC_ARGS]){__VA_ARGS__})

/* Registers FIX_SHARED as the shared-info page. */
struct r3_shared_info *hcf_share(struct hc_fixture *f);
/* Waits until the console holds len bytes of input. */
void hcf_await_input(struct hc_fixture *f, size_t len);

#endif
