// SPDX-License-Identifier: Apache-2.0
// What a tree consists of: 80-byte records, arenas, owners, interned attributes, child indexes.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tree/arena.h"
#include "tree/text.h"
#include "tree/tree.h"

namespace treering::tree {

inline constexpr uint32_t kNil = UINT32_MAX;
// Containers with more children than this get an index when one is looked for.
inline constexpr uint64_t kScan = 16;

// What few leaves have. In the arena, never changed once there.
struct Extra {
  const int64_t* strides = nullptr;
  FillFunction fill = nullptr;
  void* fill_user = nullptr;
  uint64_t piece_count = 0;
  const uint64_t* chunk_shape = nullptr;
  void* destination = nullptr;
  uint64_t destination_size = 0;
  int32_t codec = 0;
  int32_t level = 0;
};

struct Children {
  uint32_t first, last;
};

struct Record {
  Kind kind = Kind{0};  // 0: removed
  KeyKind key_kind = KeyKind::kNone;
  Dtype dtype;
  uint8_t rank = 0;
  ValueForm form = ValueForm::kAbstract;
  uint16_t depth = 0;
  uint32_t parent = kNil;
  uint32_t next = kNil;
  uint32_t previous = kNil;
  uint32_t attributes = 0;  // 1 + position in Impl::sets
  uint32_t owner = 0;       // 1 + position in Impl::owners
  uint32_t alias_of = kNil;
  uint32_t alias_count = 0;  // of leaves that are aliases of this one
  uint16_t key_size = 0;
  bool one_per_byte = false;
  union {
    int64_t integer = 0;
    const char* text;
  } key;
  uint64_t size = 0;  // raw bytes, or number of children
  union {
    const void* data = nullptr;
    const Piece* pieces;
  };
  union {
    const uint64_t* shape = nullptr;
    Children children;
  };
  const Extra* extra = nullptr;

  bool is_container() const { return IsContainer(kind); }
  bool has_text_key() const { return key_kind == KeyKind::kString || key_kind == KeyKind::kBigInt; }
  Key Name() const {
    if (has_text_key()) return {key_kind, 0, std::string_view(key.text, key_size)};
    return {key_kind, key.integer, {}};
  }
};

uint64_t HashKey(const Key& key, uint64_t seed);

// Open addressing from keys to node ids: slots of hash tag << 32 | id + 1.
class KeyTable {
 public:
  // Makes room, so that `more` insertions neither fail nor allocate.
  void Reserve(uint64_t more, const Record* records, uint64_t seed);
  void Clear(uint64_t count);
  void Insert(uint32_t id, uint64_t hash);
  // False if there is an equal key already.
  bool InsertNew(uint32_t id, const Key& key, uint64_t hash, const Record* records);
  void Erase(uint32_t id, uint64_t hash);
  // The first id whose key equals; kNil if there is none.
  uint32_t Find(const Key& key, uint64_t hash, const Record* records) const;

 private:
  static constexpr uint32_t kTomb = UINT32_MAX;
  std::vector<uint64_t> slots_;
  uint64_t used_ = 0;  // tombs too
};

struct OwnerSlot {
  Owner owner;
  uint64_t uses = 0;  // records
};

struct Tree::Impl {
  std::vector<Record> records;
  uint32_t root = kNil;
  uint64_t live = 0;
  uint64_t leaves = 0;
  uint32_t max_depth = kMaxDepth;
  Arena arena;
  std::vector<OwnerSlot> owners;
  std::vector<uint32_t> free_owners;
  std::vector<std::shared_ptr<const AttributeSet>> sets;
  std::unordered_multimap<uint64_t, uint32_t> set_of_hash;
  mutable std::mutex index_mutex;
  mutable std::unordered_map<uint32_t, std::unique_ptr<KeyTable>> indexes;
  // Differs between processes where addresses do, so that no file can aim at collisions.
  uint64_t seed() const { return reinterpret_cast<uintptr_t>(this); }

  Record& at(uint64_t id) { return records[static_cast<size_t>(id)]; }
  const Record& at(uint64_t id) const { return records[static_cast<size_t>(id)]; }
  bool Live(uint64_t id) const { return id < records.size() && at(id).kind != Kind{0}; }
  const Record& Resolve(const Record& r) const { return r.alias_of == kNil ? r : at(r.alias_of); }
  uint32_t First(uint32_t id) const { return at(id).is_container() ? at(id).children.first : kNil; }
  uint32_t Next(uint32_t id) const;                // in preorder
  uint32_t Skip(uint32_t id, uint32_t top) const;  // behind the subtree, within that of `top`

  // Owners: a slot without uses after a change is freed by its maker.
  uint32_t AddOwner(Owner owner);
  void Use(Record* r, uint32_t slot);
  void Unuse(Record* r);
  void DropIfUnused(uint32_t slot);

  uint32_t Intern(const Attribute* attributes, uint64_t count);
  const AttributeSet* Set(const Record& r) const;  // an alias without one has its leaf's

  // The index of a container, built now if need be.
  KeyTable* Index(uint32_t id) const;
  uint32_t Find(uint32_t id, const Key& key) const;
  void Link(uint32_t parent, uint32_t id);
  void Unlink(uint32_t id);
  std::vector<Key> Keys(uint32_t id) const;
  std::string Display(uint32_t id) const;
  std::string Quoted(uint32_t id) const;  // "'a/b'"; "the root"
};

inline uint32_t Narrow(NodeId id) { return id >= kNil ? kNil : static_cast<uint32_t>(id); }
inline NodeId Widen(uint32_t id) { return id == kNil ? kNoNode : NodeId{id}; }

// Id 1 to 65535, once each, flags that are known, values below 4 GiB.
base::Status CheckAttributes(const Attribute* attributes, uint64_t count);

// Checks the values of leaves and stores them into records, data as the pointers they are.
class ValueReader {
 public:
  explicit ValueReader(Tree::Impl* impl) : impl_(impl) {}
  // kInvalidArgument and kLimit without the node's path.
  base::Status Read(const Node& node, Record* record, bool lent);

 private:
  base::Status Array(const Node& node, Record* record);
  base::Status Scalar(const Node& node, Record* record);
  base::Status Pieces(const Node& node, Record* record);
  base::Status Strides(const Node& node, Record* record, const int64_t* strides,
                       const uint64_t* extent);
  base::Status Extras(const Node& node, Record* record);

  Tree::Impl* impl_;
  const uint64_t* last_shape_ = nullptr;
  uint32_t last_rank_ = 0;
};

// Copies the data of records [first, last) that are lent by nobody into memory of the tree.
void CopyLeafData(Tree::Impl* impl, uint32_t first, uint32_t last);
// Bits of no element in the last byte become zero.
void CopyValue(const Record& record, void* dst);
// The bits of the last byte of a packed value that elements have.
uint8_t LastByteMask(const Record& record);
// True if the memory was made by CopyLeafData: then nobody ever changes it.
bool IsTreeMemory(const Owner& owner);

}  // namespace treering::tree
