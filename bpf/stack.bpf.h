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
// Room for frames more than the deepest part so far.
#define SPARE_BYTES (4 * 8)

// Which parts of a stack are asked for.
const volatile __u32 with_kernel = 1;
const volatile __u32 with_user = 1;
// 1: count processes apart.
const volatile __u32 by_process = 0;
// 1: count threads of other names apart, and hand over their names.
const volatile __u32 by_name = 0;
// 1: both parts of one function's stacks, nothing apart, no filter. One constant to look
// at for all: each that is not takes a load, also where its branch is gone.
const volatile __u32 plain = 0;
// Elements of a row of `scratch`, one a CPU.
const volatile __u32 possible_cpus = 1;
// Two numbers for each word of a stack: its frames, and what else it is known by.
// Chosen anew for each run, so that nobody can make two stacks of one hash.
const volatile __u64 secrets[STACK_WORDS][2] = {};
static const struct stack_count none = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct stack_key);
	__type(value, struct stack_count);
} counts SEC(".maps");

// Stacks that are found without a look-up in `counts`, which takes longer than to hash one.
// User space puts them there.
struct hot_stack hot[HOT] SEC(".data.hot") = {};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} stacks SEC(".maps");

// By CPU and not a per-CPU array: memory of one of those is at the beginning of an area that
// each CPU has, as are the kernel's stack canaries, and under emulation the two pages take
// the same place of the TLB (a call with its stack took a tenth longer).
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stack_scratch);
} scratch SEC(".maps");

static __always_inline struct stack_scratch *scratch_of(__u32 row)
{
	__u32 place = bpf_get_smp_processor_id() + row * possible_cpus;

	return bpf_map_lookup_elem(&scratch, &place);
}

// Bytes of a part that are there: what cannot be walked has none. The verifier
// follows a mask.
static __always_inline __u64 bytes(__s32 part)
{
	__u64 length = part < 0 ? 0 : part;

	asm volatile("" : "+r"(length));
	return length & FRAME_BYTES;
}

// The sums of words, each times a secret number of its place: those of two stacks
// are equal by chance alone (Lemire, Kaser: Strongly Universal String Hashing is
// Fast, "multilinear"). A word that differs in its upper bits alone would differ so
// little in a product that others can make up for it, hence the fold.
static __always_inline void sum(struct stack_key *sums, __u32 place, __u64 word)
{
	word ^= word >> 32;
	sums->words[0] += word * secrets[place][0];
	sums->words[1] += word * secrets[place][1];
}

// Of a stack whose parts have so many bytes; `rest` is what else it is known by.
static __always_inline void hash(struct stack_record *record, __u64 length, __u64 process, __u64 rest,
				 const int simple)
{
	__u64 words = length / 8;
	struct stack_key sums = {};

	sum(&sums, 0, process);
	sum(&sums, 1, rest);
	if (!simple && by_name) {
		__u64 name[2];

		__builtin_memcpy(name, record->comm, sizeof(name));
		sum(&sums, 2, name[0]);
		sum(&sums, 3, name[1]);
	}
	// What is behind the last frame is in its stride.
	for (__u32 i = 0; i < STRIDE - 1; i++)
		record->frames[words + i] = 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 2 * MAX_FRAMES; i += STRIDE) {
		if (i >= words)
			break;
#pragma clang loop unroll(full)
		for (__u32 j = 0; j < STRIDE; j++)
			sum(&sums, FIRST_FRAME + i + j, record->frames[i + j]);
	}
	record->key = sums;
}

// Whether what the current task points to is read without a call: Linux 5.11.
static __always_inline _Bool task_is_typed(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf);
}

// What this task runs: its process, in the host's namespace, and where the stack of the
// program begins; 0 of a task of the kernel.
static __always_inline __u32 look_at_task(__u64 *start_of_stack)
{
	struct task_struct *task;
	struct mm_struct *mm;

	if (task_is_typed()) {
		task = bpf_get_current_task_btf();
		mm = task->mm;
		*start_of_stack = mm ? mm->start_stack : 0;
		return task->tgid;
	}
	task = (void *)bpf_get_current_task();
	mm = BPF_CORE_READ(task, mm);
	*start_of_stack = mm ? BPF_CORE_READ(mm, start_stack) : 0;
	return bpf_get_current_pid_tgid() >> 32;
}

// A part of the stack. The kernel clears what it leaves of the room that it is given,
// which takes longer than to hash a short one: there is as much as this CPU has seen
// to be needed, 0 before.
static __always_inline __s32 part(void *ctx, void *frames, __u64 *room, __u64 flags)
{
	__u64 given = *room & FRAME_BYTES;
	__s32 length;

	if (given) {
		length = bpf_get_stack(ctx, frames, given, flags);
		if (length < (__s32)given)
			return length;
	}
	length = bpf_get_stack(ctx, frames, FRAME_BYTES, flags);
	if (length > 0)
		*room = length < FRAME_BYTES - SPARE_BYTES ? length + SPARE_BYTES : 0;
	return length;
}

// Whether user space is to be woken for a stack: at once where it has to read a
// memory map before the process ends, else when there is much to take. Of each CPU
// the places that it was woken for last are known, by process and 2 MiB.
static __always_inline __u64 wake(struct stack_scratch *mine)
{
	struct stack_record *record = &mine->record;
	__u64 waiting = bpf_ringbuf_query(&stacks, BPF_RB_AVAIL_DATA);
	__u64 place, *known;

	if (waiting > bpf_ringbuf_query(&stacks, BPF_RB_RING_SIZE) / 4)
		return BPF_RB_FORCE_WAKEUP;
	if (record->user <= 0)
		return BPF_RB_NO_WAKEUP;
	place = record->frames[bytes(record->kernel) / 8] >> 21;
	place = (place ^ (__u64)record->pid << 32) * 0x9e3779b97f4a7c15ULL ^ record->program;
	known = &mine->woken[(place ^ place >> 32) % WOKEN];
	if (*known == place)
		return BPF_RB_NO_WAKEUP;
	*known = place;
	return BPF_RB_FORCE_WAKEUP;
}

// Gives the stack to user space; where that cannot be, the next event tries. What the ring
// calls under its lock may be traced by fentry (_raw_spin_unlock_irqrestore): a program that
// is entered there would wait for that lock without end.
static __always_inline void send(struct stack_scratch *mine, struct stack_count *known)
{
	struct stack_record *record = &mine->record;
	__u64 length = sizeof(*record) - sizeof(record->frames);
	struct task_struct *task = (void *)bpf_get_current_task();
	struct stack_scratch *here = scratch_of(0);

	if (!here || here->sending)
		return;
	if (!by_name)
		BPF_CORE_READ_INTO(&record->comm, task, group_leader, comm);
	length += bytes(record->kernel) + bytes(record->user);
	here->sending = 1;
	barrier();
	if (!bpf_ringbuf_output(&stacks, record, length, wake(mine)))
		known->sent = 1;
	barrier();
	here->sending = 0;
}

// The stack that this task has now; NULL, and counted as lost, where there is no
// room for it.
static __always_inline struct stack_count *stack_of(void *ctx, struct stack_scratch *mine, __u64 slot,
						    const int simple)
{
	struct stack_record *record = &mine->record;
	__u64 program, process = look_at_task(&program), length = 0;
	__s32 kernel = 0, user = 0;
	struct stack_count *known;
	struct hot_stack *found;

	mine->entries++;
	if (simple || with_kernel) {
		kernel = part(ctx, record->frames, &mine->room_kernel, 0);
		length = bytes(kernel);
	}
	// A thread of the kernel has none, which is no failure.
	if ((simple || with_user) && program) {
		user = part(ctx, (void *)record->frames + length, &mine->room_user, BPF_F_USER_STACK);
		length += bytes(user);
	}
	if (!simple && by_name)
		bpf_get_current_comm(record->comm, sizeof(record->comm));
	// An address of a process means something in that process alone, while it runs
	// that program.
	program = !simple && !with_user ? 0 : program;
	hash(record, length, (!simple && by_process) || user ? process ^ program : 0,
	     // Lengths and error numbers have 16 bits each.
	     slot << 32 | (__u32)kernel << 16 | (__u16)user, simple);
	found = &hot[record->key.words[0] % HOT];
	if (found->key.words[0] == record->key.words[0] && found->key.words[1] == record->key.words[1])
		return &found->count;
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
	if (!known->sent) {
		record->slot = slot;
		record->pid = pid_ns ? current_pid_tgid() >> 32 : process;
		record->kernel = kernel;
		record->user = user;
		record->program = program;
		send(mine, known);
	}
	return known;
}

// The memory of a row is one event's at a time. The kernel runs one kprobe or
// tracepoint program at a time on a CPU, but an fentry program within the helpers
// of another; of those that share a row one has to wait.
static __always_inline struct stack_scratch *take(__u32 row)
{
	struct stack_scratch *mine = scratch_of(row);

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
static __always_inline void count_stack(void *ctx, __u32 row, __u64 slot, const int simple)
{
	struct stack_scratch *mine = take(row);
	struct stack_count *known;

	if (!mine)
		return;
	known = stack_of(ctx, mine, slot, simple);
	if (known)
		__sync_fetch_and_add(&known->count, 1);
	give_back(mine);
}

#endif
