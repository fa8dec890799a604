// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// What not every kernel has, and functions of it that programs call (kfuncs).
#ifndef HOSTDIAG_COMPAT_BPF_H
#define HOSTDIAG_COMPAT_BPF_H

#include <bpf/bpf_helpers.h>

// In the place of a function's number, which each kernel has its own of, until user
// space puts that there (probe/kfunc.rs): for an extern of C libbpf reads all types of
// the kernel.
enum {
	SESSION_IS_RETURN = 1,
	SESSION_COOKIE = 2,
	PREEMPT_DISABLE = 3,
	PREEMPT_ENABLE = 4,
};

// Written by user space: 1 where the kernel has the last two.
const volatile __u32 preempt_kfuncs = 0;

// BPF_JMP | BPF_CALL with BPF_PSEUDO_KFUNC_CALL as its source register; the number is
// its upper half.
#define CALL_KFUNC(number) ((__u64)(number) << 32 | 0x2085)
#define CLOBBERED "r0", "r1", "r2", "r3", "r4", "r5", "memory"

// Whether the program of a kprobe.session runs at the return of its function. Up to
// about Linux 6.19 this and the next have no argument (kernel/trace/bpf_trace.c), and
// one more does no harm.
static __always_inline _Bool session_is_return(void *ctx)
{
	__u64 result;

	asm volatile("r1 = %1; .8byte %2; %0 = r0"
		     : "=r"(result) : "r"(ctx), "i"(CALL_KFUNC(SESSION_IS_RETURN)) : CLOBBERED);
	return result & 1;
}

// Eight bytes of this call, the same at its entry and its return.
static __always_inline __u64 *session_cookie(void *ctx)
{
	__u64 *result;

	asm volatile("r1 = %1; .8byte %2; %0 = r0"
		     : "=r"(result) : "r"(ctx), "i"(CALL_KFUNC(SESSION_COOKIE)) : CLOBBERED);
	return result;
}

// Linux 6.10. A program behind a trampoline can be preempted, and while it is, all
// others that come to it on that CPU are left out (recursion_misses): seen to lose
// more calls than it takes where many threads wake at once. So it is not, but for
// its first and last instructions, where the kernel has this.
static __always_inline void without_preemption(void)
{
	if (preempt_kfuncs)
		asm volatile(".8byte %0" :: "i"(CALL_KFUNC(PREEMPT_DISABLE)) : CLOBBERED);
}

static __always_inline void with_preemption(void)
{
	if (preempt_kfuncs)
		asm volatile(".8byte %0" :: "i"(CALL_KFUNC(PREEMPT_ENABLE)) : CLOBBERED);
}

#endif
