// What hooks are made of. Dispatching them is engine.h's.
#pragma once
#include <napi.h>
#include <unicorn/unicorn.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "ring.h"

class Engine;

class NativeCheckObject;

// Registers that a copy hook stores into WASM memory, and what judges them.
struct CopyRequest {
  Napi::ObjectReference memory;
  // The memory's current ArrayBuffer: detached when the memory grows, then it is fetched anew.
  Napi::ObjectReference buffer;
  // Where the request's registers lie, as of `turn` (`Engine::javascript_turns_`).
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
  // The native check, where it judges: then `judge` is not called.
  NativeCheckObject* native = nullptr;
  bool outermost = false;
  Napi::ObjectReference native_reference;
  Napi::FunctionReference judge;
  Napi::FunctionReference on_verdict;
};

struct AddressHook {
  // Grows with every hook of an engine: hooks at one address fire in this order.
  uint64_t id = 0;
  bool removed = false;
  // Called with the pc; empty for a copy hook.
  Napi::FunctionReference callback;
  std::unique_ptr<CopyRequest> copy;
};

// All hooks at one address: one hook of Unicorn's.
//
// As long as the address is only reached as the start of a translation block it is a *block* hook: then no
// UC_HOOK_CODE exists, and Unicorn gets the pc right when it is stopped there (2.0.1: cpu_tb_exec() leaves the pc of an
// earlier block otherwise). A block that runs across the address turns it into a *code* hook for good.
struct AddressRecord {
  Engine* engine = nullptr;
  uint64_t address = 0;
  uc_hook handle = 0;
  bool in_block = false;
  // The run ends here …
  bool until = false;
  // … or here, once its instructions are spent.
  bool limit = false;
  std::vector<std::unique_ptr<AddressHook>> hooks;
};

// A quick "surely not" for a set of addresses.
class AddressFilter {
 public:
  void Clear() { words_.fill(0); }
  void Add(uint64_t address) { words_[Bit(address) / 64] |= uint64_t{1} << (Bit(address) % 64); }
  bool MayHold(uint64_t address) const { return (words_[Bit(address) / 64] >> (Bit(address) % 64) & 1) != 0; }

 private:
  static size_t Bit(uint64_t address) { return (address >> 1 ^ address >> 12) % kBits; }
  static constexpr size_t kBits = 4096;
  std::array<uint64_t, kBits / 64> words_{};
};

// A callback for blocks, memory faults or interrupts.
struct EventHook {
  uint64_t id = 0;
  bool removed = false;
  Napi::FunctionReference callback;
};

// Callbacks of one kind behind one hook of Unicorn's.
struct EventList {
  std::vector<std::unique_ptr<EventHook>> hooks;
  uc_hook handle = 0;
};
