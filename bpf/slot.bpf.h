// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Which function a program is attached to, on every kernel.
//
// A program of one function is loaded anew for each, with the function's index
// in the place of this constant (probe/attach.rs): neither cookies, which kprobes
// have since 5.15 and fentry since 6.0, nor a look-up by address is needed.
#ifndef HOSTDIAG_SLOT_BPF_H
#define HOSTDIAG_SLOT_BPF_H

// probe/attach.rs looks for the same number.
static __always_inline __u64 slot_of_copy(void)
{
	__u64 slot;

	asm volatile("%0 = 0x5107c0de0be11a57 ll" : "=r"(slot));
	return slot;
}

#endif
