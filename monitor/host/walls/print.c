#include "monitor/host/walls/print.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void print_check(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-error));
	exit(EXIT_FAILURE);
}

scmp_filter_ctx print_begin(uint32_t otherwise)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);

	print_check(filter ? 0 : -ENOMEM, "seccomp_init");
	/* INT 0x80, SYSENTER and x32 numbers are other architectures to the host. */
	print_check(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, otherwise), "SCMP_FLTATR_ACT_BADARCH");
	return filter;
}

void print_end(scmp_filter_ctx filter, const char *name)
{
	struct sock_filter code;
	FILE *program = tmpfile();

	print_check(program ? seccomp_export_bpf(filter, fileno(program)) : -errno, name);
	rewind(program);
	printf("static const struct sock_filter %s[] = {\n", name);
	while (fread(&code, sizeof(code), 1, program) == 1)
		printf("\t{%#x, %u, %u, %#x},\n", code.code, code.jt, code.jf, code.k);
	puts("};");
	fclose(program);
	seccomp_release(filter);
}
