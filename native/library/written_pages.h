// Which pages of a private mapping of a file are no longer the file's.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

// Where they begin, in bytes from `memory`, which is page aligned, in ascending order; the pages are the host's. Nothing where
// this machine does not tell.
std::optional<std::vector<uint64_t>> WrittenPages(const uint8_t* memory, uint64_t bytes);
