#include "copies.h"

#include <algorithm>

#include "native_check_object.h"

std::unique_ptr<CopyRequest> Copies::ReadSpec(const Napi::CallbackInfo& info) {
  constexpr uint32_t kMostRegisters = 16;
  Napi::Env env = info.Env();
  auto request = std::make_unique<CopyRequest>();
  const Napi::Value buffer = info[1].IsObject() ? info[1].As<Napi::Object>().Get("buffer") : env.Undefined();
  if (!buffer.IsArrayBuffer()) {
    throw MakeError(env, ErrorKind::BadInput,
                    "copy hook: expected a WebAssembly.Memory that is not shared between threads");
  }
  request->memory = Napi::Persistent(info[1].As<Napi::Object>());
  request->buffer = Napi::Persistent(buffer.As<Napi::Object>());
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
      uint64_t{request->request_offset} + request->request_bytes > buffer.As<Napi::ArrayBuffer>().ByteLength()) {
    throw MakeError(env, ErrorKind::BadInput,
                    "copy hook: expected a request of " + std::to_string(request->request_bytes) +
                        " bytes inside the memory at an offset that is a multiple of 8, found " +
                        Hex(request->request_offset));
  }
  request->judge = Napi::Persistent(ReadFunction(info[5], "judge"));
  request->on_verdict = Napi::Persistent(ReadFunction(info[6], "onVerdict"));
  if (!info[7].IsUndefined()) {
    request->native = NativeCheckObject::From(info[7]);
    if (request->native == nullptr) throw MakeError(env, ErrorKind::BadInput, "copy hook: expected a NativeCheck");
    request->native_reference = Napi::Persistent(info[7].As<Napi::Object>());
    request->outermost = info[8].As<Napi::Boolean>().Value();
  }
  if (!info[9].IsUndefined()) {
    request->ring = rings_.Find(static_cast<uint64_t>(info[9].As<Napi::Number>().Int64Value()));
    if (!request->ring) throw MakeError(env, ErrorKind::BadInput, "copy hook: expected an open ring");
    if (request->request_bytes > request->ring->head_bytes ||
        uint64_t{request->request_offset} + request->ring->head_bytes > buffer.As<Napi::ArrayBuffer>().ByteLength()) {
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
  Napi::Env env = javascript_.env();
  void* base = nullptr;
  size_t length = 0;
  const size_t end = static_cast<size_t>(request.request_offset) + request.request_bytes;
  if (request.native != nullptr) request.native->Memory(&length);
  napi_get_arraybuffer_info(env, request.buffer.Value(), &base, &length);
  if (base == nullptr || length < end) {
    napi_value buffer = nullptr;
    bool is_buffer = false;
    if (napi_get_named_property(env, request.memory.Value(), "buffer", &buffer) != napi_ok ||
        napi_is_arraybuffer(env, buffer, &is_buffer) != napi_ok || !is_buffer ||
        napi_get_arraybuffer_info(env, buffer, &base, &length) != napi_ok || base == nullptr || length < end) {
      javascript_.Fail(ErrorKind::Engine, "copy hook: the WebAssembly.Memory no longer holds the request");
      return false;
    }
    request.buffer = Napi::Persistent(Napi::Object(env, buffer));
  }
  for (size_t i = 0; i < request.slots.size(); ++i) {
    request.values[i] = static_cast<uint8_t*>(base) + request.request_offset + 8 * request.slots[i];
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

bool Copies::JudgeNatively(CopyRequest& request, uint64_t pc) {
  if (request.turn != javascript_.turns()) {
    const CallbackScope scope(javascript_.env());
    if (!Find(request)) return false;
  }
  ReadRegisters(request, pc);
  NativeCheck* check = request.native->check();
  const uint32_t code = request.outermost
                            ? native_check_judge_outermost(check, request.context_offset, request.request_offset)
                            : native_check_judge(check, request.context_offset, request.request_offset);
  if (code == 0) return true;
  const CallbackScope scope(javascript_.env());
  if (code != NATIVE_CHECK_TRAPPED) {
    return javascript_.AskHowToGoOn(request.on_verdict.Value(), javascript_.Number(code));
  }
  javascript_.Fail(request.native->TakeError());
  return false;
}

bool Copies::JudgeInJavaScript(CopyRequest& request, uint64_t pc) {
  Napi::Env env = javascript_.env();
  const CallbackScope scope(env);
  if (!Find(request)) return false;
  ReadRegisters(request, pc);
  napi_value arguments[2];
  napi_create_uint32(env, request.context_offset, &arguments[0]);
  napi_create_uint32(env, request.request_offset, &arguments[1]);
  napi_value answer = nullptr;
  if (!javascript_.Call(request.judge.Value(), 2, arguments, &answer)) return false;
  int32_t code = 0;
  if (napi_get_value_int32(env, answer, &code) != napi_ok) {
    javascript_.Fail(ErrorKind::Engine, "copy hook: expected judge to answer an i32");
    return false;
  }
  return code == 0 || javascript_.AskHowToGoOn(request.on_verdict.Value(), javascript_.Number(code));
}
