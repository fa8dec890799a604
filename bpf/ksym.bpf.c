// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Names of addresses of the kernel, one by one, run by user space: /proc/kallsyms
// gives none without all of them. Linux 5.16.
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include "hostdiag.h"

// NAME+OFFSET/SIZE [MODULE], as in the kernel's own messages; the number alone where
// it has no name (Documentation/core-api/printk-formats.rst).
static const char format[] = "%pS";

static const char etext[] = "_etext";

SEC("syscall")
int name_of(struct ksym *ksym)
{
	__u64 address = ksym->address;
	char text[KSYM_TEXT];

	ksym->length = bpf_snprintf(text, sizeof(text), format, &address, sizeof(address));
	__builtin_memcpy(ksym->text, text, sizeof(text));
	return 0;
}

// Behind it there are data. 0 where the kernel hides addresses from who asks.
SEC("syscall")
int end_of_code(struct ksym *ksym)
{
	__u64 address = 0;

	bpf_kallsyms_lookup_name(etext, sizeof(etext), 0, &address);
	ksym->address = address;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
