// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Histograms that user space reads by mmap while programs fill them: they only
// grow, but for the extremes.
//
// The includer has the kernel's types.
#ifndef HOSTDIAG_RECORD_BPF_H
#define HOSTDIAG_RECORD_BPF_H

#include <bpf/bpf_helpers.h>
#include "hist.bpf.h"

// What is counted apart; probe/records.rs has the same numbers.
#define BY_NOTHING 0
#define BY_CPU 1
#define BY_COMM 2
#define BY_PID 3

// A CPU counts in shard cpu & shard_mask, in which there are so many histograms.
const volatile __u32 shard_mask = 0;
const volatile __u32 groups = 1;
const volatile __u32 sub_bits = HIST_MAX_SUB_BITS;

// Written by user space: grows by 1 before each reading.
__u64 epoch = 0;

// Minimum and maximum, which unlike counts have no difference: those of the
// epoch, so that the reader has them of a stretch of time.
struct extremes {
	__u64 epoch;
	__u64 min;
	__u64 max;
};

struct record {
	__u64 sum;
	struct extremes extremes[2]; // by epoch & 1
	__u64 counts[HIST_MAX_SLOTS]; // fewer where sub_bits is smaller
};

// Group n of a shard is at n + shard * groups.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); // Linux 5.5
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct record));
} records SEC(".maps");

static __always_inline void add(__u64 *counter, __u64 value)
{
	// Atomic: CPUs can share a shard, and an interrupt can count in between.
	__sync_fetch_and_add(counter, value);
}

// A write that another CPU or an interrupt does at the same time can be lost; the
// reader takes no extreme that the histogram contradicts.
static __always_inline void widen(struct record *record, __u64 value)
{
	__u64 now = epoch;
	struct extremes *extremes = &record->extremes[now & 1];

	if (extremes->epoch != now) {
		extremes->min = value;
		extremes->max = value;
		extremes->epoch = now;
		return;
	}
	if (value < extremes->min)
		extremes->min = value;
	if (value > extremes->max)
		extremes->max = value;
}

// Counts a value in ns of a group.
static __always_inline void record_value(__u32 cpu, __u32 group, __u64 value)
{
	__u32 at = (cpu & shard_mask) * groups + group;
	struct record *record = bpf_map_lookup_elem(&records, &at);
	__u64 place = hist_slot(value, sub_bits);

	if (!record || place >= HIST_SLOTS(sub_bits))
		return;
	// First, so that who reads the count finds it in there.
	widen(record, value);
	add(&record->sum, value);
	add(&record->counts[place], 1);
}

#endif
