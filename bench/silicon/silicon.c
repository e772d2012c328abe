/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The built-in guest's check as a part of a process of the host: what it answers, which instructions a path takes, and how many
 * ticks of the time stamp counter they cost. silicon.ts compiles it beside guests/kernel.c and reads what it prints.
 *
 *   silicon answers                   PATH passes, for each path
 *   silicon trace                     PATH ADDRESS BYTES RAX, for each instruction: the path's number, and RAX as it leaves it
 *                                     (x86_64)
 *   silicon time SAMPLES CALLS LINKS  ticks of each sample: a chain of LINKS * 100 additions, CALLS rounds of the loop
 *                                     with ten additions in the place of the call, CALLS * 100 no-ops, CALLS calls on
 *                                     each path, and the no-ops and the chain again (x86_64)
 *
 * With the word "pieces" behind, trace and time take pieces of code, each of which shows one rule of a core, for the paths.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "layout.h"

#define RAM_BYTES (32UL << 20)
#define ARENA_BYTES (4UL << 20)
#define COPY_BYTES 64UL

extern unsigned long guest_init(unsigned long ram_bytes);
extern void *kmalloc(unsigned long size);
extern void *vmalloc(unsigned long size);
extern void *alloc_pages(unsigned long order);
extern void __check_object_size(const void *pointer, unsigned long n, _Bool to_user);
extern unsigned int bypass_usercopy_checks;
extern unsigned char init_stack[];

/* What guests/arch/<variant>.S has elsewhere. */
unsigned long page_offset_base = LINEAR_MAP_START, vmalloc_base = VMALLOC_ARENA_START, phys_base = 0x1000000;
void *current_task;

unsigned long copy_user_host(void *to, const void *from, unsigned long n)
{
	memcpy(to, from, n);
	return 0;
}

typedef void called_function(const void *pointer, unsigned long n, _Bool to_user);

struct path {
	const char *name;
	const void *pointer;
	unsigned long n;
	unsigned int bypass;
	/* A piece; NULL: the check. */
	called_function *piece;
};

static struct path checks[] = {
	{ "n=0", NULL, 0, 0 }, { "disabled", NULL, COPY_BYTES, 1 }, { "stack", NULL, COPY_BYTES, 0 },
	{ "slab", NULL, COPY_BYTES, 0 }, { "page", NULL, COPY_BYTES, 0 }, { "vmalloc", NULL, COPY_BYTES, 0 },
};
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct path *paths = checks;
static size_t path_count = LENGTH(checks);

static void *map(unsigned long address, unsigned long bytes)
{
	void *memory = mmap((void *)address, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);

	if (memory != (void *)address) {
		fprintf(stderr, "expected %lu bytes at 0x%lx, found them taken\n", bytes, address);
		exit(2);
	}
	return memory;
}

static void prepare(void)
{
	map(LINEAR_MAP_START, RAM_BYTES);
	map(VMALLOC_ARENA_START, ARENA_BYTES);
	if (guest_init(RAM_BYTES) >= -4095UL) {
		fprintf(stderr, "expected the guest to begin, found that it does not\n");
		exit(2);
	}
	checks[0].pointer = checks[1].pointer = checks[3].pointer = kmalloc(COPY_BYTES);
	checks[4].pointer = (char *)alloc_pages(0) + 16;
	checks[5].pointer = (char *)vmalloc(8192) + 16;
}

/* Runs on the guest's own stack, which is what the check takes for the stack of the current task. */
static void on_guest_stack(void (*work)(void))
{
	static ucontext_t here, there;

	getcontext(&there);
	there.uc_stack.ss_sp = init_stack;
	there.uc_stack.ss_size = THREAD_SIZE;
	there.uc_link = &here;
	makecontext(&there, work, 0);
	swapcontext(&here, &there);
}

static const void *pointer_of(const struct path *path, const void *local)
{
	return path->pointer ? path->pointer : local;
}

static void answers(void)
{
	char local[COPY_BYTES];

	for (size_t i = 0; i < path_count; i++) {
		bypass_usercopy_checks = paths[i].bypass;
		__check_object_size(pointer_of(&paths[i], local), paths[i].n, 1);
		printf("%s passes\n", paths[i].name);
	}
}

#ifdef __x86_64__
#define PIECE(name, body)                                                                                              \
	extern called_function piece_##name;                                                                           \
	asm(".text; .p2align 6; piece_" #name ": " body "; ret")

PIECE(additions, ".rept 24; addq %rsi, %rsi; .endr");
PIECE(loads, "leaq chain_link(%rip), %rax; .rept 8; movq (%rax), %rax; .endr");
PIECE(indexed, "leaq chain_link(%rip), %rax; xorl %ecx, %ecx; .rept 8; movq 8(%rax,%rcx,8), %rax; .endr");
PIECE(stores, "subq $200, %rsp; .set at, 0; .rept 24; movq %rsi, at(%rsp); .set at, at + 8; .endr; addq $200, %rsp");
/* Each is in a fetch of its own. */
PIECE(jumps, ".rept 24; jmp 1f; .p2align 5; 1:; .endr");
PIECE(calls, ".rept 12; call 1f; jmp 2f; .p2align 5; 1: ret; .p2align 5; 2:; .endr");
PIECE(pops, ".rept 6; pushq %rsi; .endr; .rept 6; popq %rax; .endr");
/* Divided by 1 each is its own quotient, of so many bits. */
#define DIVISIONS(quotient) "movabs $" quotient ", %rax; movl $1, %ecx; .rept 4; xorl %edx, %edx; divq %rcx; .endr"
PIECE(short_division, DIVISIONS("0x1ff"));
PIECE(long_division, DIVISIONS("0xffffffffffffffff"));
void *chain_link[2] = { chain_link, chain_link };

/* As in silicon.ts. */
static struct path pieces[] = {
	{ "24 additions", .piece = piece_additions },
	{ "8 loads", .piece = piece_loads },
	{ "8 loads, index", .piece = piece_indexed },
	{ "24 stores", .piece = piece_stores },
	{ "24 jumps", .piece = piece_jumps },
	{ "12 calls", .piece = piece_calls },
	{ "6 pops", .piece = piece_pops },
	{ "4 divisions, 9 bits", .piece = piece_short_division },
	{ "4 divisions, 64 bits", .piece = piece_long_division },
};

#define MOST_STEPS 4096

static struct step {
	uintptr_t at;
	/* What the instructions before it have left there. */
	unsigned long rax;
} steps[MOST_STEPS];
static volatile size_t step_count;

static void on_step(int number, siginfo_t *info, void *context)
{
	const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (step_count < MOST_STEPS)
		steps[step_count++] = (struct step){ (uintptr_t)registers[REG_RIP], (unsigned long)registers[REG_RAX] };
}

/* Steps through one call; what comes before it and after its return is left out by the addresses. */
static __attribute__((noinline)) void step_through(const struct path *path)
{
	char local[COPY_BYTES];
	const void *pointer = pointer_of(path, local);

	step_count = 0;
	asm volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
	if (path->piece)
		path->piece(pointer, path->n, 1);
	else
		__check_object_size(pointer, path->n, 1);
	asm volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
}

static void trace(void)
{
	for (size_t i = 0; i < path_count; i++) {
		const uintptr_t first = (uintptr_t)(paths[i].piece ? paths[i].piece : __check_object_size);
		int inside = 0;

		bypass_usercopy_checks = paths[i].bypass;
		step_through(&paths[i]);
		for (size_t at = 0; at + 1 < step_count; at++) {
			const unsigned char *code = (const unsigned char *)steps[at].at;
			const uintptr_t back = (uintptr_t)step_through;

			/* The call, which stands in step_through(), is timed, too. */
			if (steps[at + 1].at == first)
				inside = 1;
			else if (steps[at].at >= back && steps[at].at < back + 256)
				inside = 0;
			if (!inside)
				continue;
			printf("%lu %lx ", i, (unsigned long)steps[at].at);
			for (int byte = 0; byte < 16; byte++)
				printf("%02x", code[byte]);
			printf(" %lx\n", steps[at + 1].rax);
		}
	}
}

static int samples, calls, links;

static inline uint64_t now(void)
{
	uint32_t low, high;

	asm volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static __attribute__((noinline)) uint64_t chain(void)
{
	uint64_t sum = 1, one = 1;
	const uint64_t start = now();

	/* Of registers: additions of a constant may be folded where registers are renamed. */
	for (int i = 0; i < links; i++)
		asm volatile(".rept 100; addq %1, %0; .endr" : "+r"(sum) : "r"(one) : "cc");
	return now() - start;
}

/*
 * No-ops depend on nothing, so that as many of them pass as the core takes in a cycle: fewer when the other hardware thread of
 * this core takes its turns. A chain of additions does not tell.
 */
static __attribute__((noinline)) uint64_t no_ops(void)
{
	const uint64_t start = now();

	for (int i = 0; i < calls; i += 4)
		asm volatile(".rept 400; .byte 0x0f, 0x1f, 0x40, 0x00; .endr");
	return now() - start;
}

/* Before each call everything before it has ended, so that calls do not overlap: what is timed is the latency of one. */
#define TIMED(name, called)                                                                                            \
	static __attribute__((noinline)) uint64_t name(const struct path *path)                                        \
	{                                                                                                              \
		char local[COPY_BYTES];                                                                                \
		const void *pointer = pointer_of(path, local);                                                         \
		const unsigned long n = path->n;                                                                       \
		called_function *const piece = path->piece;                                                            \
		const uint64_t start = now();                                                                          \
                                                                                                                       \
		for (long left = calls; left > 0; left--) {                                                            \
			asm volatile("lfence" ::: "memory");                                                           \
			called(pointer, n, 1);                                                                         \
		}                                                                                                      \
		asm volatile("lfence" ::: "memory");                                                                   \
		return now() - start;                                                                                  \
	}
/*
 * Work of known length, which tells what the fence and the loop add to it. The loop alone would not do, because its own
 * instructions take a cycle that a longer path hides; an empty function neither, because its return waits for the store of its call.
 */
#define TEN_ADDITIONS(pointer, n, to_user)                                                                             \
	asm volatile(".rept 10; addq %%rcx, %%rax; .endr" : : "r"(pointer), "r"(n) : "rax", "cc")
TIMED(time_ten, TEN_ADDITIONS)
TIMED(time_check, __check_object_size)
TIMED(time_piece, piece)

static void time_all(void)
{
	for (int sample = 0; sample < samples; sample++) {
		printf("%lu", chain());
		printf(" %lu", time_ten(&paths[0]));
		printf(" %lu", no_ops());
		for (size_t i = 0; i < path_count; i++) {
			bypass_usercopy_checks = paths[i].bypass;
			printf(" %lu", (paths[i].piece ? time_piece : time_check)(&paths[i]));
		}
		printf(" %lu", no_ops());
		printf(" %lu\n", chain());
	}
}
#endif

int main(int count, char **words)
{
	prepare();
	if (count == 2 && strcmp(words[1], "answers") == 0) {
		on_guest_stack(answers);
		return 0;
	}
#ifdef __x86_64__
	if (count > 1 && strcmp(words[count - 1], "pieces") == 0) {
		paths = pieces;
		path_count = LENGTH(pieces);
		count--;
	}
	if (count == 2 && strcmp(words[1], "trace") == 0) {
		static char handler_stack[65536];
		const stack_t stack = { .ss_sp = handler_stack, .ss_size = sizeof(handler_stack) };
		const struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_ONSTACK };

		sigaltstack(&stack, NULL);
		sigaction(SIGTRAP, &action, NULL);
		on_guest_stack(trace);
		return 0;
	}
	if (count == 5 && strcmp(words[1], "time") == 0) {
		samples = atoi(words[2]);
		calls = atoi(words[3]);
		links = atoi(words[4]);
		on_guest_stack(time_all);
		return 0;
	}
#endif
	fprintf(stderr, "expected answers, trace or time\n");
	return 2;
}
