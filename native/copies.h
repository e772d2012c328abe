// Copies that hooks see: the request that they make of them, and who judges it.
#pragma once
#include <napi.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "javascript.h"
#include "linear_memory.h"
#include "registers.h"
#include "ring.h"

class NativeCheckObject;

// Registers that a copy hook stores into WASM memory, and what judges them.
struct CopyRequest {
  LinearMemory memory;
  // Where the request's registers lie, as of `turn` (`JavaScript::turns()`).
  uint64_t turn = 0;
  std::array<void*, 16> values{};
  uint32_t request_offset = 0;
  uint32_t context_offset = 0;
  std::vector<int> register_ids;
  // Index of each register's u64 in the request.
  std::vector<uint32_t> slots;
  uint32_t request_bytes = 0;
  // An audit: requests are appended here instead of judged.
  std::shared_ptr<RequestRing> ring;
  // Index of the pc among the registers, -1: Unicorn's own may be stale in a hook.
  int pc_index = -1;
  // Into a ring: the word that the u64 of one slot leads to goes into that of the other; 0 bytes: none does.
  uint32_t stack_pointer_slot = 0;
  uint32_t return_slot = 0;
  uint32_t return_bytes = 0;
  // The native check, where it judges: then `judge` is not called.
  NativeCheckObject* native = nullptr;
  bool outermost = false;
  Kept native_object;
  // What `Copies::Passes()` was answered, until `Judge()` has told of it.
  static constexpr uint32_t kNotAsked = UINT32_MAX - 1;
  uint32_t known = kNotAsked;
  Kept judge;
  Kept on_verdict;
};

class Copies {
 public:
  // A request's registers.
  using Values = std::array<uint64_t, 16>;

  Copies(Emulator& emulator, Registers& registers, JavaScript& javascript, Rings& rings)
      : emulator_(emulator), registers_(registers), javascript_(javascript), rings_(rings) {}

  // The arguments of `addCopyHook`. Throws a typed error.
  std::unique_ptr<CopyRequest> ReadSpec(const Napi::CallbackInfo& info);
  // A copy that is about to happen at `pc`. Whether the guest goes on in this arrival. A good copy never leaves C++
  // where native code judges, and nothing is made on its way.
  bool Judge(CopyRequest& request, uint64_t pc);
  // Whether it passes, or waits in an audit's ring, and nothing else is to be done. Where it does not, `Judge()` is to be called, which
  // does not judge what was judged here.
  bool Passes(CopyRequest& request, uint64_t pc);
  // What it would judge by now.
  Values Read(const CopyRequest& request, uint64_t pc);

 private:
  // None of these throws.
  bool JudgeNatively(CopyRequest& request, uint64_t pc);
  // The native check's answer.
  uint32_t Ask(CopyRequest& request, uint64_t pc);
  bool JudgeInJavaScript(CopyRequest& request, uint64_t pc);
  // Where the registers go. JavaScript may have made the memory grow since the last time: false, and a failed run, when
  // the request is no longer inside.
  bool Find(CopyRequest& request);
  void ReadRegisters(CopyRequest& request, uint64_t pc);

  Emulator& emulator_;
  Registers& registers_;
  JavaScript& javascript_;
  Rings& rings_;
};
