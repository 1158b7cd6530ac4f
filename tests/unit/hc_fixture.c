/*
 * The small machine with its paravirtual side.
 */
#include "tests/unit/hc_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "monitor/device/console.h"
#include "monitor/host/events.h"

static void no_kick(void *arg)
{
}

int hcf_setup(void **state)
{
	struct hc_fixture *f = calloc(1, sizeof(*f));

	if (!f || pipe(f->in) || pipe(f->out))
		abort();
	f->m = fix_make();
	f->vm = &f->m->vm;
	f->vcpu = f->m->vcpu;
	f->vm->console = console_open(f->vm, f->in[0], f->out[1]);
	f->vm->hc = hc_create(f->vm);
	if (!f->vm->console || !f->vm->hc || events_init(&f->vm->attention, no_kick, NULL))
		abort();
	*state = f;
	return 0;
}

int hcf_teardown(void **state)
{
	struct hc_fixture *f = *state;

	console_close(f->vm->console);
	events_exit();
	hc_destroy(f->vm->hc);
	fix_free(f->m);
	close(f->in[0]);
	close(f->in[1]);
	close(f->out[0]);
	close(f->out[1]);
	free(f);
	return 0;
}

int64_t hcf_call(struct hc_fixture *f, uint64_t nr, const uint64_t arg[HC_ARGS])
{
	static const enum vcpu_gpr registers[HC_ARGS] = {RDI, RSI, RDX, R10, R8, R9};

	f->vcpu->gpr[RAX] = nr;
	for (unsigned i = 0; i < HC_ARGS; i++)
		f->vcpu->gpr[registers[i]] = arg[i];
	hc_dispatch(f->vcpu);
	return (int64_t)f->vcpu->gpr[RAX];
}

struct r3_shared_info *hcf_share(struct hc_fixture *f)
{
	if (HC(f, shared_info, FIX_SHARED))
		abort();
	return gm_ptr(&f->vm->mem, FIX_SHARED, sizeof(struct r3_shared_info));
}

void hcf_await_input(struct hc_fixture *f, size_t len)
{
	while (console_input_pending(f->vm->console) < len) {
		events_sleep(&f->vm->attention, TIMER_NEVER);
		atomic_store(&f->vm->attention, false);
	}
}
