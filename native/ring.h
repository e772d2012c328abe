// An audit: requests wait in WASM memory, made by copy hooks, and are judged many at once: when a ring is full, at the end
// of a slice, and on demand.
#pragma once
#include <napi.h>

#include <cstdint>
#include <map>
#include <memory>

#include "javascript.h"
#include "linear_memory.h"
#include "registers.h"

class NativeCheckObject;
struct CopyRequest;

struct RequestRing {
  uint64_t id = 0;
  LinearMemory memory;
  // In bytes of the memory.
  uint32_t count_offset = 0;
  uint32_t first_offset = 0;
  uint32_t request_bytes = 0;
  // Bytes at a request's start that a hook sets: what its own request holds there, with the registers.
  uint32_t head_bytes = 0;
  uint32_t capacity = 0;
  uint32_t context_offset = 0;
  // The native check, where it judges: then `judge` is not called.
  NativeCheckObject* native = nullptr;
  bool outermost = false;
  Kept native_object;
  // (context, first request, count) → how many deserve a look.
  Kept judge;
  // (count) → 'stop' or 'continue', when some do.
  Kept on_verdicts;
  // Where the memory is as of `turn` (`JavaScript::turns()`).
  uint64_t turn = 0;
  uint8_t* base = nullptr;
};

class Rings {
 public:
  Rings(Emulator& emulator, JavaScript& javascript) : emulator_(emulator), javascript_(javascript) {}

  // For JavaScript. What waits in a ring that is closed is forgotten; hooks that append to it must be gone.
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Flush(const Napi::CallbackInfo& info);

  // Null when there is none.
  std::shared_ptr<RequestRing> Find(uint64_t id) const;
  // The guest goes on; whether the copy was good is seen later. False when a judge or a callback failed.
  bool Append(CopyRequest& request, uint64_t pc);
  // The same where nothing is to be judged now and memory is where it was; else false, and nothing has happened.
  bool AppendWhereThereIsRoom(CopyRequest& request, uint64_t pc);
  // At the end of a slice, of a run that is under way. False when a judge or a callback failed.
  bool JudgeAll();
  void Release() { rings_.clear(); }

 private:
  bool Judge(RequestRing& ring);
  // How many wait, and the request behind those, written.
  static uint32_t Waiting(const RequestRing& ring);
  void Write(CopyRequest& request, uint64_t pc, uint32_t index);
  // False when the memory no longer holds the ring.
  bool Locate(RequestRing& ring);
  bool Lose();

  Emulator& emulator_;
  JavaScript& javascript_;
  uint64_t next_ = 1;
  std::map<uint64_t, std::shared_ptr<RequestRing>> rings_;
};
