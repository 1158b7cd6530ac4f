/*
 * The compiler of engine `translate`: the rules hold of every opcode of the legacy maps under usual prefixes with every
 * ModRM byte, in every form. One in STRIDE is tried; all of them with argument 1, which takes some minutes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/engine/translate/emit.h"
#include "tests/unit/translate_rules.h"

#define STRIDE	 31 /* odd, for ModRM's fields are powers of two */
#define ALWAYS	 (BT_FPU | BT_AVX | BT_IF | BT_CLOCK | BT_READ | BT_BASES)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	uint64_t gva;
	unsigned flavour;
} forms[] = {
	{0x200000, 0},
	{0xffffffff81000000, BT_UPPER},
	{0xffff900000200000, BT_UPPER},
	{0x80100000, BT_NARROW},
	{0x80100000, BT_NARROW | BT_USER},
	{0xffffffff81000000, BT_UPPER | BT_GS_SLOT},
	{0xffff900000200000, BT_UPPER | BT_GS_SLOT},
};

struct piece {
	uint8_t len, bytes[2];
};
static const struct piece prefixes[] = {
	{0},	     {1, {0x66}}, {1, {0xf2}},	     {1, {0xf3}},	{1, {0x48}}, {1, {0x44}},
	{1, {0x41}}, {1, {0x42}}, {2, {0x66, 0x48}}, {2, {0xf3, 0x4f}}, {1, {0xf0}}, {1, {0x65}},
	{1, {0x67}}, {1, {0x64}}, {2, {0xf2, 0x66}}, {2, {0x67, 0x48}},
};
static const struct piece maps[] = {{0}, {1, {0x0f}}, {2, {0x0f, 0x38}}, {2, {0x0f, 0x3a}}};

static unsigned long stride = STRIDE;

static unsigned put(uint8_t *bytes, unsigned len, const struct piece *piece)
{
	memcpy(bytes + len, piece->bytes, piece->len);
	return len + piece->len;
}

/* SIB, displacement and immediate are made of the number; RET comes behind them. */
static void try_one(unsigned long n)
{
	uint8_t bytes[32];
	unsigned len = put(bytes, 0, &prefixes[n >> 18 & 15]);
	len = put(bytes, len, &maps[n >> 16 & 3]);
	bytes[len++] = (uint8_t)(n >> 8);
	bytes[len++] = (uint8_t)n;
	bytes[len++] = (uint8_t)(0x24 ^ n * 7);
	memset(bytes + len, 0x11, 9);
	len += 9;
	bytes[len++] = 0xc3;
	const struct bt_source source = {
		.gva = forms[n >> 22].gva,
		.bytes = bytes,
		.len = len,
		.flavour = forms[n >> 22].flavour | ALWAYS | (n & 1 ? BT_SWAPS | BT_LOADS : 0),
		.site_mask = {n & 2 ? ~0u : 0, n & 4 ? ~0u : 0},
	};
	const char *rule = broken_rule(&source);
	if (rule)
		fail_msg("number %lu, opcode %02lx, ModRM %02lx: %s", n, n >> 8 & 0xff, n & 0xff, rule);
}

static void test_rules_hold_of_every_opcode(void **state)
{
	_Static_assert(COUNT(prefixes) == 16 && COUNT(maps) == 4, "digits of the number");
	for (unsigned long n = 0; n < COUNT(forms) << 22; n += stride)
		try_one(n);
}

/* A register that stands in for RSP where ModRM names one that does not count: NOP [RBX], ESP. */
static void test_hints_stay_what_they_are(void **state)
{
	uint8_t hint[] = {0x0f, 0x1c, 0x23, 0xc3};
	const struct bt_source source = {forms[1].gva, hint, sizeof(hint), BT_UPPER | ALWAYS, .hypercall = false};
	assert_null(broken_rule(&source));
}

/* What holds the sequences that the others try to BT_SEQUENCE_MAX. */
static void test_emitter_stops_at_its_room(void **state)
{
	uint8_t bytes[16] = {0};
	int status;
	pid_t child = fork();
	if (!child) {
		const struct rlimit no_core = {0, 0};
		struct emit e = {.bytes = bytes, .room = 9};
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		emit_bytes(&e, bytes, 9);
		emit8(&e, 0x90);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		stride = strtoul(argv[1], NULL, 10);
	if (!stride)
		return 125;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_hold_of_every_opcode),
		cmocka_unit_test(test_hints_stay_what_they_are),
		cmocka_unit_test(test_emitter_stops_at_its_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
