#include "names.h"

#include <algorithm>
#include <cstring>

#include "unicorn_names.h"

static std::string List(const Name* table) {
  std::string text;
  for (const Name* row = table; row->label != nullptr; ++row) {
    if (!text.empty()) text += ", ";
    text += row->label;
  }
  return text;
}

static const Name* Find(const Name* table, const std::string& label) {
  for (const Name* row = table; row->label != nullptr; ++row) {
    if (label == row->label) return row;
  }
  return nullptr;
}

static const ArchNames* NamesOf(uc_arch arch) {
  for (const ArchNames* row = kArchNames; row->registers != nullptr; ++row) {
    if (row->arch == arch) return row;
  }
  return nullptr;
}

uc_arch FindArchitecture(Napi::Env env, const std::string& name) {
  if (const Name* row = Find(kArchitectures, name)) return static_cast<uc_arch>(row->value);
  throw MakeError(env, ErrorKind::BadInput,
                  "architecture: expected one of " + List(kArchitectures) + ", found " + name);
}

uc_mode FindMode(Napi::Env env, const std::vector<std::string>& names) {
  int mode = 0;
  for (const std::string& name : names) {
    const Name* row = Find(kModes, name);
    if (row == nullptr) {
      throw MakeError(env, ErrorKind::BadInput, "mode: expected any of " + List(kModes) + ", found " + name);
    }
    mode |= row->value;
  }
  return static_cast<uc_mode>(mode);
}

int FindCpu(Napi::Env env, uc_arch arch, const std::string& arch_name, const std::string& name) {
  const ArchNames* names = NamesOf(arch);
  const Name* row = names == nullptr ? nullptr : Find(names->cpus, name);
  if (row != nullptr) return row->value;
  throw MakeError(env, ErrorKind::BadInput,
                  "CPU model of " + arch_name + ": expected one of " +
                      (names == nullptr ? std::string("none") : List(names->cpus)) + ", found " + name);
}

std::string ErrorName(uc_err code) {
  for (const Name* row = kErrors; row->label != nullptr; ++row) {
    if (row->value == code) return row->label;
  }
  return "ERROR_" + std::to_string(code);
}

const RegisterNames& RegisterNames::Of(uc_arch arch) {
  static const std::unordered_map<int, RegisterNames> all = [] {
    std::unordered_map<int, RegisterNames> made;
    for (const ArchNames* row = kArchNames; row->registers != nullptr; ++row) {
      made.emplace(row->arch, RegisterNames(static_cast<uc_arch>(row->arch)));
    }
    return made;
  }();
  static const RegisterNames none{static_cast<uc_arch>(0)};
  const auto found = all.find(arch);
  return found == all.end() ? none : found->second;
}

RegisterNames::RegisterNames(uc_arch arch) {
  if (arch == UC_ARCH_X86) structured_ = {"gdtr", "idtr", "ldtr", "tr", "msr"};
  if (arch == UC_ARCH_ARM || arch == UC_ARCH_ARM64) structured_ = {"cp_reg"};
  const ArchNames* names = NamesOf(arch);
  if (names == nullptr) return;
  for (const Name* row = names->registers; row->label != nullptr; ++row) ids_.emplace(row->label, row->value);
}

int RegisterNames::FindOrNone(const std::string& name) const {
  const auto found = ids_.find(name);
  return found == ids_.end() ? -1 : found->second;
}

// Insertions, deletions, replacements and swapped neighbours that lead from one to the other.
static size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

int RegisterNames::Find(Napi::Env env, const std::string& name) const {
  const int id = FindOrNone(name);
  if (id >= 0) {
    if (structured_.count(name) == 0) return id;
    throw MakeError(env, ErrorKind::Unsupported,
                    "register " + name + " is a structure in Unicorn's interface, not a number");
  }
  std::vector<std::pair<size_t, std::string>> near;
  const std::string wanted = name.substr(0, 32);
  for (const auto& [label, value] : ids_) near.emplace_back(EditDistance(wanted, label), label);
  std::sort(near.begin(), near.end());
  std::string hint;
  for (size_t i = 0; i < near.size() && i < 6; ++i) hint += (i == 0 ? "" : ", ") + near[i].second;
  throw MakeError(env, ErrorKind::BadInput,
                  "register: expected a name as Unicorn spells it (near: " + hint + "), found " + wanted);
}
