// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Counts timers by what they call, and what becomes of them.
//
// timer_cancel fires when a timer is removed for whatever reason: because it has
// expired, is armed anew or cancelled (detach_timer() in kernel/time/timer.c,
// debug_deactivate() in hrtimer.c), of hrtimers not for an expiry. So what
// follows for the same timer tells: its expiry, a start as the next that the same
// task does with timers, or nothing. The counters only grow: what was removed,
// without what has expired and what was armed anew, was cancelled.
#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "filter.bpf.h"
#include "record.bpf.h"
#include "stack.bpf.h"
#include "timer_rows.bpf.h"

#define EEXIST 17

// Histograms of a row, one behind the other.
#define DELAY 0
#define LATE 1
#define RUN 2

// From here on durations are not told apart (bpf/hist.bpf.h).
#define LONGEST (1ULL << HIST_MAX_BITS)

// THREAD_SIZE, arch/x86/include/asm/page_64_types.h.
#define STACK 16384

// 1: how late timers expire, and how long they run.
const volatile __u32 with_expiry = 0;
// 1: from where timers are started, by row.
const volatile __u32 with_stacks = 0;
// Histograms a row has: 1, or 3 of those that expire.
const volatile __u32 histograms = 1;
// Nanoseconds of a jiffy.
const volatile __u64 tick_ns = 0;

// Written by user space: 1 once everything is attached, 0 before the last read.
__u32 ready = 0;

// The row of each timer that is armed, and of what a CPU has just removed: then
// with its number + 1 in the upper half. Starts and removals of one timer are done
// under the lock of its base, so that no two of them meet.
struct {
	__uint(type, BPF_MAP_TYPE_HASH); // preallocated
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u64);
} armed SEC(".maps");

// Between its removal and its handler or its new start an interrupt can come, which
// removes timers too: so many are remembered, by the CPU where both happen.
#define KEPT 4

struct kept {
	__u64 timer;
	__u64 task; // that ran then
	__u64 frame; // of that event; 0 once another has followed on the same stack
	__u32 row;
	__u32 pad;
};

// Where handlers run: one within the other at most.
#define IN_INTERRUPT 0
#define IN_SOFTIRQ 1

struct running {
	__u64 timer;
	__u64 since;
	__u32 row;
	__u32 pad;
};

struct cpu_state {
	__u64 removed; // what the last event removed: it is still in the table
	__u64 removals;
	struct kept kept[KEPT];
	struct row_cache rows;
	struct running running[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_state);
} cpu_states SEC(".maps");

static __always_inline struct cpu_state *here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&cpu_states, &first);
}

// As many as 2^32 jiffies are longer than what is told apart, and more would overflow.
static __always_inline __s64 jiffies_to_ns(__s64 jiffies)
{
	if (jiffies < 0)
		return 0;
	return jiffies < 1LL << 32 ? jiffies * (__s64)tick_ns : LONGEST;
}

// What the verifier takes for a pointer may be no number; the distance of two is one.
static __always_inline __u64 distance(void *pointer)
{
	__u64 number;

	asm volatile("%0 = %1; %0 -= %2" : "=&r"(number) : "r"(pointer), "r"(&ready));
	return number;
}

static __always_inline __u64 duration(__s64 ns)
{
	return ns < 0 ? 0 : ns > LONGEST ? LONGEST : ns;
}

// Contexts are on the stack of who came here; interrupts have stacks of their own.
static __always_inline int same_stack(struct kept *kept, __u64 frame)
{
	return frame - kept->frame + STACK / 2 < STACK && kept->task == bpf_get_current_task();
}

// Takes out of the table what this CPU has removed. Only where another CPU starts it
// right now both write: who comes later sees what the other did, and puts it back.
static __always_inline void forget(struct cpu_state *mine, __u32 cpu)
{
	__u64 timer = mine->removed, row, *entry;

	mine->removed = 0;
	entry = bpf_map_lookup_elem(&armed, &timer);
	if (!entry || *entry >> 32 != cpu + 1)
		return;
	bpf_map_delete_elem(&armed, &timer);
	barrier();
	row = *entry;
	if (!(row >> 32))
		bpf_map_update_elem(&armed, &timer, &row, BPF_NOEXIST);
}

// Where this timer is remembered here; NULL where it is not. It is an event: what
// one before on this stack removed is not to be started anew after it. `again` is
// set where this timer is what the last one removed.
static __always_inline struct kept *event(struct cpu_state *mine, __u64 timer, __u64 frame,
					  int *again)
{
	struct kept *found = NULL;

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < KEPT; i++) {
		struct kept *kept = &mine->kept[i];
		int last = kept->frame && same_stack(kept, frame);

		if (last)
			kept->frame = 0;
		if (kept->timer == timer) {
			found = kept;
			*again = last;
		}
	}
	return found;
}

// A place to remember a timer in: one that is free, or else the next.
static __always_inline struct kept *place_of(struct cpu_state *mine)
{
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < KEPT; i++) {
		if (!mine->kept[i].timer)
			return &mine->kept[i];
	}
	return &mine->kept[mine->removals++ % KEPT];
}

// Puts a timer into the table, where it may be with what was before. The start is
// counted in between: that is atomic, so that forget() sees what is written before
// it, or what it does is seen after it.
static __always_inline void arm(struct cpu_state *mine, __u64 timer, __u64 row, __u32 cpu)
{
	__u64 before = 0, *entry = bpf_map_lookup_elem(&armed, &timer);
	int error;

	if (entry) {
		before = *entry;
		*entry = row;
	}
	count(cpu, row, STARTED);
	if (entry && !(before >> 32)) {
		// Such a removal is not shown.
		count(cpu, before, REMOVED);
		count(cpu, before, REARMED);
		return;
	}
	if (entry && mine->removed == timer) {
		mine->removed = 0;
		return;
	}
	if (entry && bpf_map_lookup_elem(&armed, &timer) == entry)
		return;
	error = bpf_map_update_elem(&armed, &timer, &row, BPF_NOEXIST);
	if (error && error != -EEXIST)
		count(cpu, row, UNTRACKED);
}

// A start that is not asked for ends the arming before all the same.
static __always_inline void disarm(__u64 timer, __u32 cpu)
{
	__u64 *entry = bpf_map_lookup_elem(&armed, &timer);

	if (!entry || *entry >> 32)
		return;
	count(cpu, *entry, REMOVED);
	count(cpu, *entry, REARMED);
	bpf_map_delete_elem(&armed, &timer);
}

static __always_inline int started(void *ctx, struct start *start)
{
	__u32 cpu = bpf_get_smp_processor_id(), row;
	struct cpu_state *mine = here();
	int again = 0;
	struct kept *kept;

	if (!ready || !mine)
		return 0;
	kept = event(mine, start->timer, distance(ctx), &again);
	// A sleeper's timer lies on its stack: the next sleep has one of its own,
	// which may be in the same place.
	if (kept && again && !is_sleeper(start->function))
		count(cpu, kept->row, REARMED);
	if (kept)
		kept->timer = 0;
	if (mine->removed && mine->removed != start->timer)
		forget(mine, cpu);
	if (!wanted(cpu)) {
		disarm(start->timer, cpu);
		return 0;
	}
	row = row_of(start, cpu, &mine->rows);
	record_value(cpu, row * histograms + DELAY, duration(start->delay));
	arm(mine, start->timer, row, cpu);
	// A base is locked, without interrupts: no other start comes between.
	if (with_stacks)
		count_stack(ctx, 0, row, 0);
	return 0;
}

static __always_inline int removed(void *ctx)
{
	__u64 timer = *(__u64 *)ctx, frame = distance(ctx), *entry, row;
	__u32 cpu = bpf_get_smp_processor_id();
	struct cpu_state *mine = here();
	struct kept *kept;
	int again;

	if (!ready || !mine)
		return 0;
	kept = event(mine, timer, frame, &again);
	if (mine->removed)
		forget(mine, cpu);
	entry = bpf_map_lookup_elem(&armed, &timer);
	if (!entry || *entry >> 32) {
		// It was armed by somebody else since.
		if (kept)
			kept->timer = 0;
		return 0;
	}
	row = *entry;
	*entry = row | (__u64)(cpu + 1) << 32;
	mine->removed = timer;
	count(cpu, row, REMOVED);
	if (!kept)
		kept = place_of(mine);
	kept->timer = timer;
	kept->task = bpf_get_current_task();
	kept->frame = frame;
	kept->row = row;
	return 0;
}

static __always_inline int expires(void *ctx, __s64 late, __u32 place, int is_hrtimer)
{
	__u64 timer = *(__u64 *)ctx, *entry = NULL;
	__u32 cpu = bpf_get_smp_processor_id(), row;
	struct cpu_state *mine = here();
	struct running *running;
	struct kept *kept;
	int again = 0;

	if (!ready || !mine)
		return 0;
	kept = event(mine, timer, distance(ctx), &again);
	if (mine->removed)
		forget(mine, cpu);
	// The wheel shows that a timer is removed to run its handler, hrtimers do not;
	// those that did would do it just before.
	if (is_hrtimer)
		entry = bpf_map_lookup_elem(&armed, &timer);
	if (entry && !(*entry >> 32)) {
		row = *entry;
		count(cpu, row, REMOVED);
		bpf_map_delete_elem(&armed, &timer);
	} else if (kept && (again || !is_hrtimer)) {
		row = kept->row;
	} else {
		return 0;
	}
	if (kept)
		kept->timer = 0;
	count(cpu, row, EXPIRED);
	if (!with_expiry)
		return 0;
	record_value(cpu, row * histograms + LATE, duration(late));
	running = &mine->running[place];
	running->row = row;
	running->timer = timer;
	running->since = bpf_ktime_get_ns();
	return 0;
}

// Only the address is looked at: the handler may have freed the timer.
static __always_inline int has_run(__u64 timer)
{
	__u64 now = bpf_ktime_get_ns();
	struct cpu_state *mine = here();
	struct running *running;

	if (!ready || !mine)
		return 0;
	running = &mine->running[mine->running[IN_SOFTIRQ].timer == timer];
	if (running->timer != timer)
		return 0;
	record_value(bpf_get_smp_processor_id(), running->row * histograms + RUN,
		     now - running->since);
	running->timer = 0;
	return 0;
}

// The first argument of all of them is the timer; the rest differs by kernel.
SEC("tp_btf/timer_start")
int timer_start(__u64 *ctx)
{
	struct timer_list *timer = (void *)ctx[0];
	struct start start = {
		.timer = ctx[0],
		.function = (__u64)timer->function,
		.delay = jiffies_to_ns(timer->expires - bpf_jiffies64()),
	};

	return started(ctx, &start);
}

SEC("tp_btf/timer_cancel")
int timer_cancel(__u64 *ctx)
{
	return removed(ctx);
}

SEC("tp_btf/timer_expire_entry")
int timer_expire_entry(__u64 *ctx)
{
	struct timer_list *timer = (void *)ctx[0];

	return expires(ctx, jiffies_to_ns(bpf_jiffies64() - timer->expires), IN_SOFTIRQ, 0);
}

SEC("tp_btf/timer_expire_exit")
int timer_expire_exit(__u64 *ctx)
{
	return has_run(ctx[0]);
}

// What time it is by the clock of a timer.
static __always_inline __s64 time_of(struct hrtimer *timer)
{
	return bpf_ktime_get_ns() + timer->base->offset;
}

SEC("tp_btf/hrtimer_start")
int hrtimer_start(__u64 *ctx)
{
	struct hrtimer *timer = (void *)ctx[0];
	struct start start = {
		.timer = ctx[0],
		.function = (__u64)timer->function,
		.delay = timer->_softexpires - time_of(timer),
		.is_hrtimer = 1,
	};

	return started(ctx, &start);
}

SEC("tp_btf/hrtimer_cancel")
int hrtimer_cancel(__u64 *ctx)
{
	return removed(ctx);
}

SEC("tp_btf/hrtimer_expire_entry")
int hrtimer_expire_entry(__u64 *ctx)
{
	struct hrtimer *timer = (void *)ctx[0];
	__s64 late = time_of(timer) - timer->_softexpires;
	__u32 place = timer->is_soft ? IN_SOFTIRQ : IN_INTERRUPT;

	return expires(ctx, late, place, 1);
}

SEC("tp_btf/hrtimer_expire_exit")
int hrtimer_expire_exit(__u64 *ctx)
{
	return has_run(ctx[0]);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
