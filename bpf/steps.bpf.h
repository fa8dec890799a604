// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The steps that fetch, compare and keep values of a call. User space makes them of
// what was typed (tools/hostdiag/src/expression/), and reads what is counted.
//
// The includer has the kernel's types.
#ifndef HOSTDIAG_STEPS_BPF_H
#define HOSTDIAG_STEPS_BPF_H

#include <bpf/bpf_helpers.h>
#include "hist.bpf.h"

// Steps of a function, for its entry and its return; a power of two.
#define MAX_STEPS 64
// Words of what is counted: one of marks, two of a name, those of values.
#define WORDS 19
#define NAME_WORD 1
// What a step may reach, as far as the verifier knows: a text from the last word on.
#define REACH 48

// What a step does with the value in hand; expression/step.rs has the same numbers.
enum {
	ARGUMENT, // takes the argument a, or what was returned
	CONTEXT, // takes the address of the tracepoint's record
	RELATIVE, // adds that address
	LOAD, // reads a bytes at the value plus an offset
	ADD,
	BITS, // shifts left by a and then right by b; c: that keeps the sign
	SWAP, // turns a bytes around
	MASK,
	STORE, // keeps it as the value b, in word a
	TEXT, // reads a text at it, at most c bytes, as the value b, in word a
	SLOT, // keeps its slot of a histogram in word a; c: it may be below zero
	COMPARE, // the condition a is whether it is so, by c
	AND, // the condition a is a and b
	OR,
	NOT, // the condition a is not a
	DECIDE, // ends here unless the condition 0 holds
};

// How COMPARE does it, in b: one of these; in c: signed, and the other way round.
#define EQUAL 0
#define LESS 1
#define AT_MOST 2
#define SIGNED 1
#define NEGATED 2

// Where what was returned stands among the arguments.
#define RETURNED 15
#define ARGUMENTS 16

// Marks of a value: it could not be read, it is longer than what is kept.
#define UNREADABLE(value) (1ULL << ((value) & 3))
#define CUT(value) (16ULL << ((value) & 3))

struct step {
	__u8 what;
	__u8 a, b, c;
	__u32 unused;
	__u64 number;
};

struct plan {
	__u32 entry; // so many steps at the entry
	__u32 all; // the rest at the return
	__u32 returned_at; // behind so many arguments, where a trampoline has them
	__u32 unused;
	struct step steps[MAX_STEPS];
};

// What is kept of a call from its entry to its return: which conditions hold and
// which do not, a bit each, and the values.
struct call_values {
	__u32 yes, no;
	__u64 words[REACH]; // WORDS of them are kept
};

// What one CPU works with while it is in one of the programs. User space adds up
// the words before `busy`, in this order.
struct scratch {
	__u64 entries;
	__u64 returns;
	__u64 start_lost;
	__u64 return_missed;
	__u64 values_lost; // the table was full
	__u64 unmatched; // the condition does not hold
	__u64 undecided; // it could not be read
	__u64 unreadable; // values that belong into a histogram
	__u64 below_zero; // likewise
	__u64 nested; // while another had this memory
	__u64 busy;
	__u64 value; // in hand
	__u64 fault; // it could not be read
	__u64 context;
	__u64 sum;
	__u64 room[2];
	__u64 arguments[ARGUMENTS];
	struct call_values values;
};

// Addresses of the kernel are those with the highest bit.
static __always_inline __u64 load(struct scratch *mine, __u64 from, __u64 size)
{
	void *address = (void *)from;
	long error;

	mine->room[0] = 0;
	if ((__s64)from < 0)
		error = bpf_probe_read_kernel(mine->room, size & 15, address);
	else
		error = bpf_probe_read_user(mine->room, size & 15, address);
	if (error)
		mine->fault = 1;
	return mine->fault ? 0 : mine->room[0];
}

static __always_inline void text(struct scratch *mine, struct step *step, __u64 from)
{
	void *to = &mine->values.words[step->a & 31];
	__u64 size = step->c & 127;
	long length;

	if (mine->fault)
		length = -1;
	else if ((__s64)from < 0)
		length = bpf_probe_read_kernel_str(to, size, (void *)from);
	else
		length = bpf_probe_read_user_str(to, size, (void *)from);
	if (length < 0)
		mine->values.words[0] |= UNREADABLE(step->b);
	else if (step->number && length == size)
		mine->values.words[0] |= CUT(step->b);
}

static __always_inline __u64 turned(__u64 value, __u8 bytes)
{
	if (bytes == 2)
		return __builtin_bswap16(value);
	return bytes == 4 ? __builtin_bswap32(value) : __builtin_bswap64(value);
}

static __always_inline __u32 holds(struct step *step, __u64 value)
{
	__u64 other = step->number;
	__u32 is;

	if (step->b == EQUAL)
		is = value == other;
	else if (step->b == LESS)
		is = step->c & SIGNED ? (__s64)value < (__s64)other : value < other;
	else
		is = step->c & SIGNED ? (__s64)value <= (__s64)other : value <= other;
	return is ^ !!(step->c & NEGATED);
}

static __always_inline void set(struct call_values *values, __u32 bit, __u32 yes, __u32 no)
{
	values->yes = (values->yes & ~(1U << bit)) | (yes & 1) << bit;
	values->no = (values->no & ~(1U << bit)) | (no & 1) << bit;
}

// Conditions by three values: what could not be read neither holds nor does not.
static __always_inline void combine(struct call_values *values, struct step *step)
{
	__u32 a = step->a & 31, b = step->b & 31;
	__u32 yes = values->yes >> a, no = values->no >> a;
	__u32 other_yes = values->yes >> b, other_no = values->no >> b;

	if (step->what == AND)
		set(values, a, yes & other_yes, no | other_no);
	else if (step->what == OR)
		set(values, a, yes | other_yes, no & other_no);
	else
		set(values, a, no, yes);
}

// Whether the call is to be counted as far as this tells.
static __always_inline int decided(struct scratch *mine)
{
	if (mine->values.yes & 1)
		return 1;
	if (mine->values.no & 1)
		mine->unmatched++;
	else
		mine->undecided++;
	return 0;
}

// No entry and no return has more steps: the verifier goes through no more.
const volatile __u32 most_steps = MAX_STEPS;

// Whether the value has a slot.
static __always_inline int put_slot(struct scratch *mine, struct step *step, __u64 value)
{
	if (mine->fault) {
		mine->unreadable++;
		return 0;
	}
	if (step->c && (__s64)value < 0) {
		mine->below_zero++;
		return 0;
	}
	mine->values.words[step->a & 31] = hist_slot(value, HIST_MAX_SUB_BITS);
	mine->sum = value;
	return 1;
}

// Does the steps; whether the call is to be counted. The value is in memory between
// two steps: of what is there the verifier knows nothing, so that it goes through a
// step once, and not for every way that the step before can end.
static __always_inline int steps(struct scratch *mine, struct plan *plan, __u32 from, __u32 to)
{
	struct call_values *values = &mine->values;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MAX_STEPS && i < most_steps; i++) {
		struct step *step = &plan->steps[(from + i) & (MAX_STEPS - 1)];
		__u64 value = mine->value;

		if (from + i >= to)
			break;
		switch (step->what) {
		case ARGUMENT:
			mine->fault = 0;
			value = mine->arguments[step->a & (ARGUMENTS - 1)];
			break;
		case CONTEXT:
			mine->fault = 0;
			value = mine->context;
			break;
		case RELATIVE:
			value += mine->context;
			break;
		case LOAD:
			value = load(mine, value + step->number, step->a);
			break;
		case ADD:
			value += step->number;
			break;
		case BITS:
			value <<= step->a & 63;
			if (step->c)
				value = (__s64)value >> (step->b & 63);
			else
				value >>= step->b & 63;
			break;
		case SWAP:
			value = turned(value, step->a);
			break;
		case MASK:
			value &= step->number;
			break;
		case STORE:
			if (mine->fault)
				values->words[0] |= UNREADABLE(step->b);
			values->words[step->a & 31] = mine->fault ? 0 : value;
			break;
		case TEXT:
			text(mine, step, value);
			break;
		case SLOT:
			if (!put_slot(mine, step, value))
				return 0;
			break;
		case COMPARE: {
			__u32 is = holds(step, value), known = !mine->fault;

			set(values, step->a & 31, known & is, known & ~is);
			break;
		}
		case DECIDE:
			if (!decided(mine))
				return 0;
			break;
		default:
			combine(values, step);
		}
		mine->value = value;
		barrier();
	}
	return 1;
}

#endif
