/*
 * What a hook costs by itself, the floor of every attached check: the loop of bench/copies.ts (nop; dec ecx; jnz), its first
 * instruction hooked by a callback in C that counts, or that also reads so many registers at once as a copy's request has. Prints
 * nanoseconds of an arrival.
 *
 *     hook counting|reading ARRIVALS
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unicorn/unicorn.h>

enum { CODE = 0x100000, MAPPED = 0x10000, LOOP_END = CODE + 5 };

static const uint8_t loop[] = {0x90, 0xff, 0xc9, 0x75, 0xfb, 0x90};

static uint64_t arrivals;
static uint64_t values[4];

static void fail(const char* what) {
  fprintf(stderr, "hook: %s\n", what);
  exit(2);
}

static void count(uc_engine* uc, uint64_t address, uint32_t size, void* data) { arrivals++; }

static void read_registers(uc_engine* uc, uint64_t address, uint32_t size, void* data) {
  int ids[] = {UC_X86_REG_RDI, UC_X86_REG_RSI, UC_X86_REG_RDX, UC_X86_REG_RSP};
  void* places[] = {&values[0], &values[1], &values[2], &values[3]};
  arrivals++;
  uc_reg_read_batch(uc, ids, places, 4);
}

static uc_engine* machine(uc_cb_hookcode_t callback) {
  uc_engine* uc;
  uc_hook hook;
  if (uc_open(UC_ARCH_X86, UC_MODE_64, &uc) != UC_ERR_OK || uc_mem_map(uc, CODE, MAPPED, UC_PROT_ALL) != UC_ERR_OK ||
      uc_mem_write(uc, CODE, loop, sizeof loop) != UC_ERR_OK) {
    fail("expected a machine with the loop in it");
  }
  if (uc_hook_add(uc, &hook, UC_HOOK_BLOCK, (void*)callback, NULL, CODE, CODE) != UC_ERR_OK) {
    fail("uc_hook_add");
  }
  return uc;
}

static double nanoseconds(uc_engine* uc, uint64_t rounds) {
  struct timespec start, end;
  arrivals = 0;
  if (uc_reg_write(uc, UC_X86_REG_RCX, &rounds) != UC_ERR_OK) fail("uc_reg_write");
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (uc_emu_start(uc, CODE, LOOP_END, 0, 0) != UC_ERR_OK) fail("uc_emu_start");
  clock_gettime(CLOCK_MONOTONIC, &end);
  if (arrivals != rounds) fail("expected the hook to fire once in each round of the loop");
  return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) / (double)rounds;
}

int main(int argc, char** argv) {
  const int reads = argc == 3 && strcmp(argv[1], "reading") == 0;
  const uint64_t rounds = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
  if (rounds == 0 || (!reads && strcmp(argv[1], "counting") != 0)) fail("expected counting or reading, and ARRIVALS");
  uc_engine* uc = machine(reads ? read_registers : count);
  /* A program that has just begun is slow. */
  nanoseconds(uc, rounds);
  printf("%f\n", nanoseconds(uc, rounds));
  return 0;
}
