#include "ring.h"

#include <algorithm>
#include <cstring>

#include "copies.h"
#include "native_check_object.h"

// Arguments: memory, [count offset, first offset, request bytes, head bytes, capacity, context offset], judge,
// onVerdicts, NativeCheck or undefined, outermost.
Napi::Value Rings::Open(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  emulator_.Live(env);
  auto ring = std::make_shared<RequestRing>();
  Anchor& anchor = javascript_.anchor();
  ring->memory = LinearMemory(anchor, info[0]);
  size_t length = 0;
  if (ring->memory.Find(&length) == nullptr || !info[1].IsArray()) {
    throw MakeError(env, ErrorKind::BadInput, "ring: expected a WebAssembly.Memory and the places in it");
  }
  const Napi::Array places = info[1].As<Napi::Array>();
  uint32_t* const fields[] = {&ring->count_offset, &ring->first_offset, &ring->request_bytes,
                              &ring->head_bytes,   &ring->capacity,     &ring->context_offset};
  for (uint32_t i = 0; i < 6; ++i) *fields[i] = ReadIndex(places.Get(i), "ring: place");
  if (ring->capacity == 0 || ring->head_bytes > ring->request_bytes || ring->count_offset % 8 != 0 ||
      ring->first_offset % 8 != 0 || ring->request_bytes % 8 != 0) {
    throw MakeError(env, ErrorKind::BadInput, "ring: expected one request or more, at multiples of 8");
  }
  ring->judge = Kept(anchor, ReadFunction(info[2], "judge"));
  ring->on_verdicts = Kept(anchor, ReadFunction(info[3], "onVerdicts"));
  if (!info[4].IsUndefined()) {
    ring->native = NativeCheckObject::From(info[4]);
    if (ring->native == nullptr) throw MakeError(env, ErrorKind::BadInput, "ring: expected a NativeCheck");
    ring->native_object = Kept(anchor, info[4]);
    ring->outermost = info[5].As<Napi::Boolean>().Value();
  }
  if (!Locate(*ring)) throw MakeError(env, ErrorKind::BadInput, "ring: expected places inside the memory");
  ring->id = next_++;
  rings_.emplace(ring->id, ring);
  return Napi::Number::New(env, static_cast<double>(ring->id));
}

Napi::Value Rings::Close(const Napi::CallbackInfo& info) {
  rings_.erase(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  return info.Env().Undefined();
}

Napi::Value Rings::Flush(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  emulator_.Live(env);
  const std::shared_ptr<RequestRing> ring = Find(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  if (!ring) return env.Undefined();
  // A run that is under way throws what failed itself.
  if (!Judge(*ring) && !emulator_.running()) return javascript_.ThrowFailure();
  return env.Undefined();
}

std::shared_ptr<RequestRing> Rings::Find(uint64_t id) const {
  const auto found = rings_.find(id);
  return found == rings_.end() ? nullptr : found->second;
}

bool Rings::Locate(RequestRing& ring) {
  size_t length = 0;
  if (ring.native != nullptr) ring.native->Memory(&length);
  uint8_t* base = ring.memory.Find(&length);
  const uint64_t end = ring.first_offset + uint64_t{ring.capacity} * ring.request_bytes;
  if (base == nullptr || end > length || uint64_t{ring.count_offset} + 4 > length) return false;
  ring.base = base;
  ring.turn = javascript_.turns();
  return true;
}

bool Rings::Append(CopyRequest& request, uint64_t pc) {
  RequestRing& ring = *request.ring;
  if (ring.turn != javascript_.turns()) {
    const CallbackScope scope(javascript_.env());
    if (!Locate(ring)) return Lose();
  }
  const uint32_t index = std::min(Waiting(ring), ring.capacity - 1);
  Write(request, pc, index);
  return index + 1 < ring.capacity || Judge(ring);
}

bool Rings::AppendWhereThereIsRoom(CopyRequest& request, uint64_t pc) {
  const RequestRing& ring = *request.ring;
  if (ring.turn != javascript_.turns()) return false;
  const uint32_t index = Waiting(ring);
  if (index >= ring.capacity - 1) return false;
  Write(request, pc, index);
  return true;
}

uint32_t Rings::Waiting(const RequestRing& ring) {
  uint32_t count = 0;
  std::memcpy(&count, ring.base + ring.count_offset, sizeof count);
  return count;
}

void Rings::Write(CopyRequest& request, uint64_t pc, uint32_t index) {
  RequestRing& ring = *request.ring;
  uint8_t* slot = ring.base + ring.first_offset + uint64_t{index} * ring.request_bytes;
  std::memcpy(slot, ring.base + request.request_offset, ring.head_bytes);
  void* values[16];
  const size_t registers = request.register_ids.size();
  for (size_t i = 0; i < registers; ++i) values[i] = slot + 8 * request.slots[i];
  libunicorn.reg_read_batch(emulator_.uc(), request.register_ids.data(), values, static_cast<int>(registers));
  if (request.pc_index >= 0) std::memcpy(values[request.pc_index], &pc, sizeof pc);
  if (request.return_bytes != 0) {
    uint64_t stack_pointer = 0;
    std::memcpy(&stack_pointer, slot + 8 * request.stack_pointer_slot, sizeof stack_pointer);
    uint8_t* word = slot + 8 * request.return_slot;
    std::memset(word, 0, 8);
    libunicorn.mem_read(emulator_.uc(), stack_pointer, word, request.return_bytes);
  }
  const uint32_t count = index + 1;
  std::memcpy(ring.base + ring.count_offset, &count, sizeof count);
}

bool Rings::Lose() {
  javascript_.Fail(ErrorKind::Engine, "audit: the WebAssembly.Memory no longer holds the ring");
  return false;
}

// Judges what waits. A judge that fails leaves it waiting.
bool Rings::Judge(RequestRing& ring) {
  const CallbackScope scope(javascript_.env());
  if (ring.turn != javascript_.turns() && !Locate(ring)) return Lose();
  uint32_t count = 0;
  std::memcpy(&count, ring.base + ring.count_offset, sizeof count);
  count = std::min(count, ring.capacity);
  if (count == 0) return true;
  uint32_t noteworthy = 0;
  if (ring.native != nullptr) {
    NativeCheck* check = ring.native->check();
    if (check == nullptr) {
      javascript_.Fail(ErrorKind::Engine, "audit: the check that judges is closed: detach before it is");
      return false;
    }
    noteworthy = ring.outermost
                     ? native_check_judge_outermost_batch(check, ring.context_offset, ring.first_offset, count)
                     : native_check_judge_batch(check, ring.context_offset, ring.first_offset, count);
    if (noteworthy == NATIVE_CHECK_TRAPPED) {
      ring.native->FailWithTrap(javascript_);
      return false;
    }
  } else {
    const napi_value arguments[] = {javascript_.Index(ring.context_offset), javascript_.Index(ring.first_offset),
                                    javascript_.Index(count)};
    napi_value answer = nullptr;
    if (!javascript_.Call(ring.judge, 3, arguments, &answer)) return false;
    napi_get_value_uint32(javascript_.env(), answer, &noteworthy);
  }
  // Emptied first: the callback may ask for a judgement too.
  if (ring.turn != javascript_.turns() && !Locate(ring)) return Lose();
  std::memset(ring.base + ring.count_offset, 0, sizeof count);
  if (noteworthy == 0) return true;
  return javascript_.AskHowToGoOn(ring.on_verdicts, javascript_.Index(count));
}

bool Rings::JudgeAll() {
  for (auto at = rings_.begin(); at != rings_.end();) {
    const std::shared_ptr<RequestRing> ring = (at++)->second;
    if (!Judge(*ring)) return false;
  }
  return true;
}
