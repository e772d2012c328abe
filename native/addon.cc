// The module: `Engine`, the version of libunicorn, and names of its errors.
#include "engine.h"
#include "native_check_object.h"

namespace {

// Arguments: a file, whether it must be that one. Opens libunicorn for the whole process; answers the file that is used.
Napi::Value OpenLibrary(const Napi::CallbackInfo& info) {
  std::string opened;
  const std::string problem =
      OpenLibunicorn(ReadString(info[0], "libunicorn"), info[1].ToBoolean(), &opened);
  if (!problem.empty()) throw MakeError(info.Env(), ErrorKind::MissingDependency, problem);
  return Napi::String::New(info.Env(), opened);
}

// libunicorn's version: major, minor, patch.
Napi::Value Version(const Napi::CallbackInfo& info) {
  const unsigned version = libunicorn.version(nullptr, nullptr);
  Napi::Array parts = Napi::Array::New(info.Env());
  parts.Set(0u, (version >> 24) & 0xff);
  parts.Set(1u, (version >> 16) & 0xff);
  parts.Set(2u, (version >> 8) & 0xff);
  return parts;
}

// Constant and text of an error.
Napi::Value ErrorText(const Napi::CallbackInfo& info) {
  const auto code = static_cast<uc_err>(ReadIndex(info[0], "error"));
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("code", ErrorName(code));
  result.Set("text", std::string(libunicorn.strerror(code)));
  return result;
}

// What the native check was made of, or why there is none.
Napi::Value NativeCheckState(const Napi::CallbackInfo& info) {
  Napi::Object result = Napi::Object::New(info.Env());
  const char* absence = native_check_absence();
  result.Set("absence", absence == nullptr ? info.Env().Null() : Napi::String::New(info.Env(), absence).As<Napi::Value>());
  result.Set("digest", native_check_digest());
  return result;
}

// Makes every error of this addon: (kind, message) → Error.
Napi::Value SetErrorFactory(const Napi::CallbackInfo& info) {
  info.Env().GetInstanceData<AddonData>()->error_factory = Napi::Persistent(ReadFunction(info[0], "factory"));
  return info.Env().Undefined();
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* data = new AddonData();
  env.SetInstanceData(data);
  data->engine = Napi::Persistent(Engine::Define(env));
  data->native_check = Napi::Persistent(NativeCheckObject::Define(env));
  exports.Set("Engine", data->engine.Value());
  exports.Set("NativeCheck", data->native_check.Value());
  exports.Set("nativeCheckState", Napi::Function::New(env, NativeCheckState));
  exports.Set("openLibrary", Napi::Function::New(env, OpenLibrary));
  exports.Set("version", Napi::Function::New(env, Version));
  exports.Set("errorText", Napi::Function::New(env, ErrorText));
  exports.Set("setErrorFactory", Napi::Function::New(env, SetErrorFactory));
  return exports;
}

}  // namespace

NODE_API_MODULE(unicorn_engine, Init)
