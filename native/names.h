// Unicorn's constants by name, and back.
#pragma once
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "errors.h"

// All of these throw a typed error that lists or hints what exists when a name is unknown.
uc_arch FindArchitecture(Napi::Env env, const std::string& name);
uc_mode FindMode(Napi::Env env, const std::vector<std::string>& names);
int FindCpu(Napi::Env env, uc_arch arch, const std::string& arch_name, const std::string& name);

// Constant of an error without its prefix: `INSN_INVALID`.
std::string ErrorName(uc_err code);

// Registers of one architecture.
class RegisterNames {
 public:
  // Made once for all emulators of the process.
  static const RegisterNames& Of(uc_arch arch);
  // Throws for an unknown name, and for those that are no plain number (descriptor tables, coprocessor selectors).
  int Find(Napi::Env env, const std::string& name) const;
  // -1 when there is none.
  int FindOrNone(const std::string& name) const;
  const std::unordered_map<std::string, int>& all() const { return ids_; }

 private:
  explicit RegisterNames(uc_arch arch);

  std::unordered_map<std::string, int> ids_;
  std::unordered_set<std::string> structured_;
};
