/*
 * `ring3 new`: makes a guest project out of the files in examples/project/.
 */
#include "monitor/cli/new/new.h"

#include <argp.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/cli/common/embed.h"
#include "monitor/vm/vm.h"

#define PROJECT_FILE(symbol, path, mode, languages) EMBED(symbol, "examples/project/" path);
#include "monitor/cli/new/files.def"
#undef PROJECT_FILE

#define C_ONLY	  1u
#define CXX_ONLY  2u
#define RUST_ONLY 4u
#define ALL	  (C_ONLY | CXX_ONLY | RUST_ONLY)

static const struct language {
	const char *name, *folder; /* what the paths of its own files begin with */
	unsigned bit;
} languages[] = {{"c", "", C_ONLY}, {"c++", "c++/", CXX_ONLY}, {"rust", "rust/", RUST_ONLY}};

static const struct project_file {
	const char *path, *text, *end;
	mode_t mode;
	unsigned languages;
} project_files[] = {
#define PROJECT_FILE(symbol, path, mode, languages) {path, symbol, symbol##_end, mode, languages},
#include "monitor/cli/new/files.def"
#undef PROJECT_FILE
};

#define PROJECT_FILES (sizeof(project_files) / sizeof(project_files[0]))
#define NAME_MAX_LEN  64
#define PLACE	      "@NAME@"

struct project {
	const char *dir, *name;
	const struct language *language;
};

static error_t refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
static error_t refuse(const char *format, ...)
{
	va_list args;

	fputs("ring3: new: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EINVAL;
}

/* ------------------------------------------------------------------------------------------------------- the name */

/* Targets that CMake keeps for itself (policy CMP0037), and those of the project. */
static bool is_taken(const char *name)
{
	static const char *const taken[] = {"all",	     "clean",	       "help",	  "install",
					    "preinstall",    "test",	       "package", "edit_cache",
					    "rebuild_cache", "package_source", "run",	  "debug"};

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (!strcmp(name, taken[i]))
			return true;
	return false;
}

/* It becomes a CMake target, a file name, and text in C, JSON and Markdown. */
static bool name_is_good(const char *name)
{
	size_t len = strlen(name);

	if (!isalpha((unsigned char)*name) || len > NAME_MAX_LEN || is_taken(name))
		return false;
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c >= 0x80 || (!isalnum((unsigned char)*c) && *c != '_' && *c != '-'))
			return false;
	return true;
}

/* The last part of the directory's name, also of "." and "..". To be freed. */
static char *name_of(const char *dir)
{
	char *real = realpath(dir, NULL), *copy = strdup(real ? real : dir),
	     *name = copy ? strdup(basename(copy)) : NULL;

	free(real);
	free(copy);
	return name;
}

/* -------------------------------------------------------------------------------------------------------- writing */

/* Opens the directory, made if it is not there; *made says so. -1 with a message if it cannot be used. */
static int open_dir(const char *path, bool *made)
{
	int fd;
	DIR *list;
	unsigned entries = 0;

	*made = mkdir(path, 0777) == 0;
	if (!*made && errno != EEXIST) {
		refuse("cannot make %s: %s: name a directory where you may write", path, strerror(errno));
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	list = fd < 0 ? NULL : fdopendir(dup(fd));
	if (!list) {
		refuse("cannot use %s: %s: name a new or an empty directory", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (entries <= 2 && readdir(list))
		entries++;
	closedir(list);
	if (entries <= 2) /* "." and ".." */
		return fd;
	refuse("%s is not empty: name a new or an empty directory", path);
	close(fd);
	return -1;
}

/* Directories above the file, from the outermost on, or from the innermost on removed again. */
static void for_parents(int dir, const char *path, bool make)
{
	char part[64];

	for (size_t len = make ? 1 : strlen(path); make ? path[len] != 0 : len > 0; len += make ? 1 : (size_t)-1) {
		if (path[len] != '/' || len >= sizeof(part))
			continue;
		memcpy(part, path, len);
		part[len] = '\0';
		if (make)
			mkdirat(dir, part, 0777);
		else
			unlinkat(dir, part, AT_REMOVEDIR);
	}
}

static void put_text(const struct project_file *file, const char *name, FILE *out)
{
	for (const char *at = file->text; at < file->end;) {
		const char *place = memmem(at, (size_t)(file->end - at), PLACE, strlen(PLACE));

		fwrite(at, 1, (size_t)((place ? place : file->end) - at), out);
		if (!place)
			return;
		fputs(name, out);
		at = place + strlen(PLACE);
	}
}

/* Where the file goes; NULL if the project has none of the kind. */
static const char *place_of(const struct project_file *file, const struct language *language)
{
	size_t folder = strlen(language->folder);

	if (!(file->languages & language->bit))
		return NULL;
	return file->languages == language->bit && !strncmp(file->path, language->folder, folder) ? file->path + folder
												  : file->path;
}

static int write_file(int dir, const struct project_file *file, const struct project *project)
{
	const char *path = place_of(file, project->language);
	int fd, err = 0;
	FILE *out;

	if (!path)
		return 0;
	for_parents(dir, path, true);
	fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->mode);
	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out)
		return -errno;
	put_text(file, project->name, out);
	if (ferror(out))
		err = -errno;
	if (fclose(out) && !err)
		err = -errno;
	return err;
}

/* All files, or none. */
static int write_files(int dir, const struct project *project)
{
	size_t written = 0;
	int err = 0;

	while (written < PROJECT_FILES && !err)
		err = write_file(dir, &project_files[written++], project);
	if (!err)
		return 0;
	refuse("cannot write %s/%s: %s", project->dir, project_files[written - 1].path, strerror(-err));
	while (written--) {
		const char *path = place_of(&project_files[written], project->language);

		if (!path)
			continue;
		unlinkat(dir, path, 0);
		for_parents(dir, path, false);
	}
	return err;
}

/* -------------------------------------------------------------------------------------------------------- the verb */

/* The guest library lies beside an installed ring3. */
static void tell_next(const struct project *project)
{
	char exe[PATH_MAX], package[PATH_MAX + sizeof(R3_PACKAGE_DIR)];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	const char *prefix;

	exe[len < 0 ? 0 : len] = '\0';
	prefix = dirname(dirname(exe));
	snprintf(package, sizeof(package), "%s/" R3_PACKAGE_DIR, prefix);
	printf("made the guest project %s in %s; next:\n", project->name, project->dir);
	if (access(package, R_OK)) {
		printf("  cmake --install BUILD --prefix PREFIX    # of ring3, for the guest library\n");
		prefix = "PREFIX";
	}
	printf("  cmake -S %s -B %s/build -DCMAKE_PREFIX_PATH=%s\n  cmake --build %s/build --target run\n",
	       project->dir, project->dir, prefix, project->dir);
}

static int make_project(const struct project *project)
{
	bool made;
	int dir = open_dir(project->dir, &made), err;

	if (dir < 0)
		return VM_STATUS_HOST;
	err = write_files(dir, project);
	close(dir);
	if (err && made)
		rmdir(project->dir);
	if (err)
		return VM_STATUS_HOST;
	tell_next(project);
	return 0;
}

static const struct argp_option options[] = {
	{"name", 'n', "NAME", 0, "the project's name (default: the directory's)", 0},
	{"language", 'l', "LANGUAGE", 0, "c (default), c++ or rust", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct project *project = state->input;

	switch (key) {
	case 'n':
		project->name = arg;
		return 0;
	case 'l':
		for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++)
			if (!strcmp(arg, languages[i].name)) {
				project->language = &languages[i];
				return 0;
			}
		return refuse("'%s' is no language for --language: c, c++ or rust", arg);
	case ARGP_KEY_ARG:
		if (project->dir)
			return refuse("'%s' is one argument too many: name one directory", arg);
		project->dir = arg;
		return 0;
	case ARGP_KEY_END:
		return project->dir && *project->dir ? 0 : refuse("name the directory to make");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "DIR",
	.doc = "Makes a guest project in DIR: a kernel, its tests, a CMake build that finds the installed "
	       "guest library, VS Code's debugger, continuous integration.\vdocs/projects.md goes on from "
	       "there.",
};

static int cli_new(int argc, char **argv)
{
	struct project project = {.language = &languages[0]};
	char *own_name = NULL;
	int status = verb_parse(&argp, argc, argv, &project);

	if (status != VERB_GOES_ON)
		return status;
	if (!project.name)
		project.name = own_name = name_of(project.dir);
	if (!project.name || !name_is_good(project.name)) {
		refuse("'%s' is no good name: give --name with letters, digits, '-' and '_', a letter first, and no "
		       "word of CMake's such as 'test'",
		       project.name ? project.name : "");
		status = VM_STATUS_HOST;
	} else {
		status = make_project(&project);
	}
	free(own_name);
	return status;
}

const struct verb new_verb = {"new", cli_new, "make a guest project that builds by itself", &argp};
