#include "copies.h"

#include <algorithm>
#include <utility>

#include "native_check_object.h"

std::unique_ptr<CopyRequest> Copies::ReadSpec(const Napi::CallbackInfo& info) {
  constexpr uint32_t kMostRegisters = 16;
  Napi::Env env = info.Env();
  auto request = std::make_unique<CopyRequest>();
  Anchor& anchor = javascript_.anchor();
  request->memory = LinearMemory(anchor, info[1]);
  size_t length = 0;
  if (request->memory.Find(&length) == nullptr) {
    throw MakeError(env, ErrorKind::BadInput,
                    "copy hook: expected a WebAssembly.Memory that is not shared between threads");
  }
  request->request_offset = ReadIndex(info[2], "requestOffset");
  request->context_offset = ReadIndex(info[3], "contextOffset");
  if (!info[4].IsArray() || info[4].As<Napi::Array>().Length() > kMostRegisters) {
    throw MakeError(env, ErrorKind::BadInput, "copy hook: expected an array of at most 16 register names");
  }
  const Napi::Array names = info[4].As<Napi::Array>();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const Napi::Value name = names.Get(i);
    if (name.IsNull()) continue;
    const int id = registers_.FindWord(env, ReadString(name, "register"));
    if (id == registers_.pc()) request->pc_index = static_cast<int>(request->register_ids.size());
    request->register_ids.push_back(id);
    request->slots.push_back(i);
    request->request_bytes = 8 * (i + 1);
  }
  if (request->request_offset % 8 != 0 ||
      uint64_t{request->request_offset} + request->request_bytes > length) {
    throw MakeError(env, ErrorKind::BadInput,
                    "copy hook: expected a request of " + std::to_string(request->request_bytes) +
                        " bytes inside the memory at an offset that is a multiple of 8, found " +
                        Hex(request->request_offset));
  }
  request->judge = Kept(anchor, ReadFunction(info[5], "judge"));
  request->on_verdict = Kept(anchor, ReadFunction(info[6], "onVerdict"));
  if (!info[7].IsUndefined()) {
    request->native = NativeCheckObject::From(info[7]);
    if (request->native == nullptr) throw MakeError(env, ErrorKind::BadInput, "copy hook: expected a NativeCheck");
    request->native_object = Kept(anchor, info[7]);
    request->outermost = info[8].As<Napi::Boolean>().Value();
  }
  if (!info[9].IsUndefined()) {
    request->ring = rings_.Find(static_cast<uint64_t>(info[9].As<Napi::Number>().Int64Value()));
    if (!request->ring) throw MakeError(env, ErrorKind::BadInput, "copy hook: expected an open ring");
    if (request->request_bytes > request->ring->head_bytes ||
        uint64_t{request->request_offset} + request->ring->head_bytes > length) {
      throw MakeError(env, ErrorKind::BadInput, "copy hook: expected a request whose head fits the ring's");
    }
    if (info[10].IsArray()) {
      const Napi::Array stacked = info[10].As<Napi::Array>();
      request->stack_pointer_slot = ReadIndex(stacked.Get(0u), "stackedReturn: stackPointer");
      request->return_slot = ReadIndex(stacked.Get(1u), "stackedReturn: returnAddress");
      request->return_bytes = ReadIndex(stacked.Get(2u), "stackedReturn: bytes");
      const uint64_t last = std::max(request->stack_pointer_slot, request->return_slot);
      if (request->return_bytes > 8 || 8 * (last + 1) > request->ring->head_bytes) {
        throw MakeError(env, ErrorKind::BadInput, "copy hook: expected a stacked return inside the request's head");
      }
    }
  }
  return request;
}

bool Copies::Judge(CopyRequest& request, uint64_t pc) {
  if (request.ring) return rings_.Append(request, pc);
  return request.native != nullptr ? JudgeNatively(request, pc) : JudgeInJavaScript(request, pc);
}

bool Copies::Find(CopyRequest& request) {
  size_t length = 0;
  if (request.native != nullptr) request.native->Memory(&length);
  uint8_t* base = request.memory.Find(&length);
  if (base == nullptr || length < size_t{request.request_offset} + request.request_bytes) {
    javascript_.Fail(ErrorKind::Engine, "copy hook: the WebAssembly.Memory no longer holds the request");
    return false;
  }
  for (size_t i = 0; i < request.slots.size(); ++i) {
    request.values[i] = base + request.request_offset + 8 * request.slots[i];
  }
  request.turn = javascript_.turns();
  return true;
}

void Copies::ReadRegisters(CopyRequest& request, uint64_t pc) {
  const size_t count = request.register_ids.size();
  // Registers of 32 bits are stored as 4 bytes.
  for (size_t i = 0; i < count; ++i) *static_cast<uint64_t*>(request.values[i]) = 0;
  libunicorn.reg_read_batch(emulator_.uc(), request.register_ids.data(), request.values.data(), static_cast<int>(count));
  if (request.pc_index >= 0) *static_cast<uint64_t*>(request.values[request.pc_index]) = pc;
}

Copies::Values Copies::Read(const CopyRequest& request, uint64_t pc) {
  Values values{};
  std::array<void*, 16> places{};
  const size_t count = request.register_ids.size();
  for (size_t i = 0; i < count; ++i) places[i] = &values[i];
  std::vector<int> ids = request.register_ids;
  libunicorn.reg_read_batch(emulator_.uc(), ids.data(), places.data(), static_cast<int>(count));
  if (request.pc_index >= 0) values[static_cast<size_t>(request.pc_index)] = pc;
  return values;
}

bool Copies::Passes(CopyRequest& request, uint64_t pc) {
  if (request.ring) return rings_.AppendWhereThereIsRoom(request, pc);
  if (request.native == nullptr || request.native->check() == nullptr) return false;
  if (request.turn != javascript_.turns()) return false;
  request.known = Ask(request, pc);
  // The check may have asked JavaScript for bytes.
  if (request.known != 0 || request.turn != javascript_.turns()) return false;
  request.known = CopyRequest::kNotAsked;
  return true;
}

uint32_t Copies::Ask(CopyRequest& request, uint64_t pc) {
  ReadRegisters(request, pc);
  NativeCheck* check = request.native->check();
  return request.outermost ? native_check_judge_outermost(check, request.context_offset, request.request_offset)
                           : native_check_judge(check, request.context_offset, request.request_offset);
}

bool Copies::JudgeNatively(CopyRequest& request, uint64_t pc) {
  uint32_t code = std::exchange(request.known, CopyRequest::kNotAsked);
  if (code == CopyRequest::kNotAsked) {
    if (request.native->check() == nullptr) {
      javascript_.Fail(ErrorKind::Engine, "copy hook: the check that judges is closed: detach before it is");
      return false;
    }
    if (request.turn != javascript_.turns()) {
      const CallbackScope scope(javascript_.env());
      if (!Find(request)) return false;
    }
    code = Ask(request, pc);
  }
  if (code == 0) return true;
  const CallbackScope scope(javascript_.env());
  if (code != NATIVE_CHECK_TRAPPED) {
    return javascript_.AskHowToGoOn(request.on_verdict, javascript_.Number(code));
  }
  request.native->FailWithTrap(javascript_);
  return false;
}

bool Copies::JudgeInJavaScript(CopyRequest& request, uint64_t pc) {
  const CallbackScope scope(javascript_.env());
  if (!Find(request)) return false;
  ReadRegisters(request, pc);
  const napi_value arguments[] = {javascript_.Index(request.context_offset), javascript_.Index(request.request_offset)};
  napi_value answer = nullptr;
  if (!javascript_.Call(request.judge, 2, arguments, &answer)) return false;
  int32_t code = 0;
  if (napi_get_value_int32(javascript_.env(), answer, &code) != napi_ok) {
    javascript_.Fail(ErrorKind::Engine, "copy hook: expected judge to answer an i32");
    return false;
  }
  return code == 0 || javascript_.AskHowToGoOn(request.on_verdict, javascript_.Number(code));
}
