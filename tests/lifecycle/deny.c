/*
 * Runs a command without some system calls:  deny ERRNO CALL[,CALL...] COMMAND...    ERRNO is a number, CALL a name or,
 * if it is newer than libseccomp, a number. Status 77: this processor has no such call.
 */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (argc < 4 || !filter)
		return 2;
	for (char *call = strtok(argv[2], ","); call; call = strtok(NULL, ",")) {
		int number = *call <= '9' ? atoi(call) : seccomp_syscall_resolve_name(call);
		if (number < 0)
			return 77;
		if (seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)atoi(argv[1])), number, 0))
			return 2;
	}
	if (seccomp_load(filter))
		return 2;
	execv(argv[3], argv + 3);
	perror(argv[3]);
	return 2;
}
