/*
 * The packets of the remote protocol, one table. A vCPU is a thread, numbered from 1; all of them stop together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/debug/gdb/internal.h"

static void send_error(struct gdb *gdb, int error)
{
	if (error == -ENOTSUP)
		packet_send(gdb, "%s", ""); /* as for any packet that is not known: the debugger does it another way */
	else
		packet_send(gdb, "E%02x", -error & 0xff);
}

void command_send_stop(struct gdb *gdb)
{
	packet_send(gdb, "T%02xthread:1;%s", (unsigned)gdb->signal, gdb->stop_note);
	gdb->owes_stop = false;
}

/* --------------------------------------------------------------------------------------------------------- running */

static void do_reason(struct gdb *gdb, char *args, size_t len)
{
	command_send_stop(gdb);
}

/* A repeated order to run, sent by a peer that did not wait for the stop. */
static void resume(struct gdb *gdb, bool steps)
{
	if (gdb->stopped)
		gdb_resume(gdb, steps);
}

static void run_from(struct gdb *gdb, const char *at, bool steps)
{
	uint64_t rip;

	if (gdb->stopped && *at && packet_number(&at, &rip, '\0'))
		gdb_set_pc(gdb, rip);
	resume(gdb, steps);
}

static void do_continue(struct gdb *gdb, char *args, size_t len)
{
	run_from(gdb, args, false);
}

static void do_step(struct gdb *gdb, char *args, size_t len)
{
	run_from(gdb, args, true);
}

/* C and S name a signal first; a machine takes none. */
static void do_continue_signal(struct gdb *gdb, char *args, size_t len)
{
	char *at = strchr(args, ';');
	run_from(gdb, at ? at + 1 : "", false);
}

static void do_step_signal(struct gdb *gdb, char *args, size_t len)
{
	char *at = strchr(args, ';');
	run_from(gdb, at ? at + 1 : "", true);
}

static bool names_thread(const char *id)
{
	return !strcmp(id, "-1") || !strcmp(id, "0") || strtoul(id, NULL, 16) - 1 < R3_MAX_VCPUS;
}

/* The leftmost action that fits vCPU 0 counts: it is the one that runs. */
static void do_vcont(struct gdb *gdb, char *args, size_t len)
{
	for (char *next = NULL, *action = strtok_r(args, ";", &next); action; action = strtok_r(NULL, ";", &next)) {
		char *thread = strchr(action, ':');
		if (thread && strcmp(thread + 1, "-1") && strtoul(thread + 1, NULL, 16) > 1)
			continue;
		if (strchr("csCS", action[0])) {
			resume(gdb, action[0] == 's' || action[0] == 'S');
			return;
		}
		break;
	}
	send_error(gdb, -EINVAL);
}

static void do_detach(struct gdb *gdb, char *args, size_t len)
{
	packet_send(gdb, "OK");
	gdb_detach(gdb);
	link_hang_up(&gdb->link);
}

static void do_kill(struct gdb *gdb, char *args, size_t len)
{
	gdb_dismiss(gdb);
}

static void do_vkill(struct gdb *gdb, char *args, size_t len)
{
	packet_send(gdb, "OK");
	do_kill(gdb, args, len);
}

/* ------------------------------------------------------------------------------------------ breakpoints, registers */

static void change_break(struct gdb *gdb, const char *at,
			 int (*change)(struct gdb *gdb, enum gdb_kind kind, uint64_t gva, unsigned len))
{
	uint64_t kind, gva, len;
	char end;

	if (!packet_number(&at, &kind, ',') || !packet_number(&at, &gva, ',')) {
		send_error(gdb, -EINVAL);
		return;
	}
	/* Conditions and commands for the target were not offered. */
	end = at[strspn(at, "0123456789abcdefABCDEF")];
	if ((end && end != ';') || !packet_number(&at, &len, end) || len > X86_PAGE_SIZE)
		send_error(gdb, -EINVAL);
	else if (kind > WATCH_ACCESS)
		send_error(gdb, -ENOTSUP);
	else {
		int error = change(gdb, (enum gdb_kind)kind, gva, (unsigned)len);
		if (error)
			send_error(gdb, error);
		else
			packet_send(gdb, "OK");
	}
}

static void do_insert(struct gdb *gdb, char *args, size_t len)
{
	change_break(gdb, args, break_insert);
}

static void do_remove(struct gdb *gdb, char *args, size_t len)
{
	change_break(gdb, args, break_remove);
}

static void do_read_all(struct gdb *gdb, char *args, size_t len)
{
	registers_read_all(gdb);
}

static void do_write_all(struct gdb *gdb, char *args, size_t len)
{
	registers_write_all(gdb, args, len);
}

static void do_read_one(struct gdb *gdb, char *args, size_t len)
{
	const char *at = args;
	uint64_t number;

	if (packet_number(&at, &number, '\0') && number <= UINT8_MAX)
		registers_read(gdb, (unsigned)number);
	else
		send_error(gdb, -EINVAL);
}

static void do_write_one(struct gdb *gdb, char *args, size_t len)
{
	const char *at = args;
	uint64_t number;

	if (packet_number(&at, &number, '=') && number <= UINT8_MAX)
		registers_write(gdb, (unsigned)number, at, len - (size_t)(at - args));
	else
		send_error(gdb, -EINVAL);
}

static void do_m(struct gdb *gdb, char *args, size_t len)
{
	memory_packet(gdb, 'm', args, len);
}

static void do_M(struct gdb *gdb, char *args, size_t len)
{
	memory_packet(gdb, 'M', args, len);
}

static void do_x(struct gdb *gdb, char *args, size_t len)
{
	memory_packet(gdb, 'x', args, len);
}

static void do_X(struct gdb *gdb, char *args, size_t len)
{
	memory_packet(gdb, 'X', args, len);
}

/* --------------------------------------------------------------------------------------------------------- queries */

static void do_supported(struct gdb *gdb, char *args, size_t len)
{
	packet_send(gdb,
		    "PacketSize=%x;QStartNoAckMode+;vContSupported+;qXfer:features:read+;swbreak+;hwbreak+;"
		    "binary-upload+",
		    GDB_PACKET);
}

static void do_no_ack(struct gdb *gdb, char *args, size_t len)
{
	packet_send(gdb, "OK");
	gdb->no_ack = true;
}

static void do_features(struct gdb *gdb, char *args, size_t len)
{
	const char *xml = registers_xml(gdb), *at = args;
	uint64_t offset, count;
	char text[GDB_PACKET / 2];

	if (!xml || !packet_number(&at, &offset, ',') || !packet_number(&at, &count, '\0')) {
		send_error(gdb, -EINVAL);
		return;
	}
	size_t size = strlen(xml);
	if (offset > size)
		offset = size;
	size_t part = size - offset < count ? size - offset : count;
	if (part > sizeof(text) - 1)
		part = sizeof(text) - 1;
	text[0] = offset + part < size ? 'm' : 'l';
	memcpy(text + 1, xml + offset, part);
	packet_send_data(gdb, text, part + 1);
}

static void do_threads(struct gdb *gdb, char *args, size_t len)
{
	char list[4 * R3_MAX_VCPUS + 2] = "m";
	size_t used = 1;

	for (unsigned i = 0; i < gdb->vm->vcpu_count; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, i ? ",%x" : "%x", i + 1);
	packet_send(gdb, "%s", list);
}

static void do_threads_end(struct gdb *gdb, char *args, size_t len)
{
	packet_send(gdb, "l");
}

static void do_thread_info(struct gdb *gdb, char *args, size_t len)
{
	const struct vcpu *vcpu = gdb_vcpu(gdb);
	char text[64], hex[2 * sizeof(text)];
	int n = snprintf(text, sizeof(text), "vCPU %u, CPL %u%s", vcpu->id, vcpu->cpl, vcpu->halted ? ", halted" : "");

	packet_to_hex(hex, text, (size_t)n);
	packet_send_data(gdb, hex, 2 * (size_t)n);
}

static void do_thread_alive(struct gdb *gdb, char *args, size_t len)
{
	unsigned long id = strtoul(args, NULL, 16);

	if (id >= 1 && id <= gdb->vm->vcpu_count)
		packet_send(gdb, "OK");
	else
		send_error(gdb, -ESRCH);
}

static void do_set_thread(struct gdb *gdb, char *args, size_t len)
{
	if (args[0] && names_thread(args + 1))
		packet_send(gdb, "OK");
	else
		send_error(gdb, -ESRCH);
}

static void do_monitor(struct gdb *gdb, char *args, size_t len)
{
	char line[256] = "", *text = NULL, hex[GDB_PACKET];
	size_t size = 0, part;
	FILE *out = open_memstream(&text, &size);

	packet_from_hex(line, args, len < 2 * sizeof(line) - 2 ? len : 2 * sizeof(line) - 2);
	if (!out) {
		send_error(gdb, -ENOMEM);
		return;
	}
	monitor_command(gdb, line, out);
	fclose(out);
	for (size_t at = 0; at < size && link_connected(&gdb->link); at += part) {
		part = size - at < sizeof(hex) / 2 - 1 ? size - at : sizeof(hex) / 2 - 1;
		hex[0] = 'O';
		packet_to_hex(hex + 1, text + at, part);
		packet_send_data(gdb, hex, 2 * part + 1);
	}
	free(text);
	packet_send(gdb, "OK");
}

static void do_get_physical(struct gdb *gdb, char *args, size_t len)
{
	packet_send(gdb, "%d", gdb->physical);
}

static void do_set_physical(struct gdb *gdb, char *args, size_t len)
{
	gdb->physical = args[0] == '1';
	packet_send(gdb, "OK");
}

/* The first that fits counts. A fixed answer needs no function. */
static const struct command {
	const char *name;
	void (*answer)(struct gdb *gdb, char *args, size_t len);
	const char *fixed;
} commands[] = {
	{"?", do_reason, NULL},
	{"c", do_continue, NULL},
	{"s", do_step, NULL},
	{"C", do_continue_signal, NULL},
	{"S", do_step_signal, NULL},
	{"vCont?", NULL, "vCont;c;C;s;S"},
	{"vCont;", do_vcont, NULL},
	{"vKill", do_vkill, NULL},
	{"D", do_detach, NULL},
	{"k", do_kill, NULL},
	{"g", do_read_all, NULL},
	{"G", do_write_all, NULL},
	{"p", do_read_one, NULL},
	{"P", do_write_one, NULL},
	{"m", do_m, NULL},
	{"M", do_M, NULL},
	{"x", do_x, NULL},
	{"X", do_X, NULL},
	{"Z", do_insert, NULL},
	{"z", do_remove, NULL},
	{"H", do_set_thread, NULL},
	{"T", do_thread_alive, NULL},
	{"QStartNoAckMode", do_no_ack, NULL},
	{"Qqemu.PhyMemMode:", do_set_physical, NULL},
	{"qqemu.PhyMemMode", do_get_physical, NULL},
	{"qSupported", do_supported, NULL},
	{"qXfer:features:read:target.xml:", do_features, NULL},
	{"qfThreadInfo", do_threads, NULL},
	{"qsThreadInfo", do_threads_end, NULL},
	{"qThreadExtraInfo,", do_thread_info, NULL},
	{"qAttached", NULL, "1"},
	{"qC", NULL, "QC1"},
	{"qRcmd,", do_monitor, NULL},
	{"qSymbol", NULL, "OK"},
};

void command_answer(struct gdb *gdb, char *body, size_t len)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];
		size_t n = strlen(command->name);
		if (strncmp(body, command->name, n))
			continue;
		if (command->fixed)
			packet_send(gdb, "%s", command->fixed);
		else
			command->answer(gdb, body + n, len - n);
		return;
	}
	send_error(gdb, -ENOTSUP);
}
