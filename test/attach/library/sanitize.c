/*
 * A harness for x86_64 that looks beyond the check: for each address of standard input it makes the call at which the snapshot
 * stands, with that as its second argument, and tells what was found.
 *
 *   sanitize attach.json FOLDER ANSWER [audit]
 */
#include <harness.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

static int32_t answer;

static void fail(const char* what) {
  fprintf(stderr, "sanitize: %s\n", what);
  exit(2);
}

static int32_t on_violation(const UsercopyViolation* violation) {
  printf("violation %s\n", violation->region);
  return USERCOPY_STOP;
}

static int32_t on_finding(const UsercopyFinding* finding) {
  printf("%d %s\n", finding->sanitizer, finding->line);
  printf("%s, %s of %" PRIu64 " bytes, by %s, at %s\n", finding->title, finding->to_user ? "to user" : "from user", finding->size,
         finding->caller, finding->backtrace[0].symbol);
  return answer;
}

static char* read_file(const char* path) {
  FILE* const file = fopen(path, "rb");
  if (file == NULL) fail("no prepared file");
  fseek(file, 0, SEEK_END);
  const size_t size = (size_t)ftell(file);
  rewind(file);
  char* const bytes = calloc(1, size + 1);
  if (bytes == NULL || fread(bytes, 1, size, file) != size) fail("the prepared file cannot be read");
  fclose(file);
  return bytes;
}

int main(int argc, char** argv) {
  uc_engine* uc = NULL;
  uint64_t begin = 0, until = 0, pc = 0, address = 0;
  char* const prepared = argc < 4 ? NULL : read_file(argv[1]);
  if (prepared == NULL) fail("expected attach.json FOLDER ANSWER");
  answer = atoi(argv[3]);
  if (uc_open(UC_ARCH_X86, UC_MODE_64, &uc) != UC_ERR_OK) fail("uc_open");
  UsercopySnapshot* const guest = usercopy_snapshot_load(uc, argv[2]);
  if (guest == NULL) fail(usercopy_error());
  UsercopyAttachment* const attachment = usercopy_attach(uc, prepared, on_violation);
  if (attachment == NULL) fail(usercopy_error());
  uc_reg_read(uc, UC_X86_REG_RIP, &begin);
  usercopy_snapshot_place(guest, "return_address", &until, NULL);
  if (argc > 4 && usercopy_set_audit(attachment, 1) != 0) fail(usercopy_error());
  if (usercopy_sanitize(attachment, USERCOPY_FREED | USERCOPY_RED_ZONE, on_finding) != 0) fail(usercopy_error());
  while (scanf("%" SCNx64, &address) == 1) {
    usercopy_snapshot_restore(guest);
    usercopy_reset(attachment);
    uc_reg_write(uc, UC_X86_REG_RSI, &address);
    const uc_err error = uc_emu_start(uc, begin, until, 0, 0);
    uc_reg_read(uc, UC_X86_REG_RIP, &pc);
    printf("%s\n", error != UC_ERR_OK ? "an error" : pc == until ? "returned" : "stopped");
  }
  const UsercopySanitizerStatistics counts = usercopy_sanitizer_statistics(attachment);
  printf("%" PRIu64 " looks, %" PRIu64 " elsewhere, %" PRIu64 " in use, %" PRIu64 " freed, %" PRIu64 " red zone, %" PRIu64 " unknown\n",
         counts.looks, counts.elsewhere, counts.allocated, counts.freed, counts.red_zone, counts.unknown);
  int refused = usercopy_set_audit(attachment, 1);
  printf("%d %s\n", refused, usercopy_error());
  refused = usercopy_sanitize(attachment, 8, on_finding);
  printf("%d %s\n", refused, usercopy_error());
  refused = usercopy_sanitize(attachment, USERCOPY_FREED, NULL);
  printf("%d %s\n", refused, usercopy_error());
  usercopy_detach(attachment);
  uc_close(uc);
  usercopy_snapshot_free(guest);
  free(prepared);
  return 0;
}
