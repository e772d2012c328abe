#include "native_check_object.h"

#include <string>

#include "engine.h"

static constexpr char kClosed[] = "the native check is closed: make another one";

Napi::Function NativeCheckObject::Define(Napi::Env env) {
  return DefineClass(env, "NativeCheck",
                     {
                         InstanceMethod<&NativeCheckObject::Judge>("check"),
                         InstanceMethod<&NativeCheckObject::JudgeOutermost>("checkOutermost"),
                         InstanceMethod<&NativeCheckObject::JudgeBatch>("checkBatch"),
                         InstanceMethod<&NativeCheckObject::JudgeOutermostBatch>("checkOutermostBatch"),
                         InstanceMethod<&NativeCheckObject::Look>("look"),
                         InstanceMethod<&NativeCheckObject::ReadFrom>("readFrom"),
                         InstanceMethod<&NativeCheckObject::Close>("close"),
                     });
}

NativeCheckObject* NativeCheckObject::From(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const AddonData* data = value.Env().GetInstanceData<AddonData>();
  Napi::Object object = value.As<Napi::Object>();
  return object.InstanceOf(data->native_check.Value()) ? Unwrap(object) : nullptr;
}

// Arguments: a WebAssembly.Memory, the module's `host.read`.
NativeCheckObject::NativeCheckObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<NativeCheckObject>(info), anchor_(info.Env(), info.This()), javascript_(anchor_, attention_) {
  Napi::Env env = info.Env();
  memory_ = LinearMemory(anchor_, info[0]);
  read_ = Kept(anchor_, ReadFunction(info[1], "host.read"));
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

NativeCheckObject::~NativeCheckObject() {
  if (check_ != nullptr) native_check_close(check_);
}

uint8_t* NativeCheckObject::Memory(size_t* size) {
  uint8_t* bytes = memory_.Find(size);
  if (check_ != nullptr) native_check_set_memory(check_, bytes, static_cast<uint32_t>(*size));
  return bytes;
}

NativeRead NativeCheckObject::Read(void* data, uint64_t address, uint32_t length, uint8_t* to) noexcept {
  auto* object = static_cast<NativeCheckObject*>(data);
  if (object->engine_ == nullptr) return object->AskJavaScript(address, length, to);
  return object->engine_->memory().ReadBytes(address, length, to) ? NATIVE_READ_DONE : NATIVE_READ_MISSING;
}

NativeRead NativeCheckObject::AskJavaScript(uint64_t address, uint32_t length, const uint8_t* to) {
  const CallbackScope scope(javascript_.env());
  size_t size = 0;
  const uint8_t* base = Memory(&size);
  const napi_value arguments[] = {
      javascript_.Index(static_cast<uint32_t>(address)), javascript_.Index(static_cast<uint32_t>(address >> 32)),
      javascript_.Index(length), javascript_.Index(static_cast<uint32_t>(to - base))};
  napi_value answer = nullptr;
  ++asking_;
  const bool answered = javascript_.Call(read_, 4, arguments, &answer);
  --asking_;
  if (!answered) return NATIVE_READ_FAILED;
  int32_t found = 0;
  napi_get_value_int32(javascript_.env(), answer, &found);
  // The bytes are not where they were asked for when the memory has moved.
  return Memory(&size) == base && found != 0 ? NATIVE_READ_DONE : NATIVE_READ_MISSING;
}

void NativeCheckObject::FailWithTrap(JavaScript& javascript) {
  if (attention_.failed) {
    javascript_.PassFailureTo(javascript);
  } else {
    javascript.Fail(ErrorKind::Engine, Trap());
  }
}

std::string NativeCheckObject::Trap() const {
  return std::string("the native check gave up: ") + native_check_trap(check_) +
         "; its context or a request was overwritten";
}

Napi::Value NativeCheckObject::Answer(uint32_t code) {
  if (code != NATIVE_CHECK_TRAPPED) return Napi::Number::New(Env(), code);
  if (attention_.failed) return javascript_.ThrowFailure();
  throw MakeError(Env(), ErrorKind::Engine, Trap());
}

NativeCheck* NativeCheckObject::Live() const {
  if (check_ == nullptr) throw MakeError(Env(), ErrorKind::Engine, kClosed);
  return check_;
}

Napi::Value NativeCheckObject::Judge(const Napi::CallbackInfo& info) {
  size_t size = 0;
  Memory(&size);
  return Answer(native_check_judge(Live(), ReadIndex(info[0], "context"), ReadIndex(info[1], "request")));
}

Napi::Value NativeCheckObject::JudgeOutermost(const Napi::CallbackInfo& info) {
  size_t size = 0;
  Memory(&size);
  return Answer(native_check_judge_outermost(Live(), ReadIndex(info[0], "context"), ReadIndex(info[1], "request")));
}

Napi::Value NativeCheckObject::JudgeBatch(const Napi::CallbackInfo& info) {
  size_t size = 0;
  Memory(&size);
  return Answer(native_check_judge_batch(Live(), ReadIndex(info[0], "context"), ReadIndex(info[1], "requests"),
                                         ReadIndex(info[2], "count")));
}

Napi::Value NativeCheckObject::JudgeOutermostBatch(const Napi::CallbackInfo& info) {
  size_t size = 0;
  Memory(&size);
  return Answer(native_check_judge_outermost_batch(Live(), ReadIndex(info[0], "context"),
                                                   ReadIndex(info[1], "requests"), ReadIndex(info[2], "count")));
}

Napi::Value NativeCheckObject::Look(const Napi::CallbackInfo& info) {
  size_t size = 0;
  Memory(&size);
  return Answer(native_check_look(Live(), ReadIndex(info[0], "context"), ReadIndex(info[1], "look"),
                                  ReadIndex(info[2], "request")));
}

// Argument: the emulator whose memory is read where no region covers an address; undefined: `host.read` is asked.
Napi::Value NativeCheckObject::ReadFrom(const Napi::CallbackInfo& info) {
  engine_ = nullptr;
  engine_object_.Release();
  if (!info[0].IsUndefined()) {
    engine_ = Engine::From(info[0]);
    if (engine_ == nullptr) throw MakeError(info.Env(), ErrorKind::BadInput, "readFrom: expected an emulator");
    engine_object_ = Kept(anchor_, info[0]);
  }
  return info.Env().Undefined();
}

// What a judgement under way still needs stays until the object is collected.
Napi::Value NativeCheckObject::Close(const Napi::CallbackInfo& info) {
  engine_ = nullptr;
  engine_object_.Release();
  if (asking_ == 0 && check_ != nullptr) {
    native_check_close(check_);
    check_ = nullptr;
    memory_ = LinearMemory();
    read_.Release();
  }
  return info.Env().Undefined();
}
