#include "javascript.h"

#include <string_view>
#include <utility>

namespace {
constexpr const char* kThrown = "thrown";
constexpr const char* kClosing = "a callback could not be called: the environment is closing";
}  // namespace

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

napi_value JavaScript::Index(uint32_t value) const {
  napi_value result = nullptr;
  napi_create_uint32(env_, value, &result);
  return result;
}

napi_value JavaScript::Boolean(bool value) const {
  napi_value result = nullptr;
  napi_get_boolean(env_, value, &result);
  return result;
}

bool JavaScript::Call(const Kept& function, size_t count, const napi_value* arguments, napi_value* result) noexcept {
  NoteTurn();
  napi_value ignored = nullptr;
  napi_value receiver = nullptr;
  napi_get_undefined(env_, &receiver);
  const napi_status status =
      napi_call_function(env_, receiver, function.Get(), count, arguments, result == nullptr ? &ignored : result);
  if (status == napi_ok) return true;
  napi_value thrown = nullptr;
  bool pending = false;
  // A worker that is terminated has no exception: JavaScript cannot run any more, and the run ends.
  if (napi_is_exception_pending(env_, &pending) == napi_ok && pending &&
      napi_get_and_clear_last_exception(env_, &thrown) == napi_ok) {
    FailWith(thrown);
  } else {
    Fail(ErrorKind::Engine, kClosing);
  }
  return false;
}

bool JavaScript::AskHowToGoOn(const Kept& function, napi_value argument) noexcept {
  napi_value decision = nullptr;
  if (!Call(function, 1, &argument, &decision)) return false;
  char text[16];
  size_t length = 0;
  if (napi_get_value_string_utf8(env_, decision, text, sizeof text, &length) == napi_ok) {
    const std::string_view answer(text, length);
    if (answer == "continue") return true;
    if (answer == "stop") {
      attention_.stop = true;
      return true;
    }
  }
  Fail(ErrorKind::BadInput, "copy hook: expected onVerdict to answer 'stop' or 'continue'");
  return false;
}

void JavaScript::FailWith(napi_value thrown) noexcept {
  if (attention_.failed) return;
  Fail(ErrorKind::Engine, kClosing);
  napi_value holder = nullptr;
  if (napi_create_object(env_, &holder) != napi_ok ||
      napi_set_named_property(env_, holder, kThrown, thrown) != napi_ok) {
    return;
  }
  thrown_ = Kept(anchor_, holder);
}

void JavaScript::Fail(ErrorKind kind, const char* message) noexcept {
  if (attention_.failed) return;
  attention_.failed = true;
  kind_ = kind;
  try {
    message_ = message;
  } catch (...) {
    message_.clear();
  }
}

napi_value JavaScript::TakeThrown() noexcept {
  const Kept kept = std::move(thrown_);
  const napi_value holder = kept.Get();
  napi_value thrown = nullptr;
  if (holder == nullptr || napi_get_named_property(env_, holder, kThrown, &thrown) != napi_ok) return nullptr;
  return thrown;
}

void JavaScript::PassFailureTo(JavaScript& other) noexcept {
  attention_.failed = false;
  const napi_value thrown = TakeThrown();
  if (thrown != nullptr) {
    other.FailWith(thrown);
  } else {
    other.Fail(kind_, message_);
  }
}

Napi::Value JavaScript::ThrowFailure() {
  attention_.failed = false;
  const napi_value thrown = TakeThrown();
  if (thrown == nullptr) throw MakeError(env_, kind_, message_);
  napi_throw(env_, thrown);
  return Napi::Value();
}
