/*
 * A program without libunicorn that opens a harness as interpreters open their modules, RTLD_LOCAL, and runs its main().
 *
 *   host HARNESS.so
 */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char** argv) {
  void* const harness = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  int (*const run)(void) = harness == NULL ? NULL : (int (*)(void))dlsym(harness, "main");
  if (run == NULL) {
    fprintf(stderr, "host: %s\n", argc == 2 ? dlerror() : "expected HARNESS.so");
    return 2;
  }
  return run();
}
