/*
 * A harness for x86_64 that looks beyond the check: for each address of standard input it makes the call at which the snapshot
 * stands, with that as its second argument, and tells what was found.
 *
 *   sanitize attach.json FOLDER ANSWER [audit | ask | ask-and-map]
 *
 * With `ask` the page of the address is not there, and a look may ask for it; ANSWER is the answer to that, too.
 */
#include <harness.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

enum { PAGE = 0x1000 };

static int32_t answer;
static uc_engine* uc;
static int maps_what_is_missing;
static uint64_t missing_page;
static uint8_t content[PAGE];

static void fail(const char* what) {
  fprintf(stderr, "sanitize: %s\n", what);
  exit(2);
}

static int32_t on_violation(const UsercopyViolation* violation) {
  printf("violation %s\n", violation->region);
  return USERCOPY_STOP;
}

static void take_page_away(uint64_t address) {
  missing_page = address & ~(uint64_t)(PAGE - 1);
  if (uc_mem_read(uc, missing_page, content, PAGE) != UC_ERR_OK || uc_mem_unmap(uc, missing_page, PAGE) != UC_ERR_OK) {
    fail("expected a page that can be taken away");
  }
}

static int32_t on_missing(const UsercopyFinding* finding) {
  const int is_there = finding->missing >= missing_page && finding->missing - missing_page < PAGE;
  printf("asked for %s, %s, %s, at %s\n", is_there ? "the page" : "something else", finding->line == NULL ? "no line" : finding->line,
         finding->cache == NULL ? "no cache" : finding->cache, finding->entry);
  if (maps_what_is_missing) {
    uc_mem_map(uc, missing_page, PAGE, UC_PROT_READ | UC_PROT_WRITE);
    uc_mem_write(uc, missing_page, content, PAGE);
  }
  return answer;
}

static int32_t on_finding(const UsercopyFinding* finding) {
  if (finding->sanitizer == 0) return on_missing(finding);
  printf("%d %s\n", finding->sanitizer, finding->line);
  printf("%s, %s of %" PRIu64 " bytes, by %s, at %s\n", finding->title, finding->to_user ? "to user" : "from user", finding->size,
         finding->caller, finding->backtrace[0].symbol);
  return answer == USERCOPY_RETRY && maps_what_is_missing ? USERCOPY_CONTINUE : answer;
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
  const char* const more = argc > 4 ? argv[4] : "";
  const int asks = strncmp(more, "ask", 3) == 0;
  maps_what_is_missing = strcmp(more, "ask-and-map") == 0;
  if (strcmp(more, "audit") == 0 && usercopy_set_audit(attachment, 1) != 0) fail(usercopy_error());
  const uint32_t sanitizers = USERCOPY_FREED | USERCOPY_RED_ZONE | (asks ? USERCOPY_ASK_MISSING : 0);
  if (usercopy_sanitize(attachment, sanitizers, on_finding) != 0) fail(usercopy_error());
  while (scanf("%" SCNx64, &address) == 1) {
    usercopy_snapshot_restore(guest);
    usercopy_reset(attachment);
    uc_reg_write(uc, UC_X86_REG_RSI, &address);
    if (asks) take_page_away(address);
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
