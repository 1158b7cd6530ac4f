/*
 * execve: arguments, scripts, the new program's stack, and the change from the old program to the new one.
 */
#include "examples/tinix/core.h"

#define INTERPRETERS_MAX 5   /* scripts that name scripts */
#define SCRIPT_LINE	 256 /* bytes of the first line that count */
#define PLATFORM	 "x86_64"
#define CLOCK_TICKS	 100		 /* a second: AT_CLKTCK */
#define RANDOM_BYTES	 16		 /* AT_RANDOM */
#define STACK_AHEAD	 (3 * PAGE_SIZE) /* that a program has from the start */

/* ----------------------------------------------------------------------------------------------------- arguments */

int exec_args_init(struct exec_args *args)
{
	*args = (struct exec_args){.strings = kalloc(ARGS_SIZE)};
	return args->strings ? 0 : -ENOMEM;
}

void exec_args_free(struct exec_args *args)
{
	kfree(args->strings);
}

int exec_args_add(struct exec_args *args, const char *text, unsigned which)
{
	size_t size = pvg_strlen(text) + 1;

	if (size > ARGS_SIZE - args->used)
		return -E2BIG;
	memcpy(args->strings + args->used, text, size);
	args->used += size;
	args->count[which]++;
	return 0;
}

/* A NULL-terminated vector of strings in user memory; a null vector counts as empty. */
static int add_from_user(struct exec_args *args, uint64_t vector, unsigned which)
{
	for (; vector; vector += sizeof(uint64_t)) {
		uint64_t string;
		int64_t len;

		if (copy_from_user(&string, vector, sizeof(string)))
			return -EFAULT;
		if (!string)
			break;
		len = string_from_user(args->strings + args->used, string, ARGS_SIZE - args->used);
		if (len < 0)
			return len == -ENAMETOOLONG ? -E2BIG : (int)len;
		args->used += (size_t)len + 1;
		args->count[which]++;
	}
	return 0;
}

/* Puts interpreter, its argument and the script's path in place of argument 0. */
static int prepend(struct exec_args *args, const char *interpreter, const char *argument, const char *path)
{
	size_t skip = args->count[0] ? pvg_strlen(args->strings) + 1 : 0;
	struct exec_args new;
	int err = exec_args_init(&new);

	if (err)
		return err;
	err = exec_args_add(&new, interpreter, 0);
	if (!err && *argument)
		err = exec_args_add(&new, argument, 0);
	if (!err)
		err = exec_args_add(&new, path, 0);
	if (!err && args->used - skip > ARGS_SIZE - new.used)
		err = -E2BIG;
	if (err) {
		exec_args_free(&new);
		return err;
	}
	memcpy(new.strings + new.used, args->strings + skip, args->used - skip);
	new.used += args->used - skip;
	new.count[0] += args->count[0] ? args->count[0] - 1 : 0;
	new.count[1] = args->count[1];
	exec_args_free(args);
	*args = new;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The first character from `at` on that is no blank. */
static char *skip_blanks(char *at)
{
	while (is_blank(*at))
		at++;
	return at;
}

/* The first blank, or the end. */
static char *skip_word(char *at)
{
	while (*at && !is_blank(*at))
		at++;
	return at;
}

/*
 * Splits "#! interpreter argument" in place; the line is terminated, and cut if it is SCRIPT_LINE - 1 long. A name that
 * was cut is none: it could be another program's.
 */
static bool parse_script(char *line, char **interpreter, char **argument)
{
	char *end = (char *)pvg_strchr(line, '\n');
	bool cut = !end && pvg_strlen(line) == SCRIPT_LINE - 1;

	if (!end)
		end = line + pvg_strlen(line);
	while (is_blank(end[-1]))
		end--;
	*interpreter = skip_blanks(line + 2);
	if (*interpreter >= end || (cut && !*skip_word(*interpreter)))
		return false;
	*end = '\0';
	end = skip_word(*interpreter);
	*argument = skip_blanks(end);
	*end = '\0';
	return true;
}

/* Follows scripts to the program that runs them. */
static int open_program(const char *path, struct exec_args *args, struct inode **inode)
{
	char line[SCRIPT_LINE + 1], next[SCRIPT_LINE];
	int err = inode_open_exec(path, inode);

	for (unsigned depth = 0; !err; depth++) {
		char *interpreter, *argument;
		int64_t len = inode_read(*inode, line, SCRIPT_LINE, 0);

		if (len < 2 || line[0] != '#' || line[1] != '!')
			return 0;
		/* The last of them may end the line, and is nothing else. */
		line[len == SCRIPT_LINE && line[len - 1] != '\n' ? len - 1 : len] = '\0';
		inode_put(*inode);
		*inode = NULL;
		if (depth == INTERPRETERS_MAX)
			return -ELOOP;
		if (!parse_script(line, &interpreter, &argument))
			return -ENOEXEC;
		err = prepend(args, interpreter, argument, path);
		pvg_strlcpy(next, interpreter, sizeof(next));
		path = next;
		if (!err)
			err = inode_open_exec(path, inode);
	}
	return err;
}

/* --------------------------------------------------------------------------------------------------------- stack */

/* Writes upwards from an address; the first failure sticks. */
struct cursor {
	struct mm *mm;
	uint64_t at;
	int err;
};

static void put(struct cursor *cursor, uint64_t word)
{
	if (!cursor->err)
		cursor->err = copy_to_mm(cursor->mm, cursor->at, &word, sizeof(word));
	cursor->at += sizeof(word);
}

static void put_aux(struct cursor *cursor, uint64_t type, uint64_t value)
{
	put(cursor, type);
	put(cursor, value);
}

static uint32_t cpuid_features(void)
{
	uint32_t eax = 1, ebx, ecx, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
	return edx;
}

static void put_auxv(struct cursor *cursor, const struct elf_image *image, uint64_t random, uint64_t platform,
		     uint64_t name)
{
	put_aux(cursor, AT_PHDR, image->headers);
	put_aux(cursor, AT_PHENT, sizeof(Elf64_Phdr));
	put_aux(cursor, AT_PHNUM, image->header_count);
	put_aux(cursor, AT_PAGESZ, PAGE_SIZE);
	put_aux(cursor, AT_BASE, image->base);
	put_aux(cursor, AT_FLAGS, 0);
	put_aux(cursor, AT_ENTRY, image->entry);
	put_aux(cursor, AT_UID, 0);
	put_aux(cursor, AT_EUID, 0);
	put_aux(cursor, AT_GID, 0);
	put_aux(cursor, AT_EGID, 0);
	put_aux(cursor, AT_SECURE, 0);
	put_aux(cursor, AT_HWCAP, cpuid_features());
	put_aux(cursor, AT_HWCAP2, 0);
	put_aux(cursor, AT_PLATFORM, platform);
	put_aux(cursor, AT_CLKTCK, CLOCK_TICKS);
	put_aux(cursor, AT_RANDOM, random);
	put_aux(cursor, AT_EXECFN, name);
	put_aux(cursor, AT_MINSIGSTKSZ, pvg_fpu_size() + MINSIGSTKSZ);
	put_aux(cursor, AT_NULL, 0);
}
#define AUX_WORDS (20 * 2)

/* Pointers to count strings that lie in a row from *at, and a null pointer. */
static void put_vector(struct cursor *cursor, const struct exec_args *args, unsigned count, size_t *offset,
		       uint64_t strings)
{
	for (; count; count--) {
		put(cursor, strings + *offset);
		*offset += pvg_strlen(args->strings + *offset) + 1;
	}
	put(cursor, 0);
}

/* Builds the stack that _start finds (System V ABI 3.4.1); its RSP, or a negative errno. */
static int64_t build_stack(struct mm *mm, const char *path, const struct exec_args *args, const struct elf_image *image)
{
	size_t words = 1 + args->count[0] + 1 + args->count[1] + 1 + AUX_WORDS, offset = 0;
	uint64_t name = STACK_TOP - pvg_strlen(path) - 1, strings = name - args->used;
	uint64_t platform = strings - sizeof(PLATFORM), random = (platform - RANDOM_BYTES) & ~15ul;
	uint64_t rsp = (random - words * sizeof(uint64_t)) & ~15ul;
	const struct vma vma = {
		.start = page_down(rsp) - STACK_AHEAD,
		.end = STACK_TOP,
		.prot = PROT_READ | PROT_WRITE | (image->stack_executes ? PROT_EXEC : 0),
		.stack = true,
	};
	struct cursor cursor = {mm, rsp, vma_insert(mm, &vma)};
	uint8_t bytes[RANDOM_BYTES];

	random_bytes(bytes, sizeof(bytes));
	if (!cursor.err)
		cursor.err = copy_to_mm(mm, name, path, pvg_strlen(path) + 1);
	if (!cursor.err)
		cursor.err = copy_to_mm(mm, strings, args->strings, args->used);
	if (!cursor.err)
		cursor.err = copy_to_mm(mm, random, bytes, sizeof(bytes));
	if (!cursor.err)
		cursor.err = copy_to_mm(mm, platform, PLATFORM, sizeof(PLATFORM));
	put(&cursor, args->count[0]);
	mm->info.args_start = strings;
	put_vector(&cursor, args, args->count[0], &offset, strings);
	mm->info.args_end = mm->info.env_start = strings + offset;
	put_vector(&cursor, args, args->count[1], &offset, strings);
	mm->info.env_end = strings + offset;
	mm->info.start_stack = rsp;
	put_auxv(&cursor, image, random, platform, name);
	return cursor.err ? cursor.err : (int64_t)rsp;
}

/* ---------------------------------------------------------------------------------------------------- the change */

static void set_name(struct proc *p, const char *path)
{
	const char *base = path;

	for (; *path; path++)
		if (*path == '/')
			base = path + 1;
	pvg_strlcpy(p->name, base, sizeof(p->name));
}

/* From here on there is no way back: the process is the new program. */
static void become(struct mm *mm, struct inode *inode, const char *path, uint64_t entry, uint64_t rsp)
{
	struct pvg_user *user = &current->core->user;
	struct mm *old = current->mm;

	forget_user(current);
	current->mm = mm;
	user->space = &mm->space;
	user->fs_base = user->gs_base = 0;
	pvg_fpu_reset(user->fpu);
	*pvg_user_frame(user) = (struct pvg_frame){
		.rip = entry,
		.cs = PVG_SEL_USER_CODE,
		.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF,
		.rsp = rsp,
		.ss = PVG_SEL_USER_DATA,
	};
	if (old)
		mm_put(old);
	vfork_done(current);
	if (current->exe)
		inode_put(current->exe);
	current->exe = inode;
	set_name(current, path);
	signal_exec(current);
	current->core->clear_tid = 0;
	current->core->executed = true;
}

int exec_program(const char *path, struct exec_args *args)
{
	struct inode *inode = NULL;
	struct elf_image image = {0};
	struct mm *mm = NULL;
	int64_t rsp;
	int err = open_program(path, args, &inode);

	if (!err) {
		mm = mm_new();
		err = mm ? elf_load(mm, inode, &image) : -ENOMEM;
	}
	if (!err) {
		mm->brk_start = mm->brk = page_up(image.end);
		rsp = build_stack(mm, path, args, &image);
		mm_populate(mm);
		err = rsp < 0 ? (int)rsp : files_exec(current);
	}
	if (err) {
		if (mm)
			mm_put(mm);
		if (inode)
			inode_put(inode);
		return err == -EFAULT ? -ENOMEM : err;
	}
	become(mm, inode, path, image.start, (uint64_t)rsp);
	return 0;
}

int64_t sys_execve(const uint64_t arg[6])
{
	char *path = kalloc(PATH_MAX);
	struct exec_args args;
	int64_t err = exec_args_init(&args);

	if (!path)
		err = -ENOMEM;
	if (!err)
		err = string_from_user(path, arg[0], PATH_MAX);
	if (err >= 0)
		err = add_from_user(&args, arg[1], 0);
	/* Programs that take their name for granted get one. */
	if (!err && !args.count[0])
		err = exec_args_add(&args, "", 0);
	if (!err)
		err = add_from_user(&args, arg[2], 1);
	if (!err)
		err = exec_program(path, &args);
	exec_args_free(&args);
	kfree(path);
	return err;
}
