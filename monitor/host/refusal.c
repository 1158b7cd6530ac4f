/*
 * Remedies. Limits of the process are told by errno alone; what a filter or a security module denies is not.
 */
#include "monitor/host/refusal.h"

#include <errno.h>
#include <stdlib.h>

const char *refusal_remedy(int error)
{
	switch (abs(error)) {
	case EMFILE:
		return "raise 'ulimit -n'";
	case ENFILE:
		return "raise the host's fs.file-max";
	case EAGAIN:
		return "raise 'ulimit -u', or pids.max of the control group";
	case EFBIG:
		return "raise 'ulimit -f'";
	case ENOMEM:
		return "raise 'ulimit -v', or end other programs";
	default:
		return "see 'ring3 doctor'";
	}
}
