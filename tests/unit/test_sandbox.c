// SPDX-License-Identifier: Apache-2.0
/* Tests what a sandbox refuses and what it leaves, in children that enter one. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/landlock.h>

#include <cmocka.h>

#include "lib/process.h"
#include "lib/sandbox.h"
#include "lib/util.h"

#define ROLES 3

/* The end of a child: its log and its status. */
struct end {
	char log[16384];
	int status;
};

/* Ends a child. Before a call of _exit(2) AddressSanitizer makes a system call that no role has. */
static void leave(int status)
{
	(void)syscall(SYS_exit_group, status);
}

/* In a child: reports the line of a check that fails, and ends. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)dprintf(STDERR_FILENO, "line %d: %s (errno %d)\n", __LINE__,         \
				      #condition, errno);                                          \
			leave(1);                                                                  \
		}                                                                                  \
	} while (0)

#define CHECK_FAILS(call, error) CHECK((errno = 0, (call)) < 0 && errno == (error))

/* Runs @act in a child, which has to end with @act's return or by a signal. */
static void run(void (*act)(const void *), const void *context, struct end *ret_end)
{
	size_t length = 0;
	ssize_t got;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(ends[1], STDERR_FILENO);
		act(context);
		leave(0);
	}
	(void)close(ends[1]);
	while ((got = read(ends[0], ret_end->log + length, sizeof(ret_end->log) - 1 - length)) > 0)
		length += (size_t)got;
	ret_end->log[length] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &ret_end->status, 0), pid);
}

static void run_well(void (*act)(const void *), const void *context, struct end *ret_end)
{
	run(act, context, ret_end);
	if (ret_end->status != 0)
		fail_msg("status %#x: %s", (unsigned int)ret_end->status, ret_end->log);
}

static bool have_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

static size_t count(const char *text, const char *part)
{
	size_t found = 0;

	for (; (text = strstr(text, part)) != NULL; text++)
		found++;
	return found;
}

/* Takes both. */
static void enter(enum sandbox_role role)
{
	const struct sandbox sandbox = {.role = role};

	sandbox_files(&sandbox);
	sandbox_calls(&sandbox);
}

/* Calls that no role has. Without the sandbox none fails with ENOSYS, or does harm here. */
static const long refused[] = {
	SYS_execve,
	SYS_execveat,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_unshare,
	SYS_setns,
	SYS_init_module,
	SYS_finit_module,
	SYS_keyctl,
	SYS_add_key,
	SYS_kill,
	SYS_pidfd_getfd,
	SYS_dup3,
	SYS_name_to_handle_at,
	SYS_open_by_handle_at,
	SYS_capset,
	SYS_setuid,
	SYS_setgid,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_fchmodat,
	SYS_renameat2,
	SYS_linkat,
	SYS_getdents64,
	SYS_seccomp,
	SYS_prlimit64,
	SYS_listen,
};

static void try_refused(const void *context)
{
	enum sandbox_role role = *(const enum sandbox_role *)context;
	union bpf_attr attributes = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER};
	size_t i;

	enter(role);
	for (i = 0; i < ARRAY_SIZE(refused); i++)
		CHECK_FAILS(syscall(refused[i], -1, 0, 0, 0, 0, 0), ENOSYS);
	CHECK_FAILS(fork(), ENOSYS);
	CHECK_FAILS(socket(AF_PACKET, SOCK_RAW, 0), ENOSYS);
	CHECK_FAILS(socket(AF_ALG, SOCK_SEQPACKET, 0), ENOSYS);
	CHECK_FAILS(syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes)), ENOSYS);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		      MAP_FAILED &&
	      errno == ENOSYS);
}

static void test_each_role_refuses_what_it_does_not_need(void **state)
{
	struct end end;
	int role;

	(void)state;
	for (role = 0; role < ROLES; role++) {
		run_well(try_refused, &role, &end);
		assert_int_equal(count(end.log,
				       "sidestep: error: the sandbox refuses system call "),
				 ARRAY_SIZE(refused) + 3);
	}
}

static void try_twice(const void *context)
{
	char name[] = "true", *arguments[] = {name, NULL};

	(void)context;
	(void)pthread_setname_np(pthread_self(), "tester");
	enter(SANDBOX_SIDECAR);
	CHECK_FAILS(execve("/bin/true", arguments, NULL), ENOSYS);
	CHECK_FAILS(execve("/bin/true", arguments, NULL), ENOSYS);
	CHECK_FAILS(syscall(100000), ENOSYS);
}

static void test_a_line_names_call_and_thread_once(void **state)
{
	char expected[128];
	struct end end;

	(void)state;
	run_well(try_twice, NULL, &end);
	(void)snprintf(expected, sizeof(expected), "refuses system call %d (execve) to thread ",
		       SYS_execve);
	assert_int_equal(count(end.log, expected), 1);
	assert_int_equal(count(end.log, "refuses system call 100000 (unknown) to thread "), 1);
	assert_int_equal(count(end.log, " (tester): "), 2);
	assert_int_equal(count(end.log, "\n"), 2);
}

static void use_memory(const void *context)
{
	char *memory = malloc(1 << 20);

	(void)context;
	enter(SANDBOX_DOCKER);
	CHECK(memory);
	memory = realloc(memory, 1 << 24);
	CHECK(memory);
	memset(memory, 1, 1 << 24);
	free(memory);
	CHECK(kill(getpid(), 0) < 0);
	CHECK(syscall(SYS_tgkill, getpid(), gettid(), 0) == 0);
}

static void *start_nothing(void *context)
{
	return context;
}

static void start_thread(const void *context)
{
	pthread_t thread;

	(void)context;
	enter(SANDBOX_SIDECAR);
	CHECK(pthread_create(&thread, NULL, start_nothing, NULL) != 0);
}

static void test_a_thread_cannot_be_started(void **state)
{
	struct end end;

	(void)state;
	run_well(start_thread, NULL, &end);
	assert_string_equal(end.log, "");
}

static void test_memory_is_left(void **state)
{
	struct end end;

	(void)state;
	run_well(use_memory, NULL, &end);
	assert_int_equal(count(end.log, "\n"), 1);
}

static void take_reserve(const void *context)
{
	enter(*(const enum sandbox_role *)context);
	CHECK(eventfd(0, EFD_CLOEXEC) >= 0);
}

/* An acceptor closes its reserve and takes it again. */
static void test_an_acceptor_takes_its_reserve_again(void **state)
{
	static const enum sandbox_role roles[] = {SANDBOX_SIDECAR, SANDBOX_GATEWAY,
						  SANDBOX_EXPORTER};
	struct end end;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		run_well(take_reserve, &roles[i], &end);
		assert_string_equal(end.log, "");
	}
}

/* As abort(3) does. */
static void raise_abort(const void *context)
{
	(void)context;
	enter(SANDBOX_SIDECAR);
	(void)raise(SIGABRT);
}

static void test_the_process_can_still_abort(void **state)
{
	struct end end;

	(void)state;
	run(raise_abort, NULL, &end);
	assert_true(WIFSIGNALED(end.status));
	assert_int_equal(WTERMSIG(end.status), SIGABRT);
	assert_string_equal(end.log, "");
}

struct thread {
	pthread_t thread;
	sem_t go, done, never;
	long result;
	int error;
};

static void *call(void *context)
{
	struct thread *thread = context;

	(void)sem_post(&thread->done);
	while (sem_wait(&thread->go) < 0)
		;
	thread->result = kill(getpid(), 0);
	thread->error = errno;
	(void)sem_post(&thread->done);
	/* At a thread's start and end AddressSanitizer makes system calls, too. */
	for (;;)
		(void)sem_wait(&thread->never);
	return NULL;
}

/* @context: enum sandbox_role. Starts a thread, enters the sandbox, and has the thread call. */
static void call_in_thread(const void *context)
{
	const struct sandbox sandbox = {.role = *(const enum sandbox_role *)context};
	struct thread thread = {.result = 1};

	CHECK(sem_init(&thread.go, 0, 0) == 0 && sem_init(&thread.done, 0, 0) == 0 &&
	      sem_init(&thread.never, 0, 0) == 0);
	CHECK(process_start_thread(&thread.thread, call, &thread) == 0);
	CHECK(sem_wait(&thread.done) == 0);
	sandbox_calls(&sandbox);
	CHECK(sem_post(&thread.go) == 0);
	CHECK(sem_wait(&thread.done) == 0);
	CHECK(thread.result < 0 && thread.error == ENOSYS);
	CHECK_FAILS(kill(getpid(), 0), ENOSYS);
}

static void test_all_threads_are_in_it(void **state)
{
	struct end end;
	int role;

	(void)state;
	for (role = 0; role < ROLES; role++) {
		run_well(call_in_thread, &role, &end);
		assert_int_equal(count(end.log, "(kill) to thread "), 1);
	}
}

static void be_signalled(const void *context)
{
	(void)context;
	enter(SANDBOX_SIDECAR);
	CHECK(syscall(SYS_tgkill, getpid(), gettid(), SIGSYS) == 0);
}

static void test_the_signal_alone_does_nothing(void **state)
{
	struct end end;

	(void)state;
	run_well(be_signalled, NULL, &end);
	assert_string_equal(end.log, "");
}

/* A folder "folder" with the files "a" and "b", and beside it the file "socket". */
struct tree {
	char top[64];
	char folder[80], a[96], b[96], socket[80];
};

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
}

static void tree_make(struct tree *tree)
{
	(void)snprintf(tree->top, sizeof(tree->top), "/tmp/test_sandbox.XXXXXX");
	assert_non_null(mkdtemp(tree->top));
	(void)snprintf(tree->folder, sizeof(tree->folder), "%s/folder", tree->top);
	(void)snprintf(tree->a, sizeof(tree->a), "%s/a", tree->folder);
	(void)snprintf(tree->b, sizeof(tree->b), "%s/b", tree->folder);
	(void)snprintf(tree->socket, sizeof(tree->socket), "%s/socket", tree->top);
	assert_int_equal(mkdir(tree->folder, 0700), 0);
	touch(tree->a);
	touch(tree->b);
	touch(tree->socket);
}

static void tree_remove(const struct tree *tree)
{
	(void)unlink(tree->a);
	(void)unlink(tree->b);
	(void)unlink(tree->socket);
	(void)rmdir(tree->folder);
	assert_int_equal(rmdir(tree->top), 0);
}

static void open_files(const void *context)
{
	const struct tree *tree = context;
	const struct sandbox sandbox = {.role = SANDBOX_SIDECAR};
	char value;
	int fd;

	sandbox_files(&sandbox);
	sandbox_calls(&sandbox);
	CHECK_FAILS(open("/etc/shadow", O_WRONLY | O_APPEND), EACCES);
	CHECK_FAILS(open("/etc/passwd", O_RDONLY), EACCES);
	CHECK_FAILS(open("/proc/self/environ", O_RDONLY), EACCES);
	CHECK_FAILS(open("/proc/sys/kernel/core_pattern", O_WRONLY), EACCES);
	CHECK_FAILS(open(tree->socket, O_WRONLY), EACCES);
	CHECK_FAILS(open("/tmp", O_TMPFILE | O_RDWR, 0600), EACCES);
	CHECK_FAILS(unlink(tree->socket), EACCES);
	CHECK_FAILS(unlink(tree->a), EACCES);
	CHECK_FAILS(open("/proc/sys/kernel/core_pattern", O_RDONLY), EACCES);
	fd = open("/proc/sys/net/ipv4/conf/lo/rp_filter", O_RDWR);
	CHECK(fd >= 0 && read(fd, &value, 1) == 1 && dprintf(fd, "%c", value) == 1);
}

static void test_a_sidecar_has_the_settings_of_devices_and_no_other_file(void **state)
{
	struct tree tree;
	struct end end;

	(void)state;
	if (!have_landlock())
		skip();
	tree_make(&tree);
	run_well(open_files, &tree, &end);
	assert_string_equal(end.log, "");
	tree_remove(&tree);
}

static void remove_own(const void *context)
{
	const struct tree *tree = context;
	const struct sandbox sandbox = {.role = SANDBOX_SIDECAR, .folder = tree->folder};

	sandbox_files(&sandbox);
	sandbox_calls(&sandbox);
	CHECK_FAILS(open(tree->a, O_RDONLY), EACCES);
	CHECK_FAILS(unlink(tree->socket), EACCES);
	CHECK(unlink(tree->a) == 0 && unlink(tree->b) == 0);
	CHECK(rmdir(tree->folder) == 0);
}

static void remove_socket(const void *context)
{
	const struct tree *tree = context;
	const struct sandbox sandbox = {.role = SANDBOX_GATEWAY, .sockets = {tree->socket}};

	sandbox_files(&sandbox);
	sandbox_calls(&sandbox);
	CHECK(unlink(tree->socket) == 0);
	CHECK_FAILS(rmdir(tree->folder), EACCES);
}

static void test_own_files_can_be_removed(void **state)
{
	struct tree tree;
	struct end end;

	(void)state;
	if (!have_landlock())
		skip();
	tree_make(&tree);
	run_well(remove_socket, &tree, &end);
	tree_remove(&tree);
	tree_make(&tree);
	run_well(remove_own, &tree, &end);
	tree_remove(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_role_refuses_what_it_does_not_need),
		cmocka_unit_test(test_a_line_names_call_and_thread_once),
		cmocka_unit_test(test_a_thread_cannot_be_started),
		cmocka_unit_test(test_memory_is_left),
		cmocka_unit_test(test_an_acceptor_takes_its_reserve_again),
		cmocka_unit_test(test_the_process_can_still_abort),
		cmocka_unit_test(test_all_threads_are_in_it),
		cmocka_unit_test(test_the_signal_alone_does_nothing),
		cmocka_unit_test(test_a_sidecar_has_the_settings_of_devices_and_no_other_file),
		cmocka_unit_test(test_own_files_can_be_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
