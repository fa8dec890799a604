/* A file server and its clients: files go out by sendfile, at a steady pace, so that
 * two hosts do the same work and differ in what it costs them.
 *
 *   serve listen ADDRESS PORT
 *   serve fetch ADDRESS PORT CONNECTIONS FILES_PER_SECOND BYTES
 *
 * A client asks for BYTES of the file, FILES_PER_SECOND times on each connection, and
 * after a late answer asks at once, so that what was missed is made up for. Both run
 * until they are ended. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES (4u << 20)

static int file;
static struct sockaddr_in address = {.sin_family = AF_INET};
static long files_per_second;
static uint32_t bytes;

static int read_all(int from, void *to, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t got = read(from, (char *)to + done, length - done);
		if (got <= 0)
			return -1;
		done += (size_t)got;
	}
	return 0;
}

static void *answer(void *argument)
{
	int client = (int)(intptr_t)argument;
	uint32_t wanted;

	while (read_all(client, &wanted, sizeof(wanted)) == 0 && wanted <= FILE_BYTES) {
		off_t sent = 0;
		while (sent < (off_t)wanted)
			if (sendfile(client, file, &sent, wanted - (size_t)sent) <= 0)
				goto out;
	}
out:
	close(client);
	return NULL;
}

static void serve(void)
{
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	char piece[4096];

	file = memfd_create("file", 0);
	memset(piece, 0xa5, sizeof(piece));
	for (size_t written = 0; written < FILE_BYTES; written += sizeof(piece))
		if (write(file, piece, sizeof(piece)) != sizeof(piece))
			err(1, "memfd");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 64))
		err(1, "listen");
	for (;;) {
		pthread_t thread;
		int client = accept(listener, NULL, NULL);
		if (client < 0)
			err(1, "accept");
		if (pthread_create(&thread, NULL, answer, (void *)(intptr_t)client))
			errx(1, "no thread for a client");
		pthread_detach(thread);
	}
}

static int connected(void)
{
	for (;;) {
		int server = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(server, (struct sockaddr *)&address, sizeof(address)) == 0)
			return server;
		close(server);
		sleep(1);
	}
}

static void *fetch(void *argument)
{
	static char buffer[1 << 18];
	int server = connected();
	struct timespec next;

	(void)argument;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		if (write(server, &bytes, sizeof(bytes)) != sizeof(bytes))
			err(1, "asking");
		for (uint32_t left = bytes; left;) {
			ssize_t got = read(server, buffer, left < sizeof(buffer) ? left : sizeof(buffer));
			if (got <= 0)
				err(1, "fetching");
			left -= (uint32_t)got;
		}
		next.tv_nsec += 1000000000L / files_per_second;
		next.tv_sec += next.tv_nsec / 1000000000L;
		next.tv_nsec %= 1000000000L;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}

int main(int count, char **arguments)
{
	signal(SIGPIPE, SIG_IGN);
	if (count < 4 || inet_pton(AF_INET, arguments[2], &address.sin_addr) != 1)
		errx(2, "usage: serve listen|fetch ADDRESS PORT [CONNECTIONS FILES_PER_SECOND BYTES]");
	address.sin_port = htons((uint16_t)atoi(arguments[3]));
	if (strcmp(arguments[1], "listen") == 0)
		serve();
	if (count != 7)
		errx(2, "usage: serve fetch ADDRESS PORT CONNECTIONS FILES_PER_SECOND BYTES");
	files_per_second = atol(arguments[5]);
	bytes = (uint32_t)atol(arguments[6]);
	if (files_per_second < 1 || bytes < 1 || bytes > FILE_BYTES)
		errx(2, "at least one file a second, of at most %u bytes", FILE_BYTES);
	for (int connection = atoi(arguments[4]); connection; connection--) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, fetch, NULL))
			errx(1, "no thread for a connection");
	}
	pause();
}
