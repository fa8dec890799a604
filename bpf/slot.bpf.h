// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Which function a program is attached to, on every kernel.
//
// A program of one function is loaded anew for each, with the function's index
// in the place of this constant (probe/attach.rs): neither cookies, which kprobes
// have since 5.15 and fentry since 6.0, nor a look-up by address is needed.
#ifndef HOSTDIAG_SLOT_BPF_H
#define HOSTDIAG_SLOT_BPF_H

#include <bpf/bpf_helpers.h>

// probe/attach.rs looks for the same number.
static __always_inline __u64 slot_of_copy(void)
{
	__u64 slot;

	asm volatile("%0 = 0x5107c0de0be11a57 ll" : "=r"(slot));
	return slot;
}

// For a program of many kprobes in one event, the index by address. A breakpoint
// is one byte long, and ftrace, which mostly stands in for it, pretends so
// (arch/x86/kernel/kprobes/ftrace.c): the address is that behind it.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} slots SEC(".maps");

static __always_inline __u32 *slot_by_address(struct pt_regs *regs)
{
	__u64 address = regs->ip - 1;

	return bpf_map_lookup_elem(&slots, &address);
}

#endif
