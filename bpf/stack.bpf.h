// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Stacks and how often each was seen. A stack is known by a hash of 128 bits;
// itself it goes to user space once, when it is first seen, while its process
// still runs. So no table of stacks can overflow or mix two of them up.
// tools/hostdiag/src/probe/stack.rs is the other side.
#ifndef HOSTDIAG_STACK_BPF_H
#define HOSTDIAG_STACK_BPF_H

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "filter.bpf.h"
#include "hostdiag.h"

#define FRAME_BYTES (MAX_FRAMES * 8)

// Which parts of a stack are asked for.
const volatile __u32 with_kernel = 1;
const volatile __u32 with_user = 1;
// 1: count processes apart.
const volatile __u32 by_process = 0;
// 1: count threads of other names apart, and hand over their names.
const volatile __u32 by_name = 0;
// Chosen anew for each run, so that nobody can make two stacks of one hash.
const volatile __u64 seeds[2] = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct stack_key);
	__type(value, struct stack_count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stack_scratch);
} scratch SEC(".maps");

// Bytes of a part that are there: what cannot be walked has none. The verifier
// follows a mask.
static __always_inline __u64 bytes(__s32 part)
{
	__u64 length = part < 0 ? 0 : part;

	asm volatile("" : "+r"(length));
	return length & FRAME_BYTES;
}

static __always_inline void hash(struct stack_record *record, __u64 process)
{
	__u64 words = (bytes(record->kernel) + bytes(record->user)) / 8;
	__u64 a = seeds[0] ^ ((__u64)record->slot << 32 ^ process);
	__u64 b = seeds[1] ^ ((__u64)(__u32)record->kernel << 32 | (__u32)record->user);
	__u64 name[2];

	if (by_name) {
		__builtin_memcpy(name, record->comm, sizeof(name));
		a ^= name[0] * 0xd6e8feb86659fd93ULL;
		b ^= (name[0] ^ name[1] << 1) * 0xa0761d6478bd642fULL;
		a = (a ^ a >> 32) * 0xe7037ed1a0b428dbULL ^ name[1];
	}
	a *= 0x9e3779b97f4a7c15ULL;
	b *= 0xc2b2ae3d27d4eb4fULL;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 2 * MAX_FRAMES; i++) {
		if (i >= words)
			break;
		a = (a ^ a >> 32 ^ record->frames[i]) * 0x9e3779b97f4a7c15ULL;
		b = (b ^ b >> 29) * 0xc2b2ae3d27d4eb4fULL + record->frames[i];
	}
	record->key.words[0] = a ^ a >> 32;
	record->key.words[1] = b ^ b >> 29;
}

static __always_inline void walk(void *ctx, struct stack_record *record)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	void *frames = record->frames;
	struct mm_struct *mm;

	record->kernel = 0;
	record->user = 0;
	record->program = 0;
	if (with_kernel)
		record->kernel = bpf_get_stack(ctx, frames, FRAME_BYTES, 0);
	if (!with_user)
		return;
	record->user = bpf_get_stack(ctx, frames + bytes(record->kernel), FRAME_BYTES,
				     BPF_F_USER_STACK);
	mm = BPF_CORE_READ(task, mm);
	if (mm)
		record->program = BPF_CORE_READ(mm, start_stack);
	else
		record->user = 0; // a thread of the kernel has none, which is no failure
}

// Gives the stack to user space; where there is no room, the next event tries.
static __always_inline void send(struct stack_record *record, struct stack_count *known)
{
	__u64 length = sizeof(*record) - sizeof(record->frames);
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!by_name)
		BPF_CORE_READ_INTO(&record->comm, task, group_leader, comm);
	length += bytes(record->kernel) + bytes(record->user);
	if (!bpf_ringbuf_output(&stacks, record, length, 0))
		known->sent = 1;
}

// The stack that this task has now; NULL, and counted as lost, where there is no
// room for it.
static __always_inline struct stack_count *stack_of(void *ctx, struct stack_scratch *mine, __u64 slot)
{
	struct stack_record *record = &mine->record;
	struct stack_count *known, none = {};
	__u32 apart;

	mine->entries++;
	record->slot = slot;
	record->pid = current_pid_tgid() >> 32;
	if (by_name)
		bpf_get_current_comm(record->comm, sizeof(record->comm));
	walk(ctx, record);
	// An address of a process means something in that process alone, while it runs
	// that program.
	apart = by_process || record->user;
	hash(record, apart ? bpf_get_current_pid_tgid() >> 32 ^ record->program : 0);
	known = bpf_map_lookup_elem(&counts, &record->key);
	if (!known) {
		// Another CPU may be faster.
		bpf_map_update_elem(&counts, &record->key, &none, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&counts, &record->key);
	}
	if (!known) {
		mine->lost++;
		return NULL;
	}
	if (!known->sent)
		send(record, known);
	return known;
}

// The memory of a row is one event's at a time. The kernel runs one kprobe or
// tracepoint program at a time on a CPU, but an fentry program within the helpers
// of another; of those that share a row one has to wait.
static __always_inline struct stack_scratch *take(__u32 row)
{
	struct stack_scratch *mine = bpf_map_lookup_elem(&scratch, &row);

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

static __always_inline void give_back(struct stack_scratch *mine)
{
	barrier();
	mine->busy = 0;
}

// Counts an event by the stack that it comes from.
static __always_inline void count_stack(void *ctx, __u32 row, __u64 slot)
{
	struct stack_scratch *mine = take(row);
	struct stack_count *known;

	if (!mine)
		return;
	known = stack_of(ctx, mine, slot);
	if (known)
		__sync_fetch_and_add(&known->count, 1);
	give_back(mine);
}

#endif
