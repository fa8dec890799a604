// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// What timers are counted by: what they call, for whom, and who started them.
//
// The includer has filter.bpf.h and record.bpf.h.
#ifndef HOSTDIAG_TIMER_ROWS_BPF_H
#define HOSTDIAG_TIMER_ROWS_BPF_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 by = BY_NOTHING;
// Addresses of what timers call on behalf of others; 0 where they are not known.
const volatile __u64 delayed_work_timer_fn = 0;
const volatile __u64 process_timeout = 0;
const volatile __u64 hrtimer_wakeup = 0;

// What a row is of.
struct name {
	__u64 function;
	__u64 work; // function
	__u64 process[2]; // command name of the process that sleeps
	__u64 comm[2];
	__u32 number;
	__u32 is_hrtimer;
};

#include "group.bpf.h"

// A timer that is started.
struct start {
	__u64 timer;
	__u64 function;
	__s64 delay;
	__u32 is_hrtimer;
};

// What is counted of a row, a cache line.
#define STARTED 0
#define REMOVED 1
#define EXPIRED 2
#define REARMED 3
#define UNTRACKED 4 // started while the table of those that are armed was full

struct row {
	__u64 counts[8];
};

// Row n of a shard is at n + shard * rows_of_shard.
const volatile __u32 rows_of_shard = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct row);
} rows SEC(".maps");

// Rows of what has no owner, by function, which a table has too.
#define CACHED 4

struct cached {
	__u64 function;
	__u64 row;
};

struct row_cache {
	struct cached rows[CACHED];
	__u64 missed;
};

static __always_inline void count(__u32 cpu, __u32 row, __u32 what)
{
	__u32 at = (cpu & shard_mask) * rows_of_shard + row;
	struct row *counted = bpf_map_lookup_elem(&rows, &at);

	if (counted)
		add(&counted->counts[what], 1);
}

static __always_inline int is_sleeper(__u64 function)
{
	return function && (function == hrtimer_wakeup || function == process_timeout);
}

// Rows may be cached where nothing but the function tells them apart.
static __always_inline int is_trampoline(__u64 function)
{
	return !function || function == delayed_work_timer_fn || is_sleeper(function);
}

static __always_inline void name_owner(struct name *name, __u64 timer)
{
	struct task_struct *task = NULL;

	if (!name->function)
		return;
	if (name->function == delayed_work_timer_fn) {
		struct delayed_work *work =
			(void *)timer - bpf_core_field_offset(struct delayed_work, timer);

		name->work = (__u64)BPF_CORE_READ(work, work.func);
	} else if (name->function == process_timeout) {
		task = BPF_CORE_READ((struct process_timer *)timer, task);
	} else if (name->function == hrtimer_wakeup) {
		task = BPF_CORE_READ((struct hrtimer_sleeper *)timer, task);
	}
	if (task)
		BPF_CORE_READ_INTO(&name->process, task, group_leader, comm);
}

static __always_inline __u32 cached_row(struct name *name, struct row_cache *cache)
{
	struct cached *next;

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < CACHED; i++) {
		if (cache->rows[i].function == name->function)
			return cache->rows[i].row;
	}
	next = &cache->rows[cache->missed++ % CACHED];
	next->row = named_group(name);
	next->function = name->function;
	return next->row;
}

static __always_inline __u32 row_of(struct start *start, __u32 cpu, struct row_cache *cache)
{
	struct name name = { .function = start->function, .is_hrtimer = start->is_hrtimer };

	if (by == BY_NOTHING && !is_trampoline(start->function))
		return cached_row(&name, cache);
	name_owner(&name, start->timer);
	if (by == BY_CPU)
		name.number = cpu;
	else if (by == BY_PID)
		name.number = current_pid_tgid() >> 32;
	else if (by == BY_COMM)
		bpf_get_current_comm(name.comm, sizeof(name.comm));
	return named_group(&name);
}

#endif
