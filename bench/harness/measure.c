/*
 * What the check costs a harness in C: the same function of a real kernel with the same arguments, without the check, with it
 * (asking libunicorn for the guest's memory, and reading it in place), and with its sanitizers, in turns; the median of the rounds, and of what the check added in each. A line of JSON.
 *
 *   measure attach.json FOLDER EXECUTIONS
 */
#include <harness.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unicorn/unicorn.h>

enum { ROUNDS = 10, BYTES = 64, WARM_UP = 1000 };
enum { BARE, ASKING, IN_PLACE, SANITIZED_ASKING, SANITIZED_IN_PLACE, WAYS };


static const char* const FUNCTION = "simple_read_from_buffer";

typedef struct Machine {
  uc_engine* uc;
  UsercopySnapshot* guest;
  UsercopyAttachment* attachment;
  uint64_t function, user, object, scratch, sp, back;
} Machine;

static void fail(const char* what) {
  fprintf(stderr, "measure: %s\n", what);
  exit(2);
}

static int32_t on_violation(const UsercopyViolation* violation) {
  fail(violation->explanation);
  return USERCOPY_STOP;
}

static int32_t on_finding(const UsercopyFinding* finding) {
  fail(finding->line);
  return USERCOPY_STOP;
}

static char* read_file(const char* path) {
  FILE* const file = fopen(path, "rb");
  if (file == NULL) fail("expected a file of `usercopy prepare`");
  fseek(file, 0, SEEK_END);
  const size_t size = (size_t)ftell(file);
  rewind(file);
  char* const bytes = calloc(1, size + 1);
  if (bytes == NULL || fread(bytes, 1, size, file) != size) fail("the prepared file cannot be read");
  fclose(file);
  return bytes;
}

static Machine open_machine(const char* prepared, const char* folder, int way) {
  Machine m = {0};
  uint64_t stack = 0;
  if (uc_open(UC_ARCH_X86, UC_MODE_64, &m.uc) != UC_ERR_OK) fail("uc_open");
  m.guest = usercopy_snapshot_load(m.uc, folder);
  if (m.guest == NULL) fail(usercopy_error());
  const int in_place = way == IN_PLACE || way == SANITIZED_IN_PLACE;
  m.attachment = in_place ? usercopy_attach_snapshot(m.guest, prepared, on_violation) : usercopy_attach(m.uc, prepared, on_violation);
  if (m.attachment == NULL) fail(usercopy_error());
  if (usercopy_symbol(m.attachment, FUNCTION, &m.function) != 0) fail("the kernel lacks the function");
  if (usercopy_snapshot_place(m.guest, "user", &m.user, NULL) != 0 ||
      usercopy_snapshot_place(m.guest, "kmalloc_64", &m.object, NULL) != 0 ||
      usercopy_snapshot_place(m.guest, "scratch", &m.scratch, NULL) != 0 ||
      usercopy_snapshot_place(m.guest, "stack", &stack, &m.sp) != 0 ||
      usercopy_snapshot_place(m.guest, "return_address", &m.back, NULL) != 0) {
    fail("the guest lacks a place");
  }
  m.sp -= 1024 + 8;
  if ((way == SANITIZED_ASKING || way == SANITIZED_IN_PLACE) &&
      usercopy_sanitize(m.attachment, USERCOPY_FREED | USERCOPY_RED_ZONE, on_finding) != 0) {
    fail(usercopy_error());
  }
  if (way == BARE) usercopy_detach(m.attachment), m.attachment = NULL;
  return m;
}

/* simple_read_from_buffer(user, 64, &position, object, 64), as a harness calls it: position, stack and registers anew. */
static void execute(const Machine* m) {
  static const int registers[] = {UC_X86_REG_RDI, UC_X86_REG_RSI, UC_X86_REG_RDX, UC_X86_REG_RCX, UC_X86_REG_R8};
  const uint64_t arguments[] = {m->user, BYTES, m->scratch, m->object, BYTES};
  const uint64_t zero = 0;
  for (int i = 0; i < 5; ++i) uc_reg_write(m->uc, registers[i], &arguments[i]);
  uc_reg_write(m->uc, UC_X86_REG_RSP, &m->sp);
  uc_mem_write(m->uc, m->sp, &m->back, sizeof m->back);
  uc_mem_write(m->uc, m->scratch, &zero, sizeof zero);
  if (m->attachment != NULL) usercopy_reset(m->attachment);
  if (uc_emu_start(m->uc, m->function, m->back, 0, 0) != UC_ERR_OK) fail("uc_emu_start");
  uint64_t value = 0;
  uc_reg_read(m->uc, UC_X86_REG_RAX, &value);
  if (value != BYTES) fail("the function returned something else");
}

static void count_one(uc_engine* uc, uint64_t address, uint32_t size, void* count) {
  (void)uc, (void)address, (void)size;
  ++*(uint64_t*)count;
}

/* Nanoseconds of the processor an execution: what else the machine does is not in them. */
static double time_of(const Machine* m, uint64_t executions) {
  struct timespec before, after;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  for (uint64_t i = 0; i < executions; ++i) execute(m);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const double elapsed = (double)(after.tv_sec - before.tv_sec) * 1e9 + (double)(after.tv_nsec - before.tv_nsec);
  return elapsed / (double)executions;
}

static int ascending(const void* one, const void* other) {
  const double difference = *(const double*)one - *(const double*)other;
  return (difference > 0) - (difference < 0);
}

static double median(double* values) {
  qsort(values, ROUNDS, sizeof *values, ascending);
  return (values[ROUNDS / 2 - 1] + values[ROUNDS / 2]) / 2;
}

int main(int argc, char** argv) {
  if (argc != 4) fail("expected attach.json FOLDER EXECUTIONS");
  char* const prepared = read_file(argv[1]);
  const uint64_t executions = strtoull(argv[3], NULL, 10);
  if (executions == 0) fail("expected a number of executions");
  Machine machines[WAYS];
  for (int way = 0; way < WAYS; ++way) machines[way] = open_machine(prepared, argv[2], way);
  Machine* const with = &machines[ASKING];

  uint64_t instructions = 0;
  uc_hook hook = 0;
  Machine counted = open_machine(prepared, argv[2], BARE);
  uc_hook_add(counted.uc, &hook, UC_HOOK_CODE, (void*)count_one, &instructions, 1, 0);
  execute(&counted);
  uc_close(counted.uc);
  usercopy_snapshot_free(counted.guest);
  const uint64_t before = usercopy_statistics(with->attachment).checks;
  execute(with);
  const uint64_t copies = usercopy_statistics(with->attachment).checks - before;

  double times[WAYS][ROUNDS], costs[WAYS][ROUNDS], medians[WAYS], percents[WAYS];
  for (int way = 0; way < WAYS; ++way) time_of(&machines[way], WARM_UP);
  for (int round = 0; round < ROUNDS; ++round) {
    for (int way = 0; way < WAYS; ++way) times[way][round] = time_of(&machines[way], executions);
    for (int way = 0; way < WAYS; ++way) costs[way][round] = (times[way][round] / times[BARE][round] - 1) * 100;
  }
  for (int way = 0; way < WAYS; ++way) medians[way] = median(times[way]), percents[way] = median(costs[way]);
  printf("{\"language\":\"C\",\"function\":\"%s\",\"instructions\":%" PRIu64 ",\"copies\":%" PRIu64 ",\"executions\":%" PRIu64
         ",\"rounds\":%d",
         FUNCTION, instructions, copies, executions, ROUNDS);
  static const char* const names[WAYS] = {"without", "with", "inPlace", "sanitized", "sanitizedInPlace"};
  for (int way = 0; way < WAYS; ++way) {
    printf(",\"%sNs\":%.1f", names[way], medians[way]);
    if (way != BARE) printf(",\"%sPercent\":%.1f", names[way], percents[way]);
  }
  puts("}");
  for (int way = 0; way < WAYS; ++way) {
    usercopy_detach(machines[way].attachment);
    uc_close(machines[way].uc);
    usercopy_snapshot_free(machines[way].guest);
  }
  free(prepared);
  return 0;
}
