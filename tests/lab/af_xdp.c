// SPDX-License-Identifier: MIT OR Apache-2.0
// Binds an AF_XDP socket to queue 0 of a device, says so and waits to be killed:
//
//   af_xdp DEVICE
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME = 4096, FRAMES = 8 };

static void check(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
}

static void set(int fd, int option, const void *value, socklen_t size)
{
	check(setsockopt(fd, SOL_XDP, option, value, size), "setsockopt");
}

int main(int argc, char **argv)
{
	unsigned int index = argc == 2 ? if_nametoindex(argv[1]) : 0;
	int fd = socket(AF_XDP, SOCK_RAW, 0), frames = FRAMES;
	void *memory = mmap(NULL, FRAME * FRAMES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(index ? 0 : -1, "if_nametoindex");
	check(fd, "socket");
	check(memory == MAP_FAILED ? -1 : 0, "mmap");
	struct xdp_umem_reg umem = {
		.addr = (unsigned long)memory,
		.len = FRAME * FRAMES,
		.chunk_size = FRAME,
	};
	set(fd, XDP_UMEM_REG, &umem, sizeof(umem));
	set(fd, XDP_UMEM_FILL_RING, &frames, sizeof(frames));
	set(fd, XDP_UMEM_COMPLETION_RING, &frames, sizeof(frames));
	set(fd, XDP_RX_RING, &frames, sizeof(frames));
	struct sockaddr_xdp address = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_COPY,
		.sxdp_ifindex = index,
	};
	check(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	puts("bound");
	fflush(stdout);
	pause();
}
