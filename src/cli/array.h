// SPDX-License-Identifier: Apache-2.0
// An array, or a box of one, read as far as it is shown.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/address.h"
#include "cli/checkpoint.h"
#include "cli/json.h"

namespace treering::cli {

// Elements of a box: all of them, or on long axes the first and last few.
class Array {
 public:
  // Reads what is needed; `edges`: shorten if there are more than a thousand elements.
  Outcome Read(const Checkpoint& checkpoint, const Leaf& leaf, const Box& box, bool edges,
               uint32_t threads);

  // As NumPy prints it.
  void Print(Output* out) const;
  void PrintJson(Json* json) const;

 private:
  struct Axis {
    uint64_t extent = 0;  // in the box
    uint64_t shown = 0;   // of that
    uint64_t edge = 0;    // leading ones; all if shown == extent
    uint64_t at = 0;      // origin in the leaf
    bool dropped = false;
    bool cut() const { return shown < extent; }
  };
  bool Plan(const Box& box, bool edges);
  void AddReads(const Leaf& leaf, std::vector<uint64_t>* numbers,
                std::vector<treering_read>* reads);
  std::string Row(uint64_t first, size_t width, size_t indent) const;
  std::string Element(uint64_t index, bool json) const;
  size_t Widest() const;

  uint32_t dtype_ = 0;
  std::vector<Axis> axes_;
  std::vector<int64_t> strides_;
  std::unique_ptr<uint8_t[]> data_;
  uint64_t count_ = 0;  // elements in data_
};

}  // namespace treering::cli
