// SPDX-License-Identifier: Apache-2.0
// Restoring an item into the shape of a target.
//
// Three steps: pair the leaves and find every mismatch (restore_match), decide where each value
// goes, read all of them in one call. Memory is taken only after everything fits: one run for the
// small leaves, one each for the large. The result is the target's own tree with the values set, so
// that ids, kinds and keys are the caller's.
#include "container/restore.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/checked.h"
#include "container/restore_match.h"

namespace treering::container {
namespace {

using base::Result;
using base::Status;
using tree::FindingKind;
using tree::Node;

constexpr uint64_t kSlabSize = 1 << 20;
constexpr uint64_t kAlignment = 64;

// 64-byte aligned memory; small requests share slabs.
class Arena {
 public:
  uint8_t* Take(uint64_t size, tree::Owner* owner) {
    if (size > kSlabSize / 4) {
      *owner = New(size);
      return static_cast<uint8_t*>(const_cast<void*>(owner->get()));
    }
    const uint64_t aligned = (std::max<uint64_t>(size, 1) + kAlignment - 1) & ~(kAlignment - 1);
    if (slab_ == nullptr || aligned > left_) {
      slab_ = New(kSlabSize);
      left_ = kSlabSize;
    }
    *owner = slab_;
    uint8_t* base = static_cast<uint8_t*>(const_cast<void*>(slab_.get()));
    uint8_t* p = base + (kSlabSize - left_);
    left_ -= aligned;
    return p;
  }

 private:
  static tree::Owner New(uint64_t size) {
    constexpr std::align_val_t kAlign{kAlignment};
    void* p = ::operator new(static_cast<size_t>(size), kAlign);
    return tree::Owner(p, [](const void* q) { ::operator delete(const_cast<void*>(q), kAlign); });
  }
  tree::Owner slab_;
  uint64_t left_ = 0;
};

// Where one leaf's value goes, and how it lies there.
struct Placed {
  tree::NodeId target = tree::kNoNode;
  Node node;  // as it will be set
  tree::Owner owner;
  tree::Dims shape{};
  std::array<int64_t, tree::kMaxRank> strides{};
};

// Elements of `dtype` as bytes in memory: packed, or one per byte where asked for.
bool BufferSize(tree::Dtype dtype, const uint64_t* shape, uint32_t rank, bool one_per_byte,
                uint64_t* out) {
  if (!one_per_byte) return tree::RawSize(dtype, shape, rank, out);
  uint64_t elements = 0;
  return tree::ElementCount(shape, rank, &elements) &&
         base::CheckedMul(elements, tree::ElementBytes(dtype), out);
}

// The size of a string is the file's word: there must be chunks for it before memory is taken.
Status CheckBacked(const Container& container, const NodeInfo& stored) {
  if (stored.value.storage != format::kInPieces) return {};
  const IndexView& index = container.index();
  uint64_t sum = 0;
  for (uint32_t i = 0; i < stored.value.b && sum < stored.value.size; ++i) {
    TR_ASSIGN_OR_RETURN(const format::PieceRecord piece, index.Piece(stored.value.a + i));
    for (uint32_t k = 0; k < piece.chunk_count && sum < stored.value.size; ++k) {
      TR_ASSIGN_OR_RETURN(const format::ChunkRecord chunk, index.Chunk(piece.first_chunk + k));
      sum += chunk.raw_size;
    }
  }
  if (sum >= stored.value.size) return {};
  return Status(base::Code::kCorruptStructure,
                "'" + container.name() +
                    "': the chunks of a leaf do not add up to its size; "
                    "restore an intact copy");
}

// The bytes from the first to the last element that strides reach; false if they leave memory.
bool Reach(const Node& node, uint64_t* out) {
  *out = tree::ElementBytes(node.dtype);
  for (uint32_t i = 0; i < node.rank; ++i) {
    if (node.shape[i] == 0) {
      *out = 0;
      return true;
    }
    const int64_t stride = node.value.strides[i];
    const auto wide = static_cast<uint64_t>(stride);
    uint64_t span = 0;
    if (!base::CheckedMul(stride < 0 ? 0 - wide : wide, node.shape[i] - 1, &span) ||
        !base::CheckedAdd(*out, span, out)) {
      return false;
    }
  }
  return *out <= INT64_MAX;
}

class Placer {
 public:
  Placer(const Container& container, const tree::Tree& target, const RestoreOptions& options)
      : container_(container), target_(target), options_(options) {}

  Status Place(const MatchedLeaf& leaf, Placed* placed, ReadRequest* request) {
    const Node node = target_.Get(leaf.target);
    placed->target = leaf.target;
    placed->node.kind = node.kind;
    placed->node.attributes = node.attributes;
    placed->node.attribute_count = node.attribute_count;
    request->node = leaf.stored.id;
    request->cast = options_.cast;
    return tree::IsArrayLike(node.kind) ? PlaceArray(leaf, node, placed, request)
                                        : PlaceScalar(leaf, node, placed, request);
  }

 private:
  Status PlaceScalar(const MatchedLeaf& leaf, const Node& node, Placed* placed,
                     ReadRequest* request) {
    TR_RETURN_IF_ERROR(CheckBacked(container_, leaf.stored));
    return PlaceBytes(leaf, node, leaf.stored.value.size, placed, request);
  }

  Status PlaceArray(const MatchedLeaf& leaf, const Node& node, Placed* placed,
                    ReadRequest* request) {
    const bool sub_byte = tree::IsSubByte(node.dtype);
    const bool own_memory = node.destination == nullptr;
    bool one_per_byte = node.value.one_per_byte;
    if (leaf.reshape && sub_byte && !one_per_byte) {
      if (!own_memory) {
        return Status(base::Code::kUnsupported,
                      "'" + target_.Path(leaf.target) +
                          "': padding or truncating 2- and 4-bit elements needs a "
                          "destination with one element per byte");
      }
      one_per_byte = true;
    }
    uint64_t size = 0;
    if (!BufferSize(node.dtype, node.shape, node.rank, one_per_byte, &size)) {
      return Status(base::Code::kLimit,
                    "'" + target_.Path(leaf.target) + "': the shape overflows 64 bits");
    }
    std::copy(node.shape, node.shape + node.rank, placed->shape.begin());
    placed->node.dtype = node.dtype;
    placed->node.rank = node.rank;
    placed->node.value.one_per_byte = one_per_byte;
    request->dtype = node.dtype;
    request->one_per_byte = one_per_byte;
    TR_RETURN_IF_ERROR(PlaceBytes(leaf, node, size, placed, request));
    const bool strided = !own_memory && node.value.strides != nullptr;
    if (strided) {
      std::copy(node.value.strides, node.value.strides + node.rank, placed->strides.begin());
    } else {
      tree::ContiguousStrides(node.dtype, tree::WholeBox(node.shape, node.rank),
                              placed->strides.data());
    }
    if (leaf.reshape) PlanReshape(leaf, node, size, strided, placed, request);
    placed->node.value.strides = strided ? placed->strides.data() : nullptr;
    request->strides = strided || leaf.reshape ? placed->strides.data() : nullptr;
    return {};
  }

  // Reads what both shapes have in common; the rest is zero.
  void PlanReshape(const MatchedLeaf& leaf, const Node& node, uint64_t size, bool strided,
                   Placed* placed, ReadRequest* request) {
    request->whole = false;
    request->box = tree::WholeBox(node.shape, node.rank);
    for (uint32_t i = 0; i < node.rank; ++i) {
      request->box.extent[i] = std::min(node.shape[i], leaf.stored.shape[i]);
    }
    if (!strided) {
      std::memset(request->dst, 0, static_cast<size_t>(size));
      return;
    }
    ZeroStrided(node, placed->strides.data(), static_cast<uint8_t*>(request->dst));
  }

  static void ZeroStrided(const Node& node, const int64_t* strides, uint8_t* dst) {
    const uint32_t bytes = tree::ElementBytes(node.dtype);
    uint64_t elements = 0;
    if (!tree::ElementCount(node.shape, node.rank, &elements)) return;
    for (uint64_t i = 0; i < elements; ++i) {
      uint64_t rest = i;
      int64_t at = 0;
      for (uint32_t axis = node.rank; axis-- > 0;) {
        at += strides[axis] * static_cast<int64_t>(rest % node.shape[axis]);
        rest /= node.shape[axis];
      }
      std::memset(dst + at, 0, bytes);
    }
  }

  Status PlaceBytes(const MatchedLeaf& leaf, const Node& node, uint64_t size, Placed* placed,
                    ReadRequest* request) {
    placed->node.value.form = tree::ValueForm::kData;
    placed->node.value.size = tree::IsArrayLike(node.kind) ? 0 : size;
    if (node.destination == nullptr) {
      request->dst = arena_.Take(size, &placed->owner);
      request->dst_size = size;
    } else {
      const bool strided = tree::IsArrayLike(node.kind) && node.value.strides != nullptr;
      const bool reached = !strided || Reach(node, &size);
      if (!reached || node.destination_size < size) {
        return Status(base::Code::kInvalidArgument,
                      "'" + target_.Path(leaf.target) + "': the destination holds " +
                          std::to_string(node.destination_size) + " bytes, the value needs " +
                          std::to_string(size));
      }
      request->dst = node.destination;
      request->dst_size = node.destination_size;
      placed->owner = callers_;
    }
    placed->node.value.data = request->dst;
    return {};
  }

  const Container& container_;
  const tree::Tree& target_;
  const RestoreOptions& options_;
  Arena arena_;
  // Memory that is the caller's own: lent for as long as the caller keeps it.
  tree::Owner callers_ = std::make_shared<char>();
};

Status Mismatch(const Container& container, const tree::Report& report) {
  base::Code code = base::Code::kMismatchShape;
  for (const tree::Finding& f : report.findings()) {
    if (f.kind == FindingKind::kDifferentDtype && code == base::Code::kMismatchShape)
      code = base::Code::kMismatchDtype;
    if (f.kind <= FindingKind::kDifferentKind || f.kind == FindingKind::kDifferentValue)
      code = base::Code::kMismatchStructure;
  }
  return Status(code, "'" + container.name() + "' does not fit the target: " + report.Summary());
}

void ReportRestored(const tree::Tree& target, const std::vector<MatchedLeaf>& leaves,
                    tree::Report* report) {
  for (const MatchedLeaf& leaf : leaves) {
    tree::Finding finding;
    finding.kind = FindingKind::kRestored;
    finding.path = target.Path(leaf.target);
    report->Add(std::move(finding));
  }
}

}  // namespace

Result<tree::Tree> Restore(const Container& container, std::string_view item,
                           const tree::Tree& target, const RestoreOptions& options,
                           tree::Report* report) {
  Matcher matcher(container, target, options, report);
  TR_RETURN_IF_ERROR(matcher.Match(item));
  if (report->differences() != 0) {
    report->FindNearest();
    report->Finish();
    return Mismatch(container, *report);
  }
  const std::vector<MatchedLeaf>& leaves = matcher.leaves();
  std::vector<Placed> placed(leaves.size());
  std::vector<ReadRequest> requests(leaves.size());
  Placer placer(container, target, options);
  for (size_t i = 0; i < leaves.size(); ++i) {
    TR_RETURN_IF_ERROR(placer.Place(leaves[i], &placed[i], &requests[i]));
  }
  TR_RETURN_IF_ERROR(
      container.Read(requests.data(), requests.size(), {options.threads, options.progress}));
  tree::Tree result = target.Copy();
  for (size_t i = 0; i < placed.size(); ++i) {
    Placed& p = placed[i];
    p.node.shape = p.shape.data();
    std::vector<tree::Attribute> stored;
    if (p.node.attribute_count == 0) {
      TR_ASSIGN_OR_RETURN(stored, container.Attributes(leaves[i].stored.value));
      p.node.attributes = stored.data();
      p.node.attribute_count = stored.size();
    }
    TR_RETURN_IF_ERROR(result.Set(p.target, p.node, std::move(p.owner)));
  }
  ReportRestored(target, leaves, report);
  report->Finish();
  return result;
}

}  // namespace treering::container
