// SPDX-License-Identifier: Apache-2.0
/* Opens short connections without end. Each has a number, which the server logs as well. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "peer.h"

#define THREADS_MAX  64
#define ATTEMPTS_MAX 1000000 /* of all threads together, unless --count says less */

struct worker {
	pthread_t thread;
	const struct options *options;
	const struct sockaddr_storage *peer;
	unsigned int run; /* the same for all threads of a run */
	int index;
	long limit;
	int64_t deadline_us;
	long attempts, ok;
	int64_t slowest_us;
	struct tally failures;
	FILE *log; /* shared; NULL: none */
};

/* Connects, sends "flood RUN-THREAD-NUMBER\n", expects it back and closes. Returns 0 or -errno. */
static int attempt(const struct worker *worker, const char *id)
{
	long limit_ms = worker->options->attempt_ms > 0 ? worker->options->attempt_ms : 2000;
	int64_t deadline_us = now_us() + limit_ms * 1000;
	size_t have = 0, want = strlen(id);
	char answer[64];
	int fd = connect_start(worker->options, worker->peer);
	int error;

	if (fd < 0)
		return fd;
	error = connect_wait(fd, deadline_us);
	if (!error)
		error = send_all(fd, id, want, deadline_us);
	while (!error && have < want) {
		ssize_t got;

		error = wait_fd_late(fd, POLLIN, deadline_us);
		if (error)
			break;
		got = recv(fd, answer + have, want - have, 0);
		if (got > 0)
			have += (size_t)got;
		else if (got == 0)
			error = -ENODATA;
		else if (errno != EAGAIN)
			error = -errno;
	}
	if (!error && memcmp(answer, id, want) != 0)
		error = -EBADMSG;
	close(fd);
	return error;
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	const struct options *options = worker->options;

	while (!stop_requested && worker->attempts < worker->limit &&
	       now_us() < worker->deadline_us && !file_exists(options->until_file)) {
		int64_t start_us = now_us(), took_us;
		char id[64];
		int error;

		snprintf(id, sizeof(id), "flood %08x-%d-%ld\n", worker->run, worker->index,
			 worker->attempts);
		error = attempt(worker, id);
		/* Cut off by our own end: neither a success nor a failure. */
		if (error == -EINTR && stop_requested)
			break;
		worker->attempts++;
		took_us = now_us() - start_us;
		if (took_us > worker->slowest_us)
			worker->slowest_us = took_us;
		if (error) {
			tally_add(&worker->failures, error == -ENODATA ? "eof" : error_word(error));
			if (worker->log)
				fprintf(worker->log,
					"failed error=%s at_us=%lld took_us=%lld id=%s",
					error == -ENODATA ? "eof" : error_word(error),
					(long long)start_us, (long long)took_us, id);
		} else {
			worker->ok++;
		}
		if (options->pause_us > 0)
			usleep((useconds_t)options->pause_us);
	}
	return NULL;
}

/* Prints "ready run=.." at the start, then "run=.. attempts=N ok=N failed=N slowest_us=N reset=N
 * ...". Status 0 when at least one attempt was made and none failed. */
int command_flood(const struct options *options)
{
	static struct worker workers[THREADS_MAX];
	long threads = options->connections > 0 ? options->connections : 1;
	long attempts = 0, ok = 0;
	int64_t slowest_us = 0, deadline_us = deadline_from(options, options->seconds + 60);
	struct sockaddr_storage peer;
	struct tally failures = {0};
	FILE *log = NULL;
	unsigned int run = 0;
	const char *why;
	uint16_t port;

	if (options->arg_count != 2 || !port_parse(options->args[1], &port) ||
	    threads > THREADS_MAX ||
	    (!options->until_file && !options->seconds && !options->count) ||
	    resolve(options, options->args[0], port, deadline_us, &peer, &why) != 0)
		return 2;
	if (options->log && !(log = fopen(options->log, "ae")))
		return 1;
	if (options->seconds && now_us() + options->seconds * 1000000 < deadline_us)
		deadline_us = now_us() + options->seconds * 1000000;
	if (getrandom(&run, sizeof(run), 0) != sizeof(run))
		run = (unsigned int)getpid();
	printf("ready run=%08x\n", run);
	for (int i = 0; i < threads; i++) {
		workers[i] = (struct worker) {.options = options,
					      .peer = &peer,
					      .run = run,
					      .index = i,
					      .deadline_us = deadline_us,
					      .log = log};
		workers[i].limit = (options->count ? options->count : ATTEMPTS_MAX) / threads;
		if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) != 0)
			abort();
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		attempts += workers[i].attempts;
		ok += workers[i].ok;
		tally_merge(&failures, &workers[i].failures);
		if (workers[i].slowest_us > slowest_us)
			slowest_us = workers[i].slowest_us;
	}
	if (log)
		fclose(log);
	printf("run=%08x attempts=%ld ok=%ld failed=%ld slowest_us=%lld", run, attempts, ok,
	       attempts - ok, (long long)slowest_us);
	tally_print(&failures);
	putchar('\n');
	return !attempts || ok != attempts;
}
