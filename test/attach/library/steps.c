/*
 * A harness that does what standard input says, a word and its arguments a line, and tells what came of it. x86_64; pages at
 * 0x100000 (code), 0x200000 (buffers), 0x300000 (user) and 0x400000 (stack). Numbers as strtoull() reads them.
 */
#include <dlfcn.h>
#include <harness.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unicorn/unicorn.h>
#include <unistd.h>

enum { CODE = 0x100000, BUFFERS = 0x200000, USER = 0x300000, STACK = 0x400000, PAGE = 0x1000, BACK = CODE + PAGE - 16 };
enum { MOST_ATTACHMENTS = 4 };

static uc_engine* uc;
static uc_context* saved;
static UsercopyAttachment* attachments[MOST_ATTACHMENTS];
static char* prepared;
static int32_t decision = USERCOPY_STOP;
static const char* in_callback = "";
static const char* fields = "";
static uint64_t moved_to;

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

static int wants(const char* field) { return strstr(fields, field) != NULL; }

static const char* or_none(const char* text) { return text == NULL ? "none" : text; }

static int32_t on_violation(const UsercopyViolation* v) {
  printf("violation %s %s size %" PRIu64 " resume 0x%" PRIx64 "\n", v->entry, v->region, v->size, v->resume_address);
  if (wants("message")) printf("message %s\n", or_none(v->message));
  if (wants("explanation")) printf("explanation %s\n", v->explanation);
  if (wants("title")) printf("title %s\n", v->title);
  if (wants("caller")) printf("caller %s 0x%" PRIx64 " 0x%" PRIx64 "\n", or_none(v->caller), v->caller_address, v->caller_offset);
  if (wants("facts")) {
    printf("facts outcome %d kernel %d afterwards %d missing 0x%" PRIx64 " user %s\n", v->outcome, v->kernel_judges,
           v->judged_afterwards, v->missing, v->user_data == NULL ? "none" : (const char*)v->user_data);
  }
  if (strstr(in_callback, "detach") != NULL) {
    for (int i = 0; i < MOST_ATTACHMENTS; ++i) {
      if (attachments[i] == v->attachment) attachments[i] = NULL;
    }
    usercopy_detach(v->attachment);
  }
  if (strstr(in_callback, "resume") != NULL) printf("resume %d\n", usercopy_resume_once(v->attachment));
  if (strstr(in_callback, "reset") != NULL) usercopy_reset(v->attachment);
  if (strstr(in_callback, "map") != NULL && v->missing != 0) uc_mem_map(uc, v->missing & ~(uint64_t)(PAGE - 1), PAGE, UC_PROT_ALL);
  return decision;
}

static void move_pc(uc_engine* engine, uint64_t address, uint32_t size, void* data) {
  (void)address, (void)size, (void)data;
  if (moved_to == 0) return;
  const uint64_t to = moved_to;
  moved_to = 0;
  uc_reg_write(engine, UC_X86_REG_RIP, &to);
}

static bool map_any(uc_engine* engine, uc_mem_type type, uint64_t address, int size, int64_t value, void* data) {
  (void)type, (void)size, (void)value, (void)data;
  return uc_mem_map(engine, address & ~(uint64_t)(PAGE - 1), PAGE, UC_PROT_ALL) == UC_ERR_OK;
}

static void run(uint64_t start) {
  const uc_err error = uc_emu_start(uc, start, BACK, 0, 1000);
  uint64_t pc = 0, rax = 0;
  uc_reg_read(uc, UC_X86_REG_RIP, &pc);
  uc_reg_read(uc, UC_X86_REG_RAX, &rax);
  printf("ended 0x%" PRIx64 " error %d rax %" PRIu64 "\n", pc, error, rax);
}

/* The first function's arguments: `size` bytes of `from` to user memory. */
static void call(uint64_t start, uint64_t from, uint64_t size) {
  const uint64_t to = USER, back = BACK, sp = STACK + PAGE - 64;
  uc_reg_write(uc, UC_X86_REG_RDI, &to);
  uc_reg_write(uc, UC_X86_REG_RSI, &from);
  uc_reg_write(uc, UC_X86_REG_RDX, &size);
  uc_reg_write(uc, UC_X86_REG_RSP, &sp);
  uc_mem_write(uc, sp, &back, sizeof back);
  run(start);
}

static void attach(int slot, const char* how, const char* what) {
#ifdef LINKED_STATICALLY
  static const UsercopyUnicorn linked = USERCOPY_UNICORN_LINKED;
#endif
  if (strcmp(how, "found") == 0) {
    attachments[slot] = usercopy_attach(uc, prepared, on_violation);
  } else {
    UsercopyUnicorn unicorn = {0};
    if (strcmp(how, "path") == 0) unicorn.path = what;
    if (strcmp(how, "handle") == 0) unicorn.handle = dlopen(what, RTLD_LAZY | RTLD_NOLOAD);
#ifdef LINKED_STATICALLY
    if (strcmp(how, "linked") == 0) unicorn = linked;
#endif
    attachments[slot] = usercopy_attach_with(&unicorn, uc, prepared, on_violation);
  }
  puts(attachments[slot] != NULL ? "attached" : usercopy_error());
}

static uint64_t number(const char* text) { return strtoull(text, NULL, 0); }

static void write_hex(uint64_t address, const char* hex) {
  for (; hex[0] != 0 && hex[1] != 0; hex += 2, ++address) {
    const char digits[3] = {hex[0], hex[1], 0};
    const uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
    uc_mem_write(uc, address, &byte, 1);
  }
}

static void tell_statistics(const UsercopyAttachment* attachment) {
  const UsercopyStatistics s = usercopy_statistics(attachment);
  printf("checks %" PRIu64 " good %" PRIu64 " bad %" PRIu64 " unreadable %" PRIu64 " suppressed %" PRIu64 " resumed %" PRIu64 "\n",
         s.checks, s.good, s.bad, s.unreadable, s.suppressed, s.resumed);
}

static void tell_tally(UsercopyAttachment* attachment, int32_t tally) {
  const char* name = NULL;
  uint64_t count = 0;
  const size_t rows = usercopy_tally(attachment, tally, 0, &name, &count);
  for (size_t row = 0; row < rows; ++row) {
    usercopy_tally(attachment, tally, row, &name, &count);
    printf("%s %" PRIu64 "\n", name, count);
  }
}

static void in_child(UsercopyAttachment* attachment, uint64_t size) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    call(CODE, BUFFERS + 64, size);
    tell_statistics(attachment);
    fflush(stdout);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  printf("child %d\n", status);
}

static const struct { const char* name; int id; } registers[] = {
    {"rax", UC_X86_REG_RAX}, {"rcx", UC_X86_REG_RCX}, {"rdi", UC_X86_REG_RDI}, {"rsi", UC_X86_REG_RSI},
    {"rdx", UC_X86_REG_RDX}, {"rsp", UC_X86_REG_RSP}, {"r15", UC_X86_REG_R15}, {"rip", UC_X86_REG_RIP}};

static void set_register(const char* name, uint64_t value) {
  for (size_t i = 0; i < sizeof registers / sizeof *registers; ++i) {
    if (strcmp(registers[i].name, name) == 0) uc_reg_write(uc, registers[i].id, &value);
  }
}

/* Says what the last call was answered with, when its answer is that of a failure. */
static void expect_refusal(int is_refused) { puts(is_refused ? usercopy_error() : "not refused"); }

static void give_nulls(UsercopyAttachment* attachment) {
  uint64_t number = 0;
  const char* name = NULL;
  usercopy_detach(NULL);
  usercopy_snapshot_free(NULL);
  usercopy_set_user_data(NULL, NULL), expect_refusal(1);
  expect_refusal(usercopy_resume_once(NULL) == -1);
  usercopy_resume_cancel(NULL), expect_refusal(1);
  usercopy_reset(NULL), expect_refusal(1);
  usercopy_set_audit(NULL, 1), expect_refusal(1);
  expect_refusal(usercopy_flush(NULL) == 0);
  expect_refusal(usercopy_suppress(NULL, "") == -1);
  expect_refusal(usercopy_suppressed(NULL, 0) == 0);
  expect_refusal(usercopy_statistics(NULL).checks == 0);
  expect_refusal(usercopy_tally(NULL, 0, 0, &name, &number) == 0);
  expect_refusal(usercopy_notes(NULL)[0] == 0);
  expect_refusal(usercopy_symbol(NULL, "main", &number) == -1);
  expect_refusal(usercopy_symbol(attachment, NULL, &number) == -1);
  expect_refusal(usercopy_attach_snapshot(NULL, "{}", on_violation) == NULL);
  expect_refusal(usercopy_snapshot_place(NULL, "stack", &number, NULL) == -1);
  expect_refusal(usercopy_snapshot_restore(NULL) == -1);
  expect_refusal(usercopy_snapshot_unknown_registers(NULL)[0] == 0);
}

/* Runs a guest that was written down; its memory is freed before the emulator. */
static void run_snapshot(const char* folder) {
  uc_engine* other = NULL;
  if (uc_open(UC_ARCH_X86, UC_MODE_64, &other) != UC_ERR_OK) exit(2);
  UsercopySnapshot* const guest = usercopy_snapshot_load(other, folder);
  if (guest == NULL) puts(usercopy_error());
  uint64_t pc = 0, until = 0;
  uc_reg_read(other, UC_X86_REG_RIP, &pc);
  usercopy_snapshot_place(guest, "return_address", &until, NULL);
  printf("snapshot ran: %d\n", uc_emu_start(other, pc, until, 0, 0));
  printf("restored: %d\n", usercopy_snapshot_restore(guest));
  usercopy_snapshot_free(guest);
  printf("closed: %d\n", uc_close(other));
}

static void step(const char* word, char* a, char* b, char* c, char* rest) {
  UsercopyAttachment* first = attachments[0];
  if (strcmp(word, "attach") == 0) attach((int)number(a), b[0] != 0 ? b : "found", c);
  else if (strcmp(word, "prepared") == 0) { free(prepared); prepared = read_file(a); }
  else if (strcmp(word, "code") == 0) write_hex(number(a), b);
  else if (strcmp(word, "copy") == 0) call(CODE, BUFFERS + 64, number(a));
  else if (strcmp(word, "call") == 0) call(number(a), number(b), number(c));
  else if (strcmp(word, "run") == 0) run(number(a));
  else if (strcmp(word, "set") == 0) set_register(a, number(b));
  else if (strcmp(word, "save") == 0) { if (saved == NULL) uc_context_alloc(uc, &saved); uc_context_save(uc, saved); }
  else if (strcmp(word, "restore") == 0) uc_context_restore(uc, saved);
  else if (strcmp(word, "resume") == 0) { if (usercopy_resume_once(attachments[number(a)]) != 0) puts(usercopy_error()); }
  else if (strcmp(word, "cancel") == 0) usercopy_resume_cancel(first);
  else if (strcmp(word, "reset") == 0) usercopy_reset(first);
  else if (strcmp(word, "decide") == 0) decision = (int32_t)number(a);
  else if (strcmp(word, "in-callback") == 0) in_callback = strdup(a);
  else if (strcmp(word, "tell") == 0) fields = strdup(rest);
  else if (strcmp(word, "user-data") == 0) usercopy_set_user_data(first, strdup(a));
  else if (strcmp(word, "audit") == 0) usercopy_set_audit(first, (int)number(a));
  else if (strcmp(word, "flush") == 0) printf("flushed %d\n", usercopy_flush(first));
  else if (strcmp(word, "suppress") == 0) { if (usercopy_suppress(first, rest) != 0) puts(usercopy_error()); }
  else if (strcmp(word, "suppressed") == 0) printf("rule %" PRIu64 "\n", usercopy_suppressed(first, number(a)));
  else if (strcmp(word, "statistics") == 0) tell_statistics(attachments[number(a)]);
  else if (strcmp(word, "tally") == 0) tell_tally(first, (int32_t)number(a));
  else if (strcmp(word, "notes") == 0) printf("notes: %s\n", usercopy_notes(first));
  else if (strcmp(word, "error") == 0) printf("error: %s\n", usercopy_error());
  else if (strcmp(word, "detach") == 0) { usercopy_detach(attachments[number(a)]); attachments[number(a)] = NULL; }
  else if (strcmp(word, "child") == 0) in_child(first, number(a));
  else if (strcmp(word, "load") == 0) puts(dlopen(a, RTLD_NOW | RTLD_LOCAL) != NULL ? "loaded" : dlerror());
  else if (strcmp(word, "map") == 0) uc_mem_map(uc, number(a), PAGE, UC_PROT_ALL);
  else if (strcmp(word, "map-any") == 0) { uc_hook hook; uc_hook_add(uc, &hook, UC_HOOK_MEM_INVALID, (void*)map_any, NULL, 1, 0); }
  else if (strcmp(word, "move") == 0) {
    uc_hook hook;
    moved_to = number(b);
    uc_hook_add(uc, &hook, UC_HOOK_CODE, (void*)move_pc, NULL, number(a), number(a));
  }
  else if (strcmp(word, "nulls") == 0) give_nulls(first);
  else if (strcmp(word, "snapshot") == 0) run_snapshot(a);
  else if (strcmp(word, "repeat") == 0) { for (uint64_t i = number(a); i > 0; --i) { uc_emu_start(uc, CODE, BACK, 0, 1000); const uint64_t sp = STACK + PAGE - 64; uc_reg_write(uc, UC_X86_REG_RSP, &sp); } }
  else if (strcmp(word, "") != 0) { printf("no such step: %s\n", word); exit(2); }
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(60);
  if (uc_open(UC_ARCH_X86, UC_MODE_64, &uc) != UC_ERR_OK) return 2;
  for (uint64_t address = CODE; address <= STACK; address += 0x100000) uc_mem_map(uc, address, PAGE, UC_PROT_ALL);
  char line[4096];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = 0;
    char word[64] = "", a[1024] = "", b[1024] = "", c[1024] = "";
    sscanf(line, "%63s %1023s %1023s %1023s", word, a, b, c);
    char* rest = line + strlen(word);
    step(word, a, b, c, *rest == ' ' ? rest + 1 : rest);
  }
  for (int i = 0; i < MOST_ATTACHMENTS; ++i) usercopy_detach(attachments[i]);
  if (saved != NULL) uc_context_free(saved);
  uc_close(uc);
  free(prepared);
  return 0;
}
