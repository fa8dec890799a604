// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// How long tasks wait, by the stack that the wait begins with: from the moment a
// CPU leaves them until one takes them up again.
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "filter.bpf.h"
#include "hostdiag.h"
#include "stack.bpf.h"

// Why a task leaves its CPU, a bit each.
enum {
	PREEMPTED = 1, // it could go on
	SLEEPING = 2, // until something happens, or a signal comes
	UNINTERRUPTIBLE = 4, // until something happens
	OTHERWISE = 8, // stopped, traced, frozen
};

// include/linux/sched.h: TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE, TASK_DEAD,
// TASK_WAKING. The last is what a task is in already that another CPU wakes while
// this one is about to leave it.
enum {
	STATE_SLEEPING = 1,
	STATE_UNINTERRUPTIBLE = 2,
	STATE_DEAD = 0x80,
	STATE_WAKING = 0x200,
};

// Those that are asked for.
const volatile __u32 reasons = SLEEPING | UNINTERRUPTIBLE | OTHERWISE;

// Written by user space: 1 once everything is attached, 0 before the last read.
__u32 ready = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wait);
} waiting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_waits);
} waits SEC(".maps");

static __always_inline __u32 state_of(struct task_struct *task)
{
	struct task_struct___signed *old = (void *)task;

	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state);
	return BPF_CORE_READ(old, state);
}

// 0 of a task that has ended: nobody takes it up again.
static __always_inline __u32 reason(_Bool preempted, __u32 state)
{
	if (state & STATE_DEAD)
		return 0;
	if (preempted || !state)
		return PREEMPTED;
	if (state & (STATE_SLEEPING | STATE_WAKING))
		return SLEEPING;
	return state & STATE_UNINTERRUPTIBLE ? UNINTERRUPTIBLE : OTHERWISE;
}

// The task that this CPU leaves, which is the current one still.
static __always_inline void leave(void *ctx, __u32 thread)
{
	struct stack_scratch *mine = take(0);
	struct stack_count *known;
	struct cpu_waits *of_cpu;
	__u32 zero = 0;

	if (!mine)
		return;
	known = stack_of(ctx, mine, 0, 0);
	of_cpu = bpf_map_lookup_elem(&waits, &zero);
	if (known && of_cpu) {
		struct wait wait = { bpf_ktime_get_ns(), mine->record.key };

		if (bpf_map_lookup_elem(&waiting, &thread))
			of_cpu->end_missed++;
		if (bpf_map_update_elem(&waiting, &thread, &wait, 0))
			of_cpu->start_lost++;
	}
	give_back(mine);
}

// The task that it takes up.
static __always_inline void take_up(__u32 thread)
{
	struct wait *wait = bpf_map_lookup_elem(&waiting, &thread);
	struct stack_count *known;

	if (!wait)
		return;
	known = bpf_map_lookup_elem(&counts, &wait->key);
	if (known) {
		__sync_fetch_and_add(&known->time, bpf_ktime_get_ns() - wait->since);
		__sync_fetch_and_add(&known->count, 1);
	}
	bpf_map_delete_elem(&waiting, &thread);
}

// sched_switch(preempted, the task that is left, the one that is taken up): before
// any of it happens.
SEC("raw_tp/sched_switch")
int switched(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *left = (void *)ctx->args[1], *next = (void *)ctx->args[2];
	__u32 thread = BPF_CORE_READ(left, pid);

	if (!ready)
		return 0;
	if (thread && reasons & reason(ctx->args[0], state_of(left)) &&
	    wanted(bpf_get_smp_processor_id()))
		leave(ctx, thread);
	thread = BPF_CORE_READ(next, pid);
	if (thread)
		take_up(thread);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
