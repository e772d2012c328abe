/*
 * How many instructions a verdict takes: the native check's, and its C twin's for the same copy. The process makes each
 * judgement in a child and steps through it instruction by instruction, so that a figure is the same in every run, however
 * busy the machine is. No emulator and no Node.js takes part.
 *
 *     count IMAGE CONTEXT FIRST BYTES TWIN GROUP...
 *
 * IMAGE holds linear memory as it was laid out; CONTEXT, FIRST and BYTES are the context's place in it, the first request's,
 * and a request's length. TWIN is a folder with what twin.c reads, `-` where the twin cannot know the guest. A GROUP is a
 * range of requests, `start+count`. Each group gives a line of three numbers, instructions of all its requests: judged one by
 * one, as a batch, and by the twin (0 without one). Every request is judged once before anything is counted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define TWIN_WITHOUT_MAIN
#include "../twin.c"
#include "native_check.h"

struct run {
	NativeCheck *check;
	uint32_t context, first, bytes;
	const struct guest *guest;
	const struct request *requests;
	size_t start, count;
	/* Written where the compiler must not leave a judgement out. */
	volatile uint64_t outcome;
};

static void judge_singly(struct run *run)
{
	for (size_t i = run->start; i < run->start + run->count; i++)
		run->outcome = native_check_judge(run->check, run->context, run->first + i * run->bytes);
}

static void judge_batch(struct run *run)
{
	run->outcome = native_check_judge_batch(run->check, run->context, run->first + run->start * run->bytes, run->count);
}

static void judge_by_twin(struct run *run)
{
	for (size_t i = run->start; i < run->start + run->count; i++)
		run->outcome = judge(run->guest, &run->requests[i]).outcome;
}

static void judge_nothing(struct run *run)
{
	run->outcome = 0;
}

static int wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid", strerror(errno));
	if (!WIFSTOPPED(status))
		die("the child that judges", "ended");
	return WSTOPSIG(status);
}

/* Steps from one stop of the child's own to the next. */
static uint64_t steps_of(void (*work)(struct run *), struct run *run)
{
	pid_t child = fork();

	if (child < 0)
		die("fork", strerror(errno));
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(1);
		raise(SIGSTOP);
		work(run);
		raise(SIGSTOP);
		_exit(0);
	}
	if (wait_for(child) != SIGSTOP)
		die("the child that judges", "did not start");
	uint64_t steps = 0;
	int signal;

	do {
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0)
			die("this system does not let a process step through its child", strerror(errno));
		signal = wait_for(child);
		steps++;
	} while (signal == SIGTRAP);
	if (signal != SIGSTOP)
		die("the child that judges was stopped by", strsignal(signal));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return steps;
}

/* Without what starting and stopping the child takes. */
static uint64_t instructions_of(void (*work)(struct run *), struct run *run)
{
	return steps_of(work, run) - steps_of(judge_nothing, run);
}

/* Parent and child take turns: on one processor neither waits for the other to be woken on a busy one. */
static void stay_on_one_processor(void)
{
#ifdef __linux__
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof one, &one);
#endif
}

static void require_agreement(const struct run *run, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool passes = native_check_judge(run->check, run->context, run->first + i * run->bytes) == 0;

		if (run->guest && passes != (judge(run->guest, &run->requests[i]).outcome == GOOD)) {
			fprintf(stderr, "count: request %zu: the check and its twin differ\n", i);
			exit(3);
		}
	}
}

int main(int argc, char **argv)
{
	static struct guest guest;
	struct run run = { 0 };
	size_t memory_size, size, count = 0;
	char path[4096];

	if (argc < 7)
		die("expected IMAGE CONTEXT FIRST BYTES TWIN GROUP...", argv[0]);
	stay_on_one_processor();
	uint8_t *memory = read_whole(argv[1], &memory_size);

	run.check = native_check_open(NULL, NULL);
	if (!run.check)
		die("no native check", native_check_absence() ? native_check_absence() : "out of memory");
	native_check_set_memory(run.check, memory, memory_size);
	run.context = strtoul(argv[2], NULL, 10);
	run.first = strtoul(argv[3], NULL, 10);
	run.bytes = strtoul(argv[4], NULL, 10);
	if (strcmp(argv[5], "-")) {
		char parameters[4096];

		snprintf(parameters, sizeof parameters, "%s/parameters", argv[5]);
		snprintf(path, sizeof path, "%s/memory", argv[5]);
		read_guest(&guest, parameters, path);
		snprintf(path, sizeof path, "%s/requests", argv[5]);
		run.requests = read_whole(path, &size);
		run.guest = &guest;
	}
	for (int i = 6; i < argc; i++) {
		size_t start, length;

		if (sscanf(argv[i], "%zu+%zu", &start, &length) != 2)
			die("expected start+count", argv[i]);
		if (start + length > count)
			count = start + length;
	}
	require_agreement(&run, count);
	for (int i = 6; i < argc; i++) {
		sscanf(argv[i], "%zu+%zu", &run.start, &run.count);
		judge_singly(&run);
		printf("%llu %llu %llu\n", (unsigned long long)instructions_of(judge_singly, &run),
		       (unsigned long long)instructions_of(judge_batch, &run),
		       run.guest ? (unsigned long long)instructions_of(judge_by_twin, &run) : 0ull);
	}
	return 0;
}
