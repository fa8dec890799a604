// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The kernel's types, as far as our programs use them. The offsets written here
// mean nothing: preserve_access_index has the loader take them from the BTF of
// the kernel it loads into, by struct and field name.
#ifndef HOSTDIAG_KERNEL_H
#define HOSTDIAG_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

#define NULL ((void *)0)

// include/uapi/linux/bpf.h: types of maps and flags.
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_CGROUP_ARRAY = 8,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_RINGBUF = 27, // Linux 5.8
	BPF_F_RDONLY_PROG = 1 << 7,
	BPF_F_MMAPABLE = 1 << 10,
};

// The same file: flags of bpf_map_update_elem and bpf_get_stack.
enum {
	BPF_NOEXIST = 1,
	BPF_EXIST = 2,
	BPF_F_USER_STACK = 1 << 8,
};

// The same file: flags of bpf_ringbuf_output and bpf_ringbuf_query.
enum {
	BPF_RB_NO_WAKEUP = 1 << 0,
	BPF_RB_FORCE_WAKEUP = 1 << 1,
	BPF_RB_AVAIL_DATA = 0,
	BPF_RB_RING_SIZE = 1,
};

// The same file: helpers that not every kernel has.
enum bpf_func_id {
	BPF_FUNC_get_current_task_btf = 158,
};

// arch/x86/include/uapi/asm/ptrace.h: the kernel keeps this as it is.
struct pt_regs {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	__u64 orig_ax, ip, cs, flags, sp, ss;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};

// include/linux/netdevice.h; netdev_features_t is a u64.
struct net_device {
	struct list_head dev_list;
	int ifindex;
	__u64 features;
	__u64 vlan_features;
	__u64 hw_enc_features;
};

// include/net/net_namespace.h; the list goes through net_device.dev_list.
struct net {
	struct list_head dev_base_head;
};

struct nsproxy {
	struct net *net_ns;
};

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

// include/linux/pid.h: a number in each namespace from the host's, level 0, down.
struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

// include/linux/mm_types.h
struct mm_struct {
	unsigned long start_stack;
};

struct task_struct {
	struct nsproxy *nsproxy;
	struct pid *thread_pid;
	struct task_struct *group_leader;
	struct mm_struct *mm; // NULL: no process, but a thread of the kernel
	char comm[16];
	int tgid; // of the process, in the host's namespace
	int pid; // of the thread, in the host's namespace; 0: a CPU's idle task
	unsigned int __state; // Linux 5.14
};

// Before that; libbpf takes the part of a name before ___.
struct task_struct___signed {
	volatile long state;
};

// include/uapi/linux/bpf.h, of raw tracepoints.
struct bpf_raw_tracepoint_args {
	__u64 args[0];
};

// include/linux/timer.h (timer_types.h): a timer of the wheel.
struct timer_list {
	unsigned long expires; // jiffies
	void *function;
};

// include/linux/hrtimer.h (hrtimer_defs.h). What is added to the monotonic clock
// for that of the base.
struct hrtimer_clock_base {
	__s64 offset;
};

// include/linux/hrtimer.h (hrtimer_types.h). When it expires stands here in the
// time of its base, also where that was given as a delay.
struct hrtimer {
	__s64 _softexpires;
	void *function;
	struct hrtimer_clock_base *base;
	__u8 is_soft;
};

// The same file: what hrtimer_wakeup() is called with.
struct hrtimer_sleeper {
	struct hrtimer timer;
	struct task_struct *task;
};

// kernel/time/timer.c (sleep_timeout.c): what process_timeout() is called with.
struct process_timer {
	struct timer_list timer;
	struct task_struct *task;
};

// include/linux/workqueue.h.
struct work_struct {
	void *func;
};

// The same file: what delayed_work_timer_fn() is called with.
struct delayed_work {
	struct work_struct work;
	struct timer_list timer;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 seq_num;
};

// Context of SEC("iter/task"); task is NULL once after the last one.
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

#endif
