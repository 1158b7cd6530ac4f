/*
 * Cells that are made of the nursery: children of this process like the others, which obey their mapper's orders; and
 * others when the nursery is killed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/engine/confine/process.h"
#include "monitor/engine/trap/cell.h"
#include "monitor/engine/trap/placement.h"

#define RAM_SIZE 0x100000
#define CELLS	 12

static void *no_frame(void *ctx, uint64_t gpa)
{
	return NULL;
}

static const struct spt_ops ops = {.frame = no_frame};
static const struct spt_config config = {.ram_size = RAM_SIZE, .physical_bits = 40};

static struct cells cells;
static struct placement placement;
static struct spt *spt;
static int ram;

static int up_with(int sites)
{
	ram = memfd_create("ram", MFD_CLOEXEC);
	spt = spt_create(&config, &ops, NULL);
	sites_init(&cells.sites, false, NULL);
	cells.sites.fd = sites;
	if (ram < 0 || ftruncate(ram, RAM_SIZE) || !spt || cells_init(&cells, &placement, ram, false))
		return -1;
	return placement_init(&placement, 1);
}

static int up(void **state)
{
	return up_with(-1);
}

/* As where the host has protection keys. */
static int up_with_sites(void **state)
{
	int sites = memfd_create("sites", MFD_CLOEXEC);

	return sites < 0 || ftruncate(sites, SITES_SLOTS * 2 * X86_PAGE_SIZE) ? -1 : up_with(sites);
}

static int down(void **state)
{
	cells_exit(&cells);
	placement_exit(&placement);
	spt_destroy(spt);
	close(ram);
	/* Nobody is left, not even as a zombie. */
	return waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD ? 0 : -1;
}

static struct cell *make(unsigned n)
{
	const struct spt_cpu cpu = {.cr3 = (uint64_t)n << X86_PAGE_SHIFT};
	struct spt_space *space = spt_space_get(spt, &cpu, n % 2 ? SPT_USER : SPT_KERNEL);

	assert_non_null(space);
	struct cell *cell = cell_take(&cells, space);
	*spt_space_owner(space) = cell;
	return cell;
}

/* Lists that the host would walk when a task ends, in memory that is the guest's by then. */
static void has_no_list(pid_t task)
{
	void *head = &head;
	size_t len;

	assert_int_equal(syscall(SYS_get_robust_list, task, &head, &len), 0);
	assert_null(head);
}

/* The host's word: this process is its parent, its two tasks are there, and have no lists of its own. */
static void look_at(const struct cell *cell)
{
	char path[64], state;
	int parent = 0, group = 0, tasks = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", cell->pid);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file,
				"%*d (%*[^)]) %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d",
				&state, &parent, &group, &tasks),
			 4);
	fclose(file);
	assert_int_equal(parent, getpid());
	assert_int_equal(group, cell->pid);
	assert_int_equal(tasks, 2);
	has_no_list(cell->pid);
	has_no_list(cell->runner);
}

static unsigned descriptors_of(const struct cell *cell)
{
	unsigned count = 0;
	char path[64];

	for (int fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", cell->pid, fd);
		count += !access(path, F_OK);
	}
	return count;
}

/* Its mapper maps what is RAM, says so, and tells a refusal. */
static void order(struct cell *cell)
{
	const uint64_t at = 0x10000000, flags = MAP_SHARED | MAP_FIXED;
	const struct gate_op map = {SYS_mmap, {at, X86_PAGE_SIZE, PROT_READ, flags, (uint64_t)ram, 0}};
	const struct gate_op odd = {SYS_munmap, {at + 1, X86_PAGE_SIZE}};

	assert_int_equal(cell_queue(cell, &map), 0);
	assert_int_equal(cell_flush(cell), 0);
	assert_int_equal(cell_queue(cell, &odd), 0);
	assert_int_equal(cell_flush(cell), -EINVAL);
	assert_int_equal(cell_empty(cell), 0);
}

static void cells_of_the_nursery_are_as_others(void **state)
{
	for (unsigned n = 1; n <= CELLS; n++) {
		struct cell *cell = make(n);

		assert_non_null(cell);
		look_at(cell);
		assert_int_equal(descriptors_of(cell), 2);
		order(cell);
	}
	assert_true(cells.nursery.pid > 0);
	assert_int_equal(cells.count, CELLS);
}

static void a_nursery_that_is_killed_is_done_without(void **state)
{
	pid_t first;

	for (unsigned n = 1; n <= CELLS; n++)
		assert_non_null(make(n));
	first = cells.nursery.pid;
	assert_int_equal(kill(first, SIGKILL), 0);
	for (unsigned n = CELLS + 1; n <= 2 * CELLS; n++) {
		struct cell *cell = make(n);

		assert_non_null(cell);
		look_at(cell);
		order(cell);
	}
	assert_true(cells.nursery.pid > 0 && cells.nursery.pid != first);
}

/* A page that goes to another frame is one call of the host, and a page beside it is not forgotten. */
static void what_is_mapped_over_is_not_unmapped(void **state)
{
	const uint64_t at = 0x10000000, flags = MAP_SHARED | MAP_FIXED;
	const struct gate_op map = {SYS_mmap, {at, X86_PAGE_SIZE, PROT_READ, flags, (uint64_t)ram, 0}};
	const struct gate_op unmap = {SYS_munmap, {at, X86_PAGE_SIZE}}, wider = {SYS_munmap, {at, 2 * X86_PAGE_SIZE}};
	struct cell *cell = make(1);

	assert_int_equal(cell_queue(cell, &unmap), 0);
	assert_int_equal(cell_queue(cell, &map), 0);
	assert_int_equal(cell->queued, 1);
	assert_int_equal(cell->order->ops[0].nr, SYS_mmap);
	assert_int_equal(cell_flush(cell), 0);
	assert_int_equal(cell_queue(cell, &wider), 0);
	assert_int_equal(cell_queue(cell, &map), 0);
	assert_int_equal(cell->queued, 2);
	assert_int_equal(cell_flush(cell), 0);
}

/* Each order waits for an answer; of a dead cell it ends. */
static void a_cell_that_is_killed_answers_no_order(void **state)
{
	const struct gate_op op = {SYS_munmap, {0x10000000, X86_PAGE_SIZE}};
	struct cell *cell = make(1);

	assert_int_equal(kill(cell->pid, SIGKILL), 0);
	assert_int_equal(cell_queue(cell, &op), 0);
	assert_int_equal(cell_flush(cell), -ESRCH);
	assert_true(cell->dead);
}

/* Whether the mapper carries the order out, or refuses it and lives: else the host has ended its cell. */
static bool may_map(unsigned n, int prot, int flags, int fd)
{
	const struct gate_op op = {SYS_mmap,
				   {0x10000000, X86_PAGE_SIZE, (uint64_t)prot, (uint64_t)flags, (uint32_t)fd, 0}};
	struct cell *cell = make(n);

	assert_non_null(cell);
	assert_int_equal(cell_queue(cell, &op), 0);
	int error = cell_flush(cell);
	assert_true(!error || error == -ESRCH);
	assert_int_equal(cell->dead, error == -ESRCH);
	return !error;
}

static void may_map_nothing_else(unsigned first, int fd)
{
	const int file = MAP_SHARED | MAP_FIXED, anonymous = file | MAP_ANONYMOUS, all = PROT_READ | PROT_WRITE;

	for (unsigned n = first; n < first + CELLS; n += 6) { /* of the monitor's own, and of the nursery's */
		assert_true(may_map(n, all, file, ram));
		assert_false(may_map(n + 1, all, MAP_SHARED, ram));
		assert_false(may_map(n + 2, all, MAP_PRIVATE | MAP_FIXED, ram));
		assert_false(may_map(n + 3, PROT_EXEC, anonymous, ram));
		assert_false(may_map(n + 4, PROT_EXEC, anonymous, fd));
		assert_false(may_map(n + 5, PROT_EXEC, file, cells.answers_fd));
	}
}

static void a_mapper_maps_guest_ram_alone(void **state)
{
	may_map_nothing_else(1, -1);
}

/* Copies of pages are executed, and nothing else. */
static void a_mapper_shows_copies_to_be_executed(void **state)
{
	const int file = MAP_SHARED | MAP_FIXED;

	assert_true(may_map(1, PROT_EXEC, file, cells.sites.fd));
	assert_false(may_map(2, PROT_READ | PROT_EXEC, file, cells.sites.fd));
	assert_false(may_map(3, PROT_READ, file, cells.sites.fd));
	may_map_nothing_else(4, cells.sites.fd);
}

/* What is taken from a cell of user mode is owed until it is gone; what is given to it, or taken from the kernel, is
 * not. */
static void what_is_taken_from_user_mode_is_owed(void **state)
{
	const uint64_t at = 0x10000000, flags = MAP_SHARED | MAP_FIXED;
	const struct gate_op map = {SYS_mmap, {at, X86_PAGE_SIZE, PROT_READ, flags, (uint64_t)ram, 0}},
			     unmap = {SYS_munmap, {at, X86_PAGE_SIZE}},
			     protect = {SYS_mprotect, {at, X86_PAGE_SIZE, PROT_READ}};
	struct cell *user = make(1), *kernel = make(2);

	assert_int_equal(cell_queue(user, &map), 0);
	assert_int_equal(cell_queue(kernel, &unmap), 0);
	assert_null(cells.owing);
	assert_int_equal(cell_queue(user, &protect), 0);
	assert_int_equal(cell_queue(user, &unmap), 0);
	assert_ptr_equal(cells.owing, user);
	assert_null(user->owing);
	assert_int_equal(cell_flush(user), 0);
	assert_null(cells.owing);
	assert_int_equal(cell_queue(user, &unmap), 0);
	cell_destroy(user);
	assert_null(cells.owing);
}

/* A copy that another cell's page is made of next. */
static void a_copy_that_gives_way_is_owed(void **state)
{
	const uint64_t page = 0x10000000;
	struct sites_slot *slot = &cells.sites.slot[0];
	struct cell *cell = make(1);
	uint64_t undone = 0;

	cells.sites.undone = &undone;
	*slot = (struct sites_slot){.gva = page, .entries = page + (1 << 20), .cells = 1};
	cell->sites.slot[cell->sites.count++] = 0;
	cells.sites.shown = 1;
	assert_int_equal(sites_give_way(cell, page, X86_PAGE_SIZE, true), 0);
	assert_int_equal(undone, 1);
	assert_int_equal(slot->cells, 0);
	assert_ptr_equal(cells.owing, cell);
	assert_int_equal(cell_flush(cell), 0);
	assert_null(cells.owing);
}

static pid_t monitor; /* no child has it: to look for it there ends it just as well */

static void end_a_child(int signal)
{
	if (getpid() != monitor)
		_exit(1);
}

static void take_signals(const void *arg)
{
	confine_block(0);
	for (const int *signal = arg; *signal; signal++)
		kill(getpid(), *signal);
	_exit(0);
}

/* The terminal's may come before the child has a process group of its own. */
static void a_handler_of_the_monitors_runs_in_no_child(void **state)
{
	static const int signals[] = {SIGWINCH, SIGINT, SIGTERM, SIGCHLD, SIGALRM, SIGUSR1, 0};
	struct sigaction action = {.sa_handler = end_a_child}, before[sizeof(signals) / sizeof(signals[0])];
	int status;

	monitor = getpid();
	for (unsigned n = 0; signals[n]; n++)
		sigaction(signals[n], &action, &before[n]);
	pid_t pid = confine_fork(take_signals, signals);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (unsigned n = 0; signals[n]; n++)
		sigaction(signals[n], &before[n], NULL);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handler_of_the_monitors_runs_in_no_child),
		cmocka_unit_test_setup_teardown(cells_of_the_nursery_are_as_others, up, down),
		cmocka_unit_test_setup_teardown(a_nursery_that_is_killed_is_done_without, up, down),
		cmocka_unit_test_setup_teardown(what_is_mapped_over_is_not_unmapped, up, down),
		cmocka_unit_test_setup_teardown(a_cell_that_is_killed_answers_no_order, up, down),
		cmocka_unit_test_setup_teardown(a_mapper_maps_guest_ram_alone, up, down),
		cmocka_unit_test_setup_teardown(what_is_taken_from_user_mode_is_owed, up, down),
		cmocka_unit_test_setup_teardown(a_copy_that_gives_way_is_owed, up_with_sites, down),
		cmocka_unit_test_setup_teardown(a_mapper_shows_copies_to_be_executed, up_with_sites, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
