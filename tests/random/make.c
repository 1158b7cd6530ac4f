/*
 * Makes files of sequences for the guest, and shows what is in them:
 *	random_make WHERE SEED COUNT FILE	WHERE as in compare.sh
 *	random_make --show FILE N
 */
#include <stdlib.h>
#include <string.h>

#include "tests/random/generate.h"

static const struct {
	const char *name;
	enum generate_where where, other; /* by turns */
} places[] = {{"user", GENERATE_USER, GENERATE_USER},	     {"nofpu", GENERATE_NO_FPU, GENERATE_NO_FPU},
	      {"kernel", GENERATE_KERNEL, GENERATE_KERNEL},  {"trap", GENERATE_KERNEL_TRAP, GENERATE_KERNEL_TRAP},
	      {"upper", GENERATE_UPPER, GENERATE_UPPER},     {"mixed", GENERATE_KERNEL, GENERATE_USER},
	      {"mixed_upper", GENERATE_UPPER, GENERATE_USER}};

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int make(enum generate_where where, enum generate_where other, uint64_t seed, uint32_t count, const char *path)
{
	struct sequence_file head = {.magic = SEQ_MAGIC, .count = count};
	FILE *to = fopen(path, "wb");
	if (!to || fwrite(&head, sizeof(head), 1, to) != 1)
		return fail(path);
	for (uint32_t n = 0; n < count; n++) {
		struct sequence s;
		generate(&s, seed, n, n % 2 ? other : where);
		if (fwrite(&s, sizeof(s), 1, to) != 1)
			return fail(path);
	}
	return fclose(to) ? fail(path) : 0;
}

static int show(const char *path, long n)
{
	struct sequence s;
	FILE *from = fopen(path, "rb");
	if (!from || fseek(from, (long)(sizeof(struct sequence_file) + (unsigned long)n * sizeof(s)), SEEK_SET) ||
	    fread(&s, sizeof(s), 1, from) != 1)
		return fail(path);
	fclose(from);
	generate_print(&s,
		       s.flags & SEQ_USER    ? SEQ_USER_BASE
		       : s.flags & SEQ_UPPER ? SEQ_UPPER_BASE
					     : SEQ_KERNEL_BASE,
		       stdout);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "--show"))
		return show(argv[2], strtol(argv[3], NULL, 0));
	for (unsigned n = 0; argc == 5 && n < sizeof(places) / sizeof(places[0]); n++)
		if (!strcmp(argv[1], places[n].name))
			return make(places[n].where, places[n].other, strtoull(argv[2], NULL, 0),
				    (uint32_t)strtoul(argv[3], NULL, 0), argv[4]);
	fprintf(stderr, "usage: random_make user|nofpu|kernel|trap|upper|mixed|mixed_upper SEED COUNT FILE\n       "
			"random_make --show FILE N\n");
	return 2;
}
