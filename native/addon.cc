// The module: `Engine`, the version of libunicorn, and names of its errors.
#include "engine.h"

namespace {

// libunicorn's version: major, minor, patch.
Napi::Value Version(const Napi::CallbackInfo& info) {
  const unsigned version = uc_version(nullptr, nullptr);
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
  result.Set("text", std::string(uc_strerror(code)));
  return result;
}

// Makes every error of this addon: (kind, message) → Error.
Napi::Value SetErrorFactory(const Napi::CallbackInfo& info) {
  info.Env().GetInstanceData<AddonData>()->error_factory = Napi::Persistent(ReadFunction(info[0], "factory"));
  return info.Env().Undefined();
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new AddonData());
  exports.Set("Engine", Engine::Define(env));
  exports.Set("version", Napi::Function::New(env, Version));
  exports.Set("errorText", Napi::Function::New(env, ErrorText));
  exports.Set("setErrorFactory", Napi::Function::New(env, SetErrorFactory));
  return exports;
}

}  // namespace

NODE_API_MODULE(unicorn_engine, Init)
