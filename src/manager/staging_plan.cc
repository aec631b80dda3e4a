// SPDX-License-Identifier: Apache-2.0
// Which leaves of trees are copied for a save, in which order, and where in memory.
//
// The order is the writer's: breadth first, a shared leaf where its first path comes. Whoever
// copies in another order within a budget waits for a reader that waits for him. Adjacent leaves
// share a unit of memory, so a hundred thousand small ones cost a few allocations and locks; a
// large leaf is a unit by itself and is gone as soon as it is written.
//
// A copy is canonical (C order, packed), but pieces stay pieces, since the file tells them apart:
// the list of pieces stands in front of their bytes. In the tree that is written, copied leaves
// are abstract: a writer that forgets the gate is refused, it does not read what is gone.
#include "manager/staging_plan.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "base/checked.h"
#include "container/tree_writer.h"
#include "tree/nodes.h"

namespace treering::manager {
namespace {

using base::Code;
using base::Status;
using tree::kNoNode;
using tree::NodeId;
using tree::Piece;
using tree::ValueForm;

constexpr std::align_val_t kAlignment{64};
constexpr uint64_t kPages = uint64_t{4} << 20;      // from here on in pages of its own
constexpr uint64_t kFillBytes = uint64_t{4} << 20;  // asked of a fill callback at a time

uint64_t Align64(uint64_t size) { return (size + 63) & ~uint64_t{63}; }

tree::Box BoxOf(const Piece& piece, uint32_t rank) {
  tree::Box box;
  box.rank = rank;
  std::copy(piece.origin, piece.origin + rank, box.origin.begin());
  std::copy(piece.extent, piece.extent + rank, box.extent.begin());
  return box;
}

uint64_t PieceBytes(const tree::Node& leaf, const Piece& piece) {
  uint64_t size = 0;
  tree::RawSize(leaf.dtype, piece.extent, leaf.rank, &size);  // was checked by the tree
  return size;
}

// Bytes that the copy of a leaf takes; false beyond all memory.
bool CopyBytes(const tree::Node& leaf, uint64_t* size) {
  const tree::Value& value = leaf.value;
  uint64_t total = value.size;
  if (value.form == ValueForm::kPieces) {
    if (!base::CheckedMul(value.piece_count, sizeof(Piece), &total)) return false;
    for (uint64_t i = 0; i < value.piece_count; ++i) {
      if (!base::CheckedAlignUp(total, 64, &total)) return false;
      if (!base::CheckedAdd(total, PieceBytes(leaf, value.pieces[i]), &total)) return false;
    }
  }
  *size = total;
  return total <= uint64_t{1} << 62 && value.piece_count < StagedLeaf::kFilled;
}

tree::Memory Lying(const tree::Node& leaf, const Piece& piece, const tree::Box& box) {
  void* const at = const_cast<void*>(piece.data);  // only read
  if (piece.strides == nullptr && !leaf.value.one_per_byte) {
    return tree::Contiguous(leaf.dtype, box, at);
  }
  tree::Memory memory;
  memory.data = at;
  memory.layout = tree::Layout::kStrided;
  memory.box = box;
  if (piece.strides != nullptr) {
    std::copy(piece.strides, piece.strides + leaf.rank, memory.strides.begin());
  } else {
    tree::ContiguousStrides(leaf.dtype, box, memory.strides.data());
  }
  return memory;
}

void StagePieces(const tree::Node& leaf, uint8_t* block) {
  uint64_t at = leaf.value.piece_count * sizeof(Piece);
  for (uint64_t i = 0; i < leaf.value.piece_count; ++i) {
    at = Align64(at);
    Piece piece = leaf.value.pieces[i];
    const uint64_t size = PieceBytes(leaf, piece);
    if (size != 0) {
      const tree::Box box = BoxOf(piece, leaf.rank);
      std::memset(block + at, 0, static_cast<size_t>(size));
      tree::CopyBox(leaf.dtype, tree::Contiguous(leaf.dtype, box, block + at),
                    Lying(leaf, piece, box), box);
    }
    piece.data = block + at;
    piece.strides = nullptr;
    new (block + i * sizeof(Piece)) Piece(piece);
    at += size;
  }
}

Status FillLeaf(const tree::Value& value, uint8_t* block) {
  for (uint64_t at = 0; at < value.size; at += kFillBytes) {
    const uint64_t size = std::min(kFillBytes, value.size - at);
    const int32_t error = value.fill(value.fill_user, at, block + at, size);
    if (error == 0) continue;
    return Status(Code::kIo,
                  "its fill callback answered error " + std::to_string(error) + " for " +
                      std::to_string(size) + " bytes at " + std::to_string(at),
                  error);
  }
  return Status();
}

// Decides about one leaf after the other.
class Planner {
 public:
  Planner(const tree::Tree& tree, bool borrow, uint64_t unit_bytes, StagingPlan* plan)
      : tree_(tree), borrow_(borrow), unit_bytes_(unit_bytes), plan_(*plan) {}

  Status Run() {
    container::NumberBreadthFirst(tree_, &order_);
    if (order_.empty()) {
      return Status(Code::kInvalidArgument, "the tree is empty; give it a root");
    }
    container::Holders holders(order_);
    StagedTree staged{&tree_, tree_.Copy(), plan_.leaves.size(), 0};
    for (uint32_t position = 0; position < order_.size(); ++position) {
      const tree::Node node = tree_.Get(order_[position]);
      if (tree::IsContainer(node.kind) || holders.Of(node, position) != position) continue;
      const NodeId id = node.alias_of == kNoNode ? node.id : node.alias_of;
      Status status = Leaf(node, id, staged.tree.impl());
      if (!status.ok()) return std::move(status).WithContext("leaf '" + tree_.Path(id) + "'");
    }
    staged.last = plan_.leaves.size();
    plan_.trees.push_back(std::move(staged));
    return Status();
  }

 private:
  Status Leaf(const tree::Node& leaf, NodeId id, tree::Tree::Impl* written) {
    const tree::Value& value = leaf.value;
    if (value.form == ValueForm::kAbstract) {
      return Status(Code::kInvalidArgument,
                    leaf.kind == tree::Kind::kPlaceholder
                        ? "it is a placeholder and has no value; give it one or remove it"
                        : "it is abstract and has no value; give it data, a fill callback or "
                          "pieces");
    }
    tree::Record& record = written->at(id);
    if (borrow_ || IsTreeMemory(record)) return Status();
    written->Unuse(&record);
    if (value.size == 0) return Status();
    uint64_t size = 0;
    if (!CopyBytes(leaf, &size)) return Status(Code::kLimit, "its pieces are beyond memory");
    uint32_t pieces = StagedLeaf::kWhole;
    if (value.form == ValueForm::kFill) pieces = StagedLeaf::kFilled;
    if (value.form == ValueForm::kPieces) pieces = static_cast<uint32_t>(value.piece_count);
    Place(id, size, pieces);
    record.form = ValueForm::kAbstract;
    record.one_per_byte = false;
    record.data = nullptr;
    return Status();
  }

  bool IsTreeMemory(const tree::Record& record) const {
    if (record.owner == 0 || record.form == ValueForm::kFill) return false;
    return tree::IsTreeMemory(tree_.impl().owners[record.owner - 1].owner);
  }

  void Place(NodeId id, uint64_t size, uint32_t pieces) {
    const uint64_t alignment = size >= 64 ? 64 : 16;
    StagedUnit* unit = open_ ? &plan_.units.back() : nullptr;
    uint64_t offset = unit == nullptr ? 0 : (unit->size + alignment - 1) & ~(alignment - 1);
    if (unit == nullptr || offset + size > unit_bytes_) {
      const uint64_t first = plan_.leaves.size();
      plan_.units.push_back(
          {first, first, 0, static_cast<uint32_t>(plan_.trees.size()), false, StagedBlock()});
      unit = &plan_.units.back();
      offset = 0;
      open_ = true;
    }
    plan_.leaves.push_back({offset, static_cast<uint32_t>(id), pieces});
    unit->size = offset + size;
    unit->last = plan_.leaves.size();
    unit->has_filled |= pieces == StagedLeaf::kFilled;
  }

  const tree::Tree& tree_;
  const bool borrow_;
  const uint64_t unit_bytes_;
  StagingPlan& plan_;
  container::NodeOrder order_;
  bool open_ = false;  // the last unit is of this tree
};

}  // namespace

void StagedBlock::Free::operator()(uint8_t* bytes) const { ::operator delete(bytes, kAlignment); }

bool StagedBlock::Allocate(uint64_t size) {
  if (size > SIZE_MAX) return false;
  if (size >= kPages) {
    auto pages = std::make_unique<storage::PageMemory>();
    if (!pages->Map(size)) return false;
    pages->PreferHugePages();
    pages_ = std::move(pages);
    return true;
  }
  bytes_.reset(
      static_cast<uint8_t*>(::operator new(static_cast<size_t>(size), kAlignment, std::nothrow)));
  return bytes_ != nullptr;
}

Status PlanTree(const tree::Tree& tree, bool borrow, uint64_t unit_bytes, StagingPlan* plan) {
  return Planner(tree, borrow, unit_bytes, plan).Run();
}

Status StageLeaf(const tree::Tree& source, const StagedLeaf& leaf, uint8_t* block) {
  const tree::Node node = source.Get(leaf.id);
  uint8_t* const at = block + leaf.offset;
  if (node.value.form == ValueForm::kFill) return FillLeaf(node.value, at);
  if (node.value.form == ValueForm::kPieces) {
    StagePieces(node, at);
  } else {
    source.CopyRaw(leaf.id, at);
  }
  return Status();
}

void StagedValue(const StagedLeaf& leaf, uint8_t* block, tree::Value* value) {
  uint8_t* const at = block + leaf.offset;
  tree::Value staged;
  staged.size = value->size;
  if (leaf.pieces >= StagedLeaf::kFilled) {
    staged.form = ValueForm::kData;
    staged.data = at;
  } else {
    staged.form = ValueForm::kPieces;
    staged.pieces = reinterpret_cast<const Piece*>(at);
    staged.piece_count = leaf.pieces;
  }
  *value = staged;
}

}  // namespace treering::manager
