// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Lets every packet pass: what counts is that a program is there.
#define SEC(name) __attribute__((section(name), used))

SEC("xdp")
int xdp_pass(void *ctx)
{
	return 2; // XDP_PASS
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
