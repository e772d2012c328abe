// Suppression lists: violations that are known and shall not be reported again, counted so that nothing disappears unseen.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What a rule looks at.
struct SuppressionFacts {
  std::string caller, cache, region, direction, entry;
};

class SuppressionList {
 public:
  SuppressionList() = default;
  // One rule a line. Throws a Failure that names the line and repeats nothing of it.
  explicit SuppressionList(const std::string& text);

  // Whether a rule silences this violation; the first that matches is counted.
  bool Silences(const SuppressionFacts& facts);
  uint64_t Count(size_t rule) const { return rule < rules_.size() ? rules_[rule].count : 0; }

 private:
  static constexpr size_t kParts = 5;

  struct Rule {
    std::array<std::optional<std::string>, kParts> globs;
    uint64_t count = 0;
  };

  std::vector<Rule> rules_;
};
