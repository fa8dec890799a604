// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// How a call under way is known, from its entry to its return.
#ifndef HOSTDIAG_FRAME_BPF_H
#define HOSTDIAG_FRAME_BPF_H

#include <bpf/bpf_helpers.h>

// A call that has begun. Its frame is an address that no other call under way
// has, so nested calls, and those that call themselves, are told apart at any
// depth; and where a frame is found taken, the call that had it is over, and its
// return was not seen.
struct call {
	__u64 frame;
	// Addresses of user space, unlike those of the kernel, are of a thread alone.
	__u32 thread;
	// Functions that end in a jump to another share a frame with it.
	__u32 slot;
};

static __always_inline struct call call_of(__u64 frame, __u64 slot)
{
	struct call call = { .frame = frame, .slot = slot };

	if (!(frame >> 63))
		call.thread = bpf_get_current_pid_tgid();
	return call;
}

// The context of fentry and fexit is the place of the arguments in the
// trampoline's frame, the same for both. The verifier of 5.10 takes no pointer as
// part of a key, but a distance of two is a number; it is marked as one of the
// kernel's. No helper is called, which lockdown might forbid. `fixed` is any
// variable of the program.
static __always_inline __u64 frame_of_trampoline(void *ctx, __u32 *fixed)
{
	__u64 frame;

	asm volatile("%0 = %1; %0 -= %2" : "=&r"(frame) : "r"(ctx), "r"(fixed));
	return frame | 1ULL << 63;
}

#endif
