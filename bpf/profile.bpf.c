// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Where CPUs are: samples at a steady rate, by stack.
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include "filter.bpf.h"
#include "hostdiag.h"
#include "stack.bpf.h"

// 1: what CPUs do while nothing runs counts as a stack too.
const volatile __u32 with_idle = 0;

// Written by user space: 1 once everything is attached, 0 before the last read.
__u32 ready = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_samples);
} samples SEC(".maps");

// While a program runs on a CPU the kernel runs none of perf's there
// (bpf_prog_active), so that the memory of one row is always free.
SEC("perf_event")
int sample(void *ctx)
{
	// The idle task of each CPU, in whatever namespace user space is.
	_Bool idle = !(__u32)bpf_get_current_pid_tgid();
	struct cpu_samples *mine;
	__u32 zero = 0;

	mine = bpf_map_lookup_elem(&samples, &zero);
	if (!ready || !mine)
		return 0;
	mine->seen++;
	if (idle)
		mine->idle++;
	if ((!idle || with_idle) && wanted(bpf_get_smp_processor_id()))
		count_stack(ctx, 0, 0, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
