/*
 * Who connects: a unix socket tells by itself; of a TCP peer on this host the kernel's tables tell who holds its end.
 */
#include "monitor/debug/gdb/peer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Lines of Documentation/networking/proc_net_tcp.rst of Linux. */
#define LINE_MAX_BYTES 512
#define ESTABLISHED    1
#define ADDRESS_DIGITS 8 /* of one 32-bit word, in the host's byte order */
#define ADDRESS_WORDS  4
#define MAPPED_WORD    2 /* ::ffff:0:0/96 is IPv4 */
#define MAPPED_MARK    0xffff
#define TEXT_SIZE      (ADDRESS_WORDS * ADDRESS_DIGITS + 1)
#define FIELDS	       7 /* taken of a line */

/* An address of either family in the form of IPv6. */
struct end {
	uint32_t word[ADDRESS_WORDS];
	uint16_t port;
};

void peer_open_tables(int tables[PEER_TABLES])
{
	tables[0] = open("/proc/self/net/tcp", O_RDONLY | O_CLOEXEC);
	tables[1] = open("/proc/self/net/tcp6", O_RDONLY | O_CLOEXEC);
}

void peer_close_tables(int tables[PEER_TABLES])
{
	for (unsigned i = 0; i < PEER_TABLES; i++) {
		if (tables[i] >= 0)
			close(tables[i]);
		tables[i] = -1;
	}
}

static bool end_of(const struct sockaddr_storage *at, struct end *end)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)at;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)at;

	*end = (struct end){.word = {[MAPPED_WORD] = htonl(MAPPED_MARK)}};
	if (at->ss_family == AF_INET) {
		end->word[ADDRESS_WORDS - 1] = in->sin_addr.s_addr;
		end->port = ntohs(in->sin_port);
		return true;
	}
	memcpy(end->word, &in6->sin6_addr, sizeof(end->word));
	end->port = ntohs(in6->sin6_port);
	return at->ss_family == AF_INET6;
}

/* "0100007F", or four such words. */
static bool read_end(const char *text, unsigned port, struct end *end)
{
	size_t words = strlen(text) / ADDRESS_DIGITS;
	uint32_t *word = end->word;

	if (strlen(text) % ADDRESS_DIGITS || (words != 1 && words != ADDRESS_WORDS))
		return false;
	*end = (struct end){.word = {[MAPPED_WORD] = htonl(MAPPED_MARK)}, .port = (uint16_t)port};
	for (word += ADDRESS_WORDS - words; *text; text += ADDRESS_DIGITS, word++)
		if (sscanf(text, "%8" SCNx32, word) != 1)
			return false;
	return true;
}

static bool same(const struct end *a, const struct end *b)
{
	return a->port == b->port && !memcmp(a->word, b->word, sizeof(a->word));
}

/* The line is of the peer's socket, which a process of this user holds. */
static bool line_is_ours(const char *line, const struct end *here, const struct end *there)
{
	char local_text[TEXT_SIZE], remote_text[TEXT_SIZE];
	unsigned local_port, remote_port, state, uid;
	struct end local = {0}, remote = {0};
	unsigned long inode;

	if (sscanf(line, " %*u: %32[0-9A-F]:%4x %32[0-9A-F]:%4x %2x %*x:%*x %*x:%*x %*x %u %*u %lu", local_text,
		   &local_port, remote_text, &remote_port, &state, &uid, &inode) != FIELDS)
		return false;
	return state == ESTABLISHED && inode && uid == geteuid() && read_end(local_text, local_port, &local) &&
	       read_end(remote_text, remote_port, &remote) && same(&local, there) && same(&remote, here);
}

static bool table_says_ours(int table, const struct end *here, const struct end *there)
{
	int fd = table < 0 ? -1 : fcntl(table, F_DUPFD_CLOEXEC, 0);
	FILE *in = fd < 0 || lseek(fd, 0, SEEK_SET) ? NULL : fdopen(fd, "r");
	char line[LINE_MAX_BYTES];
	bool found = false;

	if (!in) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && fgets(line, sizeof(line), in))
		found = line_is_ours(line, here, there);
	fclose(in);
	return found;
}

static bool ends_of(int fd, struct end *here, struct end *there)
{
	struct sockaddr_storage at_here, at_there;
	socklen_t here_size = sizeof(at_here), there_size = sizeof(at_there);

	return !getsockname(fd, (struct sockaddr *)&at_here, &here_size) &&
	       !getpeername(fd, (struct sockaddr *)&at_there, &there_size) && end_of(&at_here, here) &&
	       end_of(&at_there, there);
}

/* A line of the table is of this connection only as long as that is there: another may have its addresses after it. */
static bool tcp_is_ours(int fd, const int tables[PEER_TABLES])
{
	struct end here, there;
	bool ours = false;

	if (!ends_of(fd, &here, &there))
		return false;
	for (unsigned i = 0; i < PEER_TABLES && !ours; i++)
		ours = table_says_ours(tables[i], &here, &there);
	return ours && ends_of(fd, &here, &there);
}

bool peer_is_ours(int fd, const int tables[PEER_TABLES])
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int family = 0;
	socklen_t family_size = sizeof(family);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_size))
		return false;
	if (family != AF_UNIX)
		return tcp_is_ours(fd, tables);
	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.uid == geteuid();
}
