/*
 * What each option means. argp does the reading; QEMU's spellings were rewritten before (options_qemu.c).
 */
#include "monitor/cli/common/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "monitor/cli/common/options_table.h"
#include "monitor/cli/common/verb.h"
#include "monitor/debug/gdb/gdb.h"
#include "monitor/debug/trace/trace.h"

static const char *const transports[] = {"signal", "ptrace", NULL};

const struct argp_option options_table[] = {
	{"engine", OPT_ENGINE, "NAME", 0, "how guest code is run, see below", 1},
	{"transport", OPT_TRANSPORT, "signal|ptrace", 0, "how traps reach the monitor (default signal)", 1},
	{"memory", OPT_MEMORY, "SIZE", 0, "RAM, with suffix K, M, G; a bare number is MiB (default 64M, for a PC 256M)",
	 1},
	{"append", OPT_APPEND, "STRING", 0, "command line for the guest", 1},
	{"module", OPT_MODULE, "FILE", 0,
	 "load FILE as a module (initrd), 'FILE WORDS' to tell the kernel WORDS of it; may be repeated", 1},
	{"bios", OPT_BIOS, "FILE[,vga=FILE]", 0,
	 "start a PC with this firmware, in place of a kernel, and this display's BIOS (default: vgabios-isavga.bin "
	 "beside it)",
	 1},
	{"block", OPT_BLOCK, "NAME=FILE", 0,
	 "FILE is the block device NAME of a Solo5 unikernel; may be repeated; --block:NAME=FILE too", 1},
	{"block-sector-size", OPT_BLOCK_SECTOR, "NAME=BYTES", 0, "size of its blocks, after --block (default 512)", 1},
	{"disk", OPT_DISK, "FILE[,readonly][,overlay=FILE]", 0,
	 "a disk, raw; what is written goes to the overlay, if there is one; may be given twice", 1},
	{"floppy", OPT_FLOPPY, "FILE[,readonly][,overlay=FILE]", 0,
	 "a floppy disk, raw, of 360K, 720K, 1.2M, 1.44M or 2.88M; may be given twice", 1},
	{"cdrom", OPT_CDROM, "FILE", 0, "a CD-ROM in its drive: an ISO image, which is not written to", 1},
	{"boot", OPT_BOOT, "[a][c][d]", 0,
	 "what firmware tries to boot from, in this order: the floppy (a), the disk (c), the CD-ROM (d) (default: cad, "
	 "as far as it is there)",
	 1},
	{"machine", OPT_MACHINE, "testdev", 0, "a PC with QEMU's test device, and its exit status (v << 1) | 1", 1},
	{"screen", OPT_SCREEN, NULL, 0,
	 "show a PC's text screen on the terminal, and take keys for its keyboard; the serial line goes to stdout "
	 "if that is a file or pipe",
	 1},
	{"video", OPT_VIDEO, "WIDTHxHEIGHT", 0,
	 "give a PC's display memory for graphics, and have it start with a picture of that size, 32 bits a pixel", 1},
	{"screenshot", OPT_SCREENSHOT, "FILE", 0,
	 "write the graphics that the display shows in the end to FILE, as PPM", 1},
	{"cpu", OPT_CPU, "MODEL[,+FEATURE][,-FEATURE][,vendor=NAME]", 0,
	 "the processor that CPUID shows (default host): 'help' lists what there is", 1},
	{"smp", OPT_SMP, "N", 0, "number of virtual processors (this build: 1)", 1},
	{"code-cache", OPT_CODE_CACHE, "SIZE", 0,
	 "with --engine=translate: room for translated code, as --memory (default 56M)", 1},
	{"cells", OPT_CELLS, "one|two", 0,
	 "with --engine=translate: processes that kernel and programs of a 32-bit guest have (default one)", 1},
	{"cpus", OPT_CPUS, "1|2|auto", 0, "host processors to use (default auto)", 1},
	{"no-patch", OPT_NO_PATCH, NULL, 0,
	 "leave SYSCALL instructions of programs as they are, also where they could be made cheaper", 1},
	{"timeout", OPT_TIMEOUT, "SECONDS", 0, "end the guest after that time, with status 124", 1},
	{"core", OPT_CORE, "FILE", 0,
	 "write an ELF core of the guest to FILE if it crashes, panics or is ended from outside", 1},
	{"stats", OPT_STATS, "FILE", 0, "write statistics to FILE, as JSON, however the guest ends", 1},
	{"tap", OPT_TAP, NULL, 0, "the guest reports tests in TAP on its console: status 1 if not all is well", 1},
	{"junit", OPT_JUNIT, "FILE", 0, "as --tap, and write the results to FILE, as JUnit XML", 1},
	{"kernel", OPT_KERNEL, "FILE", OPTION_HIDDEN, NULL, 0},
	{"narrate", OPT_NARRATE, NULL, 0, "slow motion: tell each exit in sentences; Enter goes on to the next", 1},
	{"trace", OPT_TRACE, "EVENTS", 0, "trace EVENTS, a list such as exit,irq or all,-shadow, see docs/traces.md",
	 1},
	{"trace-file", OPT_TRACE_FILE, "FILE", 0,
	 "write the trace to FILE: .pftrace for Perfetto, .jsonl, else text; without it, text on stderr", 1},
	{"gdb", OPT_GDB, "ADDR", 0, "let gdb connect at unix:PATH, :PORT (this host alone), HOST:PORT or stdio", 1},
	{NULL, OPT_GDB_DEFAULT, NULL, 0,
	 "let gdb connect at a socket of this user alone, whose path is said; as --gdb private", 1},
	{NULL, OPT_GDB_STOP, NULL, 0, "stop before the guest's first instruction, until gdb continues", 1},
	{0},
};

static const char args_doc[] = "KERNEL";
static const char doc[] =
	"Boots KERNEL as a guest: an image linked with pvguest, a kernel made for a PC (Linux, what starts by "
	"Multiboot, "
	"PVH or from a boot sector), or a unikernel of Solo5. Its console is on stdin and stdout; everything that "
	"ring3 "
	"says is on stderr."
	"\vOn a terminal, Ctrl-A X ends the guest, whatever it does, and Ctrl-A H lists the keys. "
	"QEMU's spellings work too: -kernel FILE, -append STRING, -initrd FILE, -m SIZE, -smp N, -gdb "
	"ADDR, -hda FILE, -hdb FILE, -fda FILE, -fdb FILE, -cdrom FILE, -boot a, -drive file=FILE,format=raw, -d int "
	"for --trace "
	"fault,irq; others have no meaning "
	"here (-nographic, -serial stdio, "
	"-no-reboot, -display none, -cpu MODEL, -enable-kvm) and are left out.";

int options_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "kmgt";
	unsigned shift = 20;
	const char *suffix;
	uint64_t number;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end) {
		suffix = strchr(suffixes, *end | 0x20);
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	if (number > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = number << shift;
	return 0;
}

/* What this host could give at the very most: RAM and swap. */
static uint64_t host_memory(void)
{
	struct sysinfo info;

	if (sysinfo(&info) < 0)
		return UINT64_MAX;
	return ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
}

static error_t parse_memory(const char *text, struct vm_config *config)
{
	uint64_t bytes = 0;
	int err = options_size(text, &bytes);

	if (err == -EINVAL)
		return options_refuse("--memory: '%s' is no size: give a number with K, M or G, such as 64M", text);
	if (!err && bytes < OPTIONS_MEMORY_MIN)
		return options_refuse("--memory %s is too little: give at least 2M", text);
	if (err || bytes > OPTIONS_MEMORY_MAX)
		return options_refuse("--memory %s is too much: give at most 1T", text);
	if (bytes > host_memory())
		return options_refuse("--memory %s is too much: this host has %juM of RAM and swap", text,
				      (uintmax_t)(host_memory() >> 20));
	if (bytes % OPTIONS_MEMORY_STEP)
		return options_refuse("--memory %s: RAM comes in steps of 2M: give %juM", text,
				      (uintmax_t)(bytes / OPTIONS_MEMORY_STEP * 2 + 2));
	config->memory = bytes;
	config->memory_given = true;
	return 0;
}

static error_t parse_engine(const char *name, struct vm_config *config)
{
	if (engine_find(name)) {
		config->engine = name;
		config->engine_given = true;
		return 0;
	}
	fprintf(stderr, "ring3: --engine: there is no engine '%s': choose from", name);
	for (const struct engine_ops *const *engine = engines; *engine; engine++)
		fprintf(stderr, " %s", (*engine)->name);
	fputc('\n', stderr);
	return EINVAL;
}

static error_t parse_transport(const char *name, struct vm_config *config)
{
	for (const char *const *transport = transports; *transport; transport++) {
		if (!strcmp(name, *transport)) {
			config->transport = *transport;
			return 0;
		}
	}
	return options_refuse("--transport: there is no transport '%s': choose from signal ptrace", name);
}

/* FILE, or FILE and words for the kernel behind a blank, unless there is a file whose name has the blank. */
static error_t parse_module(const char *text, struct vm_config *config)
{
	static char paths[VM_MODULES_MAX][OPTIONS_DISK_MAX];
	unsigned n = config->module_count;
	const char *blank = strchr(text, ' ');
	size_t len = blank ? (size_t)(blank - text) : 0;

	if (n == VM_MODULES_MAX)
		return options_refuse("--module %s: there can be no more than %u modules: join some", text,
				      VM_MODULES_MAX);
	if (len >= OPTIONS_DISK_MAX)
		return options_refuse("--module %s: the file's name is too long: link it to a shorter one", text);
	config->module_count++;
	config->modules[n] = config->module_texts[n] = text;
	if (!blank || !access(text, F_OK))
		return 0;
	memcpy(paths[n], text, len);
	paths[n][len] = '\0';
	config->modules[n] = paths[n];
	return 0;
}

static struct vm_block *find_block(struct vm_config *config, const char *name, size_t len)
{
	for (unsigned i = 0; i < config->block_count; i++)
		if (config->block[i].name_len == len && !strncmp(config->block[i].name, name, len))
			return &config->block[i];
	return NULL;
}

static error_t parse_block(const char *text, struct vm_config *config)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;

	if (!len || !equals[1])
		return options_refuse("--block %s: give the device's name and its file: NAME=FILE", text);
	if (find_block(config, text, len))
		return options_refuse("--block %s: that device has a file already", text);
	if (config->block_count == VM_BLOCKS_MAX)
		return options_refuse("--block %s: there can be no more than %u", text, VM_BLOCKS_MAX);
	config->block[config->block_count++] =
		(struct vm_block){.name = text, .name_len = (unsigned)len, .file = equals + 1};
	return 0;
}

static error_t parse_block_sector(const char *text, struct vm_config *config)
{
	const char *equals = strchr(text, '=');
	struct vm_block *block = equals ? find_block(config, text, (size_t)(equals - text)) : NULL;
	char *end = NULL;
	long bytes = equals ? strtol(equals + 1, &end, 10) : 0;

	if (!block)
		return options_refuse("--block-sector-size %s: name a device first, with --block NAME=FILE", text);
	if (*end || bytes < 512 || bytes > 32768 || (bytes & (bytes - 1)))
		return options_refuse("--block-sector-size %s: give a power of two from 512 to 32768", text);
	block->sector = (uint16_t)bytes;
	return 0;
}

static error_t parse_machine(const char *name, struct vm_config *config)
{
	if (strcmp(name, "testdev"))
		return options_refuse("--machine: '%s' is not testdev; the kernel decides which machine it gets", name);
	config->testdev = true;
	return 0;
}

static error_t parse_cpu(const char *text, struct vm_config *config)
{
	char wrong[256];

	if (!strcmp(text, "help")) {
		cpu_model_list(stdout);
		return ECANCELED;
	}
	return cpu_model_parse(text, &config->cpu, wrong, sizeof(wrong)) ? 0 : options_refuse("--cpu: %s", wrong);
}

static error_t parse_smp(const char *text, struct vm_config *config)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 1)
		return options_refuse("--smp: '%s' is no number of processors: give 1", text);
	if (n > 1)
		return options_refuse("--smp %s: this build gives a guest one processor: give 1", text);
	config->vcpus = (unsigned)n;
	return 0;
}

static error_t parse_code_cache(const char *text, struct vm_config *config)
{
	if (options_size(text, &config->code_cache) || !config->code_cache)
		return options_refuse("--code-cache: '%s' is no size: give a number with K or M, such as 64K", text);
	return 0;
}

static error_t parse_cells(const char *text, struct vm_config *config)
{
	config->two_cells = !strcmp(text, "two");
	if (!config->two_cells && strcmp(text, "one"))
		return options_refuse("--cells: '%s' is neither 'one' nor 'two'", text);
	return 0;
}

static error_t parse_cpus(const char *text, struct vm_config *config)
{
	if (!strcmp(text, "auto"))
		config->cpus = 0;
	else if (!strcmp(text, "1") || !strcmp(text, "2"))
		config->cpus = (unsigned)(*text - '0');
	else
		return options_refuse("--cpus: '%s' is none of 1, 2, auto", text);
	return 0;
}

static error_t parse_timeout(const char *text, struct vm_config *config)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !isfinite(seconds) || seconds <= 0)
		return options_refuse("--timeout: '%s' is no time: give seconds above 0, such as 10 or 0.5", text);
	if (seconds > OPTIONS_TIMEOUT_MAX)
		return options_refuse("--timeout %s is too long: give at most %.0f seconds", text, OPTIONS_TIMEOUT_MAX);
	config->timeout = seconds;
	return 0;
}

static error_t parse_gdb(const char *address, struct vm_config *config)
{
	if (!gdb_address_valid(address))
		return options_refuse("--gdb: '%s' is no address: give private, unix:PATH, :PORT, HOST:PORT or stdio",
				      address);
	config->gdb = address;
	return 0;
}

static error_t parse_kernel(const char *path, struct vm_config *config)
{
	if (config->kernel)
		return options_refuse(
			"'%s' is one argument too many, the kernel is %s: the guest's own go into --append "
			"\"...\"",
			path, config->kernel);
	config->kernel = path;
	return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct vm_config *config = state->input;

	switch (key) {
	case OPT_ENGINE:
		return parse_engine(arg, config);
	case OPT_TRANSPORT:
		return parse_transport(arg, config);
	case OPT_MEMORY:
		return parse_memory(arg, config);
	case OPT_APPEND:
		config->cmdline = arg;
		return 0;
	case OPT_MODULE:
		return parse_module(arg, config);
	case OPT_BIOS:
		return options_bios(arg, config);
	case OPT_BLOCK:
		return parse_block(arg, config);
	case OPT_BLOCK_SECTOR:
		return parse_block_sector(arg, config);
	case OPT_DISK:
	case OPT_FLOPPY:
	case OPT_CDROM:
	case OPT_BOOT:
		return options_drive(key, arg, config);
	case OPT_MACHINE:
		return parse_machine(arg, config);
	case OPT_SCREEN:
	case OPT_SCREENSHOT:
	case OPT_VIDEO:
		return options_display(key, arg, config);
	case OPT_CPU:
		return parse_cpu(arg, config);
	case OPT_SMP:
		return parse_smp(arg, config);
	case OPT_CODE_CACHE:
		return parse_code_cache(arg, config);
	case OPT_CELLS:
		return parse_cells(arg, config);
	case OPT_CPUS:
		return parse_cpus(arg, config);
	case OPT_NO_PATCH:
		config->no_patch = true;
		return 0;
	case OPT_TIMEOUT:
		return parse_timeout(arg, config);
	case OPT_CORE:
		config->core_file = arg;
		return 0;
	case OPT_STATS:
		config->stats_file = arg;
		return 0;
	case OPT_JUNIT:
	case OPT_TAP:
		config->junit_file = arg ? arg : config->junit_file;
		config->tap = true;
		return 0;
	case OPT_NARRATE:
		config->narrate = true;
		/* A person's answers are not the guest's input. */
		config->no_input = isatty(STDIN_FILENO);
		return 0;
	case OPT_TRACE:
		config->trace_events = arg;
		return trace_check_events(arg) ? EINVAL : 0;
	case OPT_TRACE_FILE:
		config->trace_file = arg;
		return 0;
	case OPT_GDB:
	case OPT_GDB_DEFAULT:
		return parse_gdb(arg ? arg : OPTIONS_GDB_DEFAULT, config);
	case OPT_GDB_STOP:
		config->gdb_stop = true;
		return 0;
	case OPT_KERNEL:
	case ARGP_KEY_ARG:
		return parse_kernel(arg, config);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The engines, each with its line, after the options. */
static char *list_engines(const char *text)
{
	char *list = NULL;
	size_t size;
	FILE *out = open_memstream(&list, &size);

	if (!out)
		return (char *)text;
	fputs("Engines (default: trap for what is linked with pvguest or made for Solo5, translate for others):\n",
	      out);
	for (const struct engine_ops *const *engine = engines; *engine; engine++)
		fprintf(out, "  %-10s %s\n", (*engine)->name, (*engine)->summary);
	fprintf(out, "\n%s", text);
	fclose(out);
	return list;
}

static char *help_filter(int key, const char *text, void *input)
{
	return key == ARGP_KEY_HELP_POST_DOC ? list_engines(text) : (char *)text;
}

const struct argp options_argp = {
	.help_filter = help_filter, .options = options_table, .parser = parse_option, .args_doc = args_doc, .doc = doc};

/* A copy of argv that may be rewritten. */
static char **copy_arguments(int argc, char **argv)
{
	char **copy = calloc((size_t)argc + 1, sizeof(*copy));

	if (copy)
		memcpy(copy, argv, (size_t)argc * sizeof(*copy));
	return copy;
}

/* What options say together. */
static error_t check(struct vm_config *config)
{
	if (options_take_image(config))
		return EINVAL;
	if (config->bios && options_take_bios(config))
		return EINVAL;
	if (!config->kernel)
		return options_refuse("no kernel: name the guest's file; 'ring3 new DIR' makes a guest of your own");
	if (config->narrate && config->gdb)
		return options_refuse("--narrate goes from exit to exit by itself: leave out --gdb, or --narrate");
	if (config->gdb_stop && !config->gdb)
		return options_refuse("-S without a debugger would stop for ever: add -s or --gdb ADDR");
	return 0;
}

enum options_result options_parse(int argc, char **argv, struct vm_config *config)
{
	char **copy = copy_arguments(argc, argv);
	int status;

	*config = (struct vm_config){.cmdline = "",
				     .memory = OPTIONS_MEMORY_DEFAULT,
				     .vcpus = 1,
				     .engine = engines[0]->name,
				     .transport = transports[0],
				     .argc = argc,
				     .argv = argv};
	if (!copy)
		return options_refuse("out of memory: end other programs first"), OPTIONS_BAD;
	status = options_rewrite(&argc, copy) ? VM_STATUS_HOST : verb_read(&options_argp, argc, copy, config);
	free(copy);
	if (status == VERB_GOES_ON)
		return check(config) ? OPTIONS_BAD : OPTIONS_RUN;
	return status ? OPTIONS_BAD : OPTIONS_DONE;
}
