// SPDX-License-Identifier: Apache-2.0
#include "lib/sandbox_trap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/util.h"

/* include/uapi/asm-generic/siginfo.h */
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

/* The Makefile makes the list from <asm/unistd.h>. */
static const char *const names[] = {
#include "lib/system_calls.h"
};

/* A line is logged for the first call of each number, so that a loop does not fill the log. The
 * last element is for all greater numbers. */
static atomic_flag logged[ARRAY_SIZE(names) + 1];

/* A number as text. The functions of stdio(3) are not safe in a handler. */
struct digits {
	char text[16];
};

static const char *format(unsigned int number, struct digits *digits)
{
	char *at = digits->text + sizeof(digits->text) - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return at;
}

static void write_line(const char *const *parts, size_t count)
{
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[512];
	size_t length = 0, i;

	for (i = 0; i < count; i++) {
		const char *part = parts[i];

		while (*part && length < sizeof(line))
			line[length++] = *part++;
	}
	/* As in log.c the line is lost where nobody reads. log.c itself is not safe in a handler.
	 */
	if (poll(&room, 1, 0) > 0)
		(void)!write(STDERR_FILENO, line, length);
}

static void report(unsigned int number)
{
	static const char advice[] =
		"): a library needs it by now, or foreign code runs in this process. Report it; "
		"further such calls are not logged\n";
	const char *name = number < ARRAY_SIZE(names) && names[number] ? names[number] : "unknown";
	struct digits call, id;
	char thread[16] = "";
	const char *const parts[] = {
		"sidestep: error: the sandbox refuses system call ",
		format(number, &call),
		" (",
		name,
		") to thread ",
		format((unsigned int)syscall(SYS_gettid), &id),
		" (",
		thread,
		advice,
	};

	(void)prctl(PR_GET_NAME, thread);
	write_line(parts, ARRAY_SIZE(parts));
}

static void set_result(ucontext_t *context, long result)
{
#if defined(__x86_64__)
	context->uc_mcontext.gregs[REG_RAX] = result;
#elif defined(__aarch64__)
	context->uc_mcontext.regs[0] = (unsigned long long)result;
#else
	_Static_assert(0, "which register has the result of a system call?");
#endif
}

static void trapped(int signal, siginfo_t *info, void *context)
{
	unsigned int number = (unsigned int)info->si_syscall;
	int saved = errno;

	(void)signal;
	/* Another process has sent it. */
	if (info->si_code != SYS_SECCOMP)
		return;
	if (!atomic_flag_test_and_set(
		    &logged[number < ARRAY_SIZE(names) ? number : ARRAY_SIZE(names)]))
		report(number);
	set_result(context, -ENOSYS);
	errno = saved;
}

int sandbox_trap_open(void)
{
	struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_RESTART};

	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}
