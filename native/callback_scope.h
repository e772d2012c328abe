// A handle scope that does not throw. One for each callback: a run may see millions of them.
#pragma once
#include <node_api.h>

class CallbackScope {
 public:
  explicit CallbackScope(napi_env env) : env_(env) {
    if (napi_open_handle_scope(env, &scope_) != napi_ok) scope_ = nullptr;
  }
  ~CallbackScope() {
    if (scope_ != nullptr) napi_close_handle_scope(env_, scope_);
  }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

 private:
  napi_env env_;
  napi_handle_scope scope_ = nullptr;
};
