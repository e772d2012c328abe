// What goes wrong in libusercopy, as one sentence.
#pragma once
#include <stdexcept>

class Failure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};
