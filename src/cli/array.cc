// SPDX-License-Identifier: Apache-2.0
// Arrays for the screen.
//
// Showing the corners of an array of a hundred gigabytes must cost the corners only. So each long
// axis is cut to two segments, and every combination of segments is one box of a single batch of
// reads, placed by strides into a small dense array, which is then printed row by row.
//
// Loops run over positions like an odometer; nothing recurses over axes.
#include "cli/array.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "cli/elements.h"
#include "cli/text.h"

namespace treering::cli {

namespace {

constexpr uint64_t kShownWhole = 1000;
constexpr uint64_t kMostShown = 20000;
constexpr uint64_t kEdges[] = {3, 2, 1};
constexpr size_t kLineWidth = 78;

}  // namespace

// False: so many axes that even their edges are too much.
bool Array::Plan(const Box& box, bool edges) {
  const uint64_t all = Elements(box.extent.data(), box.extent.size());
  for (const uint64_t edge : kEdges) {
    axes_.clear();
    count_ = 1;
    for (size_t i = 0; i < box.extent.size(); ++i) {
      Axis axis;
      axis.extent = box.extent[i];
      axis.at = box.origin[i];
      axis.dropped = box.dropped[i];
      const bool cut = edges && all > kShownWhole && axis.extent > 2 * edge;
      axis.shown = cut ? 2 * edge : axis.extent;
      axis.edge = cut ? edge : axis.extent;
      count_ =
          axis.shown != 0 && count_ > UINT64_MAX / axis.shown ? UINT64_MAX : count_ * axis.shown;
      axes_.push_back(axis);
    }
    if (all == 0) count_ = 0;
    if (!edges || count_ <= kMostShown) return true;
  }
  return false;
}

// One read for each combination of segments. *numbers: origins, extents of each, which must not
// move while the reads are carried out.
void Array::AddReads(const Leaf& leaf, std::vector<uint64_t>* numbers,
                     std::vector<treering_read>* reads) {
  const size_t rank = axes_.size();
  std::vector<uint8_t> second(rank, 0);  // which segment of each axis
  std::vector<uint64_t> starts;          // where in data_, in elements
  bool more = true;
  while (more) {
    uint64_t start = 0;
    for (size_t i = 0; i < rank; ++i) {
      const Axis& a = axes_[i];
      numbers->push_back(second[i] != 0 ? a.at + a.extent - (a.shown - a.edge) : a.at);
      start += second[i] != 0 ? a.edge * static_cast<uint64_t>(strides_[i]) : 0;
    }
    for (size_t i = 0; i < rank; ++i) {
      numbers->push_back(second[i] != 0 ? axes_[i].shown - axes_[i].edge : axes_[i].edge);
    }
    starts.push_back(start);
    more = false;
    for (size_t i = rank; i-- > 0 && !more;) {
      more = second[i] == 0 && axes_[i].cut();
      second[i] = more ? 1 : 0;
    }
  }
  for (size_t k = 0; k < starts.size(); ++k) {
    treering_read read = {};
    read.node = leaf.id;
    read.origin = rank == 0 ? nullptr : numbers->data() + 2 * rank * k;
    read.extent = rank == 0 ? nullptr : read.origin + rank;
    read.dst = data_.get() + starts[k];
    read.dst_size = count_ * ReadSize(dtype_) - starts[k];
    read.strides = rank == 0 ? nullptr : strides_.data();
    read.dtype = ReadAs(dtype_) == dtype_ ? 0 : ReadAs(dtype_);
    read.cast = read.dtype == 0 ? TREERING_CAST_NEVER : TREERING_CAST_ANY;
    read.one_per_byte = 1;
    reads->push_back(read);
  }
}

Outcome Array::Read(const Checkpoint& checkpoint, const Leaf& leaf, const Box& box, bool edges,
                    uint32_t threads) {
  dtype_ = leaf.dtype;
  if (!Plan(box, edges)) {
    return {kTrouble, "too many axes to show; choose a box, like [0, 0, :]"};
  }
  if (count_ == 0) return {};
  const uint64_t size = ReadSize(dtype_);
  if (count_ < UINT64_MAX / size / 2) data_.reset(new (std::nothrow) uint8_t[count_ * size]);
  if (data_ == nullptr) return {kTrouble, "too large for the memory there is; choose a box"};
  strides_.assign(axes_.size(), static_cast<int64_t>(size));
  for (size_t i = axes_.size(); i-- > 1;) {
    strides_[i - 1] = strides_[i] * static_cast<int64_t>(axes_[i].shown);
  }
  std::vector<uint64_t> numbers;
  std::vector<treering_read> reads;
  AddReads(leaf, &numbers, &reads);
  treering_read_options options = {};
  options.struct_size = sizeof(options);
  options.threads = threads;
  treering_error error = NewError();
  const treering_status status = treering_checkpoint_read(
      checkpoint.get(), reads.data(), sizeof(reads[0]), reads.size(), &options, &error);
  // What follows sees the axes that are left.
  axes_.erase(std::remove_if(axes_.begin(), axes_.end(), [](const Axis& a) { return a.dropped; }),
              axes_.end());
  return FromError(status, error);
}

std::string Array::Element(uint64_t index, bool json) const {
  return ElementText(dtype_, data_.get() + index * ReadSize(dtype_), json);
}

size_t Array::Widest() const {
  size_t width = 0;
  for (uint64_t i = 0; i < count_; ++i) width = std::max(width, Element(i, false).size());
  return width;
}

// The innermost axis from element `first`, between brackets, broken into lines.
std::string Array::Row(uint64_t first, size_t width, size_t indent) const {
  const Axis& axis = axes_.back();
  std::string row = "[";
  size_t column = indent + 1;
  const auto place = [&](const std::string& text, bool separate) {
    if (separate && column + 1 + text.size() > kLineWidth) {
      row += "\n" + std::string(indent + 1, ' ');
      column = indent + 1;
    } else if (separate) {
      row += " ";
      ++column;
    }
    row += text;
    column += text.size();
  };
  for (uint64_t i = 0; i < axis.shown; ++i) {
    if (axis.cut() && i == axis.edge) place("...", true);
    const std::string text = Element(first + i, false);
    place(std::string(width - text.size(), ' ') + text, i != 0);
  }
  return row + "]";
}

void Array::Print(Output* out) const {
  if (count_ == 0) {
    std::vector<uint64_t> shape;
    for (const Axis& axis : axes_) {
      if (!axis.dropped) shape.push_back(axis.extent);
    }
    out->Line("[] shape " + ShapeText(shape.data(), shape.size()));
    return;
  }
  if (axes_.empty()) return out->Line(Element(0, false));
  const size_t width = Widest();
  const size_t outer = axes_.size() - 1;
  std::vector<uint64_t> at(outer, 0);
  for (uint64_t first = 0; first < count_ && !out->failed(); first += axes_.back().shown) {
    size_t opened = 0;  // axes that start with this row
    while (opened < outer && at[outer - 1 - opened] == 0) ++opened;
    if (first != 0) {
      const size_t moved = outer - 1 - opened;
      out->Write(std::string(1 + opened, '\n'));
      if (axes_[moved].cut() && at[moved] == axes_[moved].edge) {
        out->Write(std::string(moved + 1, ' ') + "..." + std::string(1 + opened, '\n'));
      }
    }
    out->Write(std::string(outer - opened, ' ') + std::string(opened, '['));
    out->Write(Row(first, width, outer));
    size_t closed = 0;
    while (closed < outer && at[outer - 1 - closed] + 1 == axes_[outer - 1 - closed].shown) {
      at[outer - 1 - closed++] = 0;
    }
    if (closed < outer) ++at[outer - 1 - closed];
    out->Write(std::string(closed, ']'));
  }
  out->Write("\n");
}

void Array::PrintJson(Json* json) const {
  if (count_ == 0) {
    json->BeginArray();
    json->End();
    return;
  }
  std::vector<uint64_t> at(axes_.size(), 0);
  for (uint64_t i = 0; i < count_; ++i) {
    for (size_t a = axes_.size(); a-- > 0 && at[a] == 0;) json->BeginArray();
    json->Raw(Element(i, true));
    size_t a = axes_.size();
    while (a > 0 && at[a - 1] + 1 == axes_[a - 1].shown) {
      at[--a] = 0;
      json->End();
    }
    if (a > 0) ++at[a - 1];
  }
}

}  // namespace treering::cli
