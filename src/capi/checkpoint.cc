// SPDX-License-Identifier: Apache-2.0
// Opening and describing containers through the C ABI.
//
// A source's release callback is owned by the ReadableFile made over it, and memory's by its
// region: both run when the last checkpoint or view that needs the bytes has gone, also when
// opening fails. Node descriptions point into the index; only shapes and attributes, which the
// index holds in another form, come in a scratch blob of the call.
#include <treering/treering.h>

#include <cstring>
#include <unordered_map>

#include "capi/convert.h"
#include "capi/guard.h"
#include "capi/handles.h"
#include "capi/import.h"
#include "capi/options.h"
#include "storage/callback.h"
#include "storage/memory.h"
#include "storage/posix.h"
#include "tree/path.h"

namespace treering::capi {
namespace {

using base::Result;
using base::Status;
using container::Container;
using container::NodeInfo;

// Memory of the caller's that its release callback takes back.
class LentRegion : public storage::Region {
 public:
  LentRegion(base::ByteSpan bytes, tree::Owner owner) : owner_(std::move(owner)) { bytes_ = bytes; }

 private:
  tree::Owner owner_;
};

std::unique_ptr<storage::ReadableFile> OpenSource(const treering_source& source, tree::Owner owner,
                                                  std::string name) {
  return storage::OpenCallback(
      [source, owner = std::move(owner)](uint64_t offset, void* dst, uint64_t size) {
        return source.read_at(source.user, offset, dst, size);
      },
      source.size, std::move(name));
}

Status ImportSource(const treering_source* source, treering_source* out, tree::Owner* owner) {
  Status known = ImportStruct(source, "source", sizeof(*out), out);
  const treering_lend lend = {sizeof(lend), 0, out->release, out->user};
  TR_RETURN_IF_ERROR(ImportLend(&lend, owner));  // first: from here on it is released
  if (!known.ok()) return known;
  if (out->read_at == nullptr) return NullArgument("source.read_at");
  return {};
}

container::Resolve CallbackResolve(treering_resolve resolve, void* user) {
  return [resolve, user](std::string_view folder, std::string_view name,
                         uint64_t size) -> Result<std::unique_ptr<storage::ReadableFile>> {
    treering_source source = {};
    source.struct_size = sizeof(source);
    if (resolve(user, folder.data(), folder.size(), name.data(), name.size(), size, &source) != 0) {
      return Status(base::Code::kNotFoundFile, "the resolve callback has no file '" +
                                                   std::string(name) +
                                                   "'; make it available and open again");
    }
    tree::Owner owner;
    TR_RETURN_IF_ERROR(ImportSource(&source, &source, &owner));
    return OpenSource(source, std::move(owner), std::string(name));
  };
}

}  // namespace

Status ImportOpenOptions(const treering_open_options* options, container::OpenOptions* out) {
  treering_open_options in;
  TR_RETURN_IF_ERROR(ImportStruct(options, "options", sizeof(in), &in));
  out->map = in.map != 0;
  out->max_index_bytes = in.max_index_bytes;
  out->max_depth = in.max_depth;
  if (in.resolve != nullptr) out->resolve = CallbackResolve(in.resolve, in.user);
  return {};
}

namespace {

Status OpenFile(treering_checkpoint** out, std::unique_ptr<storage::ReadableFile> file,
                container::OpenOptions options) {
  auto checkpoint = std::make_unique<treering_checkpoint>();
  TR_ASSIGN_OR_RETURN(checkpoint->value, Container::Open(std::move(file), std::move(options)));
  *out = checkpoint.release();
  return {};
}

Result<treering_info> Info(const Container& container) {
  const container::IndexView& index = container.index();
  const format::Trailer& trailer = index.trailer();
  TR_ASSIGN_OR_RETURN(const std::string_view metadata, container.metadata());
  treering_info out = {};
  out.format_version = static_cast<uint32_t>(trailer.major) << 16 | trailer.minor;
  out.file_size = trailer.file_size;
  out.index_size = trailer.index_size;
  out.item_count = index.count(format::kItems);
  out.node_count = index.count(format::kNodes);
  out.leaf_count = trailer.leaf_count;
  out.chunk_count = index.count(format::kChunks);
  out.file_count = index.count(format::kFiles);
  out.raw_bytes = trailer.raw_bytes;
  out.features_compat = trailer.features_compat;
  out.features_ro_compat = trailer.features_ro_compat;
  out.features_incompat = trailer.features_incompat;
  CopyDigest(trailer.content, out.content);
  CopyDigest(trailer.file, out.file);
  out.metadata = metadata.data();
  out.metadata_size = metadata.size();
  return out;
}

// One described node before the scratch memory exists: where its shape and attributes will be.
struct Described {
  treering_node node = {};
  uint64_t shape_at = 0;
  uint64_t attributes_at = 0;
};

class Describer {
 public:
  explicit Describer(const Container& container) : container_(container) {}

  Status Add(uint32_t id) {
    TR_ASSIGN_OR_RETURN(const NodeInfo info, container_.Node(id));
    Described d;
    treering_node& out = d.node;
    out.kind = info.value.kind;
    out.dtype = static_cast<uint32_t>(info.value.dtype_code) << 8 | info.value.dtype_bits;
    // What the byte means in a kind that this version does not know is that kind's affair.
    const bool array = out.kind == TREERING_ARRAY || out.kind == TREERING_PRNG_KEY;
    out.rank = array ? info.value.rank : 0;
    out.key = ExportKey(info.key);
    out.id = info.id;
    out.parent = info.record.parent == format::kNoParent ? TREERING_NO_NODE : info.record.parent;
    out.alias_of = info.value_id == info.id ? TREERING_NO_NODE : info.value_id;
    if (format::IsContainerKind(info.record.kind)) {
      out.child_count = info.record.size;
    } else {
      out.data_size = info.value.size;
      TR_ASSIGN_OR_RETURN(out.stored_size, StoredSize(info));
    }
    d.shape_at = shapes_.size();
    shapes_.insert(shapes_.end(), info.shape.begin(), info.shape.begin() + out.rank);
    d.attributes_at = attributes_.size();
    TR_ASSIGN_OR_RETURN(const std::vector<tree::Attribute> attributes,
                        container_.Attributes(info.value));
    for (const tree::Attribute& a : attributes) {
      attributes_.push_back({a.id, a.flags, a.value.data(), a.value.size()});
    }
    out.attribute_count = attributes.size();
    described_.push_back(d);
    return {};
  }

  // Moves shapes and attributes into a blob and points the nodes there.
  treering_blob* Deliver(const OutputArray<treering_node>& out) {
    struct Scratch {
      std::vector<uint64_t> shapes;
      std::vector<treering_attribute> attributes;
    };
    auto scratch = std::make_shared<Scratch>();
    scratch->shapes = std::move(shapes_);
    scratch->attributes = std::move(attributes_);
    treering_blob* blob = NewBlob({}, scratch);
    for (uint64_t i = 0; i < described_.size(); ++i) {
      Described& d = described_[i];
      if (d.node.rank != 0) d.node.shape = scratch->shapes.data() + d.shape_at;
      if (d.node.attribute_count != 0)
        d.node.attributes = scratch->attributes.data() + d.attributes_at;
      out.Put(i, d.node);
    }
    return blob;
  }

 private:
  // Many aliases may name one leaf of many chunks, which are counted once.
  Result<uint64_t> StoredSize(const NodeInfo& info) {
    const auto found = stored_.find(info.value_id);
    if (found != stored_.end()) return found->second;
    TR_ASSIGN_OR_RETURN(const uint64_t size, container_.StoredSize(info));
    if (info.value_id != info.id) stored_.emplace(info.value_id, size);
    return size;
  }

  const Container& container_;
  std::unordered_map<uint32_t, uint64_t> stored_;  // of leaves that aliases name
  std::vector<Described> described_;
  std::vector<uint64_t> shapes_;
  std::vector<treering_attribute> attributes_;
};

Status ListItems(const Container& container, uint64_t first, const OutputArray<treering_item>& out,
                 uint64_t capacity, uint64_t* out_count) {
  const uint32_t total = container.index().count(format::kItems);
  for (uint64_t i = first; i < total && i - first < capacity; ++i) {
    TR_ASSIGN_OR_RETURN(const format::ItemRecord item,
                        container.index().Item(static_cast<uint32_t>(i)));
    TR_ASSIGN_OR_RETURN(const std::string_view name, container.ItemName(item));
    out.Put(i - first, {name.data(), name.size(), static_cast<int32_t>(item.kind), 0, item.root});
    *out_count = i - first + 1;
  }
  return {};
}

}  // namespace
}  // namespace treering::capi

using treering::base::Status;
using treering::capi::Guard;
namespace capi = treering::capi;

extern "C" {

treering_status treering_checkpoint_open(treering_checkpoint** out, const char* path,
                                         uint64_t path_size, const treering_open_options* options,
                                         treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    std::string_view text;
    TR_RETURN_IF_ERROR(capi::ImportText(path, path_size, "path", &text));
    treering::container::OpenOptions in;
    TR_RETURN_IF_ERROR(capi::ImportOpenOptions(options, &in));
    if (!in.resolve) in.resolve = treering::container::ResolveBeside(std::string(text));
    TR_ASSIGN_OR_RETURN(auto file, treering::storage::OpenPosixFile(text));
    return capi::OpenFile(out, std::move(file), std::move(in));
  });
}

treering_status treering_checkpoint_open_memory(treering_checkpoint** out, const void* data,
                                                uint64_t size, treering_release release, void* user,
                                                const treering_open_options* options,
                                                treering_error* error) {
  return Guard(error, [&]() -> Status {
    if (out != nullptr) *out = nullptr;
    const treering_lend lend = {sizeof(lend), 0, release, user};
    treering::tree::Owner owner;
    TR_RETURN_IF_ERROR(capi::ImportLend(&lend, &owner));
    TR_REQUIRE(out);
    if (size != 0) TR_REQUIRE(data);
    treering::container::OpenOptions in;
    TR_RETURN_IF_ERROR(capi::ImportOpenOptions(options, &in));
    in.map = true;
    auto region =
        std::make_shared<capi::LentRegion>(treering::base::ByteSpan(data, size), std::move(owner));
    return capi::OpenFile(out, treering::storage::OpenRegion(std::move(region), "memory"),
                          std::move(in));
  });
}

treering_status treering_checkpoint_open_source(treering_checkpoint** out,
                                                const treering_source* source,
                                                const treering_open_options* options,
                                                treering_error* error) {
  return Guard(error, [&]() -> Status {
    if (out != nullptr) *out = nullptr;
    TR_REQUIRE(source);
    treering_source from;
    treering::tree::Owner owner;
    TR_RETURN_IF_ERROR(capi::ImportSource(source, &from, &owner));
    TR_REQUIRE(out);
    treering::container::OpenOptions in;
    TR_RETURN_IF_ERROR(capi::ImportOpenOptions(options, &in));
    return capi::OpenFile(out, capi::OpenSource(from, std::move(owner), "source"), std::move(in));
  });
}

void treering_checkpoint_free(treering_checkpoint* checkpoint) { delete checkpoint; }

treering_status treering_checkpoint_info(treering_info* out, const treering_checkpoint* checkpoint,
                                         treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    TR_RETURN_IF_ERROR(capi::ExportStruct(treering_info{}, "out", sizeof(treering_info), out));
    TR_REQUIRE(checkpoint);
    TR_ASSIGN_OR_RETURN(const treering_info info, capi::Info(*checkpoint->value));
    return capi::ExportStruct(info, "out", sizeof(treering_info), out);
  });
}

treering_status treering_checkpoint_items(const treering_checkpoint* checkpoint, uint64_t first,
                                          treering_item* out, uint64_t element_size,
                                          uint64_t capacity, uint64_t* out_count,
                                          treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_count);
    *out_count = 0;
    TR_REQUIRE(checkpoint);
    const capi::OutputArray<treering_item> array(out, element_size, capacity);
    TR_RETURN_IF_ERROR(array.Check(sizeof(treering_item)));
    uint64_t count = 0;
    TR_RETURN_IF_ERROR(capi::ListItems(*checkpoint->value, first, array, capacity, &count));
    *out_count = count;
    return {};
  });
}

treering_status treering_checkpoint_find(uint64_t* out_id, const treering_checkpoint* checkpoint,
                                         const char* item, uint64_t item_size, const char* path,
                                         uint64_t path_size, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_id);
    *out_id = 0;
    TR_REQUIRE(checkpoint);
    std::string_view item_name;
    std::string_view text;
    TR_RETURN_IF_ERROR(capi::ImportText(item, item_size, "item", &item_name));
    TR_RETURN_IF_ERROR(capi::ImportText(path, path_size, "path", &text));
    TR_ASSIGN_OR_RETURN(*out_id, checkpoint->value->Find(item_name, text));
    return {};
  });
}

treering_status treering_checkpoint_find_keys(uint64_t* out_id,
                                              const treering_checkpoint* checkpoint,
                                              const char* item, uint64_t item_size,
                                              const treering_key* keys, uint64_t count,
                                              treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_id);
    *out_id = 0;
    TR_REQUIRE(checkpoint);
    std::string_view item_name;
    TR_RETURN_IF_ERROR(capi::ImportText(item, item_size, "item", &item_name));
    std::vector<treering::tree::Key> path;
    TR_RETURN_IF_ERROR(capi::ImportKeys(keys, count, &path));
    TR_ASSIGN_OR_RETURN(*out_id, checkpoint->value->FindKeys(item_name, path.data(), path.size()));
    return {};
  });
}

treering_status treering_checkpoint_nodes(const treering_checkpoint* checkpoint, uint64_t first,
                                          treering_node* out, uint64_t element_size,
                                          uint64_t capacity, uint64_t* out_count,
                                          treering_blob** scratch, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_count);
    *out_count = 0;
    TR_REQUIRE(scratch);
    *scratch = nullptr;
    TR_REQUIRE(checkpoint);
    const capi::OutputArray<treering_node> array(out, element_size, capacity);
    TR_RETURN_IF_ERROR(array.Check(capi::kNodeFirstSize));
    const uint64_t total = checkpoint->value->index().count(treering::format::kNodes);
    const uint64_t n = first >= total ? 0 : std::min<uint64_t>(capacity, total - first);
    capi::Describer describer(*checkpoint->value);
    for (uint64_t i = 0; i < n; ++i)
      TR_RETURN_IF_ERROR(describer.Add(static_cast<uint32_t>(first + i)));
    *scratch = describer.Deliver(array);
    *out_count = n;
    return {};
  });
}

treering_status treering_checkpoint_children(const treering_checkpoint* checkpoint, uint64_t id,
                                             uint64_t* out_first, uint64_t* out_count,
                                             treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_first);
    TR_REQUIRE(out_count);
    *out_first = *out_count = 0;
    TR_REQUIRE(checkpoint);
    TR_RETURN_IF_ERROR(capi::RequireId(*checkpoint->value, id));
    TR_ASSIGN_OR_RETURN(const auto info, checkpoint->value->Node(static_cast<uint32_t>(id)));
    if (!treering::format::IsContainerKind(info.record.kind)) return {};
    *out_first = info.record.a;
    *out_count = info.record.size;
    return {};
  });
}

treering_status treering_checkpoint_path(const treering_checkpoint* checkpoint, uint64_t id,
                                         char* out, uint64_t capacity, uint64_t* out_size,
                                         treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_size);
    *out_size = 0;
    TR_REQUIRE(checkpoint);
    if (capacity != 0) TR_REQUIRE(out);
    TR_RETURN_IF_ERROR(capi::RequireId(*checkpoint->value, id));
    TR_ASSIGN_OR_RETURN(const std::string path, checkpoint->value->Path(static_cast<uint32_t>(id)));
    *out_size = path.size();
    const uint64_t n = std::min<uint64_t>(capacity, path.size());
    if (n != 0) std::memcpy(out, path.data(), n);
    return {};
  });
}

}  // extern "C"
