// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// One empty program for each way to attach: whether it works on a kernel is
// known only once one was attached. Loaded one by one, attached for an instant,
// to bpf_fentry_test1, a function that the kernel has for this purpose and that
// nothing calls (net/bpf/test_run.c, Linux 5.5).
#include "kernel.h"
#include <bpf/bpf_helpers.h>

SEC("fentry/bpf_fentry_test1")
int fentry(void *ctx)
{
	return 0;
}

SEC("kprobe/bpf_fentry_test1")
int kprobe(void *ctx)
{
	return 0;
}

SEC("kprobe.multi/bpf_fentry_test1")
int kprobe_multi(void *ctx)
{
	return 0;
}

SEC("kprobe.session/bpf_fentry_test1")
int kprobe_session(void *ctx)
{
	return 0;
}

SEC("tracepoint/sched/sched_process_exec")
int tracepoint(void *ctx)
{
	return 0;
}

SEC("raw_tracepoint/sched_process_exec")
int raw_tracepoint(void *ctx)
{
	return 0;
}

SEC("iter/task")
int iter_task(void *ctx)
{
	return 0;
}

// How often the next one ran.
__u64 calls = 0;

// Attached to a function of hostdiag itself.
SEC("uprobe.multi")
int uprobe_multi(void *ctx)
{
	__sync_fetch_and_add(&calls, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
