// The one libunicorn of this process. Nothing is linked against it: it is opened before the first engine, and asked for
// its functions. Two of them in one process would be given each other's handles.
#pragma once
#include <unicorn/unicorn.h>

#include <cstdint>
#include <string>

// What the project calls; all of it is in 2.0.1.
#define LIBUNICORN_FUNCTIONS(DO)                                                                                      \
  DO(close) DO(context_alloc) DO(context_free) DO(context_reg_write) DO(context_restore) DO(context_save)             \
  DO(context_size) DO(ctl) DO(emu_start) DO(emu_stop) DO(free) DO(hook_add) DO(hook_del) DO(mem_map) DO(mem_map_ptr)  \
  DO(mem_read) DO(mem_regions) DO(mem_unmap) DO(mem_write) DO(open) DO(query) DO(reg_read) DO(reg_read_batch)         \
  DO(reg_write) DO(strerror) DO(version)

struct Libunicorn {
  // UC_CTL_TLB_TYPE and UC_TLB_VIRTUAL, which 2.0.1's header lacks.
  static constexpr int kTlbType = 12;
  static constexpr int kTlbVirtual = 1;

#define LIBUNICORN_MEMBER(name) decltype(&::uc_##name) name = nullptr;
  LIBUNICORN_FUNCTIONS(LIBUNICORN_MEMBER)
#undef LIBUNICORN_MEMBER

  bool is_open() const { return version != nullptr; }

  // uc_ctl() by name. What a header may lack has its number here; an older libunicorn answers UC_ERR_ARG.
  uc_err SetCpuModel(uc_engine* uc, int model) const { return ctl(uc, UC_CTL_WRITE(UC_CTL_CPU_MODEL, 1), model); }
  uc_err EnableExits(uc_engine* uc) const { return ctl(uc, UC_CTL_WRITE(UC_CTL_UC_USE_EXITS, 1), 1); }
  uc_err RemoveCache(uc_engine* uc, uint64_t start, uint64_t end) const {
    return ctl(uc, UC_CTL_WRITE(UC_CTL_TB_REMOVE_CACHE, 2), start, end);
  }
  // UC_TLB_VIRTUAL (2.1): addresses go by what was mapped, past the MMU of the guest's CPU.
  uc_err UseVirtualTlb(uc_engine* uc) const { return ctl(uc, UC_CTL_WRITE(kTlbType, 1), kTlbVirtual); }
};

// Filled once; its members are read without a lock afterwards.
extern Libunicorn libunicorn;

// Opens `path`, or takes the libunicorn that the process has loaded already when that is the same file, or when `path` is
// only what would be taken by default (`must` is false). Answers the empty string, and the file in `opened`; else a
// sentence that says what stands against it. Opening the same again is harmless.
std::string OpenLibunicorn(const std::string& path, bool must, std::string* opened);
