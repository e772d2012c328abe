#include "unicorn.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "failure.h"
#include "unicorn_names.h"

namespace {

struct Range {
  uint64_t start, end;
};

struct Object {
  std::string path;
  std::vector<Range> segments;
  std::vector<Range> code;
};

bool IsIn(const std::vector<Range>& ranges, uint64_t address) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [=](const Range& range) { return address >= range.start && address < range.end; });
}

// The program first; its path is empty.
std::vector<Object> LoadedObjects() {
  std::vector<Object> objects;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        Object object{info->dlpi_name == nullptr ? "" : info->dlpi_name, {}, {}};
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          if (header.p_type != PT_LOAD) continue;
          const Range range{info->dlpi_addr + header.p_vaddr, info->dlpi_addr + header.p_vaddr + header.p_memsz};
          object.segments.push_back(range);
          if ((header.p_flags & PF_X) != 0) object.code.push_back(range);
        }
        static_cast<std::vector<Object>*>(data)->push_back(std::move(object));
        return 0;
      },
      &objects);
  return objects;
}

uint64_t AddressOf(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

// Whether the object itself has libunicorn's symbols: a look-up by its handle also finds those of what it needs.
bool Defines(const Object& object, void* handle) {
  const void* const symbol = dlsym(handle, "uc_open");
  return symbol != nullptr && IsIn(object.segments, AddressOf(symbol));
}

// Whether the program exports libunicorn's symbols. Where it only calls them, its look-up table may hold its own stub.
bool ProgramDefines(const Object& program) {
  void* const symbol = dlsym(RTLD_DEFAULT, "uc_open");
  if (symbol == nullptr || !IsIn(program.segments, AddressOf(symbol))) return false;
  Dl_info info{};
  void* entry = nullptr;
  if (dladdr1(symbol, &info, &entry, RTLD_DL_SYMENT) == 0 || entry == nullptr) return true;
  return static_cast<const ElfW(Sym)*>(entry)->st_shndx != SHN_UNDEF;
}

constexpr const char* kAdvice = "say which with usercopy_attach_with()";

template <typename Function>
void Look(Function& function, void* handle, const char* name) {
  function = reinterpret_cast<Function>(dlsym(handle, name));
  if (function == nullptr) {
    throw Failure(std::string("libunicorn: expected 2.0.1 or later, found a library without ") + name);
  }
}

Unicorn FunctionsOf(void* handle) {
  Unicorn unicorn;
  Look(unicorn.version, handle, "uc_version");
  Look(unicorn.strerror, handle, "uc_strerror");
  Look(unicorn.query, handle, "uc_query");
  Look(unicorn.ctl, handle, "uc_ctl");
  Look(unicorn.reg_read, handle, "uc_reg_read");
  Look(unicorn.reg_write, handle, "uc_reg_write");
  Look(unicorn.reg_read_batch, handle, "uc_reg_read_batch");
  Look(unicorn.mem_read, handle, "uc_mem_read");
  Look(unicorn.hook_add, handle, "uc_hook_add");
  Look(unicorn.hook_del, handle, "uc_hook_del");
  Look(unicorn.emu_stop, handle, "uc_emu_stop");
  Look(unicorn.mem_map_ptr, handle, "uc_mem_map_ptr");
  Look(unicorn.context_alloc, handle, "uc_context_alloc");
  Look(unicorn.context_save, handle, "uc_context_save");
  Look(unicorn.context_restore, handle, "uc_context_restore");
  Look(unicorn.context_free, handle, "uc_context_free");
  return unicorn;
}

// The library is the process's: it stays loaded without this handle.
Unicorn FunctionsAt(const char* path) {
  void* const handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) {
    throw Failure("libunicorn: expected the path of one that is loaded in this process, found none by that name");
  }
  try {
    const Unicorn unicorn = FunctionsOf(handle);
    dlclose(handle);
    return unicorn;
  } catch (...) {
    dlclose(handle);
    throw;
  }
}

template <typename Function>
void Take(Function& function, UsercopyFunction given) {
  if (given == nullptr) throw Failure("usercopy_attach_with: expected all functions of libunicorn, or none");
  function = reinterpret_cast<Function>(given);
}

// Copies memory of this process; false where it is not there. Null answer where this machine does not allow to ask.
bool ReadOwn(const void* from, void* to, size_t size) {
  iovec local{to, size};
  iovec remote{const_cast<void*>(from), size};
  const ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
  if (got < 0 && errno != EFAULT) {
    std::memcpy(to, from, size);
    return true;
  }
  return got == static_cast<ssize_t>(size);
}

constexpr size_t kHandleBytes = 1024;

// An emulator holds pointers to functions of the library that made it. A handle of another copy of libunicorn holds none
// to this one, and nothing else holds any: both would be used for what they are not.
void ExpectEmulatorOf(const Unicorn& unicorn, const uc_engine* uc) {
  std::array<uint64_t, kHandleBytes / 8> words{};
  if (AddressOf(uc) % alignof(void*) != 0 || !ReadOwn(uc, words.data(), kHandleBytes)) {
    throw Failure("expected an open emulator, found no such thing");
  }
  const auto function = reinterpret_cast<uintptr_t>(unicorn.query);
  for (const Object& object : LoadedObjects()) {
    if (!IsIn(object.code, function)) continue;
    const bool is_its = std::any_of(words.begin(), words.end(), [&](uint64_t word) { return IsIn(object.code, word); });
    if (is_its) return;
    const std::string name = object.path.empty() ? "this program" : object.path;
    throw Failure("expected an open emulator of the libunicorn in " + name +
                  ", found none, or one of another libunicorn: " + kAdvice);
  }
}

// Registers whose value is a structure that the caller fills in.
bool IsStructured(uc_arch arch, const std::string& name) {
  static const char* const names[] = {"gdtr", "idtr", "ldtr", "tr", "cp_reg", "cp_reg64"};
  // That of x86 is told by a number; powerpc has one register of this name.
  if (name == "msr") return arch == UC_ARCH_X86;
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// Unicorn numbers registers anew from one minor version to the next: the numbers here are those of the headers that this was
// built with, which were compared with 2.0 and 2.1 (each only added to the one before). Of others nothing is known.
void ExpectKnownRegisters(const Unicorn& unicorn) {
  unsigned major = 0, minor = 0;
  unicorn.version(&major, &minor);
  const bool is_known = major == 2 && (minor <= 1 || minor == UC_API_MINOR);
  if (is_known) return;
  throw Failure("libunicorn: expected 2.0, 2.1 or " + std::to_string(UC_API_MAJOR) + "." + std::to_string(UC_API_MINOR) +
                ", whose registers are known, found " + std::to_string(major) + "." + std::to_string(minor) +
                ": build libusercopy with its headers");
}

// More than any register has.
constexpr size_t kWidest = 256;
constexpr size_t kWord = 8;
constexpr uint64_t kThumb = 0x20;

}  // namespace

int MachineBits(int arch, int mode) {
  const bool has_widths = arch == UC_ARCH_X86 || arch == UC_ARCH_PPC || arch == UC_ARCH_SPARC || arch == UC_ARCH_RISCV;
  return mode & (static_cast<int>(UC_MODE_BIG_ENDIAN) | (has_widths ? UC_MODE_16 | UC_MODE_32 | UC_MODE_64 : 0));
}

Unicorn Unicorn::Loaded() {
  std::vector<std::string> found;
  const std::vector<Object> objects = LoadedObjects();
  for (const Object& object : objects) {
    if (object.path.empty()) continue;
    void* const handle = dlopen(object.path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (handle == nullptr) continue;
    if (Defines(object, handle)) found.push_back(object.path);
    dlclose(handle);
  }
  const bool is_in_program = !objects.empty() && ProgramDefines(objects.front());
  if (is_in_program) found.emplace_back("the program itself");
  if (found.empty()) {
    throw Failure(
        std::string("expected a libunicorn in this process, found none (statically linked ones are not seen): ") +
        kAdvice);
  }
  if (found.size() > 1) {
    std::string list;
    for (const std::string& path : found) list += (list.empty() ? "" : ", ") + path;
    throw Failure("expected one libunicorn in this process, found " + std::to_string(found.size()) + " (" + list +
                  "): " + kAdvice);
  }
  return is_in_program ? FunctionsOf(RTLD_DEFAULT) : FunctionsAt(found.front().c_str());
}

Unicorn Unicorn::Given(const UsercopyUnicorn& given) {
  const bool has_functions = given.uc_version != nullptr;
  const int ways = (given.handle != nullptr) + (given.path != nullptr) + has_functions;
  if (ways != 1) {
    throw Failure("usercopy_attach_with: expected a handle, a path or functions of libunicorn, found " +
                  std::to_string(ways) + " of them");
  }
  if (given.handle != nullptr) return FunctionsOf(given.handle);
  if (given.path != nullptr) return FunctionsAt(given.path);
  Unicorn unicorn;
  Take(unicorn.version, given.uc_version);
  Take(unicorn.strerror, given.uc_strerror);
  Take(unicorn.query, given.uc_query);
  Take(unicorn.ctl, given.uc_ctl);
  Take(unicorn.reg_read, given.uc_reg_read);
  Take(unicorn.reg_write, given.uc_reg_write);
  Take(unicorn.reg_read_batch, given.uc_reg_read_batch);
  Take(unicorn.mem_read, given.uc_mem_read);
  Take(unicorn.hook_add, given.uc_hook_add);
  Take(unicorn.hook_del, given.uc_hook_del);
  Take(unicorn.emu_stop, given.uc_emu_stop);
  Take(unicorn.mem_map_ptr, given.uc_mem_map_ptr);
  Take(unicorn.context_alloc, given.uc_context_alloc);
  Take(unicorn.context_save, given.uc_context_save);
  Take(unicorn.context_restore, given.uc_context_restore);
  Take(unicorn.context_free, given.uc_context_free);
  return unicorn;
}

bool Unicorn::StopsInPlace() const {
  unsigned major = 0, minor = 0;
  version(&major, &minor);
  return major > 2 || minor >= 1;
}

RegisterFile::RegisterFile(const Unicorn& unicorn, uc_engine* uc) : unicorn_(unicorn), uc_(uc) {
  ExpectEmulatorOf(unicorn, uc);
  ExpectKnownRegisters(unicorn);
  size_t answer = 0;
  if (unicorn.query(uc, UC_QUERY_ARCH, &answer) != UC_ERR_OK) throw Failure("expected an open emulator");
  arch_ = static_cast<uc_arch>(answer);
  int mode = 0;
  if (unicorn.ctl(uc, static_cast<uc_control_type>(UC_CTL_READ(UC_CTL_UC_MODE, 1)), &mode) != UC_ERR_OK) {
    throw Failure("expected an open emulator");
  }
  mode_ = MachineBits(arch_, mode);
  if (arch_ == UC_ARCH_ARM) status_ = NumberOf("cpsr");
}

int RegisterFile::NumberOf(const std::string& name) const {
  for (const ArchNames* row = kArchNames; row->registers != nullptr; ++row) {
    if (row->arch != arch_) continue;
    for (const Name* known = row->registers; known->label != nullptr; ++known) {
      if (name == known->label) return IsStructured(arch_, name) ? -1 : known->value;
    }
  }
  return -1;
}

// What a read overwrites in memory that was filled before: widths are tried, not believed. 0: there is no such register.
size_t RegisterFile::Width(int id) const {
  std::array<uint8_t, kWidest> zeros{};
  std::array<uint8_t, kWidest> ones{};
  ones.fill(0xff);
  if (unicorn_.reg_read(uc_, id, zeros.data()) != UC_ERR_OK) return 0;
  if (unicorn_.reg_read(uc_, id, ones.data()) != UC_ERR_OK) return 0;
  size_t width = kWidest;
  while (width > 0 && zeros[width - 1] != ones[width - 1]) --width;
  return width;
}

int RegisterFile::Find(const std::string& name, const std::string& where) const {
  const int id = NumberOf(name);
  const size_t width = id < 0 ? 0 : Width(id);
  if (width == 0) throw Failure(where + ": expected the name of a register that the emulator has");
  if (width > kWord) {
    throw Failure(where + ": expected a register of at most 8 bytes, found one of " + std::to_string(width));
  }
  return id;
}

int RegisterFile::Look(const std::string& name) const {
  const int id = NumberOf(name);
  const size_t width = id < 0 ? 0 : Width(id);
  return width == 0 || width > kWord ? -1 : id;
}

uint64_t RegisterFile::Read(int id) const {
  uint64_t value = 0;
  unicorn_.reg_read(uc_, id, &value);
  return value;
}

std::vector<std::pair<int, uint64_t>> RegisterFile::All() const {
  std::map<int, uint64_t> values;
  for (const ArchNames* row = kArchNames; row->registers != nullptr; ++row) {
    if (row->arch != arch_) continue;
    for (const Name* known = row->registers; known->label != nullptr; ++known) {
      const int id = Look(known->label);
      if (id >= 0) values[id] = Read(id);
    }
  }
  return {values.begin(), values.end()};
}

void RegisterFile::Write(int id, uint64_t value) const { unicorn_.reg_write(uc_, id, &value); }

uint64_t RegisterFile::CodeAddress(uint64_t address) const {
  return status_ >= 0 && (Read(status_) & kThumb) != 0 ? address | 1 : address;
}

void RegisterFile::Compare(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const int id = NumberOf(name);
    const size_t width = id < 0 ? 0 : Width(id);
    if (width > 0 && width <= kWord) compared_.push_back(id);
  }
  is_steady_.assign(compared_.size(), true);
}

std::vector<uint64_t> RegisterFile::Snapshot() const {
  std::vector<uint64_t> values;
  values.reserve(compared_.size());
  for (const int id : compared_) values.push_back(Read(id));
  return values;
}

void RegisterFile::Calibrate(const std::vector<uint64_t>& before, const std::vector<uint64_t>& after) {
  for (size_t i = 0; i < compared_.size(); ++i) {
    if (before[i] != after[i]) is_steady_[i] = false;
  }
}

bool RegisterFile::Same(const std::vector<uint64_t>& one, const std::vector<uint64_t>& other) const {
  for (size_t i = 0; i < compared_.size(); ++i) {
    if (is_steady_[i] && one[i] != other[i]) return false;
  }
  return true;
}
