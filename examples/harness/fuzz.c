/*
 * AFL++ fuzzes two functions of a real kernel, as a driver might use them: the length of a record is read out of a text, and
 * so many bytes of it are given to the user. Nothing holds the length against the object of 1024 bytes; the check does.
 *
 *   usercopy run --kernel vmlinuz --snapshot guest
 *   usercopy prepare --kernel vmlinuz --snapshot guest -o attach.json
 *   cc -O2 -I native examples/harness/fuzz.c /usr/lib/afl/afl-compiler-rt.o -L build/Release -lusercopy -lunicorn \
 *      -Wl,-rpath,build/Release -o fuzz
 *   mkdir in && printf 7 > in/seed
 *   afl-fuzz -i in -o out -- ./fuzz attach.json guest
 *   ./fuzz attach.json guest out/default/crashes/id*          # says what it was
 *
 * With --no-check nothing is attached, for a comparison; with -DFIXED_INPUT='"7"' every input is taken for that one.
 */
#include <harness.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

/* AFL++'s run time (afl-compiler-rt.o): fork server, persistent loop, input in shared memory. */
extern uint8_t* __afl_area_ptr;
extern uint8_t* __afl_fuzz_ptr;
extern uint32_t* __afl_fuzz_len;
void __afl_manual_init(void);
int __afl_persistent_loop(unsigned int rounds);
int __afl_sharedmem_fuzzing = 1;
/* What afl-fuzz looks for in a program. */
__attribute__((used)) static const char* const persistent = "##SIG_AFL_PERSISTENT##";
__attribute__((used)) static const char* const deferred = "##SIG_AFL_DEFER_FORKSRV##";

enum { ROUNDS = 1000, MAP_SIZE = 1 << 16, MOST_INPUT = 64, READ_SIZE = 65536 };

static uc_engine* uc;
static UsercopyAttachment* attachment;
static uint64_t user, object, scratch, stack_end, back;
static uint64_t strtoul_start, read_start;
static int tells, is_refused;

static void fail(const char* what) {
  fprintf(stderr, "fuzz: %s\n", what);
  exit(2);
}

static void on_block(uc_engine* engine, uint64_t address, uint32_t size, void* previous) {
  (void)engine, (void)size;
  uint64_t* const before = previous;
  const uint64_t here = (address >> 4 ^ address << 8) & (MAP_SIZE - 1);
  ++__afl_area_ptr[here ^ *before];
  *before = here >> 1;
}

static int32_t on_violation(const UsercopyViolation* violation) {
  is_refused = 1;
  if (!tells) return USERCOPY_CRASH;
  printf("%s\n%s\n", violation->title, violation->message != NULL ? violation->message : "cannot be judged");
  printf("%s\ncall trace (%s):\n", violation->explanation, violation->backtrace_method);
  for (uint32_t i = 0; i < violation->backtrace_count; ++i) {
    const UsercopyFrame* const frame = &violation->backtrace[i];
    printf(" %s%s+0x%" PRIx64 "/0x%" PRIx64 "\n", frame->reliable ? "" : "? ",
           frame->symbol != NULL ? frame->symbol : "?", frame->offset, frame->size);
  }
  return USERCOPY_CRASH;
}

static uint64_t call(uint64_t function, const uint64_t arguments[5]) {
  static const int registers[] = {UC_X86_REG_RDI, UC_X86_REG_RSI, UC_X86_REG_RDX, UC_X86_REG_RCX, UC_X86_REG_R8};
  const uint64_t sp = stack_end - 1024 - 8;
  for (int i = 0; i < 5; ++i) uc_reg_write(uc, registers[i], &arguments[i]);
  uc_reg_write(uc, UC_X86_REG_RSP, &sp);
  uc_mem_write(uc, sp, &back, sizeof back);
  const uc_err error = uc_emu_start(uc, function, back, 0, 0);
  if (error != UC_ERR_OK) {
    /* AFL sees a crash. */
    if (!tells) abort();
    if (!is_refused) printf("the guest ended: %s\n", uc_strerror(error));
    exit(1);
  }
  uint64_t value = 0;
  uc_reg_read(uc, UC_X86_REG_RAX, &value);
  return value;
}

static void one_input(const uint8_t* input, size_t size) {
  char text[MOST_INPUT + 8] = {0};
  memcpy(text, input, size < MOST_INPUT ? size : MOST_INPUT);
  const uint64_t position = scratch + MOST_INPUT + 8, zero = 0;
  uc_mem_write(uc, scratch, text, sizeof text);
  uc_mem_write(uc, position, &zero, sizeof zero);
  if (attachment != NULL) usercopy_reset(attachment);
  const uint64_t length = call(strtoul_start, (const uint64_t[5]){scratch, 0, 10});
  call(read_start, (const uint64_t[5]){user, READ_SIZE, position, object, length});
}

static char* read_file(const char* path, size_t* size) {
  FILE* const file = fopen(path, "rb");
  if (file == NULL) return NULL;
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char* const bytes = calloc(1, *size + 1);
  if (bytes == NULL || fread(bytes, 1, *size, file) != *size) return NULL;
  fclose(file);
  return bytes;
}

static void set_up(const char* prepared_path, const char* folder, int checks) {
  size_t size = 0;
  char* const prepared = read_file(prepared_path, &size);
  if (prepared == NULL) fail("expected a file of `usercopy prepare`");
  if (uc_open(UC_ARCH_X86, UC_MODE_64, &uc) != UC_ERR_OK) fail("uc_open");
  UsercopySnapshot* const guest = usercopy_snapshot_load(uc, folder);
  if (guest == NULL) fail(usercopy_error());
  attachment = usercopy_attach_snapshot(guest, prepared, on_violation);
  if (attachment == NULL) fail(usercopy_error());
  if (usercopy_symbol(attachment, "simple_strtoul", &strtoul_start) != 0 ||
      usercopy_symbol(attachment, "simple_read_from_buffer", &read_start) != 0) {
    fail("the kernel lacks simple_strtoul() or simple_read_from_buffer()");
  }
  if (usercopy_snapshot_place(guest, "user", &user, NULL) != 0 ||
      usercopy_snapshot_place(guest, "kmalloc_1024", &object, NULL) != 0 ||
      usercopy_snapshot_place(guest, "scratch", &scratch, NULL) != 0 ||
      usercopy_snapshot_place(guest, "stack", &back, &stack_end) != 0 ||
      usercopy_snapshot_place(guest, "return_address", &back, NULL) != 0) {
    fail("the guest lacks a place: it was written by `usercopy run --kernel IMAGE --snapshot FOLDER`?");
  }
  if (!checks) {
    usercopy_detach(attachment);
    attachment = NULL;
  }
  free(prepared);
}

int main(int argc, char** argv) {
  const int checks = argc < 2 || strcmp(argv[1], "--no-check") != 0;
  char** const words = argv + (checks ? 1 : 2);
  const int count = argc - (checks ? 1 : 2);
  if (count < 2 || count > 3) fail("expected [--no-check] attach.json FOLDER [INPUT]");
  set_up(words[0], words[1], checks);
  if (count == 3) {
    size_t size = 0;
    char* const input = read_file(words[2], &size);
    if (input == NULL) fail("expected an input that can be read");
    tells = 1;
    one_input((const uint8_t*)input, size);
    puts("nothing was refused");
    return 0;
  }
  uint64_t previous = 0;
  uc_hook hook = 0;
  if (uc_hook_add(uc, &hook, UC_HOOK_BLOCK, (void*)on_block, &previous, 1, 0) != UC_ERR_OK) fail("uc_hook_add");
  /* What is translated now need not be translated in every child. */
  one_input((const uint8_t*)"7", 1);
  __afl_manual_init();
  while (__afl_persistent_loop(ROUNDS)) {
    previous = 0;
#ifdef FIXED_INPUT
    one_input((const uint8_t*)FIXED_INPUT, sizeof FIXED_INPUT - 1);
#else
    one_input(__afl_fuzz_ptr, *__afl_fuzz_len);
#endif
  }
  return 0;
}
