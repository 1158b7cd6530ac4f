/*
 * QEMU's spellings: long words with a single dash, which getopt would take for a bundle of letters. What people paste
 * and has no meaning here is left out, with a line; devices that a guest would miss are refused.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "monitor/cli/common/options.h"
#include "monitor/cli/common/options_table.h"

/* Words that are rewritten, and words that say nothing here. */
static const struct spelling {
	const char *qemu;
	char ours[16];	  /* "" : none, the word is left out */
	bool value;	  /* of those left out: the next word goes with it */
	const char *same; /* of those left out: values, between commas, that ask for what is so anyway; NULL: any */
	const char *note; /* for any other value */
} spellings[] = {
	{"-append", "--append", false, NULL, NULL},
	{"-bios", "--bios", false, NULL, NULL},
	{"-initrd", "--module", false, NULL, NULL},
	{"-kernel", "--kernel", false, NULL, NULL},
	{"-smp", "--smp", false, NULL, NULL},
	{"-gdb", "--gdb", false, NULL, NULL},
	{"-hda", "--disk", false, NULL, NULL},
	{"-hdb", "--disk", false, NULL, NULL},
	{"-fda", "--floppy", false, NULL, NULL},
	{"-fdb", "--floppy", false, NULL, NULL},
	{"-cdrom", "--cdrom", false, NULL, NULL},
	{"-boot", "--boot", false, NULL, NULL},
	{"-D", "--trace-file", false, NULL, NULL},
	{"-curses", "--screen", false, NULL, NULL},
	{"-nographic", "", false, NULL, NULL},
	{"-nodefaults", "", false, NULL, NULL},
	{"-no-user-config", "", false, NULL, NULL},
	{"-no-reboot", "", false, NULL, NULL}, /* a reset ends the guest */
	{"-serial", "", true, ",stdio,mon:stdio,", "the console is standard input and output"},
	{"-monitor", "", true, ",none,/dev/null,", "there is no monitor's prompt; --gdb has 'monitor info'"},
	{"-display", "", true, ",none,", "the console is standard input and output; --screen shows a text screen"},
	{"-vga", "", true, ",none,", "there is text mode, and graphics with --video WIDTHxHEIGHT"},
	{"-net", "", true, ",none,", "there is no network"},
	{"-nic", "", true, ",none,", "there is no network"},
	{"-debugcon", "", true, ",stdio,", "what is written to port 0xe9 goes to the console"},
	{"-name", "", true, NULL, NULL},
	{"-rtc", "", true, ",base=utc,", "the clock is the host's, in UTC"},
	{"-usb", "", false, "", "there is no USB"},
	{"-no-shutdown", "", false, "", "the guest's end is ring3's"},
	{"-enable-kvm", "", false, "", "ring3 runs guests without KVM"},
	{"-accel", "", true, "", "ring3 runs guests without KVM; see --engine"},
	{"-cpu", "", true, "", "CPUID shows what the machine has, --cpu names others"},
	{"-machine", "", true, "", "the kernel decides which machine it gets"},
	{"-M", "", true, "", "the kernel decides which machine it gets"},
};

static const struct spelling *spelling_of(const char *word)
{
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		if (!strcmp(word, spellings[i].qemu))
			return &spellings[i];
	}
	return NULL;
}

/* The value stands in a list of words between commas. */
static bool listed(const char *list, const char *value)
{
	size_t len = strlen(value);

	for (const char *at = list; len && (at = strstr(at, value)); at++)
		if (at[-1] == ',' && at[len] == ',')
			return true;
	return false;
}

/* -d chooses what QEMU logs. What has a kind of event here is traced. Returns the value, or NULL: there is none. */
static char *log_items(char *items)
{
	static char traced[64];
	bool events = false;

	for (char *item = strtok(items, ","); item; item = strtok(NULL, ",")) {
		if (!strcmp(item, "int"))
			events = true;
		else if (strcmp(item, "cpu_reset") && strcmp(item, "guest_errors"))
			fprintf(stderr,
				"ring3: -d %s has no meaning here and is left out: 'ring3 run --help' has --trace\n",
				item);
	}
	return events ? strcpy(traced, "fault,irq") : NULL;
}

/* Solo5's --block:NAME=FILE is ours with an equals sign. */
static void rewrite_colon(char *word)
{
	static const char *const options[] = {"--block:", "--block-sector-size:"};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		size_t len = strlen(options[i]);

		if (!strncmp(word, options[i], len))
			word[len - 1] = '=';
	}
}

/* Solo5's options for devices that are not there. */
static bool is_network(const char *word)
{
	return !strncmp(word, "--net:", strlen("--net:")) || !strncmp(word, "--net-mac:", strlen("--net-mac:"));
}

/* The word is an option whose value is the next word. Long options may be abbreviated, as getopt allows. */
static bool value_follows(const char *word)
{
	bool is_long = !strncmp(word, "--", 2);

	for (const struct argp_option *option = options_table; option->name || option->key; option++) {
		if (!option->arg)
			continue;
		if (is_long && option->name && !strncmp(option->name, word + 2, strlen(word + 2)))
			return true;
		if (!is_long && word[1] == option->key && !word[2])
			return true;
	}
	return false;
}

/* A word of one dash that getopt may have: one letter, or -m with its size attached. */
static bool is_short(const char *word)
{
	return !word[2] || (word[1] == OPT_MEMORY && word[2] >= '0' && word[2] <= '9');
}

static void drop(int *argc, char **argv, int at, int count)
{
	count = count < *argc - at ? count : *argc - at;
	*argc -= count;
	memmove(&argv[at], &argv[at + count], (size_t)(*argc - at + 1) * sizeof(*argv));
}

/* Leaves out a word that has no meaning here, saying so unless it asks for what is so anyway. */
static void leave_out(int *argc, char **argv, int at, const struct spelling *spelling)
{
	const char *value = spelling->value && at + 1 < *argc ? argv[at + 1] : "";

	if (spelling->note && !listed(spelling->same, value))
		fprintf(stderr, "ring3: %s%s%s has no meaning here and is left out: %s\n", argv[at], *value ? " " : "",
			value, spelling->note);
	drop(argc, argv, at, spelling->value ? 2 : 1);
}

/* The one device that kernels under test ask for: its port is there, on every machine. */
static bool leave_out_debug_exit(int *argc, char **argv, int at)
{
	static const char device[] = "isa-debug-exit,iobase=0xf4";
	static const struct spelling left_out = {
		"-device", "", true, "",
		"port 0xf4 is there, and ends the guest with the status written; as QEMU has it by --machine testdev"};

	if (strcmp(argv[at], left_out.qemu) || at + 1 == *argc || strncmp(argv[at + 1], device, strlen(device)))
		return false;
	leave_out(argc, argv, at, &left_out);
	return true;
}

static void rewrite_log(int *argc, char **argv, int at)
{
	static char trace[] = "--trace";
	char *events = at + 1 < *argc ? log_items(argv[at + 1]) : NULL;

	if (events) {
		argv[at] = trace;
		argv[at + 1] = events;
	} else {
		drop(argc, argv, at, 2);
	}
}

/*
 * The value of -drive as --disk has it, --floppy or --cdrom, whichever it is. NULL: it asks for what is no raw disk on
 * an IDE bus, no floppy and no CD, or does not say so.
 */
static char *drive_value(const char *value, char **option)
{
	static const char *const so_anyway[] = {"if=ide",  "media=disk",   "index=0",
						"index=1", "readonly=off", "cache=writeback"};
	static char disks[VM_DISKS_MAX + VM_FLOPPIES_MAX][OPTIONS_DISK_MAX];
	static unsigned count;
	char words[OPTIONS_DISK_MAX], *file = NULL, *next = words;
	static char floppy_word[] = "--floppy", cdrom_word[] = "--cdrom";
	bool raw = false, readonly = false;

	if (strlen(value) >= sizeof(words) || count == VM_DISKS_MAX + VM_FLOPPIES_MAX)
		return NULL;
	strcpy(words, value);
	for (char *word; (word = strsep(&next, ","));) {
		bool so = false;
		for (unsigned n = 0; n < sizeof(so_anyway) / sizeof(so_anyway[0]); n++)
			so |= !strcmp(word, so_anyway[n]);
		if (!strncmp(word, "file=", strlen("file=")))
			file = word + strlen("file=");
		else if (!strcmp(word, "format=raw"))
			raw = true;
		else if (!strcmp(word, "readonly=on"))
			readonly = true;
		else if (!strcmp(word, "if=floppy"))
			*option = floppy_word;
		else if (!strcmp(word, "media=cdrom"))
			*option = cdrom_word;
		else if (!so)
			return NULL;
	}
	if (!file || !(raw || *option == cdrom_word))
		return NULL;
	snprintf(disks[count], sizeof(disks[count]), "%s%s", file, readonly ? ",readonly" : "");
	return disks[count++];
}

static int rewrite_drive(int argc, char **argv, int at)
{
	static char disk_word[] = "--disk";
	char *option = disk_word, *value = at + 1 < argc ? drive_value(argv[at + 1], &option) : NULL;

	if (!value) {
		fprintf(stderr,
			"ring3: -drive %s: a disk is file=FILE,format=raw[,if=ide|floppy][,readonly=on], a CD "
			"file=FILE,media=cdrom, and "
			"there are at most two of a kind\n",
			at + 1 < argc ? argv[at + 1] : "");
		return -EINVAL;
	}
	argv[at] = option;
	argv[at + 1] = value;
	return 0;
}

int options_rewrite(int *argc, char **argv)
{
	for (int i = 1; i < *argc;) {
		const struct spelling *spelling;

		if (!strcmp(argv[i], "--"))
			return 0;
		spelling = spelling_of(argv[i]);
		if (spelling && !*spelling->ours) {
			leave_out(argc, argv, i, spelling);
			continue;
		}
		if (!strcmp(argv[i], "-d")) {
			int before = *argc;
			rewrite_log(argc, argv, i);
			i += *argc == before ? 2 : 0;
			continue;
		}
		if (leave_out_debug_exit(argc, argv, i))
			continue;
		if (argv[i][0] != '-' || !argv[i][1]) {
			i++;
			continue;
		}
		if (!strcmp(argv[i], "-drive") && rewrite_drive(*argc, argv, i))
			return -EINVAL;
		if (is_network(argv[i])) {
			fprintf(stderr, "ring3: %s: there are no network devices yet: leave it out\n", argv[i]);
			return -EINVAL;
		}
		rewrite_colon(argv[i]);
		if (spelling)
			argv[i] = (char *)spelling->ours;
		else if (argv[i][1] != '-' && !is_short(argv[i])) {
			fprintf(stderr, "ring3: there is no option '%s'\n", argv[i]);
			return -EINVAL;
		}
		i += value_follows(argv[i]) ? 2 : 1;
	}
	return 0;
}
