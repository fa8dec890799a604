// Calls that are known to the last one, and how long they take: for benchmarks and
// for tools that are to agree. Begins when its input has a line, or ends.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 10
// Until nothing is left of what a tool does in its first second.
#define SETTLED_NS 1500000000ULL
// Only catches hangs.
#define HANGS_NS 900000000000ULL

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static void sleep_for(unsigned long long ns)
{
	struct timespec time = { ns / 1000000000, ns % 1000000000 };

	syscall(SYS_nanosleep, &time, NULL);
}

// For uprobes: functions of a program that nothing else runs.
__attribute__((noinline)) void user_call(void)
{
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void user_sleep(unsigned long long ns)
{
	sleep_for(ns);
	__asm__ volatile("" ::: "memory");
}

static void call(int user)
{
	if (user)
		user_call();
	else
		syscall(SYS_getpgid, 0);
}

// Nanoseconds of a thousand calls, in the fastest of the batches.
static unsigned long long loop(int user, unsigned long long calls)
{
	unsigned long long best = ~0ULL, began, took;

	for (int batch = 0; batch < BATCHES; batch++) {
		began = now();
		for (unsigned long long each = 0; each < calls / BATCHES; each++)
			call(user);
		took = now() - began;
		best = took < best ? took : best;
	}
	for (unsigned long long rest = calls % BATCHES; rest; rest--)
		call(user);
	return calls < BATCHES ? 0 : best * 1000 / (calls / BATCHES);
}

// Sleeps so often, so long. Says for each the least and the most that it can have
// taken, in nanoseconds.
static void sleeps(int user, int calls, unsigned long long ns)
{
	while (calls--) {
		unsigned long long began = now();

		if (user)
			user_sleep(ns);
		else
			sleep_for(ns);
		printf("%llu %llu\n", ns, now() - began);
	}
}

// What a tool says on its terminal and as its errors, kept in a file as well.
struct said {
	int from[2], copy;
	char text[65536];
	size_t length;
};

// Reads what has come within two milliseconds; 0 when nobody can write any more.
static int listen_to(struct said *said)
{
	struct pollfd files[2] = { { said->from[0], POLLIN, 0 }, { said->from[1], POLLIN, 0 } };
	int open = 0;

	poll(files, 2, 2);
	for (int file = 0; file < 2; file++) {
		char part[4096];
		ssize_t size;

		if (said->from[file] < 0)
			continue;
		open = 1;
		if (!files[file].revents)
			continue;
		size = read(said->from[file], part, sizeof(part));
		if (size <= 0) {
			close(said->from[file]);
			said->from[file] = -1;
			continue;
		}
		if (write(said->copy, part, size) != size)
			exit(2);
		if (said->length + size < sizeof(said->text)) {
			memcpy(said->text + said->length, part, size);
			said->length += size;
		}
	}
	return open;
}

// Its stdout is a terminal, so that the C library does not keep lines back.
static pid_t start(char **command, struct said *said, const char *copy)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY), errors[2];
	pid_t child;

	said->copy = open(copy, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (said->copy < 0 || terminal < 0 || grantpt(terminal) || unlockpt(terminal) || pipe(errors))
		exit(2);
	child = fork();
	if (child == 0) {
		int none = open("/dev/null", O_RDONLY), slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);

		dup2(none, 0);
		dup2(slave, 1);
		dup2(errors[1], 2);
		for (int file = 3; file < 16; file++)
			close(file);
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	close(errors[1]);
	said->from[0] = terminal;
	said->from[1] = errors[0];
	return child;
}

// Runs a tool until it says TEXT, makes the calls beside it, ends it with Ctrl-C. A
// tool whose TEXT is empty ends by itself. Prints microseconds from its start to
// TEXT, nanoseconds of a thousand calls, microseconds to its end (from Ctrl-C, or
// from its start), KiB of its memory at the most, and its status.
static int beside(int user, unsigned long long calls, char **words)
{
	static struct said said;
	unsigned long long began = now(), ready = 0, took = 0, ending = began;
	pid_t tool = start(words + 2, &said, words[1]);
	struct rusage usage;
	int status;

	while (*words[0] && !(ready = strstr(said.text, words[0]) ? now() : 0)) {
		if (!listen_to(&said) || now() - began > HANGS_NS)
			break;
		call(user);
	}
	if (ready && calls) {
		sleep_for(SETTLED_NS);
		took = loop(user, calls);
	}
	if (ready) {
		ending = now();
		kill(tool, SIGINT);
	}
	while (listen_to(&said))
		if (now() - began > HANGS_NS)
			kill(tool, SIGKILL);
	wait4(tool, &status, 0, &usage);
	printf("%llu %llu %llu %ld %d\n", ready ? (ready - began) / 1000 : 0, took,
	       (now() - ending) / 1000, usage.ru_maxrss,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

// calls kernel|user N: prints nanoseconds of a thousand calls.
// calls kernel|user N sleep MICROSECONDS...: sleeps so long, N times each.
// calls kernel|user N beside TEXT FILE TOOL...: runs a tool, whose words FILE keeps.
int main(int count, char **words)
{
	int user = count > 1 && !strcmp(words[1], "user");
	unsigned long long calls = count > 2 ? strtoull(words[2], NULL, 10) : 0;
	char line[8];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (count > 6 && !strcmp(words[3], "beside"))
		return beside(user, calls, words + 4);
	if (count < 3)
		return 2;
	(void)!fgets(line, sizeof(line), stdin);
	if (count == 3)
		printf("loop %llu\n", loop(user, calls));
	for (int word = 4; word < count; word++)
		sleeps(user, calls, strtoull(words[word], NULL, 10) * 1000);
	return 0;
}
