// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// A foreign program on the way of every packet, which takes its time and lets it pass.
#define SEC(name) __attribute__((section(name), used))
// As many as the verifier follows.
#define TURNS 80000

// The helper bpf_get_prandom_u32: of all that may be called here it takes long.
static unsigned int (*const number)(void) = (void *)7;

SEC("classifier")
int burn(void *packet)
{
	volatile int sum = 0;

	for (int turn = 0; turn < TURNS; turn++)
		sum += number();
	return -1; // TC_ACT_UNSPEC: as if it were not there.
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
