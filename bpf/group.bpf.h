// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Numbers for what is counted apart, given when it is first seen. The includer
// has `struct name`, by which a group is known.
#ifndef HOSTDIAG_GROUP_BPF_H
#define HOSTDIAG_GROUP_BPF_H

#include <bpf/bpf_helpers.h>

// The group of all that found no group of their own any more.
#define OTHER 0

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct name);
	__type(value, __u32);
} names SEC(".maps");

// Groups that nobody has yet: user space fills it.
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, __u32);
} unused SEC(".maps");

static __always_inline __u32 new_group(struct name *name)
{
	__u32 group, *found;

	if (bpf_map_pop_elem(&unused, &group))
		return OTHER;
	if (!bpf_map_update_elem(&names, name, &group, BPF_NOEXIST))
		return group;
	// Another CPU was first.
	bpf_map_push_elem(&unused, &group, 0);
	found = bpf_map_lookup_elem(&names, name);
	return found ? *found : OTHER;
}

static __always_inline __u32 named_group(struct name *name)
{
	__u32 *found = bpf_map_lookup_elem(&names, name);

	return found ? *found : new_group(name);
}

#endif
