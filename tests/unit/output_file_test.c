/*
 * Output files: links of others, modes, and files that are not to be written to.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/host/output_file.h"

static char directory[] = "/tmp/ring3-output.XXXXXX", path[64], target[64];

static int write_file(int (*open_it)(struct output_file *file, const char *path))
{
	struct output_file file;
	int err = open_it(&file, path);

	return err ? err : output_finish(&file, output_write(&file, "new", 3));
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	return stat(name, &st) ? 0 : st.st_mode & 07777;
}

static off_t size_of(const char *name)
{
	struct stat st;

	return stat(name, &st) ? -1 : st.st_size;
}

static void make(const char *name, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "old text", 8), 8);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void test_links(void **state)
{
	make(target, 0600);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(output_check(path), -ELOOP);
	assert_int_equal(write_file(output_open), -ELOOP);
	assert_int_equal(output_stream(path), -ELOOP);
	assert_int_equal(size_of(target), 8);
}

/* Everybody can write there. */
static void test_shared_memory(void **state)
{
	char link[64];

	make(target, 0600);
	snprintf(link, sizeof(link), "/dev/shm/ring3-output.%d", (int)getpid());
	assert_int_equal(symlink(target, link), 0);
	int refused = output_check(link), streamed = output_stream(link);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(refused, -ELOOP);
	assert_int_equal(streamed, -ELOOP);
	assert_int_equal(size_of(target), 8);
}

/* Nothing is at the link's end: it must not come to be there either. */
static void test_dangling_links(void **state)
{
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(write_file(output_open), -ELOOP);
	assert_int_equal(output_stream(path), -ELOOP);
	assert_int_equal(size_of(target), -1);
}

static void test_modes(void **state)
{
	umask(022);
	assert_int_equal(write_file(output_open), 0);
	assert_int_equal(mode_of(path), 0644);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(write_file(output_open), 0);
	assert_int_equal(mode_of(path), 0640);
}

static void test_memory_is_private(void **state)
{
	umask(0);
	assert_int_equal(write_file(output_open_private), 0);
	assert_int_equal(mode_of(path), 0600);
	/* Who made it readable knows why. */
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(write_file(output_open_private), 0);
	assert_int_equal(mode_of(path), 0644);
	umask(022);
}

static void test_protected(void **state)
{
	make(target, 0644);
	output_protect(target);
	assert_int_equal(link(target, path), 0);
	assert_int_equal(output_check(path), -EEXIST);
	assert_int_equal(write_file(output_open), -EEXIST);
	assert_int_equal(output_stream(path), -EEXIST);
	assert_int_equal(size_of(target), 8);
}

static void test_stream(void **state)
{
	int fd;

	make(path, 0640);
	fd = output_stream(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(size_of(path), 0);
	assert_int_equal(mode_of(path), 0640);
}

static void test_devices(void **state)
{
	struct output_file file;

	assert_int_equal(output_open(&file, "/dev/null"), 0);
	assert_null(file.temporary);
	assert_int_equal(output_finish(&file, 0), 0);
	assert_int_equal(output_open(&file, "/dev/stderr"), 0);
	assert_int_equal(output_finish(&file, 0), 0);
}

static int up(void **state)
{
	strcpy(directory + sizeof(directory) - 7, "XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/path", directory);
	snprintf(target, sizeof(target), "%s/target", directory);
	return 0;
}

static int down(void **state)
{
	unlink(path);
	unlink(target);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_links, up, down),
		cmocka_unit_test_setup_teardown(test_dangling_links, up, down),
		cmocka_unit_test_setup_teardown(test_shared_memory, up, down),
		cmocka_unit_test_setup_teardown(test_modes, up, down),
		cmocka_unit_test_setup_teardown(test_memory_is_private, up, down),
		cmocka_unit_test_setup_teardown(test_protected, up, down),
		cmocka_unit_test_setup_teardown(test_stream, up, down),
		cmocka_unit_test_setup_teardown(test_devices, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
