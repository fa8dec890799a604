// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Counts calls by the stack that they come from.
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include "alone.bpf.h"
#include "filter.bpf.h"
#include "slot.bpf.h"
#include "stack.bpf.h"

// Programs of one function take the scratch memory of its slot & row_mask.
const volatile __u32 row_mask = 0;

// Written by user space: 1 once everything is attached, 0 before the last read.
__u32 ready = 0;

static __always_inline int event(void *ctx, __u32 row, __u64 slot)
{
	if (ready && wanted(bpf_get_smp_processor_id()))
		count_stack(ctx, row, slot, 0);
	return 0;
}

// For one function or event, as in funccount.bpf.c.
SEC("kprobe")
int one(void *ctx)
{
	__u64 slot = slot_of_copy();
	struct busy *here = NULL;

	if (begin(&here)) {
		event(ctx, slot & row_mask, slot);
		end(here);
	}
	return 0;
}

// For many functions at once; the cookie is the function's index.
SEC("kprobe.multi")
int many(void *ctx)
{
	if (plain) {
		if (ready)
			count_stack(ctx, 0, 0, 1);
		return 0;
	}
	return event(ctx, 0, bpf_get_attach_cookie(ctx));
}

// For many functions of a program or library at once likewise.
SEC("uprobe.multi")
int user_many(void *ctx)
{
	without_preemption();
	event(ctx, 0, bpf_get_attach_cookie(ctx));
	with_preemption();
	return 0;
}

// For many kprobes in one event.
SEC("kprobe")
int by_address(struct pt_regs *regs)
{
	__u32 *slot;
	struct busy *here = NULL;

	if (begin(&here)) {
		slot = slot_by_address(regs);
		if (slot)
			event(regs, 0, *slot);
		end(here);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
