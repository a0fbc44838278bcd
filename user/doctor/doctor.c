// SPDX-License-Identifier: Apache-2.0
#include "doctor/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/openat2.h>

#include "lib/escape.h"
#include "lib/log.h"
#include "lib/util.h"
#include "net/netlink_link.h"

/* Bytes of a finding's text, or of its remedy. */
#define TEXT_MAX 1024

static void print(const struct finding *finding, const char *place, const char *text,
		  const char *remedy)
{
	(void)printf("%-7s %s%s%s: %s [%s]\n", finding_severity_name(finding->severity),
		     finding->subject, place[0] ? " in " : "", place, text, finding->id);
	if (finding->why)
		(void)printf("        why: %s\n", finding->why);
	if (remedy)
		(void)printf("        do:  %s\n", remedy);
}

/* The application chooses names of devices and programs, in any bytes. */
static void add(struct doctor *doctor, enum finding_id id, const char *remedy, const char *format,
		va_list arguments)
{
	const struct finding *finding = &findings[id];
	char raw[TEXT_MAX], text[TEXT_MAX], place[TEXT_MAX], advice[TEXT_MAX];

	(void)vsnprintf(raw, sizeof(raw), format, arguments);
	(void)escape_text(text, sizeof(text), raw);
	(void)escape_text(place, sizeof(place), doctor->place);
	if (remedy)
		remedy = escape_text(advice, sizeof(advice), remedy);
	doctor->failed |= finding->severity == FINDING_FAILED;
	if (doctor->prints)
		print(finding, place, text, remedy);
	(void)json_array_append_new(
		doctor->found,
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:s?}", "id", finding->id, "subject",
			  finding->subject, "severity", finding_severity_name(finding->severity),
			  "place", place, "message", text, "why", finding->why, "remedy", remedy));
}

void doctor_tell(struct doctor *doctor, enum finding_id id, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add(doctor, id, findings[id].remedy, format, arguments);
	va_end(arguments);
}

void doctor_advise(struct doctor *doctor, enum finding_id id, const char *remedy,
		   const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add(doctor, id, remedy, format, arguments);
	va_end(arguments);
}

void doctor_read_settings(const char *name, int *ret_first, int *ret_second)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[128], text[64];

	*ret_first = *ret_second = -1;
	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	file = fopen(path, "re");
	if (file && fgets(text, sizeof(text), file))
		(void)sscanf(text, "%d %d", ret_first, ret_second);
}

int doctor_read_setting(const char *name)
{
	int first, second;

	doctor_read_settings(name, &first, &second);
	return first;
}

static int add_link(void *context, const struct netlink_link *link)
{
	return array_append(context, link);
}

int doctor_read_links(struct array *links)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	int error = netlink_open(&netlink);

	return error < 0 ? error : netlink_dump_links(netlink, add_link, links);
}

/* The application's files may be links that it chose, and pipes. */
FILE *doctor_open_file(const struct doctor *doctor, const char *path)
{
	const struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int root = -1, fd = -1;
	char name[64] = "/";
	struct stat status;

	if (doctor->process)
		(void)snprintf(name, sizeof(name), "/proc/%d/root", (int)doctor->process);
	root = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return NULL;
	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return NULL;
	return fdopen(TAKE_FD(fd), "r");
}
