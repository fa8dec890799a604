// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Counts values of arguments and returns, by what one loop of steps for each
// function makes of a call (steps.bpf.h).
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include "alone.bpf.h"
#include "compat.bpf.h"
#include "filter.bpf.h"
#include "frame.bpf.h"
#include "slot.bpf.h"
#include "steps.bpf.h"

#define EEXIST 17

// By slot.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct plan);
} plans SEC(".maps");

// 1: events of tracepoints, whose context is the record.
const volatile __u32 records = 0;
// 1: returns alone.
const volatile __u32 only_returns = 0;
// 1: entries are kept until their returns.
const volatile __u32 joined = 0;
const volatile __u32 by_function = 0;
const volatile __u32 by_command = 0;
const volatile __u32 row_mask = 0;
// How far above the stack pointer at its entry that at the return of a call is.
const volatile __u64 return_shift = 8;

// Written by user space: 1 once everything is attached, 0 before the last read.
__u32 ready = 0;

struct counted {
	__u64 count;
	__u64 sum; // of values in a histogram
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, WORDS * 8); // fewer where values are few
	__uint(value_size, sizeof(struct counted));
} counts SEC(".maps");

#define KEPT (8 + WORDS * 8)

struct {
	__uint(type, BPF_MAP_TYPE_HASH); // preallocated
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct call));
	__uint(value_size, KEPT);
} starts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

static __always_inline void count(struct scratch *mine)
{
	struct counted *counted, none = {};
	void *key = mine->values.words;

	counted = bpf_map_lookup_elem(&counts, key);
	if (!counted) {
		// Another CPU may be faster.
		bpf_map_update_elem(&counts, key, &none, BPF_NOEXIST);
		counted = bpf_map_lookup_elem(&counts, key);
	}
	if (!counted) {
		mine->values_lost++;
		return;
	}
	__sync_fetch_and_add(&counted->count, 1);
	if (mine->sum)
		__sync_fetch_and_add(&counted->sum, mine->sum);
}

// What the values of a call begin with.
static __always_inline void fresh(struct scratch *mine, __u64 slot)
{
	__builtin_memset(&mine->values, 0, KEPT);
	mine->sum = 0;
	if (by_function)
		mine->values.words[0] = slot << 32;
	if (by_command)
		bpf_get_current_comm(&mine->values.words[NAME_WORD], 16);
}

static __always_inline void keep(struct scratch *mine, __u64 frame, __u64 slot)
{
	struct call call = call_of(frame, slot);
	int error; // no wider than what maps return: 5.10 leaves 0 in the upper half

	mine->entries++;
	error = bpf_map_update_elem(&starts, &call, &mine->values, BPF_NOEXIST);
	if (!error)
		return;
	if (error == -EEXIST && !bpf_map_update_elem(&starts, &call, &mine->values, BPF_EXIST))
		mine->return_missed++;
	else
		mine->start_lost++;
}

static __always_inline void entered(struct scratch *mine, __u64 frame, __u64 slot)
{
	__u32 key = slot;
	struct plan *plan = bpf_map_lookup_elem(&plans, &key);

	if (!plan)
		return;
	fresh(mine, slot);
	if (!steps(mine, plan, 0, plan->entry))
		return;
	if (joined) {
		keep(mine, frame, slot);
		return;
	}
	mine->entries++;
	count(mine);
}

// Takes what was kept of a call, once.
static __always_inline int taken(struct scratch *mine, __u64 frame, __u64 slot)
{
	struct call call = call_of(frame, slot);
	void *kept = bpf_map_lookup_elem(&starts, &call);

	if (!kept)
		return 0; // begun before the gate was open, or not wanted
	__builtin_memcpy(&mine->values, kept, KEPT);
	mine->sum = 0;
	return !bpf_map_delete_elem(&starts, &call);
}

static __always_inline void returned(struct scratch *mine, __u64 frame, __u64 slot)
{
	__u32 key = slot;
	struct plan *plan = bpf_map_lookup_elem(&plans, &key);

	if (!plan)
		return;
	if (only_returns)
		fresh(mine, slot);
	else if (!taken(mine, frame, slot))
		return;
	mine->returns++;
	if (steps(mine, plan, plan->entry, plan->all))
		count(mine);
}

// The memory of a row is one event's at a time, as in stackcount.bpf.c.
static __always_inline struct scratch *claim(__u32 row, int filtered)
{
	struct scratch *mine;

	if (!ready || (filtered && !wanted(bpf_get_smp_processor_id())))
		return NULL;
	mine = bpf_map_lookup_elem(&scratch, &row);
	if (!mine)
		return NULL;
	if (mine->busy) {
		__sync_fetch_and_add(&mine->nested, 1);
		return NULL;
	}
	mine->busy = 1;
	barrier();
	return mine;
}

static __always_inline void release(struct scratch *mine)
{
	barrier();
	mine->busy = 0;
}

// What a trampoline keeps of registers, and behind the arguments what was returned.
// The verifier of this type allows no more than a function has; this memory is the
// kernel's stack, so that there is always something.
static __always_inline void from_trampoline(struct scratch *mine, void *ctx, __u64 slot)
{
	__u32 key = slot;
	struct plan *plan = bpf_map_lookup_elem(&plans, &key);

	bpf_probe_read_kernel(mine->arguments, (RETURNED - 2) * 8, ctx);
	if (plan)
		mine->arguments[RETURNED] = mine->arguments[plan->returned_at & (ARGUMENTS - 1)];
}

static __always_inline void from_registers(struct scratch *mine, struct pt_regs *ctx)
{
	if (records) {
		// Once in memory it is a number.
		mine->context = (__u64)ctx;
		return;
	}
	mine->arguments[0] = ctx->di;
	mine->arguments[1] = ctx->si;
	mine->arguments[2] = ctx->dx;
	mine->arguments[3] = ctx->cx;
	mine->arguments[4] = ctx->r8;
	mine->arguments[5] = ctx->r9;
	mine->arguments[RETURNED] = ctx->ax;
}

static __always_inline void probed_entry(struct pt_regs *ctx, __u32 row, __u64 slot)
{
	struct scratch *mine = claim(row, 1);

	if (!mine)
		return;
	from_registers(mine, ctx);
	entered(mine, records ? 0 : ctx->sp, slot);
	release(mine);
}

static __always_inline void probed_return(struct pt_regs *ctx, __u32 row, __u64 slot)
{
	struct scratch *mine = claim(row, only_returns);

	if (!mine)
		return;
	from_registers(mine, ctx);
	returned(mine, ctx->sp - return_shift, slot);
	release(mine);
}

// Those of one function are loaded anew for each, as programs of the type that
// their place takes.
SEC("kprobe")
int enter_traced(void *ctx)
{
	__u64 slot = slot_of_copy();
	struct scratch *mine;
	struct busy *here = NULL;

	if (!begin(&here))
		return 0;
	mine = claim(slot & row_mask, 1);
	if (mine) {
		from_trampoline(mine, ctx, slot);
		entered(mine, frame_of_trampoline(ctx, &ready), slot);
		release(mine);
	}
	end(here);
	return 0;
}

SEC("kprobe")
int exit_traced(void *ctx)
{
	__u64 slot = slot_of_copy();
	struct scratch *mine;
	struct busy *here = NULL;

	if (!begin(&here))
		return 0;
	mine = claim(slot & row_mask, only_returns);
	if (mine) {
		from_trampoline(mine, ctx, slot);
		returned(mine, frame_of_trampoline(ctx, &ready), slot);
		release(mine);
	}
	end(here);
	return 0;
}

SEC("kprobe")
int enter_probed(struct pt_regs *ctx)
{
	__u64 slot = slot_of_copy();
	struct busy *here = NULL;

	if (begin(&here)) {
		probed_entry(ctx, slot & row_mask, slot);
		end(here);
	}
	return 0;
}

SEC("kprobe")
int exit_probed(struct pt_regs *ctx)
{
	__u64 slot = slot_of_copy();
	struct busy *here = NULL;

	if (begin(&here)) {
		probed_return(ctx, slot & row_mask, slot);
		end(here);
	}
	return 0;
}

// For many functions at once; the cookie is the function's index.
SEC("kprobe.multi")
int enter_many(struct pt_regs *ctx)
{
	probed_entry(ctx, 0, bpf_get_attach_cookie(ctx));
	return 0;
}

SEC("kretprobe.multi")
int exit_many(struct pt_regs *ctx)
{
	probed_return(ctx, 0, bpf_get_attach_cookie(ctx));
	return 0;
}

// For many functions of a program or library at once likewise.
SEC("uprobe.multi")
int enter_user_many(struct pt_regs *ctx)
{
	without_preemption();
	probed_entry(ctx, 0, bpf_get_attach_cookie(ctx));
	with_preemption();
	return 0;
}

SEC("uretprobe.multi")
int exit_user_many(struct pt_regs *ctx)
{
	without_preemption();
	probed_return(ctx, 0, bpf_get_attach_cookie(ctx));
	with_preemption();
	return 0;
}

// Entry and return in one: the kernel keeps the frame.
SEC("kprobe.session")
int session(struct pt_regs *ctx)
{
	__u64 slot = bpf_get_attach_cookie(ctx), *frame = session_cookie(ctx);
	_Bool at_return = session_is_return(ctx);
	struct scratch *mine = claim(0, !at_return);

	if (!mine)
		return 1; // not at the return
	from_registers(mine, ctx);
	if (at_return) {
		returned(mine, *frame, slot);
	} else {
		*frame = ctx->sp;
		entered(mine, *frame, slot);
	}
	release(mine);
	return 0;
}

// For many kprobes in one event.
SEC("kprobe")
int by_address(struct pt_regs *ctx)
{
	__u32 *slot;
	struct busy *here = NULL;

	if (begin(&here)) {
		slot = slot_by_address(ctx);
		if (slot)
			probed_entry(ctx, 0, *slot);
		end(here);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
