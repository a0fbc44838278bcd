// SPDX-License-Identifier: Apache-2.0
#include "support/frame_change.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <linux/bpf.h>

#include <cmocka.h>

#include "lib/util.h"

#define ETHERTYPE_OFFSET 12

#define MOVE(to, from)                                                                             \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from)            \
	}
#define SET(to, value)                                                                             \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (to), .imm = (value)               \
	}
#define ADD(to, value)                                                                             \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (to), .imm = (value)               \
	}
#define CALL(helper)                                                                               \
	{                                                                                          \
		.code = BPF_JMP | BPF_CALL, .imm = (helper)                                        \
	}
#define EXIT                                                                                       \
	{                                                                                          \
		.code = BPF_JMP | BPF_EXIT                                                         \
	}
/* Stores 16 bits below the frame pointer. */
#define STORE16(at, value)                                                                         \
	{                                                                                          \
		.code = BPF_ST | BPF_MEM | BPF_H, .dst_reg = BPF_REG_10, .off = (at),              \
		.imm = (value)                                                                     \
	}
/* Loads a map's address in two instructions. */
#define LOAD_MAP(to, fd)                                                                           \
	{.code = BPF_LD | BPF_DW | BPF_IMM,                                                        \
	 .dst_reg = (to),                                                                          \
	 .src_reg = BPF_PSEUDO_MAP_FD,                                                             \
	 .imm = (fd)},                                                                             \
	{                                                                                          \
		0                                                                                  \
	}

/* Runs @program behind instructions that change the frame, which has its context in register 6. */
static int run_behind(const struct bpf_insn *change, size_t count, const char *program,
		      const struct frame *frame)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->bytes,
		    .data_size_in = (uint32_t)frame->size);
	int map = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "behind", 4, 4, 1, NULL);
	struct bpf_insn instructions[32] = {MOVE(BPF_REG_6, BPF_REG_1)};
	const struct bpf_insn end[] = {
		MOVE(BPF_REG_1, BPF_REG_6), LOAD_MAP(BPF_REG_2, map), SET(BPF_REG_3, 0),
		CALL(BPF_FUNC_tail_call),   SET(BPF_REG_0, -2),	      EXIT,
	};
	int zero = 0, behind = run_program_fd(program), fd;

	assert_true(map >= 0);
	memcpy(instructions + 1, change, count * sizeof(*change));
	memcpy(instructions + 1 + count, end, sizeof(end));
	fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "change", "Dual BSD/GPL", instructions,
			   1 + count + ARRAY_SIZE(end), NULL);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(map, &zero, &behind, BPF_ANY), 0);
	assert_int_equal(bpf_prog_test_run_opts(fd, &run), 0);
	close(fd);
	close(map);
	return (int)run.retval;
}

int run_lying(const char *program, const struct frame *frame, uint16_t protocol)
{
	/* The kernel derives the protocol from the frame, which gets its ethertype only then. */
	const struct bpf_insn change[] = {
		STORE16(-2, (int16_t)(frame->bytes[ETHERTYPE_OFFSET] |
				      frame->bytes[ETHERTYPE_OFFSET + 1] << 8)),
		MOVE(BPF_REG_1, BPF_REG_6),
		SET(BPF_REG_2, ETHERTYPE_OFFSET),
		MOVE(BPF_REG_3, BPF_REG_10),
		ADD(BPF_REG_3, -2),
		SET(BPF_REG_4, 2),
		SET(BPF_REG_5, 0),
		CALL(BPF_FUNC_skb_store_bytes),
	};
	struct frame lie = *frame;

	lie.bytes[ETHERTYPE_OFFSET] = (uint8_t)(protocol >> 8);
	lie.bytes[ETHERTYPE_OFFSET + 1] = (uint8_t)protocol;
	return run_behind(change, ARRAY_SIZE(change), program, &lie);
}

int run_tagged(const char *program, const struct frame *frame, uint16_t type, uint16_t tag)
{
	const struct bpf_insn change[] = {
		MOVE(BPF_REG_1, BPF_REG_6),
		SET(BPF_REG_2, htons(type)),
		SET(BPF_REG_3, tag),
		CALL(BPF_FUNC_skb_vlan_push),
	};

	return run_behind(change, ARRAY_SIZE(change), program, frame);
}
