// A known number of timer starts: the keepalive timer of a connection (in the
// timer wheel) is armed once, and then armed anew, each time in another slot.
//
// Usage: timers STARTS [RATE]
//
// Says its number and "ready", waits for a line, makes the starts, RATE of them a
// second at most, and says how many, and how much CPU time and time they took, in
// nanoseconds. Ends with its input.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static unsigned long long now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static int connection(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (void *)&address, length) || listen(listener, 1) ||
	    getsockname(listener, (void *)&address, &length) ||
	    connect(client, (void *)&address, length))
		return -1;
	return client;
}

int main(int count, char **words)
{
	unsigned long long starts = count > 1 ? strtoull(words[1], NULL, 10) : 0;
	unsigned long long rate = count > 2 ? strtoull(words[2], NULL, 10) : 0;
	unsigned long long burst = rate < 1000 ? 1 : rate / 1000;
	unsigned long long cpu, begin, made = 0;
	int client = connection(), on = 1, seconds[] = { 100, 10000 };
	char line[8];

	if (client < 0 || !starts)
		return 2;
	printf("%d ready\n", getpid());
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 2;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	begin = now(CLOCK_MONOTONIC);
	if (setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)))
		return 2;
	for (made = 1; made < starts; made++) {
		if (setsockopt(client, IPPROTO_TCP, TCP_KEEPIDLE, &seconds[made & 1], sizeof(int)))
			return 2;
		// In bursts of a millisecond, so that waiting takes no CPU time.
		if (rate && made % burst == 0) {
			unsigned long long due = begin + made * 1000000000ULL / rate;
			struct timespec until = { due / 1000000000ULL, due % 1000000000ULL };

			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		}
	}
	printf("%llu %llu %llu\n", made, now(CLOCK_PROCESS_CPUTIME_ID) - cpu, now(CLOCK_MONOTONIC) - begin);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	return 0;
}
