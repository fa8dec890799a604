// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Times calls: a table of those that have begun, and histograms, which only grow
// and which user space reads by mmap. Every way for a call to get lost is counted
// where it happens.
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include "alone.bpf.h"
#include "compat.bpf.h"
#include "filter.bpf.h"
#include "frame.bpf.h"
#include "record.bpf.h"
#include "slot.bpf.h"

// 1: each function has histograms of its own.
const volatile __u32 each_function = 0;
const volatile __u32 by = BY_NOTHING;
// How far above the stack pointer at its entry that at the return of a call is.
const volatile __u64 return_shift = 8;
// So many places of the table of starts, half of them, may be kept for later calls.
const volatile __u64 most_kept = 1;

// Written by user space: 1 once everything is attached, 0 before the last read.
__u32 ready = 0;
// Places of the table of starts that are in use or kept.
__u64 places = 0;

// When calls began, in ns since boot. A thread mostly calls a function at the same
// depth of its stack again, so the place of a call that is over is kept, with 0:
// that is a look-up a call instead of an insertion and a deletion.
struct {
	__uint(type, BPF_MAP_TYPE_HASH); // preallocated
	__uint(max_entries, 1);
	__type(key, struct call);
	__type(value, __u64);
} starts SEC(".maps");

// What becomes of calls, by shard: a cache line each.
struct account {
	__u64 entries;
	__u64 start_lost;
	__u64 return_missed;
	__u64 unused[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); // Linux 5.5
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct account);
} accounts SEC(".maps");

// What a group is of; only with BY_COMM and the like.
struct name {
	__u64 comm[2];
	__u32 number;
	__u32 function;
};

#include "group.bpf.h"

static __always_inline struct account *account_of(__u32 cpu)
{
	__u32 shard = cpu & shard_mask;

	return bpf_map_lookup_elem(&accounts, &shard);
}

static __always_inline __u32 group_of(__u64 slot, __u32 cpu)
{
	struct name name = {};

	if (each_function)
		name.function = slot;
	if (by == BY_NOTHING)
		return name.function;
	if (by == BY_CPU)
		name.number = cpu;
	else if (by == BY_PID)
		name.number = current_pid_tgid() >> 32;
	else
		bpf_get_current_comm(name.comm, sizeof(name.comm));
	return named_group(&name);
}

static __always_inline void timed(__u64 slot, __u64 time)
{
	__u32 cpu = bpf_get_smp_processor_id();

	record_value(cpu, group_of(slot, cpu), time);
}

static __always_inline int entered(__u64 frame, __u64 slot)
{
	struct call call = call_of(frame, slot);
	__u32 cpu = bpf_get_smp_processor_id();
	struct account *account;
	__u64 now, *start;

	if (!ready || !wanted(cpu))
		return 0;
	account = account_of(cpu);
	if (!account)
		return 0;
	add(&account->entries, 1);
	start = bpf_map_lookup_elem(&starts, &call);
	now = bpf_ktime_get_ns();
	if (start) {
		if (*start)
			add(&account->return_missed, 1);
		*start = now;
	} else if (bpf_map_update_elem(&starts, &call, &now, BPF_NOEXIST)) {
		add(&account->start_lost, 1);
	} else {
		add(&places, 1);
	}
	return 0;
}

static __always_inline int returned(__u64 frame, __u64 slot)
{
	__u64 now = bpf_ktime_get_ns(), time, *start;
	struct call call = call_of(frame, slot);

	if (!ready)
		return 0;
	start = bpf_map_lookup_elem(&starts, &call);
	if (!start || !*start)
		return 0; // begun before the gate was open, or not wanted
	time = now - *start;
	// First, so that it is never among those under way too.
	*start = 0;
	if (places > most_kept && !bpf_map_delete_elem(&starts, &call))
		add(&places, -1);
	timed(slot, time);
	return 0;
}

// Those of one function are loaded anew for each, as programs of the type that
// their place takes.
SEC("kprobe")
int enter_traced(void *ctx)
{
	struct busy *here = NULL;

	if (begin(&here)) {
		entered(frame_of_trampoline(ctx, &ready), slot_of_copy());
		end(here);
	}
	return 0;
}

SEC("kprobe")
int exit_traced(void *ctx)
{
	struct busy *here = NULL;

	if (begin(&here)) {
		returned(frame_of_trampoline(ctx, &ready), slot_of_copy());
		end(here);
	}
	return 0;
}

SEC("kprobe")
int enter_probed(struct pt_regs *ctx)
{
	struct busy *here = NULL;

	if (begin(&here)) {
		entered(ctx->sp, slot_of_copy());
		end(here);
	}
	return 0;
}

SEC("kprobe")
int exit_probed(struct pt_regs *ctx)
{
	struct busy *here = NULL;

	if (begin(&here)) {
		returned(ctx->sp - return_shift, slot_of_copy());
		end(here);
	}
	return 0;
}

// For many functions at once; the cookie is the function's index.
SEC("kprobe.multi")
int enter_many(struct pt_regs *ctx)
{
	return entered(ctx->sp, bpf_get_attach_cookie(ctx));
}

SEC("kretprobe.multi")
int exit_many(struct pt_regs *ctx)
{
	return returned(ctx->sp - return_shift, bpf_get_attach_cookie(ctx));
}

// For many functions of a program or library at once likewise.
SEC("uprobe.multi")
int enter_user_many(struct pt_regs *ctx)
{
	return entered(ctx->sp, bpf_get_attach_cookie(ctx));
}

SEC("uretprobe.multi")
int exit_user_many(struct pt_regs *ctx)
{
	return returned(ctx->sp - return_shift, bpf_get_attach_cookie(ctx));
}

// Entry and return in one: the kernel keeps the start.
SEC("kprobe.session")
int session(struct pt_regs *ctx)
{
	__u64 now = bpf_ktime_get_ns(), *start = session_cookie(ctx);
	__u32 cpu = bpf_get_smp_processor_id();
	struct account *account;

	if (session_is_return(ctx)) {
		if (ready)
			timed(bpf_get_attach_cookie(ctx), now - *start);
		return 0;
	}
	account = account_of(cpu);
	if (!ready || !account || !wanted(cpu))
		return 1; // not at the return
	add(&account->entries, 1);
	*start = now;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
