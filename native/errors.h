// Errors that reach JavaScript: the addon's user gives a factory, so that they are of the project's own type.
#pragma once
#include <napi.h>

#include <cstdint>
#include <string>

#include "libunicorn.h"

enum class ErrorKind { BadInput, MissingDependency, Engine, Unsupported };

// What one JavaScript environment (the main thread, a worker) keeps for the addon.
struct AddonData {
  Napi::FunctionReference error_factory;
  // Constructors, to tell what an object is.
  Napi::FunctionReference engine;
  Napi::FunctionReference native_check;
};

Napi::Error MakeError(Napi::Env env, ErrorKind kind, const std::string& message);

// Throws the error of a libunicorn call: its name with the arguments that matter, and Unicorn's text with the constant.
[[noreturn]] void ThrowUnicorn(Napi::Env env, const std::string& call, uc_err code);

// Throws when `code` is an error.
inline void Check(Napi::Env env, const std::string& call, uc_err code) {
  if (code != UC_ERR_OK) ThrowUnicorn(env, call, code);
}

std::string Hex(uint64_t value);

// Argument readers: each throws a typed error that names `what` when the value is of another type or out of range.
uint64_t ReadAddress(const Napi::Value& value, const char* what);
uint32_t ReadIndex(const Napi::Value& value, const char* what);
std::string ReadString(const Napi::Value& value, const char* what);
Napi::Function ReadFunction(const Napi::Value& value, const char* what);
