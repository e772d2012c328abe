#include "javascript.h"

napi_value JavaScript::BigInt(uint64_t value) const {
  napi_value result = nullptr;
  napi_create_bigint_uint64(env_, value, &result);
  return result;
}

napi_value JavaScript::Number(double value) const {
  napi_value result = nullptr;
  napi_create_double(env_, value, &result);
  return result;
}

bool JavaScript::Call(napi_value function, size_t count, const napi_value* arguments, napi_value* result) {
  NoteTurn();
  napi_value ignored = nullptr;
  const napi_status status =
      napi_call_function(env_, env_.Undefined(), function, count, arguments, result == nullptr ? &ignored : result);
  if (status == napi_ok) return true;
  napi_value error = nullptr;
  bool pending = false;
  napi_is_exception_pending(env_, &pending);
  if (pending) {
    napi_get_and_clear_last_exception(env_, &error);
    Fail(error);
  } else {
    Fail(ErrorKind::Engine, "a callback could not be called: the environment is closing");
  }
  return false;
}

bool JavaScript::AskHowToGoOn(napi_value function, napi_value argument) {
  napi_value decision = nullptr;
  if (!Call(function, 1, &argument, &decision)) return false;
  char text[16];
  size_t length = 0;
  if (napi_get_value_string_utf8(env_, decision, text, sizeof text, &length) == napi_ok) {
    if (std::string(text, length) == "continue") return true;
    if (std::string(text, length) == "stop") {
      attention_.stop = true;
      return true;
    }
  }
  Fail(ErrorKind::BadInput, "copy hook: expected onVerdict to answer 'stop' or 'continue'");
  return false;
}

void JavaScript::Fail(napi_value error) {
  if (attention_.failed) return;
  attention_.failed = true;
  // Anything can be thrown; only objects can be referred to.
  Napi::Object holder = Napi::Object::New(env_);
  holder.Set("error", Napi::Value(env_, error));
  failure_ = Napi::Persistent(holder);
}

void JavaScript::Fail(ErrorKind kind, const std::string& message) { Fail(MakeError(env_, kind, message).Value()); }

Napi::Value JavaScript::ThrowFailure() {
  attention_.failed = false;
  const Napi::Value error = failure_.Value().Get("error");
  failure_.Reset();
  napi_throw(env_, error);
  return Napi::Value();
}
