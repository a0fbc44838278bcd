// SPDX-License-Identifier: Apache-2.0
#include "programs/programs_helpers.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>

#include "lib/log.h"
#include "lib/util.h"

/* Instructions (linux/bpf.h has no macros for whole ones). */
#define MOVE_NUMBER(register, number)                                                              \
	((struct bpf_insn) {                                                                       \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (register), .imm = (number)})
#define MOVE(register, from)                                                                       \
	((struct bpf_insn) {                                                                       \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (register), .src_reg = (from)})
#define ADD_NUMBER(register, number)                                                               \
	((struct bpf_insn) {                                                                       \
		.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (register), .imm = (number)})
#define CALL(helper) ((struct bpf_insn) {.code = BPF_JMP | BPF_CALL, .imm = (helper)})
#define EXIT	     ((struct bpf_insn) {.code = BPF_JMP | BPF_EXIT})

/* The helpers of bpf/process.h that TC programs do not have everywhere. */
static struct helper {
	const char *name;
	int number; /* BPF_FUNC_* */
	bool fills; /* a buffer, of 16 bytes; else its argument is the context, or it has none */
	bool missing;
} helpers[] = {
	/* Linux 6.10 */
	{"bpf_get_current_pid_tgid", BPF_FUNC_get_current_pid_tgid, false, false},
	/* Linux 6.16, with CAP_PERFMON */
	{"bpf_get_current_comm", BPF_FUNC_get_current_comm, true, false},
	/* Linux 6.16 */
	{"bpf_get_current_cgroup_id", BPF_FUNC_get_current_cgroup_id, false, false},
	/* CONFIG_SOCK_CGROUP_DATA */
	{"bpf_skb_cgroup_id", BPF_FUNC_skb_cgroup_id, false, false},
};

#define INSNS_MAX 32 /* of a trial */

/* Appends a call of @helper. Returns the new number of instructions. */
static size_t append_call(struct bpf_insn *insns, size_t count, const struct helper *helper)
{
	if (helper->fills) {
		insns[count++] = MOVE(BPF_REG_1, BPF_REG_10);
		insns[count++] = ADD_NUMBER(BPF_REG_1, -16);
		insns[count++] = MOVE_NUMBER(BPF_REG_2, 16);
	} else {
		insns[count++] = MOVE(BPF_REG_1, BPF_REG_6);
	}
	insns[count++] = CALL(helper->number);
	return count;
}

/* Does the kernel load a program that calls @tried of the helpers, from @first on? */
static bool kernel_takes(const struct helper *first, size_t tried)
{
	struct bpf_insn insns[INSNS_MAX];
	size_t count = 0, i;
	int fd;

	insns[count++] = MOVE(BPF_REG_6, BPF_REG_1);
	for (i = 0; i < tried; i++)
		count = append_call(insns, count, &first[i]);
	insns[count++] = MOVE_NUMBER(BPF_REG_0, 0);
	insns[count++] = EXIT;
	fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, NULL, "Dual BSD/GPL", insns, count, NULL);
	if (fd < 0)
		return false;
	(void)safe_close(fd);
	return true;
}

/* Most kernels take all of them, so one trial suffices. */
static void try_helpers(void)
{
	size_t i;

	if (kernel_takes(helpers, ARRAY_SIZE(helpers)))
		return;
	for (i = 0; i < ARRAY_SIZE(helpers); i++) {
		helpers[i].missing = !kernel_takes(&helpers[i], 1);
		if (helpers[i].missing)
			log_debug("TC programs cannot call %s here: events lack some of a flow's "
				  "process",
				  helpers[i].name);
	}
}

static const struct helper *find(const struct bpf_insn *insn)
{
	size_t i;

	if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg != 0)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(helpers); i++)
		if (helpers[i].number == insn->imm)
			return &helpers[i];
	return NULL;
}

/* Puts 0 in place of each call of a missing helper, whose buffer is zeroed already. */
static void replace(struct bpf_insn *insns, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		const struct helper *helper = find(&insns[i]);

		if (helper && helper->missing)
			insns[i] = MOVE_NUMBER(BPF_REG_0, 0);
	}
}

static bool all_there(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(helpers); i++)
		if (helpers[i].missing)
			return false;
	return true;
}

/* libbpf calls it with the program's final instructions, right before it loads them. */
static int before_load(struct bpf_program *program, struct bpf_prog_load_opts *options, long cookie)
{
	size_t count = bpf_program__insn_cnt(program);
	_cleanup_free_ struct bpf_insn *insns = NULL;

	(void)options;
	(void)cookie;
	if (all_there())
		return 0;
	insns = calloc(count, sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	memcpy(insns, bpf_program__insns(program), count * sizeof(*insns));
	replace(insns, count);
	return bpf_program__set_insns(program, insns, count);
}

static void prepare(void)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, options, .prog_prepare_load_fn = before_load);

	try_helpers();
	if (libbpf_register_prog_handler("tc", BPF_PROG_TYPE_SCHED_CLS, (enum bpf_attach_type)0,
					 &options) < 0)
		log_debug("libbpf takes no handler of ours");
}

void programs_helpers_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, prepare);
}
