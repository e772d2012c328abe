#include "libunicorn.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <vector>

#ifdef __APPLE__
#include <mach-o/dyld.h>
#else
#include <link.h>
#endif

Libunicorn libunicorn;

namespace {

constexpr unsigned kOldest = 0x020001;

struct Place {
  std::mutex mutex;
  std::string opened;
};

Place& ThePlace() {
  static Place place;
  return place;
}

bool IsNamedSo(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.compare(0, 10, "libunicorn") == 0 && name.compare(0, 11, "libunicorn-") != 0;
}

// Files of the libraries of that name which the process has loaded.
std::vector<std::string> Loaded() {
  std::vector<std::string> found;
#ifdef __APPLE__
  for (uint32_t i = 0; i < _dyld_image_count(); ++i) {
    if (IsNamedSo(_dyld_get_image_name(i))) found.push_back(_dyld_get_image_name(i));
  }
#else
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        if (IsNamedSo(info->dlpi_name)) static_cast<std::vector<std::string>*>(data)->push_back(info->dlpi_name);
        return 0;
      },
      &found);
#endif
  return found;
}

bool IsSameFile(const std::string& one, const std::string& other) {
  struct stat a, b;
  return stat(one.c_str(), &a) == 0 && stat(other.c_str(), &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

std::string VersionText(unsigned version) {
  return std::to_string(version >> 16 & 0xff) + "." + std::to_string(version >> 8 & 0xff) + "." +
         std::to_string(version & 0xff);
}

}  // namespace

std::string OpenLibunicorn(const std::string& path, bool must, std::string* opened) {
  Place& place = ThePlace();
  const std::lock_guard<std::mutex> lock(place.mutex);
  if (libunicorn.is_open()) {
    *opened = place.opened;
    if (!must || IsSameFile(path, place.opened)) return "";
    return "this process uses the libunicorn " + place.opened +
           " already, and one process can use only one: expected the same, found " + path +
           "; open the other in a process of its own";
  }
  std::string file = path;
  const std::vector<std::string> loaded = Loaded();
  if (!loaded.empty()) {
    const auto same = std::find_if(loaded.begin(), loaded.end(), [&](const auto& other) { return IsSameFile(other, path); });
    if (same == loaded.end() && (must || loaded.size() > 1)) {
      std::string list = loaded[0];
      for (size_t i = 1; i < loaded.size(); ++i) list += " and " + loaded[i];
      return "this process has loaded the libunicorn " + list + ", and one process can use only one: expected that, found " +
             path + "; leave the choice to the process, or open an emulator in a process of its own";
    }
    file = same == loaded.end() ? loaded[0] : *same;
  }
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    return file + ": expected a libunicorn that can be loaded here, but " + (reason == nullptr ? "it cannot" : reason);
  }
  Libunicorn table;
  const char* missing = nullptr;
  const auto find = [&](const char* name) {
    void* function = dlsym(handle, name);
    if (function == nullptr && missing == nullptr) missing = name;
    return function;
  };
#define LIBUNICORN_FIND(name) table.name = reinterpret_cast<decltype(table.name)>(find("uc_" #name));
  LIBUNICORN_FUNCTIONS(LIBUNICORN_FIND)
#undef LIBUNICORN_FIND
  if (missing != nullptr) {
    dlclose(handle);
    return file + ": expected libunicorn 2.0.1 or later, found a library without " + missing + "()";
  }
  const unsigned version = table.version(nullptr, nullptr) >> 8;
  if (version < kOldest) {
    dlclose(handle);
    return file + ": expected libunicorn 2.0.1 or later, found " + VersionText(version);
  }
  libunicorn = table;
  place.opened = file;
  *opened = file;
  return "";
}
