// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// What every device of the reader's network namespace offers to VLANs on it.
// net_device.vlan_features is in no user API.
//
// An iterator, because it needs neither kprobes nor ftrace. There is none for
// network devices, so the one for tasks is used as a way to run once: on its
// first task, whichever that is, we walk the devices of the thread that reads.
#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "hostdiag.h"

// The walk: ROUNDS times STEPS devices at most. The verifier follows every step,
// and keeps a branch that it has yet to follow for every condition on the way,
// of which 5.10 takes 8192. So a step has no condition of its own: all of them
// are in next_device(), and only a round looks whether the list has ended.
#define ROUNDS 64
#define STEPS 64

// A show() of an iterator may write 8 pages in all, which is 1024 records.
#define MAX_RECORDS 1000

// Written by user space: of the devices only those with ifindex % shards ==
// shard are written in this run. 0 shards: none is.
__u32 shards = 0;
__u32 shard = 0;

// Read by user space: more than MAX_RECORDS devices in this shard; the end of
// the list was not reached in ROUNDS * STEPS; a read of kernel memory failed.
__u32 shard_full = 0;
__u32 list_too_long = 0;
__u32 read_failed = 0;

// Where the walk stands. One run at a time: every process has maps of its own.
__u64 head = 0;
__u64 position = 0;
__u32 written = 0;
struct vlan_features_record record = {};
// Bytes of `record` to write: all or none.
__u32 size = 0;

// Takes the device at `position` into `record` and moves on; stays at the end.
// Global, not static: so it is verified once and not at every call.
__noinline int next_device(void)
{
	struct list_head *entry = (void *)position, *next = NULL;
	struct net_device *device =
		(void *)position - __builtin_preserve_field_info(((struct net_device *)0)->dev_list,
								 BPF_FIELD_BYTE_OFFSET);

	size = 0;
	if (position == head)
		return 0;
	if (bpf_core_read(&next, sizeof(next), &entry->next) || !next) {
		read_failed = 1;
		position = head;
		return 0;
	}
	position = (__u64)next;
	record.ifindex = BPF_CORE_READ(device, ifindex);
	record.features = BPF_CORE_READ(device, features);
	record.vlan_features = BPF_CORE_READ(device, vlan_features);
	record.hw_enc_features = BPF_CORE_READ(device, hw_enc_features);
	if (!shards || record.ifindex % shards != shard)
		return 0;
	if (written == MAX_RECORDS) {
		shard_full = 1;
		return 0;
	}
	written++;
	size = sizeof(record);
	return 0;
}

SEC("iter/task")
int vlan_features(struct bpf_iter__task *ctx)
{
	struct task_struct *reader = (void *)bpf_get_current_task();
	struct seq_file *seq = ctx->meta->seq;

	if (ctx->meta->seq_num > 0 || !ctx->task)
		return 0;
	head = (__u64)BPF_CORE_READ(reader, nsproxy, net_ns) +
	       __builtin_preserve_field_info(((struct net *)0)->dev_base_head, BPF_FIELD_BYTE_OFFSET);
	position = (__u64)BPF_CORE_READ((struct list_head *)head, next);
	written = 0;
	for (int round = 0; round < ROUNDS; round++) {
		if (position == head)
			return 0;
		for (int step = 0; step < STEPS; step++) {
			next_device();
			bpf_seq_write(seq, &record, size & sizeof(record));
		}
	}
	list_too_long = position != head;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
