// Calls getpgid along paths that are known. Waits for a line before it begins, and
// for the end of its input before it ends.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define APART __attribute__((noinline))

// Not by the C library, whose functions keep no frame pointers.
static APART long leaf(void)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_getpgid), "D"(0) : "rcx", "r11", "memory");
	return result;
}

// What follows a call keeps it from becoming a jump.
static APART long path_left(void)
{
	return leaf() | 1;
}

static APART long path_right(void)
{
	return path_left() | 2;
}

static APART long branch_one(unsigned bits, int depth);

// A path for each number of `depth` bits.
static APART long branch_zero(unsigned bits, int depth)
{
	if (!depth)
		return leaf() | 4;
	return (bits & 1 ? branch_one : branch_zero)(bits >> 1, depth - 1) | 8;
}

static APART long branch_one(unsigned bits, int depth)
{
	if (!depth)
		return leaf() | 16;
	return (bits & 1 ? branch_one : branch_zero)(bits >> 1, depth - 1) | 32;
}

// No probe can stand in for an instruction with this prefix (is_prefix_bad of
// arch/x86/kernel/uprobes.c). Nothing calls it.
__asm__(".globl locked_add\n"
	".type locked_add, @function\n"
	"locked_add: lock addl $1, (%rdi)\n"
	"ret\n"
	".size locked_add, .-locked_add\n");

// stacks paths N M [PROGRAM WORD...]: N calls by one path, M by the other; at the end
// of its input it goes on as another program.
// stacks tree DEPTH TIMES: all paths of that depth, each so often.
// stacks deep DEPTH: one call, so deep.
int main(int count, char **words)
{
	char line[8];
	long sum = 0;

	if (count < 3 || !fgets(line, sizeof(line), stdin))
		return 2;
	if (!strcmp(words[1], "paths") && count >= 4) {
		for (int i = atoi(words[2]); i > 0; i--)
			sum += path_left();
		for (int i = atoi(words[3]); i > 0; i--)
			sum += path_right();
	} else if (!strcmp(words[1], "tree") && count == 4) {
		for (int times = atoi(words[3]); times > 0; times--)
			for (unsigned bits = 0; bits >> atoi(words[2]) == 0; bits++)
				sum += branch_zero(bits, atoi(words[2]));
	} else if (!strcmp(words[1], "deep")) {
		sum += branch_zero(0, atoi(words[2]));
	} else {
		return 2;
	}
	puts("done");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	if (count > 4 && !strcmp(words[1], "paths"))
		execv(words[4], words + 4);
	return sum < 0;
}
