// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// One program at a time on a CPU. Of kprobes and tracepoints the kernel sees to
// that, of trampolines since 5.12, by program. Before, a program that calls what
// is traced, or that an interrupt comes between, is entered again: without end
// until the stack overflows, or under the lock of a map, which it then waits for.
#ifndef HOSTDIAG_ALONE_BPF_H
#define HOSTDIAG_ALONE_BPF_H

#include <bpf/bpf_helpers.h>
#include "compat.bpf.h"

// 1: this kernel lets programs be entered again.
const volatile __u32 reentrant = 0;

// Of each CPU, a cache line.
struct busy {
	__u64 inside; // 1 while a program is at work
	__u64 missed; // events that came meanwhile
	__u64 unused[6];
};

// Look-ups in a plain array are instructions, not calls: nothing to be traced.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct busy);
} busy SEC(".maps");

static __always_inline struct busy *busy_here(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&busy, &cpu);
}

// Whether this program is the only one at work on this CPU; then it ends with
// give_way(), on the same CPU: kernels that let programs be entered again do not let
// them migrate.
static __always_inline int is_alone(struct busy **here)
{
	if (!reentrant)
		return 1;
	*here = busy_here();
	if (!*here)
		return 0;
	if ((*here)->inside) {
		__sync_fetch_and_add(&(*here)->missed, 1);
		return 0;
	}
	(*here)->inside = 1;
	barrier();
	return 1;
}

static __always_inline void give_way(struct busy *here)
{
	barrier();
	if (here)
		here->inside = 0;
}

// Likewise, and it is not preempted from here to end().
static __always_inline int begin(struct busy **here)
{
	if (!is_alone(here))
		return 0;
	without_preemption();
	return 1;
}

static __always_inline void end(struct busy *here)
{
	with_preemption();
	give_way(here);
}

#endif
