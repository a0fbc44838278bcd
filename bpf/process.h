/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reads which process sends a packet, as the kernel knows it. Where a helper is missing, the loader
 * puts a constant in place of its call (user/programs/programs_helpers.h).
 */
#ifndef SIDESTEP_PROCESS_H
#define SIDESTEP_PROCESS_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include <sidestep.h>

#ifdef SIDESTEP_SHARED
/* Linux, include/linux/sched.h: a thread of the kernel */
#define PF_KTHREAD 0x00200000

/* These are kernel types, found in BTF and relocated at load (CO-RE). */
struct kernfs_node {
	__u64 id;
} __attribute__((preserve_access_index));

struct cgroup {
	struct kernfs_node *kn;
} __attribute__((preserve_access_index));

struct css_set {
	struct cgroup *dfl_cgrp;
} __attribute__((preserve_access_index));

struct task_struct {
	unsigned int flags;
	int tgid;
	struct task_struct *group_leader;
	__u64 start_boottime;
	char comm[16];
	struct css_set *cgroups;
} __attribute__((preserve_access_index));

/* Reads the process that runs. Returns 0 if the kernel itself does. */
static __always_inline int process_current(struct sidestep_process *process)
{
	const struct task_struct *task = bpf_get_current_task_btf(), *leader;

	if (task->flags & PF_KTHREAD)
		return 0;
	if (process->cgroup && task->cgroups->dfl_cgrp->kn->id != process->cgroup)
		return 0;
	leader = task->group_leader;
	process->pid = (__u32)task->tgid;
	process->started = leader->start_boottime;
	(void)bpf_probe_read_kernel_str(process->comm, sizeof(process->comm), leader->comm);
	return 1;
}
#else
static __always_inline int process_current(struct sidestep_process *process)
{
	__u64 cgroup = bpf_get_current_cgroup_id();

	if (cgroup && process->cgroup && cgroup != process->cgroup)
		return 0;
	process->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	if (process->pid)
		(void)bpf_get_current_comm(process->comm, sizeof(process->comm));
	return process->pid != 0;
}
#endif

/* Linux, include/linux/net.h: types of sockets */
#define SOCK_STREAM 1
#define SOCK_DGRAM  2

/* Linux, include/net/tcp_states.h */
#define BPF_TCP_SYN_SENT 2

/* Returns the socket that sends the packet. NULL: none, or only a part of one is left. */
static __always_inline struct bpf_sock *process_socket(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk ? bpf_sk_fullsock(sk) : 0;
}

/*
 * Does the socket send a packet in the context of a process that called it? A timer sends a SYN
 * again in the context of any process, and so are TCP's other packets sent at any time.
 */
static __always_inline int process_calls(struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tcp;

	if (sk->type != SOCK_STREAM)
		return 1;
	if (sk->state != BPF_TCP_SYN_SENT)
		return 0;
	tcp = bpf_tcp_sock(sk);
	if (!tcp)
		return 0;
	return tcp->total_retrans == 0;
}

/*
 * Fills @process with what the kernel knows of the socket that sends @skb. @called: a process is
 * sending the packet by a system call, and is read too. It is not believed where its control group
 * is not the socket's, as the kernel may send at any time for somebody else.
 */
static __always_inline void process_read(struct __sk_buff *skb, struct sidestep_process *process,
					 int called)
{
	__builtin_memset(process, 0, sizeof(*process));
	process->cookie = bpf_get_socket_cookie(skb);
	process->uid = bpf_get_socket_uid(skb);
	process->cgroup = bpf_skb_cgroup_id(skb);
	if (called)
		(void)process_current(process);
}

#endif
