// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Log-linear histograms of nanoseconds. What a slot is, and why, stands in
// tools/model/src/histogram/slots.rs; tests/tidy compares hist_slot() with it.
//
// The includer has the kernel's types and __always_inline.
#ifndef HOSTDIAG_HIST_BPF_H
#define HOSTDIAG_HIST_BPF_H

// Values below 2^6 ns have a slot each, those from 2^40 ns on share the last.
#define HIST_EXACT_BITS 6
#define HIST_MAX_BITS 40
// sub_bits is 0 to 4.
#define HIST_MAX_SUB_BITS 4

// Parts of an octave: equal ones, and two extra cuts.
#define HIST_PARTS(sub_bits) ((1U << (sub_bits)) + 2)
#define HIST_SLOTS(sub_bits) \
	((1U << HIST_EXACT_BITS) + (HIST_MAX_BITS - HIST_EXACT_BITS) * HIST_PARTS(sub_bits) + 1)
#define HIST_MAX_SLOTS HIST_SLOTS(HIST_MAX_SUB_BITS)

// floor(log2(value)); 0 of 0. BPF has no instruction for it.
static __always_inline __u32 hist_log2(__u64 value)
{
	__u32 shift, result;

	result = (value > 0xffffffff) << 5;
	value >>= result;
	shift = (value > 0xffff) << 4;
	value >>= shift;
	result |= shift;
	shift = (value > 0xff) << 3;
	value >>= shift;
	result |= shift;
	shift = (value > 0xf) << 2;
	value >>= shift;
	result |= shift;
	shift = (value > 0x3) << 1;
	value >>= shift;
	result |= shift;
	return result | (__u32)(value >> 1);
}

// The slot of a value, below HIST_SLOTS(sub_bits). The verifier does not know:
// the caller compares before it uses the slot as an index. 64 bits wide, because
// without 32-bit registers clang compares one copy of a __u32, cut to 32 bits,
// and indexes with another, of which the verifier knows nothing then.
static __always_inline __u64 hist_slot(__u64 value, __u32 sub_bits)
{
	__u32 octave, part;

	if (value < 1ULL << HIST_EXACT_BITS)
		return value;
	if (value >> HIST_MAX_BITS)
		return HIST_SLOTS(sub_bits) - 1;
	octave = hist_log2(value);
	part = (__u32)(value >> (octave - sub_bits)) - (1U << sub_bits);
	// 2^n milliseconds and 2^n microseconds begin a slot.
	part += (value << 13) >= (15625ULL << octave);
	part += (value << 6) >= (125ULL << octave);
	return (1U << HIST_EXACT_BITS) + (octave - HIST_EXACT_BITS) * HIST_PARTS(sub_bits) + part;
}

#endif
