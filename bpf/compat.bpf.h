// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// What kernels call by one name and do differently.
#ifndef HOSTDIAG_COMPAT_BPF_H
#define HOSTDIAG_COMPAT_BPF_H

#include <bpf/bpf_helpers.h>

// The functions of a kprobe.session program, without the context up to about
// Linux 6.19 and with it after (kernel/trace/bpf_trace.c). libbpf takes the part
// of a name before ___ and leaves at 0 what has other arguments in this kernel.
extern _Bool bpf_session_is_return___bare(void) __weak __ksym;
extern __u64 *bpf_session_cookie___bare(void) __weak __ksym;
extern _Bool bpf_session_is_return___context(void *ctx) __weak __ksym;
extern __u64 *bpf_session_cookie___context(void *ctx) __weak __ksym;

// Whether the program runs at the return of its function.
static __always_inline _Bool session_is_return(void *ctx)
{
	if (bpf_ksym_exists(bpf_session_is_return___context))
		return bpf_session_is_return___context(ctx);
	return bpf_session_is_return___bare();
}

// Eight bytes of this call, the same at its entry and its return.
static __always_inline __u64 *session_cookie(void *ctx)
{
	if (bpf_ksym_exists(bpf_session_cookie___context))
		return bpf_session_cookie___context(ctx);
	return bpf_session_cookie___bare();
}

// Linux 6.10. A program behind a trampoline can be preempted, and while it is, all
// others that come to it on that CPU are left out (recursion_misses): seen to lose
// more calls than it takes where many threads wake at once. So it is not, but for
// its first and last instructions, where the kernel has this.
extern void bpf_preempt_disable(void) __weak __ksym;
extern void bpf_preempt_enable(void) __weak __ksym;

static __always_inline void without_preemption(void)
{
	if (bpf_ksym_exists(bpf_preempt_disable))
		bpf_preempt_disable();
}

static __always_inline void with_preemption(void)
{
	if (bpf_ksym_exists(bpf_preempt_enable))
		bpf_preempt_enable();
}

#endif
