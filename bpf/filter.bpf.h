// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Which events count: the same filters for every tracing tool. What is not asked
// for is a constant 0, and its branch is gone once the program is loaded.
#ifndef HOSTDIAG_FILTER_BPF_H
#define HOSTDIAG_FILTER_BPF_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

// Words of 64 CPUs each: as many CPUs as x86_64 kernels are built for.
#define CPU_WORDS 128

// MAX_PID_NS_LEVEL, include/linux/pid_namespace.h.
#define MAX_LEVEL 32

// 1: not every event is asked for. To look at one constant is shorter than at each.
const volatile __u32 any_filter = 0;
// The PID namespace that user space means its numbers in, by its inode; 0: the
// host's.
const volatile __u32 pid_ns = 0;
// How many processes and threads are asked for. One is compared with, more are
// looked up in a map.
const volatile __u32 pid_count = 0;
const volatile __u32 tid_count = 0;
const volatile __u32 pid = 0;
const volatile __u32 tid = 0;
// 1: only this command name, 16 bytes padded with 0 (include/linux/sched.h).
const volatile __u32 by_comm = 0;
const volatile __u64 comm[2] = {};
// 1: only tasks in this cgroup (version 2) and those below it.
const volatile __u32 by_cgroup = 0;
// 1: only these CPUs, a bit each.
const volatile __u32 by_cpu = 0;
const volatile __u64 cpus[CPU_WORDS] = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} pids SEC(".maps"), tids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cgroups SEC(".maps");

// The number of a task in the PID namespace of user space; 0 outside of it.
static __always_inline __u32 number_of(struct task_struct *task)
{
	struct pid *id = BPF_CORE_READ(task, thread_pid);
	void *numbers = (void *)id + bpf_core_field_offset(struct pid, numbers);
	__u32 level = BPF_CORE_READ(id, level);

	for (__u32 i = 0; i <= MAX_LEVEL; i++) {
		struct upid *number = numbers + i * bpf_core_type_size(struct upid);

		if (i > level)
			break;
		if (BPF_CORE_READ(number, ns, ns.inum) == pid_ns)
			return BPF_CORE_READ(number, nr);
	}
	return 0;
}

// As bpf_get_current_pid_tgid(), in the PID namespace of user space.
static __always_inline __u64 current_pid_tgid(void)
{
	struct task_struct *task;

	if (!pid_ns)
		return bpf_get_current_pid_tgid();
	task = (void *)bpf_get_current_task();
	return (__u64)number_of(BPF_CORE_READ(task, group_leader)) << 32 | number_of(task);
}

static __always_inline int wanted_task(void)
{
	__u64 id = current_pid_tgid();
	__u32 process = id >> 32, thread = id;

	if (pid_count == 1 && process != pid)
		return 0;
	if (pid_count > 1 && !bpf_map_lookup_elem(&pids, &process))
		return 0;
	if (tid_count == 1 && thread != tid)
		return 0;
	return tid_count <= 1 || bpf_map_lookup_elem(&tids, &thread);
}

static __always_inline int wanted_comm(void)
{
	__u64 name[2] = {};

	bpf_get_current_comm(name, sizeof(name));
	return name[0] == comm[0] && name[1] == comm[1];
}

// Whether this event, on this CPU, is asked for.
static __always_inline int wanted(__u32 cpu)
{
	if (!any_filter)
		return 1;
	if (by_cpu && !(cpus[cpu / 64 % CPU_WORDS] & 1ULL << cpu % 64))
		return 0;
	if ((pid_count || tid_count) && !wanted_task())
		return 0;
	if (by_comm && !wanted_comm())
		return 0;
	return !by_cgroup || bpf_current_task_under_cgroup(&cgroups, 0) == 1;
}

#endif
