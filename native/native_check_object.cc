#include "native_check_object.h"

#include <string>

#include "engine.h"

Napi::Function NativeCheckObject::Define(Napi::Env env) {
  return DefineClass(env, "NativeCheck",
                     {
                         InstanceMethod<&NativeCheckObject::Judge>("check"),
                         InstanceMethod<&NativeCheckObject::JudgeOutermost>("checkOutermost"),
                         InstanceMethod<&NativeCheckObject::JudgeBatch>("checkBatch"),
                         InstanceMethod<&NativeCheckObject::JudgeOutermostBatch>("checkOutermostBatch"),
                         InstanceMethod<&NativeCheckObject::ReadFrom>("readFrom"),
                     });
}

NativeCheckObject* NativeCheckObject::From(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const AddonData* data = value.Env().GetInstanceData<AddonData>();
  Napi::Object object = value.As<Napi::Object>();
  return object.InstanceOf(data->native_check.Value()) ? Unwrap(object) : nullptr;
}

// Arguments: a WebAssembly.Memory, the module's `host.read`.
NativeCheckObject::NativeCheckObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeCheckObject>(info) {
  Napi::Env env = info.Env();
  if (!info[0].IsObject()) throw MakeError(env, ErrorKind::BadInput, "native check: expected a WebAssembly.Memory");
  memory_ = Napi::Persistent(info[0].As<Napi::Object>());
  read_ = Napi::Persistent(ReadFunction(info[1], "host.read"));
  size_t size = 0;
  if (Memory(&size) == nullptr || size > UINT32_MAX) {
    throw MakeError(env, ErrorKind::BadInput, "native check: expected a WebAssembly.Memory of less than 4 GiB");
  }
  check_ = native_check_open(Read, this);
  if (check_ == nullptr) {
    const char* absence = native_check_absence();
    throw MakeError(env, ErrorKind::MissingDependency, absence != nullptr ? absence : "native check: out of memory");
  }
}

NativeCheckObject::~NativeCheckObject() { native_check_close(check_); }

uint8_t* NativeCheckObject::Memory(size_t* size) {
  Napi::Env env = Env();
  void* bytes = nullptr;
  *size = 0;
  if (!buffer_.IsEmpty()) napi_get_arraybuffer_info(env, buffer_.Value(), &bytes, size);
  if (*size == 0) {
    napi_value buffer = nullptr;
    bool is_buffer = false;
    if (napi_get_named_property(env, memory_.Value(), "buffer", &buffer) != napi_ok ||
        napi_is_arraybuffer(env, buffer, &is_buffer) != napi_ok || !is_buffer ||
        napi_get_arraybuffer_info(env, buffer, &bytes, size) != napi_ok) {
      return nullptr;
    }
    buffer_ = Napi::Persistent(Napi::Object(env, buffer));
  }
  if (check_ != nullptr) native_check_set_memory(check_, static_cast<uint8_t*>(bytes), static_cast<uint32_t>(*size));
  return static_cast<uint8_t*>(bytes);
}

NativeRead NativeCheckObject::Read(void* data, uint64_t address, uint32_t length, uint8_t* to) {
  auto* object = static_cast<NativeCheckObject*>(data);
  if (object->engine_ != nullptr) {
    return object->engine_->memory().ReadBytes(address, length, to) ? NATIVE_READ_DONE : NATIVE_READ_MISSING;
  }
  Napi::Env env = object->Env();
  const Napi::HandleScope scope(env);
  size_t size = 0;
  const uint8_t* base = object->Memory(&size);
  napi_value arguments[4];
  const uint32_t numbers[] = {static_cast<uint32_t>(address), static_cast<uint32_t>(address >> 32), length,
                              static_cast<uint32_t>(to - base)};
  for (size_t i = 0; i < 4; ++i) napi_create_uint32(env, numbers[i], &arguments[i]);
  napi_value answer = nullptr;
  if (napi_call_function(env, env.Undefined(), object->read_.Value(), 4, arguments, &answer) != napi_ok) {
    napi_value error = nullptr;
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (pending) {
      napi_get_and_clear_last_exception(env, &error);
      // Anything can be thrown; only objects can be referred to.
      Napi::Object holder = Napi::Object::New(env);
      holder.Set("error", Napi::Value(env, error));
      object->error_ = Napi::Persistent(holder);
    }
    return NATIVE_READ_FAILED;
  }
  object->Memory(&size);
  int32_t found = 0;
  napi_get_value_int32(env, answer, &found);
  return found != 0 ? NATIVE_READ_DONE : NATIVE_READ_MISSING;
}

napi_value NativeCheckObject::TakeError() {
  Napi::Env env = Env();
  if (!error_.IsEmpty()) {
    const Napi::Value error = error_.Value().Get("error");
    error_.Reset();
    return error;
  }
  return MakeError(env, ErrorKind::Engine,
                   std::string("the native check gave up: ") + native_check_trap(check_) +
                       "; its context or a request was overwritten")
      .Value();
}

Napi::Value NativeCheckObject::Answer(uint32_t code) {
  if (code == NATIVE_CHECK_TRAPPED) {
    napi_throw(Env(), TakeError());
    return Napi::Value();
  }
  return Napi::Number::New(Env(), code);
}

Napi::Value NativeCheckObject::Judge(const Napi::CallbackInfo& info) {
  size_t size = 0;
  Memory(&size);
  return Answer(native_check_judge(check_, ReadIndex(info[0], "context"), ReadIndex(info[1], "request")));
}

Napi::Value NativeCheckObject::JudgeOutermost(const Napi::CallbackInfo& info) {
  size_t size = 0;
  Memory(&size);
  return Answer(native_check_judge_outermost(check_, ReadIndex(info[0], "context"), ReadIndex(info[1], "request")));
}

Napi::Value NativeCheckObject::JudgeBatch(const Napi::CallbackInfo& info) {
  size_t size = 0;
  Memory(&size);
  return Answer(native_check_judge_batch(check_, ReadIndex(info[0], "context"), ReadIndex(info[1], "requests"),
                                         ReadIndex(info[2], "count")));
}

Napi::Value NativeCheckObject::JudgeOutermostBatch(const Napi::CallbackInfo& info) {
  size_t size = 0;
  Memory(&size);
  return Answer(native_check_judge_outermost_batch(check_, ReadIndex(info[0], "context"),
                                                   ReadIndex(info[1], "requests"), ReadIndex(info[2], "count")));
}

// Argument: the emulator whose memory is read where no region covers an address; undefined: `host.read` is asked.
Napi::Value NativeCheckObject::ReadFrom(const Napi::CallbackInfo& info) {
  engine_ = nullptr;
  engine_reference_.Reset();
  if (!info[0].IsUndefined()) {
    engine_ = Engine::From(info[0]);
    if (engine_ == nullptr) throw MakeError(info.Env(), ErrorKind::BadInput, "readFrom: expected an emulator");
    engine_reference_ = Napi::Persistent(info[0].As<Napi::Object>());
  }
  return info.Env().Undefined();
}
