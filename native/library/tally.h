// How often something was seen, by name; names come from guests, so that their number is bounded.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

class Tally {
 public:
  using Row = std::pair<std::string, uint64_t>;

  // Beyond 4096 different names, further ones are counted together.
  void Add(const std::string& name) {
    const bool is_known = counts_.size() < 4096 || counts_.count(name) > 0;
    ++counts_[is_known ? name : "(others)"];
  }

  // The most frequent first.
  std::vector<Row> Rows() const {
    std::vector<Row> rows(counts_.begin(), counts_.end());
    Sort(rows);
    return rows;
  }

  static void Sort(std::vector<Row>& rows) {
    std::sort(rows.begin(), rows.end(), [](const Row& one, const Row& other) {
      return one.second != other.second ? one.second > other.second : one.first < other.first;
    });
  }

 private:
  std::unordered_map<std::string, uint64_t> counts_;
};
