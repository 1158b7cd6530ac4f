/*
 * tinix: the start. Command line: init=PATH (else /init, /sbin/init, /bin/sh), debug, trace (shows every system call),
 * and after a lone "--" the arguments of init, in double quotes where they contain spaces. The first module is the
 * initramfs.
 */
#include "examples/tinix/core.h"

#define STACK_LIMIT (8ul << 20)
#define FILES_LIMIT 1024

bool debugging, tracing;

static char init_path[256];
static const char *init_words = "";

_Noreturn void power_off(unsigned status)
{
	pvg_exit(status);
}

/* Copies the next word to `to`; where the rest begins, NULL if there was none. */
static const char *next_word(const char *from, char *to, size_t size)
{
	bool quoted = false;
	size_t len = 0;

	while (*from == ' ')
		from++;
	if (!*from)
		return NULL;
	for (; *from && (quoted || *from != ' '); from++) {
		if (*from == '"')
			quoted = !quoted;
		else if (len + 1 < size)
			to[len++] = *from;
	}
	to[len] = '\0';
	return from;
}

static void parse_cmdline(const char *cmdline)
{
	char word[16];

	pvg_option("init", init_path, sizeof(init_path));
	while ((cmdline = next_word(cmdline, word, sizeof(word)))) {
		if (!pvg_strcmp(word, "debug"))
			debugging = true;
		if (!pvg_strcmp(word, "trace"))
			tracing = true;
		if (!pvg_strcmp(word, "--")) {
			init_words = cmdline;
			return;
		}
	}
}

static int make_args(struct exec_args *args, const char *path)
{
	char *word = kalloc(PAGE_SIZE);
	const char *rest = init_words;
	int err = word ? exec_args_init(args) : -ENOMEM;

	if (!err)
		err = exec_args_add(args, path, 0);
	while (!err && (rest = next_word(rest, word, PAGE_SIZE)))
		err = exec_args_add(args, word, 0);
	if (!err)
		err = exec_args_add(args, "PATH=/sbin:/usr/sbin:/bin:/usr/bin", 1);
	if (!err)
		err = exec_args_add(args, "HOME=/", 1);
	if (!err)
		err = exec_args_add(args, "TERM=linux", 1);
	kfree(word);
	return err;
}

static int try_init(const char *path)
{
	struct exec_args args;
	int err = make_args(&args, path);

	if (!err)
		err = exec_program(path, &args);
	exec_args_free(&args);
	debug("%s: %s\n", path, err ? "cannot be executed" : "is process 1");
	return err;
}

static void init_start(void *arg)
{
	static const char *const places[] = {"/init", "/sbin/init", "/bin/sh"};
	struct proc *init = arg;
	bool started = false;

	init->core->entered = now();
	if (*init_path)
		started = !try_init(init_path);
	for (unsigned i = 0; !*init_path && !started && i < sizeof(places) / sizeof(places[0]); i++)
		started = !try_init(places[i]);
	if (!started)
		pvg_panic(
			"no program to begin with: give an initramfs with --module, and init=PATH unless it has /init");
	pvg_user_enter(pvg_user_frame(&init->core->user));
}

static void make_init(void)
{
	struct proc *init = proc_new(init_start);

	if (!init)
		pvg_panic("no memory for the first process");
	init->pgid = init->sid = init->pid;
	init->files = files_new();
	if (!init->files)
		pvg_panic("no memory for the first process's files");
	for (unsigned i = 0; i < RLIM_NLIMITS; i++)
		init->limits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	init->limits[RLIMIT_STACK].rlim_cur = STACK_LIMIT;
	init->limits[RLIMIT_NOFILE] = (struct rlimit){FILES_LIMIT, FILES_LIMIT};
	init->limits[RLIMIT_NPROC] = (struct rlimit){PROCS_MAX - 1, PROCS_MAX - 1};
	init->limits[RLIMIT_CORE] = (struct rlimit){0, 0};
	make_runnable(init);
}

/* One is the initramfs. */
static void tell_unused(const struct hvm_modlist_entry *modules, unsigned count)
{
	for (unsigned i = 1; i < count; i++)
		log("module %s is not used: put its archive behind that of the first, in one file\n",
		    modules[i].cmdline_paddr ? (const char *)pvg_gpa_to_ptr(modules[i].cmdline_paddr) : "");
}

int main(const char *cmdline)
{
	const struct hvm_start_info *info = pvg_start_info();
	const struct hvm_modlist_entry *modules = pvg_gpa_to_ptr(info->modlist_paddr);

	pvg_irq_disable();
	memory_init();
	parse_cmdline(cmdline);
	fault_init();
	syscall_init();
	files_init(info->nr_modules ? pvg_gpa_to_ptr(modules[0].paddr) : NULL, info->nr_modules ? modules[0].size : 0);
	tell_unused(modules, info->nr_modules);
	make_init();
	load_init();
	run_first();
}
