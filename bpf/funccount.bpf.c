// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Counts calls: one counter a function in each shard, which only grows. User
// space reads the counters by mmap, without a system call.
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include "alone.bpf.h"
#include "filter.bpf.h"
#include "slot.bpf.h"

// A CPU counts in shard cpu & shard_mask, in which function n has the counter
// n + shard * stride.
const volatile __u32 shard_mask = 0;
const volatile __u32 stride = 1;

// Written by user space: 1 once everything is attached, 0 before the last read.
__u32 ready = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); // Linux 5.5
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline int count(__u64 slot)
{
	__u32 cpu = bpf_get_smp_processor_id();
	__u32 at = (cpu & shard_mask) * stride + slot;
	__u64 *counter;

	if (!ready || !wanted(cpu))
		return 0;
	counter = bpf_map_lookup_elem(&counts, &at);
	// Atomic: an interrupt on this CPU may count in between.
	if (counter)
		__sync_fetch_and_add(counter, 1);
	return 0;
}

// Those of one function or event are loaded anew for each, as programs of the type
// that their place takes: nothing here depends on the context. To keep this one from
// being preempted would take longer than it does.
SEC("kprobe")
int traced(void *ctx)
{
	struct busy *here = NULL;

	if (is_alone(&here)) {
		count(slot_of_copy());
		give_way(here);
	}
	return 0;
}

// No trampoline, so not preempted anyway.
SEC("kprobe")
int probed(void *ctx)
{
	return count(slot_of_copy());
}

// For many functions at once; the cookie is the function's index.
SEC("kprobe.multi")
int many(void *ctx)
{
	return count(bpf_get_attach_cookie(ctx));
}

// For many functions of a program or library at once likewise. Nothing keeps it from
// being preempted, nor another from running meanwhile, which the counters bear.
SEC("uprobe.multi")
int user_many(void *ctx)
{
	return count(bpf_get_attach_cookie(ctx));
}

// For many kprobes in one event.
SEC("kprobe")
int by_address(struct pt_regs *regs)
{
	__u32 *slot = slot_by_address(regs);

	return slot ? count(*slot) : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
