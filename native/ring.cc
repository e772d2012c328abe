// An audit: hooks append requests to a ring; it is judged when it is full, at the end of a slice, and on demand.
#include "ring.h"

#include <algorithm>
#include <cstring>

#include "engine.h"
#include "native_check_object.h"

// Arguments: memory, [count offset, first offset, request bytes, head bytes, capacity, context offset], judge,
// onVerdicts, NativeCheck or undefined, outermost.
Napi::Value Engine::OpenRing(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Live(env);
  auto ring = std::make_shared<RequestRing>();
  const Napi::Value buffer = info[0].IsObject() ? info[0].As<Napi::Object>().Get("buffer") : env.Undefined();
  if (!buffer.IsArrayBuffer() || !info[1].IsArray()) {
    throw MakeError(env, ErrorKind::BadInput, "ring: expected a WebAssembly.Memory and the places in it");
  }
  ring->memory = Napi::Persistent(info[0].As<Napi::Object>());
  ring->buffer = Napi::Persistent(buffer.As<Napi::Object>());
  const Napi::Array places = info[1].As<Napi::Array>();
  uint32_t* const fields[] = {&ring->count_offset, &ring->first_offset, &ring->request_bytes,
                              &ring->head_bytes,   &ring->capacity,     &ring->context_offset};
  for (uint32_t i = 0; i < 6; ++i) *fields[i] = ReadIndex(places.Get(i), "ring: place");
  if (ring->capacity == 0 || ring->head_bytes > ring->request_bytes || ring->count_offset % 8 != 0 ||
      ring->first_offset % 8 != 0 || ring->request_bytes % 8 != 0) {
    throw MakeError(env, ErrorKind::BadInput, "ring: expected one request or more, at multiples of 8");
  }
  ring->judge = Napi::Persistent(ReadFunction(info[2], "judge"));
  ring->on_verdicts = Napi::Persistent(ReadFunction(info[3], "onVerdicts"));
  if (!info[4].IsUndefined()) {
    ring->native = NativeCheckObject::From(info[4]);
    if (ring->native == nullptr) throw MakeError(env, ErrorKind::BadInput, "ring: expected a NativeCheck");
    ring->native_reference = Napi::Persistent(info[4].As<Napi::Object>());
    ring->outermost = info[5].As<Napi::Boolean>().Value();
  }
  if (!FindRing(*ring)) throw MakeError(env, ErrorKind::BadInput, "ring: expected places inside the memory");
  ring->id = next_hook_++;
  rings_.emplace(ring->id, ring);
  return Napi::Number::New(env, static_cast<double>(ring->id));
}

// What waits is forgotten; hooks that append to it must be gone.
Napi::Value Engine::CloseRing(const Napi::CallbackInfo& info) {
  rings_.erase(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  return info.Env().Undefined();
}

Napi::Value Engine::FlushRing(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Live(env);
  const auto found = rings_.find(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  if (found == rings_.end()) return env.Undefined();
  const std::shared_ptr<RequestRing> ring = found->second;
  if (!JudgeRing(*ring) && !running_) return ThrowFailure(env);
  return env.Undefined();
}

// False when the memory no longer holds the ring.
bool Engine::FindRing(RequestRing& ring) {
  Napi::Env env = Env();
  void* base = nullptr;
  size_t length = 0;
  if (ring.native != nullptr) ring.native->Memory(&length);
  napi_get_arraybuffer_info(env, ring.buffer.Value(), &base, &length);
  if (length == 0) {
    napi_value buffer = nullptr;
    bool is_buffer = false;
    if (napi_get_named_property(env, ring.memory.Value(), "buffer", &buffer) != napi_ok ||
        napi_is_arraybuffer(env, buffer, &is_buffer) != napi_ok || !is_buffer ||
        napi_get_arraybuffer_info(env, buffer, &base, &length) != napi_ok) {
      return false;
    }
    ring.buffer = Napi::Persistent(Napi::Object(env, buffer));
  }
  const uint64_t end = ring.first_offset + uint64_t{ring.capacity} * ring.request_bytes;
  if (base == nullptr || end > length || uint64_t{ring.count_offset} + 4 > length) return false;
  ring.base = static_cast<uint8_t*>(base);
  ring.turn = javascript_turns_;
  return true;
}

// The guest goes on; whether the copy was good is seen later.
bool Engine::Append(CopyRequest& request) {
  RequestRing& ring = *request.ring;
  if (ring.turn != javascript_turns_) {
    const Napi::HandleScope scope(Env());
    if (!FindRing(ring)) return LoseRing();
  }
  uint32_t count = 0;
  std::memcpy(&count, ring.base + ring.count_offset, sizeof count);
  count = std::min(count, ring.capacity - 1);
  uint8_t* slot = ring.base + ring.first_offset + uint64_t{count} * ring.request_bytes;
  std::memcpy(slot, ring.base + request.request_offset, ring.head_bytes);
  void* values[16];
  const size_t registers = request.register_ids.size();
  for (size_t i = 0; i < registers; ++i) values[i] = slot + 8 * request.slots[i];
  uc_reg_read_batch(uc_, request.register_ids.data(), values, static_cast<int>(registers));
  if (request.pc_index >= 0) std::memcpy(values[request.pc_index], &*callback_pc_, sizeof *callback_pc_);
  ++count;
  std::memcpy(ring.base + ring.count_offset, &count, sizeof count);
  return count < ring.capacity || JudgeRing(ring);
}

bool Engine::LoseRing() {
  Fail(MakeError(Env(), ErrorKind::Engine, "audit: the WebAssembly.Memory no longer holds the ring").Value());
  return false;
}

// Judges what waits. A judge that fails leaves it waiting.
bool Engine::JudgeRing(RequestRing& ring) {
  Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  if (ring.turn != javascript_turns_ && !FindRing(ring)) return LoseRing();
  uint32_t count = 0;
  std::memcpy(&count, ring.base + ring.count_offset, sizeof count);
  count = std::min(count, ring.capacity);
  if (count == 0) return true;
  uint32_t noteworthy = 0;
  if (ring.native != nullptr) {
    NativeCheck* check = ring.native->check();
    noteworthy = ring.outermost
                     ? native_check_judge_outermost_batch(check, ring.context_offset, ring.first_offset, count)
                     : native_check_judge_batch(check, ring.context_offset, ring.first_offset, count);
    if (noteworthy == NATIVE_CHECK_TRAPPED) {
      Fail(ring.native->TakeError());
      return false;
    }
  } else {
    napi_value arguments[3];
    const uint32_t numbers[] = {ring.context_offset, ring.first_offset, count};
    for (size_t i = 0; i < 3; ++i) napi_create_uint32(env, numbers[i], &arguments[i]);
    napi_value answer = nullptr;
    if (!Call(ring.judge.Value(), 3, arguments, &answer)) return false;
    napi_get_value_uint32(env, answer, &noteworthy);
  }
  // Emptied first: the callback may ask for a judgement too.
  if (ring.turn != javascript_turns_ && !FindRing(ring)) return LoseRing();
  std::memset(ring.base + ring.count_offset, 0, sizeof count);
  if (noteworthy == 0) return true;
  napi_value argument = nullptr;
  napi_create_uint32(env, count, &argument);
  return AskHowToGoOn(ring.on_verdicts.Value(), argument);
}

// At the end of a slice. False when a judge or a callback failed.
bool Engine::JudgeRings() {
  for (auto at = rings_.begin(); at != rings_.end();) {
    const std::shared_ptr<RequestRing> ring = (at++)->second;
    if (!JudgeRing(*ring)) return false;
  }
  return true;
}
