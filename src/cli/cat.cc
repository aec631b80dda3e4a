// SPDX-License-Identifier: Apache-2.0
// treering cat: the values of leaves.
//
// Arrays go through array.h; other leaves are small and read whole. Values are made into text
// exactly: integers of any size in decimal, strings with escapes, bytes as hex digits. --raw hands
// the bytes on in pieces, so that a leaf may be larger than memory.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "cli/array.h"
#include "cli/elements.h"
#include "cli/json.h"
#include "cli/target.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace treering::cli {

namespace {

constexpr uint64_t kRawPiece = 8 << 20;
constexpr uint64_t kBytesShownWhole = 1000;
constexpr uint64_t kBytesEdge = 64;
constexpr uint64_t kDecimalBytes = 1 << 16;

class Cat {
 public:
  Cat(const Target& target, const Options& options, Output* out)
      : target_(target), options_(options), out_(out), json_(out) {}

  Outcome Run() {
    std::vector<std::pair<Item, uint64_t>> leaves;
    Outcome outcome = SelectLeaves(target_, &leaves);
    if (!outcome.ok()) return outcome;
    if (options_.raw) {
      if (leaves.size() > 1) {
        return Usage("--raw takes one leaf; " + std::to_string(leaves.size()) + " match");
      }
      if (out_->terminal()) return Usage("--raw does not write to a terminal; redirect the output");
    }
    if (options_.json) {
      json_.BeginObject();
      json_.Member("file", target_.checkpoint.file());
      json_.Key("leaves");
      json_.BeginArray();
    }
    for (const auto& [item, id] : leaves) {
      outcome = One(item, id, leaves.size() > 1);
      if (!outcome.ok() || out_->failed()) break;
    }
    if (options_.json) {
      json_.End();
      json_.End();
    }
    return outcome;
  }

 private:
  Outcome One(const Item& item, uint64_t id, bool headed) {
    treering_node node;
    Blob scratch;
    std::string path;
    Outcome outcome = target_.checkpoint.Node(id, &node, &scratch);
    if (outcome.ok()) outcome = target_.checkpoint.Path(id, &path);
    if (!outcome.ok()) return outcome;
    const Leaf leaf = LeafOf(node);
    shown_ = target_.Shown(item, path);
    const bool array = IsArray(leaf.kind);
    Box box;
    if (target_.boxed && !array && leaf.kind != TREERING_BYTES) {
      return Usage("'" + shown_ + "' is a " + KindName(leaf.kind) + ", which has no box");
    }
    std::vector<uint64_t> shape = leaf.shape;
    if (!array) shape.assign(1, leaf.bytes);
    outcome = Resolve(target_.box, shape, &box);
    if (!outcome.ok()) return Named(std::move(outcome));
    if (options_.raw) return Raw(leaf, box);
    if (options_.json) return AsJson(item, path, leaf, box);
    if (headed) {
      std::string type = KindName(leaf.kind);
      if (array)
        type = DtypeName(leaf.dtype) + " " + ShapeText(leaf.shape.data(), leaf.shape.size());
      out_->Line(out_->Bold(shown_ + ": ") + type);
    }
    if (!array) return Scalar(item, leaf, box);
    Array values;
    outcome = values.Read(target_.checkpoint, leaf, box, !options_.full, options_.threads);
    if (outcome.ok()) values.Print(out_);
    return Named(std::move(outcome));
  }

  // Puts the leaf in front of a message that does not name it.
  Outcome Named(Outcome outcome) const {
    if (!outcome.ok() && outcome.message.find('\'') == std::string::npos) {
      outcome.message = "'" + shown_ + "': " + outcome.message;
    }
    return outcome;
  }

  Outcome ReadBox(const Leaf& leaf, const std::vector<uint64_t>& origin,
                  const std::vector<uint64_t>& extent, void* dst, uint64_t size) const {
    treering_read read = {};
    read.node = leaf.id;
    read.origin = origin.empty() ? nullptr : origin.data();
    read.extent = extent.empty() ? nullptr : extent.data();
    read.dst = dst;
    read.dst_size = size;
    treering_read_options options = {};
    options.struct_size = sizeof(options);
    options.threads = options_.threads;
    treering_error error = NewError();
    return FromError(treering_checkpoint_read(target_.checkpoint.get(), &read, sizeof(read), 1,
                                              &options, &error),
                     error);
  }

  // The bytes of a leaf that is no array; of its box if it is bytes.
  Outcome ReadBytes(const Leaf& leaf, const Box& box, std::string* out) const {
    const uint64_t size = box.extent[0];
    const std::unique_ptr<char[]> data(new (std::nothrow) char[size + 1]);
    if (data == nullptr) return {kTrouble, "too large for the memory there is"};
    const std::vector<uint64_t> whole;
    const bool part = size != leaf.bytes;
    Outcome outcome =
        ReadBox(leaf, part ? box.origin : whole, part ? box.extent : whole, data.get(), size);
    if (outcome.ok()) out->assign(data.get(), size);
    return outcome;
  }

  Outcome Scalar(const Item& item, const Leaf& leaf, const Box& box) {
    std::string bytes;
    if (leaf.kind == TREERING_BYTES && !options_.full && box.extent[0] > kBytesShownWhole) {
      Box edge = box;
      edge.extent[0] = kBytesEdge;
      Outcome outcome = ReadBytes(leaf, edge, &bytes);
      edge.origin[0] = box.origin[0] + box.extent[0] - kBytesEdge;
      std::string end;
      if (outcome.ok()) outcome = ReadBytes(leaf, edge, &end);
      if (!outcome.ok()) return Named(std::move(outcome));
      out_->Line(Hex(bytes.data(), bytes.size()) + " ... " + Hex(end.data(), end.size()));
      return {};
    }
    Outcome outcome = ReadBytes(leaf, box, &bytes);
    if (!outcome.ok()) return Named(std::move(outcome));
    if (item.kind == TREERING_ITEM_JSON && leaf.kind == TREERING_STRING) {
      out_->Line(PrintableLines(bytes));
    } else if (leaf.kind == TREERING_STRING) {
      out_->Line(Quoted(bytes));
    } else {
      out_->Line(ScalarText(leaf, bytes, false));
    }
    return {};
  }

  static double Binary64(std::string_view bytes) {
    uint64_t bits = 0;
    for (size_t i = 0; i < 8 && i < bytes.size(); ++i) {
      bits |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
    }
    double value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }

  // Of every kind but strings.
  static std::string ScalarText(const Leaf& leaf, std::string_view bytes, bool json) {
    const bool set = !bytes.empty() && bytes[0] != 0;
    switch (leaf.kind) {
      case TREERING_BOOLEAN:
        if (json) return set ? "true" : "false";
        return set ? "True" : "False";
      case TREERING_INTEGER:
        if (bytes.size() <= kDecimalBytes || json) return Decimal(bytes);
        return "an integer of " + std::to_string(bytes.size()) + " bytes (--json for its digits)";
      case TREERING_FLOAT:
        return FloatText(Binary64(bytes), json);
      case TREERING_COMPLEX:
        return ComplexText(Binary64(bytes),
                           Binary64(bytes.substr(std::min<size_t>(8, bytes.size()))), json);
      default:
        return json ? "\"" + Hex(bytes.data(), bytes.size()) + "\""
                    : Hex(bytes.data(), bytes.size());
    }
  }

  void Numbers(const char* name, const std::vector<uint64_t>& numbers) {
    json_.Key(name);
    json_.BeginArray();
    for (const uint64_t number : numbers) json_.Unsigned(number);
    json_.End();
  }

  Outcome AsJson(const Item& item, const std::string& path, const Leaf& leaf, const Box& box) {
    const bool array = IsArray(leaf.kind);
    Array values;
    std::string bytes;
    Outcome outcome = array ? values.Read(target_.checkpoint, leaf, box, false, options_.threads)
                            : ReadBytes(leaf, box, &bytes);
    if (!outcome.ok()) return Named(std::move(outcome));
    json_.BeginObject();
    json_.Member("path", path);
    json_.Member("item", item.name);
    json_.Member("kind", KindName(leaf.kind));
    json_.Key("dtype");
    if (array) {
      json_.String(DtypeName(leaf.dtype));
      Numbers("shape", leaf.shape);
      Numbers("origin", box.origin);
      Numbers("extent", box.extent);
    } else {
      json_.Null();
      for (const char* name : {"shape", "origin", "extent"}) {
        json_.Key(name);
        json_.Null();
      }
    }
    json_.Key("value");
    if (array) {
      values.PrintJson(&json_);
    } else if (leaf.kind == TREERING_STRING) {
      json_.String(bytes);
    } else {
      json_.Raw(ScalarText(leaf, bytes, true));
    }
    json_.End();
    return {};
  }

  // The bytes of a box in C order, in pieces of whole rows of its first axis that has several.
  Outcome Raw(const Leaf& leaf, const Box& box) {
    const uint64_t bits = IsArray(leaf.kind) ? PackedBits(leaf.dtype) : 8;
    size_t axis = 0;
    while (axis + 1 < box.extent.size() && box.extent[axis] <= 1) ++axis;
    const uint64_t elements = Elements(box.extent.data(), box.extent.size());
    if (elements == 0) return {};
    const uint64_t rows = box.extent.empty() ? 1 : box.extent[axis];
    const uint64_t row = elements / rows;
    if (row > UINT64_MAX / 128) return Named({kTrouble, "too large; choose a box"});
    uint64_t step =
        std::clamp<uint64_t>(kRawPiece / std::max<uint64_t>(row * bits / 8, 1), 1, rows);
    if (row * bits % 8 != 0) step = (step + 7) / 8 * 8;  // pieces end on whole bytes
    Box piece = box;
    std::unique_ptr<char[]> data(new (std::nothrow) char[(step * row * bits + 7) / 8]);
    if (data == nullptr)
      return Named({kTrouble, "too large for the memory there is; choose a box"});
    for (uint64_t done = 0; done < rows && !out_->failed(); done += step) {
      const uint64_t now = std::min(step, rows - done);
      if (!box.extent.empty()) {
        piece.origin[axis] = box.origin[axis] + done;
        piece.extent[axis] = now;
      }
      const uint64_t size = (now * row * bits + 7) / 8;
      Outcome outcome = ReadBox(leaf, piece.origin, piece.extent, data.get(), size);
      if (!outcome.ok()) return Named(std::move(outcome));
      out_->Write(std::string_view(data.get(), size));
    }
    return {};
  }

  const Target& target_;
  const Options& options_;
  Output* out_;
  Json json_;
  std::string shown_;
};

}  // namespace

Outcome RunCat(const Options& options, Output* out) {
  if (options.raw && options.json) return Usage("--raw and --json exclude each other");
  Target target;
  Outcome outcome = target.Open(options, true);
  if (!outcome.ok()) return outcome;
  return Cat(target, options, out).Run();
}

}  // namespace treering::cli
