#include "errors.h"

#include <cmath>
#include <cstdio>

static const char* KindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::BadInput: return "bad-input";
    case ErrorKind::MissingDependency: return "missing-dependency";
    case ErrorKind::Unsupported: return "unsupported";
    case ErrorKind::Engine: break;
  }
  return "engine";
}

Napi::Error MakeError(Napi::Env env, ErrorKind kind, const std::string& message) {
  const AddonData* data = env.GetInstanceData<AddonData>();
  if (data == nullptr || data->error_factory.IsEmpty()) return Napi::Error::New(env, message);
  const Napi::Value error =
      data->error_factory.Call({Napi::String::New(env, KindName(kind)), Napi::String::New(env, message)});
  return Napi::Error(env, error);
}

std::string Hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

void ThrowUnicorn(Napi::Env env, const std::string& call, uc_err code) {
  throw MakeError(env, ErrorKind::Engine, call + ": " + libunicorn.strerror(code));
}

static std::string Describe(const Napi::Value& value) {
  if (value.IsObject()) return "an object";
  return value.ToString().Utf8Value().substr(0, 60);
}

uint64_t ReadAddress(const Napi::Value& value, const char* what) {
  if (value.IsBigInt()) {
    bool lossless = false;
    const uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
    if (lossless) return number;
  }
  throw MakeError(value.Env(), ErrorKind::BadInput,
                  std::string(what) + ": expected a bigint from 0 to 2^64-1, found " + Describe(value));
}

uint32_t ReadIndex(const Napi::Value& value, const char* what) {
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (number >= 0 && number <= UINT32_MAX && number == std::floor(number)) return static_cast<uint32_t>(number);
  }
  throw MakeError(value.Env(), ErrorKind::BadInput,
                  std::string(what) + ": expected an integer from 0 to 2^32-1, found " + Describe(value));
}

std::string ReadString(const Napi::Value& value, const char* what) {
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  throw MakeError(value.Env(), ErrorKind::BadInput,
                  std::string(what) + ": expected a string, found " + Describe(value));
}

Napi::Function ReadFunction(const Napi::Value& value, const char* what) {
  if (value.IsFunction()) return value.As<Napi::Function>();
  throw MakeError(value.Env(), ErrorKind::BadInput,
                  std::string(what) + ": expected a function, found " + Describe(value));
}
