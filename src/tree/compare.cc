// SPDX-License-Identifier: Apache-2.0
// Compare: what differs between an expected tree and a found one.
//
// One walk over the expected tree, with the place in the found one beside it, tells what is missing
// and what differs; a walk over the found one tells what is unexpected. An index and an int key of
// the same number are the same place, so a list and a dict of its positions are told apart by their
// kind alone. Values are compared by bits, so a NaN equals itself and -0 does not equal 0; leaves
// without bytes (abstract, by callback) are compared by dtype and shape only.
#include <algorithm>
#include <cstring>
#include <string>

#include "tree/nodes.h"
#include "tree/operations.h"

namespace treering::tree {

using base::Code;

namespace {

uint32_t FindPlace(const Tree::Impl& tree, uint32_t parent, Key key) {
  if (parent == kNil) return kNil;
  const uint32_t child = tree.Find(parent, key);
  if (child != kNil || (key.kind != KeyKind::kIndex && key.kind != KeyKind::kInt)) return child;
  key.kind = key.kind == KeyKind::kIndex ? KeyKind::kInt : KeyKind::kIndex;
  return tree.Find(parent, key);
}

bool HasBytes(const Record& r) {
  return r.form == ValueForm::kData || r.form == ValueForm::kPieces;
}

// The bytes of a leaf, in place where they lie canonically, else in *buffer.
const void* Bytes(const Record& r, std::vector<uint8_t>* buffer) {
  const bool plain = r.form == ValueForm::kData && !r.one_per_byte &&
                     (r.extra == nullptr || r.extra->strides == nullptr);
  if (plain) return r.data;
  buffer->resize(static_cast<size_t>(r.size));
  CopyValue(r, buffer->data());
  return buffer->data();
}

bool SameValue(const Record& a, const Record& b) {
  if (!HasBytes(a) || !HasBytes(b)) return true;
  if (a.size != b.size) return false;
  if (a.size == 0) return true;
  std::vector<uint8_t> buffers[2];
  const auto* x = static_cast<const uint8_t*>(Bytes(a, &buffers[0]));
  const auto* y = static_cast<const uint8_t*>(Bytes(b, &buffers[1]));
  const auto last = static_cast<size_t>(a.size) - 1;  // of lent memory, with bits of no element
  return std::memcmp(x, y, last) == 0 && ((x[last] ^ y[last]) & LastByteMask(a)) == 0;
}

// "variable type 'Param'": the first attribute that one has and the other has not, or has
// otherwise.
std::string Difference(const AttributeSet* set, const AttributeSet* other) {
  static const char* const kNames[] = {"",         "variable type",       "tag",         "metadata",
                                       "sharding", "PRNG implementation", "scalar kind", "origin",
                                       "type name"};
  if (set == nullptr) return "none";
  for (const Attribute& a : set->list()) {
    const Attribute* b = other == nullptr ? nullptr : other->Find(a.id);
    if (b != nullptr && b->value == a.value && b->flags == a.flags) continue;
    const std::string name = a.id <= 8 ? kNames[a.id] : "attribute " + std::to_string(a.id);
    std::string value(a.value.substr(0, 60));
    std::replace(value.begin(), value.end(), '\0', ' ');
    return std::string(name).append(" '").append(value).append("'");
  }
  return "none";
}

class Comparer {
 public:
  Comparer(const Tree& a, const Tree& b, const CompareOptions& options)
      : trees_{&a, &b}, a_(a.impl()), b_(b.impl()), options_(options) {}

  Report Run() {
    Walk(a_, b_, 0);
    Walk(b_, a_, 1);
    report_.FindNearest();
    report_.Finish();
    return std::move(report_);
  }

 private:
  // Over `from`; side 0 looks at all, side 1 only at what the expected tree has not.
  void Walk(const Tree::Impl& from, const Tree::Impl& to, int side) {
    std::vector<uint32_t> way;  // places in `to`
    for (uint32_t id = from.root; id != kNil; id = from.Next(id)) {
      const Record& r = from.at(id);
      way.resize(r.depth);
      const uint32_t there = r.depth == 0 ? to.root : FindPlace(to, way.back(), r.Name());
      way.push_back(there);
      if (there == kNil) {
        Absent(id, side, r);
      } else if (side == 0) {
        Both(id, there);
      }
    }
  }

  // Leaves, and containers without children; the others' children tell.
  void Absent(uint32_t id, int side, const Record& r) {
    if (r.is_container() && r.size != 0) return;
    Finding finding{
        FindingKind::kMissing, Code::kMismatchStructure, trees_[side]->Path(id), {}, {}, {}};
    (side == 0 ? finding.expected : finding.found) = Describe(trees_[side]->Get(id));
    if (side == 1) finding.kind = FindingKind::kUnexpected;
    report_.Add(std::move(finding));
  }

  void Differ(FindingKind kind, Code code, uint32_t id, std::string expected, std::string found) {
    report_.Add({kind, code, trees_[0]->Path(id), std::move(expected), std::move(found), {}});
  }

  void Both(uint32_t id, uint32_t there) {
    const Record& a = a_.Resolve(a_.at(id));
    const Record& b = b_.Resolve(b_.at(there));
    const bool containers = a.is_container() && b.is_container();
    if (a.kind != b.kind && (options_.kinds || !containers)) {
      const Node x = trees_[0]->Get(id);
      const Node y = trees_[1]->Get(there);
      Differ(FindingKind::kDifferentKind, Code::kMismatchStructure, id, Describe(x), Describe(y));
    }
    if (options_.attributes) CompareAttributes(id, there);
    if (containers || a.kind != b.kind) return;
    const bool same_shape = a.rank == b.rank && std::equal(a.shape, a.shape + a.rank, b.shape);
    if (a.dtype != b.dtype || !same_shape) {
      const bool dtype = a.dtype != b.dtype;
      Differ(dtype ? FindingKind::kDifferentDtype : FindingKind::kDifferentShape,
             dtype ? Code::kMismatchDtype : Code::kMismatchShape, id, Describe(trees_[0]->Get(id)),
             Describe(trees_[1]->Get(there)));
    } else if (options_.values && !SameValue(a, b)) {
      const std::string what = Describe(trees_[0]->Get(id));
      Differ(FindingKind::kDifferentValue, Code::kMismatch, id, what, what);
    }
  }

  void CompareAttributes(uint32_t id, uint32_t there) {
    const AttributeSet* a = a_.Set(a_.at(id));
    const AttributeSet* b = b_.Set(b_.at(there));
    if (a == b || (a != nullptr && b != nullptr && *a == *b)) return;
    Differ(FindingKind::kDifferentAttributes, Code::kMismatch, id, Difference(a, b),
           Difference(b, a));
  }

  const Tree* trees_[2];
  const Tree::Impl& a_;
  const Tree::Impl& b_;
  const CompareOptions& options_;
  Report report_;
};

}  // namespace

Report Compare(const Tree& a, const Tree& b, const CompareOptions& options) {
  return Comparer(a, b, options).Run();
}

}  // namespace treering::tree
