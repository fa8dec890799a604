// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Counts calls by the stack that they come from. A stack is known by a hash of
// 128 bits; itself it goes to user space once, when it is first seen, while its
// process still runs. So no table of stacks can overflow or mix two of them up.
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "alone.bpf.h"
#include "filter.bpf.h"
#include "hostdiag.h"
#include "slot.bpf.h"

#define FRAME_BYTES (MAX_FRAMES * 8)

// Which parts of a stack are asked for.
const volatile __u32 with_kernel = 1;
const volatile __u32 with_user = 1;
// 1: count processes apart.
const volatile __u32 by_process = 0;
// Chosen anew for each run, so that nobody can make two stacks of one hash.
const volatile __u64 seeds[2] = {};
// Programs of one function take the scratch memory of its slot & row_mask.
const volatile __u32 row_mask = 0;

// Written by user space: 1 once everything is attached, 0 before the last read.
__u32 ready = 0;

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

static __always_inline void hash(struct stack_record *record, __u32 process)
{
	__u64 words = (bytes(record->kernel) + bytes(record->user)) / 8;
	__u64 a = seeds[0] ^ ((__u64)record->slot << 32 | process);
	__u64 b = seeds[1] ^ ((__u64)(__u32)record->kernel << 32 | (__u32)record->user);

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
	void *frames = record->frames;

	record->kernel = 0;
	record->user = 0;
	if (with_kernel)
		record->kernel = bpf_get_stack(ctx, frames, FRAME_BYTES, 0);
	if (with_user)
		record->user = bpf_get_stack(ctx, frames + bytes(record->kernel), FRAME_BYTES,
					     BPF_F_USER_STACK);
	// A thread of the kernel has none, which is no failure.
	if (record->user < 0 && !BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), mm))
		record->user = 0;
}

// Gives the stack to user space; where there is no room, the next event tries.
static __always_inline void send(struct stack_record *record, struct stack_count *known)
{
	__u64 length = sizeof(*record) - sizeof(record->frames);
	struct task_struct *task = (void *)bpf_get_current_task();

	BPF_CORE_READ_INTO(&record->comm, task, group_leader, comm);
	length += bytes(record->kernel) + bytes(record->user);
	if (!bpf_ringbuf_output(&stacks, record, length, 0))
		known->sent = 1;
}

static __always_inline void count(void *ctx, struct stack_scratch *mine, __u64 slot)
{
	struct stack_record *record = &mine->record;
	struct stack_count *known, none = {};
	__u32 apart;

	mine->entries++;
	record->slot = slot;
	record->pid = current_pid_tgid() >> 32;
	walk(ctx, record);
	// An address of a process means something in that process alone.
	apart = by_process || record->user;
	hash(record, apart ? bpf_get_current_pid_tgid() >> 32 : 0);
	known = bpf_map_lookup_elem(&counts, &record->key);
	if (!known) {
		// Another CPU may be faster.
		bpf_map_update_elem(&counts, &record->key, &none, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&counts, &record->key);
	}
	if (!known) {
		mine->lost++;
		return;
	}
	__sync_fetch_and_add(&known->count, 1);
	if (!known->sent)
		send(record, known);
}

// The memory of a row is one event's at a time. The kernel runs one kprobe or
// tracepoint program at a time on a CPU, but an fentry program within the helpers
// of another; of those that share a row one has to wait.
static __always_inline int event(void *ctx, __u32 row, __u64 slot)
{
	struct stack_scratch *mine;

	if (!ready || !wanted(bpf_get_smp_processor_id()))
		return 0;
	mine = bpf_map_lookup_elem(&scratch, &row);
	if (!mine)
		return 0;
	if (mine->busy) {
		__sync_fetch_and_add(&mine->nested, 1);
		return 0;
	}
	mine->busy = 1;
	barrier();
	count(ctx, mine, slot);
	barrier();
	mine->busy = 0;
	return 0;
}

// For one function or event, as in funccount.bpf.c.
SEC("kprobe")
int one(void *ctx)
{
	__u64 slot = slot_of_copy();

	if (begin()) {
		event(ctx, slot & row_mask, slot);
		end();
	}
	return 0;
}

// For many functions at once; the cookie is the function's index.
SEC("kprobe.multi")
int many(void *ctx)
{
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

	if (begin()) {
		slot = slot_by_address(regs);
		if (slot)
			event(regs, 0, *slot);
		end();
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
