// The files of a guest that was written down as Unicorn's dumpers do: src/guest/snapshot.ts has the format, and reads the same.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

struct SnapshotFiles {
  // Pages of the guest.
  struct Segment {
    uint64_t start, size;
    // UC_PROT_*
    uint32_t permissions;
    // The path of its bytes in zlib's format; empty: it was not dumped.
    std::string content;
    // Whether it has a place of its own in the guest's memory, and where that is: segments whose places overlap share them.
    bool shares;
    uint64_t offset;
  };
  struct Place {
    uint64_t start, end;
  };

  // What the dumper called the architecture; empty: it did not say.
  std::string arch;
  // By their names in lower case.
  std::map<std::string, uint64_t> registers;
  // In address order; at least one.
  std::vector<Segment> segments;
  std::map<std::string, Place> places;
};

// Looks at everything but the bytes of the segments. Throws a Failure that names the field.
SnapshotFiles ReadSnapshotFiles(const std::string& folder);

// Writes the bytes of a segment that was dumped to `to`. Throws a Failure when they are not as many as it has.
void ReadSnapshotSegment(const SnapshotFiles::Segment& segment, uint8_t* to);
