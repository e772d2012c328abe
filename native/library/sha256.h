// SHA-256 (FIPS 180-4), which tells a prepared file that was damaged or edited.
#pragma once
#include <cstddef>
#include <string>

// In lower-case hexadecimal.
std::string Sha256(const char* bytes, size_t size);
