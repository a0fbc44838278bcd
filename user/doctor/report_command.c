// SPDX-License-Identifier: Apache-2.0
/* `sidestep report`: packs what a bug report needs into one archive. */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "commands/status_read.h"
#include "docker/docker_about.h"
#include "doctor/doctor_options.h"
#include "doctor/doctor_place.h"
#include "doctor/report_archive.h"
#include "doctor/report_events.h"
#include "doctor/report_machine.h"
#include "doctor/report_maps.h"
#include "doctor/report_plan.h"
#include "lib/json.h"
#include "lib/util.h"

struct report_options {
	struct doctor_options doctor; /* first: they share a table */
	const char *log;
	const char *events;
};

static const struct option_entry entries[] = {
	DOCTOR_OPTION_ENTRIES,
	{.section = "Report",
	 .name = "log",
	 .argument = "FILE",
	 .type = OPTION_STRING,
	 .offset = offsetof(struct report_options, log),
	 .help = "A log to put in, such as docker logs writes it: its last MiB. By default that of "
		 "--container."},
	{.name = "events",
	 .argument = "DIR",
	 .type = OPTION_STRING,
	 .offset = offsetof(struct report_options, events),
	 .default_text = REPORT_EVENTS_FOLDER,
	 .help = "The folder with the sockets for events."},
};

static const struct option_example examples[] = {
	{"On the host, for a container and its sidecar:",
	 "sidestep report --container app-net --gateway 172.17.0.1:8080"},
	{"Look at it before it is sent:", "tar xf sidestep-report-*.tar"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "the report is written, whatever the doctor has found"},
	{STATUS_FAILED, "the report could not be written"},
	{STATUS_USAGE, "wrong command line"},
};

const struct options_command report_options_command = {
	.name = "sidestep report",
	.summary = "Packs what a bug report needs into one tar archive.",
	.arguments = "[FILE]",
	.description =
		"Collects the doctor's findings, the status, the network and its difference from "
		"the plan, dumps of maps, the last events, and facts about the kernel. Takes "
		"credentials, cookies, queries of URLs and private keys out of all texts. "
		"Addresses and names of hosts stay. README.txt in the archive tells what was left "
		"out. FILE is sidestep-report-TIME.tar by default, and only its owner may read "
		"it. Takes the doctor's options.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
	.maximum_arguments = 1,
};

static const char introduction[] =
	"A report of sidestep " SIDESTEP_VERSION ".\n\n"
	"doctor.json   the findings of sidestep doctor (docs/DOCTOR.md)\n"
	"status.json   what instances with pinned maps intercept, bypass and count\n"
	"plan.json     the network, and what of the plan the kernel lacks or has beside it\n"
	"kernel.txt    the kernel, its configuration, modules and settings\n"
	"maps/         dumps of pinned maps\n"
	"events/       the last events of each instance\n"
	"log.txt       the end of the log\n\n"
	"Replaced by [removed]: credentials and cookies, user and password of URLs, queries of\n"
	"URLs, values called password, token, secret or key, private keys.\n"
	"Never read: the files of applications, packets, the kernel's command line, environments\n"
	"other than the names of certificate files, the key of the CA.\n"
	"Not removed: addresses, ports and names of hosts, networks, containers and devices.\n";

/* Tells in README.txt what is missing, and why. */
struct left_out {
	char *text;
	size_t size;
	FILE *file;
};

static void leave_out(struct left_out *left_out, const char *name, const char *why)
{
	(void)fprintf(left_out->file, "Left out: %s: %s\n", name, why);
}

/* Reads the instances of each folder below @root. Returns 0 or a negative errno. */
static int read_instances(const char *root, json_t *status)
{
	_cleanup_closedir_ DIR *directory = opendir(root);
	const struct dirent *entry;
	char path[4096];
	int error = 0;

	while (directory && (entry = readdir(directory))) {
		(void)snprintf(path, sizeof(path), "%.2000s/%s", root, entry->d_name);
		if (entry->d_name[0] != '.' && status_read_directory(path, status) < 0)
			error = -EIO;
	}
	return error;
}

/* Adds the log that was given, or the container's. */
static void add_log(struct report_archive *archive, const struct report_options *options,
		    struct left_out *left_out)
{
	const struct doctor_options *doctor = &options->doctor;
	char reason[DOCKER_REASON_MAX] = "the engine's socket cannot be used";
	_cleanup_free_ char *text = NULL;
	struct docker_engine engine;
	size_t size;
	int error;

	if (options->log) {
		error = report_log(archive, options->log, "log.txt");
		if (error < 0)
			leave_out(left_out, "log.txt", strerror(-error));
	} else if (!doctor->container) {
		leave_out(left_out, "log.txt", "no --log was given");
	} else if (docker_engine_init(&engine, doctor->sidecar.docker_socket) < 0 ||
		   docker_about_log(&engine, doctor->container, &text, &size, reason) < 0) {
		leave_out(left_out, "log.txt", reason);
	} else {
		report_archive_text(archive, "log.txt", text ? text : "", text ? size : 0);
	}
}

/* The doctor comes first, and leaves the thread in the network namespace that it checked. */
static int collect(struct report_archive *archive, const struct report_options *options,
		   struct left_out *left_out)
{
	_cleanup_free_ char *copy = strdup(options->doctor.sidecar.pin);
	const char *root = copy ? dirname(copy) : "";
	json_t *status = json_array(), *findings, *plan;

	findings = doctor_examine(&options->doctor, false);
	if (!findings) {
		json_decref(status);
		return -EINVAL;
	}
	report_archive_json(archive, "doctor.json", findings);
	if (read_instances(root, status) < 0)
		leave_out(left_out, "part of status.json",
			  "some maps could not be read; the report needs root");
	plan = report_plan(status);
	if (plan)
		report_archive_json(archive, "plan.json", plan);
	else
		leave_out(left_out, "plan.json", "the network could not be read");
	if (json_array_size(status) == 0)
		leave_out(left_out, "maps/", "no maps are pinned (sidestep sidecar --pin DIR)");
	report_archive_json(archive, "status.json", status);
	report_maps(archive, root);
	report_machine(archive);
	if (report_events(archive, options->events) == 0)
		leave_out(left_out, "events/", "no instance answers in that folder");
	add_log(archive, options, left_out);
	return 0;
}

static int write_report(const char *path, const struct report_options *options)
{
	struct left_out left_out = {.text = NULL};
	struct report_archive *archive;
	int error = report_archive_open(path, &archive), closed;

	if (error < 0)
		return error;
	left_out.file = open_memstream(&left_out.text, &left_out.size);
	error = left_out.file ? 0 : -ENOMEM;
	if (error == 0) {
		(void)fprintf(left_out.file, "%s\n", introduction);
		error = collect(archive, options, &left_out);
		if (fclose(left_out.file) == 0)
			report_archive_text(archive, "README.txt", left_out.text, left_out.size);
		free(left_out.text);
	}
	closed = report_archive_close(archive);
	return error < 0 ? error : closed;
}

int command_report(int argc, char **argv)
{
	struct report_options options = {.log = NULL};
	char name[64] = "sidestep-report.tar";
	const char *path = name;
	time_t now = time(NULL);
	int first, error;
	struct tm broken;

	error = options_parse(&report_options_command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	if (gmtime_r(&now, &broken))
		(void)strftime(name, sizeof(name), "sidestep-report-%Y%m%d-%H%M%S.tar", &broken);
	if (first < argc)
		path = argv[first];
	error = write_report(path, &options);
	options_release(&report_options_command, &options);
	if (error == 0)
		(void)printf("%s is written. Look through it before you send it on.\n", path);
	return error == -EINVAL ? STATUS_USAGE : error < 0 ? STATUS_FAILED : STATUS_OK;
}
