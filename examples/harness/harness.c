/*
 * A Unicorn harness in C with the check attached.
 *
 *   usercopy prepare examples/harness/firmware.yaml --symbol _copy_to_user=0x100000 -o attach.json
 *   cc -I native examples/harness/harness.c -L build/Release -lusercopy -lunicorn -Wl,-rpath,build/Release -o harness
 *   ./harness attach.json
 */
#include <harness.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unicorn/unicorn.h>

enum { CODE = 0x100000, BUFFERS = 0x200000, USER = 0x300000, STACK = 0x400000, PAGE = 0x1000 };

/* _copy_to_user(to, from, n): mov rcx, rdx; rep movsb; xor eax, eax; ret */
static const uint8_t copy_to_user[] = {0x48, 0x89, 0xd1, 0xf3, 0xa4, 0x31, 0xc0, 0xc3};

static int32_t on_violation(const UsercopyViolation* violation) {
  printf("%s\n", violation->message != NULL ? violation->message : violation->region);
  printf("  %s\n", violation->title);
  printf("  at %s, object of %s: [0x%" PRIx64 ", 0x%" PRIx64 ")\n", violation->entry, violation->cache,
         violation->object_start, violation->object_end);
  return USERCOPY_STOP;
}

static char* read_file(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) return NULL;
  fseek(file, 0, SEEK_END);
  const long size = ftell(file);
  rewind(file);
  char* text = calloc(1, (size_t)size + 1);
  if (text == NULL || fread(text, 1, (size_t)size, file) != (size_t)size) return NULL;
  fclose(file);
  return text;
}

enum { BACK = CODE + PAGE - 16 };

/* Runs from an address until the function has returned; where the run ended. */
static uint64_t run(uc_engine* uc, uint64_t start) {
  uc_emu_start(uc, start, BACK, 0, 0);
  uint64_t pc = 0;
  uc_reg_read(uc, UC_X86_REG_RIP, &pc);
  return pc;
}

/* Calls the function with `size` bytes of the second buffer. */
static uint64_t copy(uc_engine* uc, uint64_t size) {
  const uint64_t to = USER, from = BUFFERS + 64, back = BACK, sp = STACK + PAGE - 64;
  uc_reg_write(uc, UC_X86_REG_RDI, &to);
  uc_reg_write(uc, UC_X86_REG_RSI, &from);
  uc_reg_write(uc, UC_X86_REG_RDX, &size);
  uc_reg_write(uc, UC_X86_REG_RSP, &sp);
  uc_mem_write(uc, sp, &back, sizeof back);
  return run(uc, CODE);
}

int main(int argc, char** argv) {
  char* scenario = argc == 2 ? read_file(argv[1]) : NULL;
  if (scenario == NULL) return fprintf(stderr, "usage: harness attach.json\n"), 2;
  uc_engine* uc = NULL;
  if (uc_open(UC_ARCH_X86, UC_MODE_64, &uc) != UC_ERR_OK) return 2;
  for (uint64_t address = CODE; address <= STACK; address += 0x100000) {
    uc_mem_map(uc, address, PAGE, UC_PROT_ALL);
  }
  uc_mem_write(uc, CODE, copy_to_user, sizeof copy_to_user);

  UsercopyAttachment* attachment = usercopy_attach(uc, scenario, on_violation);
  if (attachment == NULL) return fprintf(stderr, "%s\n", usercopy_error()), 2;
  printf("64 bytes: ended at 0x%" PRIx64 "\n", copy(uc, 64));
  printf("65 bytes: ended at 0x%" PRIx64 "\n", copy(uc, 65));
  usercopy_resume_once(attachment);
  printf("going on all the same: ended at 0x%" PRIx64 "\n", run(uc, CODE));
  printf("65 bytes again: ended at 0x%" PRIx64 "\n", copy(uc, 65));

  const UsercopyStatistics seen = usercopy_statistics(attachment);
  printf("%" PRIu64 " copies judged, %" PRIu64 " refused\n", seen.checks, seen.bad);
  usercopy_detach(attachment);
  uc_close(uc);
  free(scenario);
  return 0;
}
