// Requests that wait in WASM memory, made by copy hooks and judged many at once.
#pragma once
#include <napi.h>

#include <cstdint>

class NativeCheckObject;

struct RequestRing {
  uint64_t id = 0;
  Napi::ObjectReference memory;
  // The memory's current ArrayBuffer, as in a CopyRequest.
  Napi::ObjectReference buffer;
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
  Napi::ObjectReference native_reference;
  // (context, first request, count) → how many deserve a look.
  Napi::FunctionReference judge;
  // (count) → 'stop' or 'continue', when some do.
  Napi::FunctionReference on_verdicts;
  // Where the memory is as of `turn` (`Engine::javascript_turns_`).
  uint64_t turn = 0;
  uint8_t* base = nullptr;
};
