// Spends and waits time in functions that are known, and says how much of its own
// clocks it was. Waits for a line before it begins.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#define APART __attribute__((noinline))
#define MS 1000000ULL

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000 * MS + time.tv_nsec;
}

// The time of this thread's own on a CPU.
static uint64_t used(void)
{
	return now(CLOCK_THREAD_CPUTIME_ID);
}

// About a millisecond, so that the clock takes next to nothing; in the function that
// calls it.
#define BURN() for (volatile int left = 200000; left > 0; left--)

static APART void burn_one(uint64_t until)
{
	while (used() < until)
		BURN();
}

static APART void burn_two(uint64_t until)
{
	while (used() < until)
		BURN();
}

static APART void burn_three(uint64_t until)
{
	while (used() < until)
		BURN();
}

// Phases of lengths by chance, until so much time is used. Each function has another
// share.
static void burn(uint64_t ns)
{
	void (*functions[])(uint64_t) = { burn_one, burn_two, burn_three };
	uint64_t spent[3] = {}, start = used(), before = start;

	while (before - start < ns) {
		int which = rand() % 6;

		which = which < 3 ? 0 : which < 5 ? 1 : 2;
		functions[which](before + 5 * MS + rand() % 40 * MS);
		spent[which] += used() - before;
		before = used();
	}
	printf("%lu %lu %lu\n", spent[0], spent[1], spent[2]);
}

// What follows a call keeps it from becoming a jump.
static APART int deeper(int depth, uint64_t until)
{
	if (depth)
		return deeper(depth - 1, until) + 1;
	burn_one(until);
	return 0;
}

// Code that no file has: the address first, then it runs for so long.
static void compiled(uint64_t ns)
{
	static const unsigned char loop[] = { 0x48, 0xff, 0xcf, 0x75, 0xfb, 0xc3 };
	void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char line[8];
	uint64_t until;

	memcpy(code, loop, sizeof(loop));
	printf("%lx\n", (unsigned long)code);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return;
	until = used() + ns;
	while (used() < until)
		((void (*)(long))code)(1000000);
	puts("done");
}

// Not by the C library, whose functions keep no frame pointers.
static APART long nap(const struct timespec *time)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result)
			 : "a"(SYS_nanosleep), "D"(time), "S"(0L) : "rcx", "r11", "memory");
	return result;
}

// Nanoseconds that this thread ran, or waited for a CPU although it could have run
// (Documentation/scheduler/sched-stats.rst).
static uint64_t awake(void)
{
	uint64_t ran = 0, waited = 0;
	FILE *file = fopen("/proc/thread-self/schedstat", "r");

	if (file && fscanf(file, "%lu %lu", &ran, &waited) != 2)
		ran = waited = 0;
	if (file)
		fclose(file);
	return ran + waited;
}

// Sleeps so often and so long: what it asked for in all, less what it was awake between
// its call and its sleep, and what it took at most.
static void naps(int times, uint64_t ns)
{
	struct timespec time = { 0, ns };
	uint64_t asked = times * ns, most = 0, was_awake = awake();

	for (int i = 0; i < times; i++) {
		uint64_t start = now(CLOCK_MONOTONIC);

		nap(&time);
		most += now(CLOCK_MONOTONIC) - start;
	}
	was_awake = awake() - was_awake;
	printf("%lu %lu\n", was_awake < asked ? asked - was_awake : 0, most);
}

// profiled burn MS SEED: nanoseconds of each function.
// profiled deep MS DEPTH: in so many calls of `deeper`, one in the other.
// profiled compiled MS 0: in code of no file, whose address it says first.
// profiled naps MS TIMES: nanoseconds that it slept, at least and at most.
int main(int count, char **words)
{
	char line[8];
	uint64_t ns;

	if (count != 4)
		return 2;
	ns = atoi(words[2]) * MS;
	srand(atoi(words[3]));
	if (!strcmp(words[1], "compiled")) {
		compiled(ns);
	} else if (!fgets(line, sizeof(line), stdin)) {
		return 2;
	} else if (!strcmp(words[1], "burn")) {
		burn(ns);
	} else if (!strcmp(words[1], "deep")) {
		printf("%d\n", deeper(atoi(words[3]) - 1, used() + ns));
	} else if (!strcmp(words[1], "naps")) {
		naps(atoi(words[3]), ns);
	}
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	return 0;
}
