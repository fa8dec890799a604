// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// What the programs hand to user space. Fixed widths, padding written out:
// tools/hostdiag/src/probe/ decodes these bytes.
#ifndef HOSTDIAG_H
#define HOSTDIAG_H

// Feature bits of one network device, by bit number. Numbers differ between
// kernels, user space names them from the kernel's string set.
struct vlan_features_record {
	__u32 ifindex;
	__u32 pad; // 0
	__u64 features;
	__u64 vlan_features;
	__u64 hw_enc_features;
};

// Bytes of a name of the kernel with what stands around it; longer ones are cut.
#define KSYM_TEXT 384

// An address of the kernel, and its name, which ends with a byte 0.
struct ksym {
	__u64 address;
	__s64 length; // of the whole name, that byte included, or a negative error number
	char text[KSYM_TEXT];
};

// Frames of a part of a stack, at most: kernel.perf_event_max_stack is 127 too.
#define MAX_FRAMES 127
// Frames that are hashed at a time, and room for those of both parts.
#define STRIDE 2
#define STACK_FRAMES (2 * MAX_FRAMES + STRIDE - 1)
// Words that a stack is known by: its frames come after those that are none.
#define FIRST_FRAME 4
#define STACK_WORDS (FIRST_FRAME + STACK_FRAMES)
// Places that a CPU remembers to have woken user space for.
#define WOKEN 64

// By which a stack is known: a hash of its frames, its function and, where that
// matters, its process.
struct stack_key {
	__u64 words[2];
};

// How often a stack was seen, and in all for how long where that is measured.
struct stack_count {
	__u64 count;
	__u64 time; // ns
	__u32 sent; // 1 once user space was given the stack itself
	__u32 pad; // 0
};

// A stack that user space has been given, and what was counted of it since: a cache line.
// At its hash modulo HOT; 0 where there is none.
#define HOT 256
struct hot_stack {
	struct stack_key key;
	struct stack_count count;
	__u64 unused[3];
};

// A stack, when it is first seen; as many frames as there are, so that it ends
// early.
struct stack_record {
	struct stack_key key;
	__u32 slot; // index of the function
	__u32 pid;
	__s32 kernel; // frames of the kernel in bytes, or a negative error number
	__s32 user; // likewise those of the process, which follow them
	__u8 comm[16]; // name of the process, or of the thread where those are apart
	__u64 program; // where its stack begins: another place after each execve(2)
	__u64 frames[STACK_FRAMES];
};

// What one CPU works with while it is in one of the programs.
struct stack_scratch {
	__u64 entries; // events
	__u64 lost; // events whose stack found no room
	__u64 nested; // events while another had this memory
	__u64 busy;
	__u64 room_kernel; // bytes that the kernel's part of a stack is given; 0: all
	__u64 room_user; // likewise a process's
	__u64 sending; // in the first row: 1 while a program hands over a stack
	__u64 woken[WOKEN];
	struct stack_record record;
};

// What one CPU has seen of samples.
struct cpu_samples {
	__u64 seen; // of all tasks, while the gate was open
	__u64 idle; // of those, while nothing was running
};

// A wait that goes on: since when, and the stack that it began with.
struct wait {
	__u64 since; // ns, as bpf_ktime_get_ns()
	struct stack_key key;
};

// What one CPU has seen of waits.
struct cpu_waits {
	__u64 start_lost; // found no room in the table of those that go on
	__u64 end_missed; // began another without the end of the one before
};

#endif
