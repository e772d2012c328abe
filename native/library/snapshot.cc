#include "snapshot.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "failure.h"
#include "guest.h"
#include "written_pages.h"

namespace {

constexpr uint64_t kPage = 4096;
// UC_CTL_TLB_TYPE and UC_TLB_VIRTUAL, which 2.0.1's header lacks.
constexpr int kTlbType = 12;
constexpr int kTlbVirtual = 1;
// MSR.HV of powerpc.
constexpr uint64_t kHypervisor = uint64_t{1} << 60;

[[noreturn]] void Refuse(const std::string& where, const std::string& expected, const std::string& found) {
  throw Failure("snapshot, " + where + ": expected " + expected + ", found " + found);
}

struct Machine {
  const char* name;
  uc_arch arch;
  int mode;
};

// What dumpers call the machines of Unicorn, and the variants of arch/ (`dumperName`, else `name`).
constexpr Machine kMachines[] = {
    {"x64", UC_ARCH_X86, UC_MODE_64},
    {"x86", UC_ARCH_X86, UC_MODE_32},
    {"arm64le", UC_ARCH_ARM64, 0},
    {"arm64be", UC_ARCH_ARM64, static_cast<int>(UC_MODE_BIG_ENDIAN)},
    {"armle", UC_ARCH_ARM, 0},
    {"armlethumb", UC_ARCH_ARM, 0},
    {"armbe", UC_ARCH_ARM, static_cast<int>(UC_MODE_BIG_ENDIAN)},
    {"armbethumb", UC_ARCH_ARM, static_cast<int>(UC_MODE_BIG_ENDIAN)},
    {"mips", UC_ARCH_MIPS, static_cast<int>(UC_MODE_BIG_ENDIAN)},
    {"mipsel", UC_ARCH_MIPS, 0},
    {"ppc", UC_ARCH_PPC, static_cast<int>(UC_MODE_PPC32 | UC_MODE_BIG_ENDIAN)},
    {"ppc64", UC_ARCH_PPC, static_cast<int>(UC_MODE_PPC64 | UC_MODE_BIG_ENDIAN)},
    {"ppc64le", UC_ARCH_PPC, static_cast<int>(UC_MODE_PPC64 | UC_MODE_BIG_ENDIAN)},
    {"riscv64", UC_ARCH_RISCV, static_cast<int>(UC_MODE_RISCV64)},
    {"s390x", UC_ARCH_S390X, static_cast<int>(UC_MODE_BIG_ENDIAN)},
    {"sparc", UC_ARCH_SPARC, static_cast<int>(UC_MODE_SPARC32 | UC_MODE_BIG_ENDIAN)},
    {"sparc64", UC_ARCH_SPARC, static_cast<int>(UC_MODE_SPARC64 | UC_MODE_BIG_ENDIAN)},
};

// The pc before the status, which may say that it leads to Thumb code; an even pc would take that back. The status before
// the others, since it says which bank of them is meant.
int RankOf(const std::string& name) {
  for (const char* pc : {"pc", "rip", "eip", "ip", "r15"}) {
    if (name == pc) return 0;
  }
  return name == "cpsr" ? 1 : 2;
}

}  // namespace

UsercopySnapshot::UsercopySnapshot(const Unicorn& unicorn, uc_engine* uc, const std::string& folder)
    : unicorn_(unicorn),
      uc_(uc),
      registers_(unicorn_, uc),
      files_(ReadSnapshotFiles(folder)),
      cpu_(unicorn_, uc, registers_) {
  ExpectMachine();
  try {
    LayOut();
    Fill();
    Map();
    SetRegisters();
    cpu_.Save();
  } catch (...) {
    if (file_ >= 0) close(file_);
    throw;
  }
}

UsercopySnapshot::~UsercopySnapshot() { close(file_); }

void UsercopySnapshot::ExpectMachine() const {
  if (files_.arch.empty()) return;
  std::string list;
  for (const Machine& machine : kMachines) {
    list += (list.empty() ? "" : ", ") + std::string(machine.name);
    if (files_.arch != machine.name) continue;
    if (machine.arch == registers_.arch() && machine.mode == registers_.mode()) return;
    throw Failure("snapshot: expected an emulator of " + files_.arch +
                  ", which the guest was written down on, found one of another architecture or mode");
  }
  Refuse("_index.json.arch.arch", "one of " + list, "another");
}

// Segments that share memory keep their places in it; the others follow in address order, so that neighbours stay together.
void UsercopySnapshot::LayOut() {
  for (const auto& segment : files_.segments) {
    if (segment.shares) bytes_ = std::max(bytes_, segment.offset + segment.size);
  }
  for (auto& segment : files_.segments) {
    if (segment.shares) continue;
    segment.offset = bytes_;
    bytes_ += segment.size;
  }
  // Regions are dear: neighbours become one.
  for (const auto& segment : files_.segments) {
    Region* const last = regions_.empty() ? nullptr : &regions_.back();
    const bool goes_on = last != nullptr && segment.start == last->start + last->size &&
                         segment.offset == last->offset + last->size && segment.permissions == last->permissions;
    if (goes_on) last->size += segment.size;
    else regions_.push_back({segment.start, segment.size, segment.permissions, segment.offset});
  }
}

void UsercopySnapshot::Fill() {
  file_ = memfd_create("usercopy-snapshot", MFD_CLOEXEC);
  if (file_ < 0 || ftruncate(file_, static_cast<off_t>(bytes_)) != 0) {
    Refuse("memory", std::to_string(bytes_) + " bytes", std::strerror(errno));
  }
  void* const shared = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (shared == MAP_FAILED) Refuse("memory", std::to_string(bytes_) + " bytes", std::strerror(errno));
  try {
    for (const auto& segment : files_.segments) {
      if (!segment.content.empty()) ReadSnapshotSegment(segment, static_cast<uint8_t*>(shared) + segment.offset);
    }
  } catch (...) {
    munmap(shared, bytes_);
    throw;
  }
  munmap(shared, bytes_);
}

void UsercopySnapshot::Map() {
  if (!memory_.Map(file_, bytes_)) Refuse("memory", std::to_string(bytes_) + " bytes", std::strerror(errno));
  // From 2.1 on kernel addresses would be cut to the width of physical ones. 2.0.1 has no such thing to set.
  unicorn_.ctl(uc_, static_cast<uc_control_type>(UC_CTL_WRITE(kTlbType, 1)), kTlbVirtual);
  for (const Region& region : regions_) {
    const uc_err mapped =
        unicorn_.mem_map_ptr(uc_, region.start, region.size, region.permissions, memory_.bytes() + region.offset);
    if (mapped == UC_ERR_OK) continue;
    Refuse(Hex(region.start), "room for " + std::to_string(region.size) + " bytes in the emulator",
           unicorn_.strerror(mapped));
  }
}

void UsercopySnapshot::SetRegisters() {
  std::vector<std::pair<std::string, uint64_t>> values(files_.registers.begin(), files_.registers.end());
  std::stable_sort(values.begin(), values.end(),
                   [](const auto& one, const auto& other) { return RankOf(one.first) < RankOf(other.first); });
  for (const auto& [name, value] : values) {
    const int id = registers_.Look(name);
    if (id < 0 || unicorn_.reg_write(uc_, id, &value) != UC_ERR_OK) unknown_registers_.push_back(name);
  }
  const auto msr = files_.registers.find("msr");
  if (registers_.arch() != UC_ARCH_PPC || msr == files_.registers.end() || (msr->second & kHypervisor) == 0) return;
  cpu_.WriteHypervisorMode(registers_.Look("msr"), msr->second);
}

void UsercopySnapshot::Restore() {
  const std::optional<std::vector<uint64_t>> written = WrittenPages(memory_.bytes(), bytes_);
  // The pages that were written are dropped: what shows then is what the file holds.
  if (madvise(memory_.bytes(), bytes_, MADV_DONTNEED) != 0) throw Failure(std::string("madvise: ") + std::strerror(errno));
  cpu_.Restore();
  if (written) {
    DropCode(*written);
  } else {
    unicorn_.ctl(uc_, static_cast<uc_control_type>(UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0)));
  }
}

// What was translated from pages that have other bytes now. libunicorn translates the first address of a range only, so that
// it is told page by page.
void UsercopySnapshot::DropCode(const std::vector<uint64_t>& written) {
  const auto host_page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  for (const Region& region : regions_) {
    if ((region.permissions & UC_PROT_EXEC) == 0) continue;
    auto page = std::upper_bound(written.begin(), written.end(), region.offset);
    // The host's page may begin before the region.
    if (page != written.begin() && *(page - 1) + host_page > region.offset) --page;
    for (; page != written.end() && *page < region.offset + region.size; ++page) {
      const uint64_t end = std::min(*page + host_page, region.offset + region.size);
      for (uint64_t at = std::max(*page, region.offset); at < end; at += kPage) {
        const uint64_t address = region.start + (at - region.offset);
        const uint64_t after = address + kPage;
        Drop(address, after);
        // libunicorn passes over a range that ends where the address space does.
        if ((after & UINT32_MAX) == 0) Drop(address, after - 1);
      }
    }
  }
}

void UsercopySnapshot::Drop(uint64_t start, uint64_t end) {
  unicorn_.ctl(uc_, static_cast<uc_control_type>(UC_CTL_WRITE(UC_CTL_TB_REMOVE_CACHE, 2)), start, end);
}

const SnapshotFiles::Place* UsercopySnapshot::Find(const std::string& name) const {
  const auto found = files_.places.find(name);
  return found == files_.places.end() ? nullptr : &found->second;
}
