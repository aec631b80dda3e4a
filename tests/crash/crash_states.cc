// SPDX-License-Identifier: Apache-2.0
// What is on the medium, what may be, and what a crash leaves of it.
//
// The changes of names are kept in the order in which they were made, each with the directory that
// it belongs to; flushing that directory makes its own sure. After a crash each directory is what
// was sure, with those changes carried out that the state keeps, in order. No ordering between
// directories, nor between names and bytes, is taken for granted: no file system promises more.
#include <algorithm>
#include <cstring>
#include <map>

#include "codec/hash.h"
#include "node.h"
#include "recording_storage.h"

namespace crash {
namespace {

constexpr uint64_t kSector = 512;
constexpr int64_t kHour = int64_t{3600} * 1000000000;  // nanoseconds until the power is back
constexpr uint64_t kSampledSubsets = 64;

void Assign(const std::vector<std::pair<std::string, NodePtr>>& assignments,
            std::map<std::string, NodePtr>* entries) {
  for (const auto& [name, node] : assignments) {
    if (node == nullptr) {
      entries->erase(name);
    } else {
      (*entries)[name] = node;
    }
  }
}

bool IsKept(const CrashState& state, uint64_t i) {
  return i < 64 ? (state.kept >> i & 1) != 0 : (Mix(state.draw, i) & 1) != 0;
}

// What is left of a file's bytes; `which` tells files apart.
ImagePtr Remains(Node* file, const CrashState& state, uint64_t which) {
  const ImagePtr& whole = file->Contents();
  const uint64_t size = whole->bytes().size, sure = file->durable_size;
  if (sure >= size || state.unsynced == Unsynced::kKept) return whole;
  const uint64_t draw = Mix(state.draw, which);
  Bytes bytes(whole->bytes().data, whole->bytes().data + size);
  const uint64_t first = sure / kSector + 1, last = (size - 1) / kSector;  // multiples between
  switch (state.unsynced) {
    case Unsynced::kKept:
      break;
    case Unsynced::kLost:
      bytes.resize(static_cast<size_t>(sure));
      break;
    case Unsynced::kTorn:
      bytes.resize(
          static_cast<size_t>(first > last ? sure : (first + draw % (last - first + 1)) * kSector));
      break;
    case Unsynced::kZeroed:
      std::fill(bytes.begin() + static_cast<ptrdiff_t>(sure), bytes.end(), uint8_t{0});
      break;
    case Unsynced::kMixed:
      for (uint64_t at = sure; at < size; ++at) {
        if ((Mix(draw, at / kSector) & 1) != 0) bytes[static_cast<size_t>(at)] = 0;
      }
      break;
  }
  return std::make_shared<const Image>(std::move(bytes));
}

}  // namespace

uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9e3779b97f4a7c15u * (b + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

Image::Image(Bytes bytes)
    : owned_(std::move(bytes)), hash_(treering::codec::Hash64(base::ByteSpan(owned_))) {
  bytes_ = base::ByteSpan(owned_);
}

void FileSystem::Apply(const NodePtr& directory, std::vector<Assignment> assignments) {
  Assign(assignments, &directory->entries);
  pending_.push_back({directory, std::move(assignments)});
}

void FileSystem::FlushDirectory(const NodePtr& directory) {
  bool any = false;
  for (Change& change : pending_) {
    if (change.directory != directory) continue;
    Assign(change.assignments, &directory->durable);
    change.directory = nullptr;
    any = true;
  }
  if (!any) return;
  // Changes in a directory that is gone for good are no changes.
  pending_.erase(std::remove_if(pending_.begin(), pending_.end(),
                                [](const Change& change) { return change.directory == nullptr; }),
                 pending_.end());
  const std::set<const Node*> reachable = Reachable();
  pending_.erase(std::remove_if(pending_.begin(), pending_.end(),
                                [&](const Change& change) {
                                  return reachable.count(change.directory.get()) == 0;
                                }),
                 pending_.end());
}

std::set<const Node*> FileSystem::Reachable() const {
  std::set<const Node*> found = {root_.get()};
  std::vector<const Node*> todo = {root_.get()};
  const auto add = [&](const NodePtr& node) {
    if (node != nullptr && found.insert(node.get()).second) todo.push_back(node.get());
  };
  while (!todo.empty()) {
    const Node* at = todo.back();
    todo.pop_back();
    for (const auto& [name, node] : at->durable) add(node);
    for (const Change& change : pending_) {
      if (change.directory.get() != at) continue;
      for (const auto& [name, node] : change.assignments) add(node);
    }
  }
  return found;
}

bool FileSystem::unsynced() const {
  const std::set<const Node*> reachable = Reachable();
  return std::any_of(reachable.begin(), reachable.end(), [](const Node* node) {
    return !node->directory && node->durable_size < node->size();
  });
}

std::vector<CrashState> FileSystem::CrashStates(uint64_t seed, uint32_t draws,
                                                uint64_t all_up_to) const {
  std::vector<uint64_t> subsets;
  if (pending_.size() <= all_up_to) {
    for (uint64_t i = 0; i < uint64_t{1} << pending_.size(); ++i) subsets.push_back(i);
  } else {
    subsets = {0, UINT64_MAX};
    while (subsets.size() < kSampledSubsets) subsets.push_back(Mix(seed, subsets.size()));
  }
  const uint32_t modes = unsynced() ? kUnsyncedModes : 1;
  std::vector<CrashState> states;
  for (const uint64_t kept : subsets) {
    for (uint32_t mode = 0; mode < modes; ++mode) {
      const Unsynced unsynced = static_cast<Unsynced>(mode);
      const bool drawn = unsynced == Unsynced::kTorn || unsynced == Unsynced::kMixed;
      for (uint32_t draw = 0; draw < (drawn ? draws : 1); ++draw) {
        states.push_back({kept, unsynced, Mix(seed, states.size())});
      }
    }
  }
  return states;
}

std::unique_ptr<FileSystem> FileSystem::AfterCrash(const CrashState& state, uint64_t seed) const {
  auto next = std::make_unique<FileSystem>(seed);
  next->clock_ = (clock_ / kHour + 1) * kHour;
  std::map<const Node*, std::map<std::string, NodePtr>> changed;
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (!IsKept(state, i)) continue;
    const Node* directory = pending_[i].directory.get();
    Assign(pending_[i].assignments,
           &changed.try_emplace(directory, directory->durable).first->second);
  }
  std::vector<std::pair<const Node*, Node*>> todo = {{root_.get(), next->root_.get()}};
  uint64_t files = 0;
  while (!todo.empty()) {
    const auto [from, to] = todo.back();
    todo.pop_back();
    const auto found = changed.find(from);
    for (const auto& [name, node] : found == changed.end() ? from->durable : found->second) {
      auto copy = std::make_shared<Node>();
      copy->directory = node->directory;
      copy->parent = to;
      if (node->directory) {
        todo.emplace_back(node.get(), copy.get());
      } else {
        copy->image = Remains(node.get(), state, ++files);
        copy->durable_size = copy->size();
      }
      to->entries.emplace_hint(to->entries.end(), name, std::move(copy));
    }
    to->durable = to->entries;
  }
  return next;
}

std::unique_ptr<FileSystem> FileSystem::AfterShutdown(uint64_t seed) const {
  CrashState state;
  state.kept = UINT64_MAX;
  // More than 64 changes would be drawn: then it is flushed first, which changes nothing else.
  if (pending_.size() <= 64) return AfterCrash(state, seed);
  FileSystem* self = const_cast<FileSystem*>(this);
  while (!self->pending_.empty()) self->FlushDirectory(NodePtr(self->pending_.front().directory));
  return AfterCrash(state, seed);
}

std::unique_ptr<FileSystem> FileSystem::AfterKill(uint64_t seed) const {
  auto next = std::make_unique<FileSystem>(seed);
  next->clock_ = clock_;
  std::map<const Node*, NodePtr> copies = {{root_.get(), next->root_}};
  std::vector<Node*> todo = {root_.get()};
  const auto copy_of = [&](const NodePtr& node) {
    if (node == nullptr) return NodePtr();
    NodePtr& copy = copies[node.get()];
    if (copy != nullptr) return copy;
    copy = std::make_shared<Node>();
    copy->directory = node->directory;
    copy->removed = node->removed;
    copy->durable_size = node->durable_size;
    copy->sync_failed = node->sync_failed;
    if (node->directory) {
      todo.push_back(node.get());
    } else {
      copy->image = node->Contents();
    }
    return copy;
  };
  const auto copy_changes = [&] {
    for (const Change& change : pending_) {
      Change copied{copy_of(change.directory), {}};
      for (const auto& [name, node] : change.assignments) {
        copied.assignments.emplace_back(name, copy_of(node));
      }
      next->pending_.push_back(std::move(copied));
    }
  };
  copy_changes();
  while (!todo.empty()) {
    Node* from = todo.back();
    todo.pop_back();
    const NodePtr to = copies[from];
    to->parent = from->parent == nullptr ? nullptr : copies[from->parent].get();
    for (const auto& [name, node] : from->entries) to->entries[name] = copy_of(node);
    for (const auto& [name, node] : from->durable) to->durable[name] = copy_of(node);
  }
  return next;
}

std::vector<Listed> FileSystem::List() const {
  std::vector<Listed> all;
  std::vector<std::pair<std::string, Node*>> todo = {{"", root_.get()}};
  while (!todo.empty()) {
    const auto [path, at] = todo.back();
    todo.pop_back();
    for (const auto& [name, node] : at->entries) {
      if (!node->directory) {
        all.push_back({path + name, node->Contents()});
        continue;
      }
      all.push_back({path + name + "/", nullptr});
      todo.emplace_back(path + name + "/", node.get());
    }
  }
  std::sort(all.begin(), all.end(),
            [](const Listed& a, const Listed& b) { return a.path < b.path; });
  return all;
}

uint64_t FileSystem::Fingerprint() const {
  std::string text;
  std::vector<const Node*> todo = {root_.get()};
  while (!todo.empty()) {
    const Node* at = todo.back();
    todo.pop_back();
    text += '\0';
    for (const auto& [name, node] : at->entries) {
      const uint64_t hash = node->directory ? 0 : node->Contents()->hash();
      text.append(name).append(node->directory ? "/" : "\0", 1);
      text.append(reinterpret_cast<const char*>(&hash), sizeof(hash));
      if (node->directory) todo.push_back(node.get());
    }
  }
  return treering::codec::Hash64(base::ByteSpan(text));
}

uint64_t FileSystem::Medium() const {
  // Nodes are numbered as they are met, so that equal media give equal numbers.
  std::map<const Node*, uint64_t> numbers = {{root_.get(), 1}};
  std::vector<Node*> met = {root_.get()};
  uint64_t hash = pending_.size();
  const auto add = [&](const std::string& name, const NodePtr& node) {
    hash = Mix(hash, treering::codec::Hash64(base::ByteSpan(name)));
    if (node == nullptr) return;
    const auto [at, fresh] = numbers.emplace(node.get(), numbers.size() + 1);
    if (fresh) met.push_back(node.get());
    hash = Mix(hash, at->second);
  };
  size_t next = 0;
  const auto walk = [&] {
    for (; next < met.size(); ++next) {
      Node* node = met[next];
      if (node->directory) {
        hash = Mix(hash, node->durable.size());
        for (const auto& [name, child] : node->durable) add(name, child);
      } else {
        hash = Mix(Mix(hash, node->Contents()->hash()), node->durable_size);
      }
    }
  };
  walk();
  for (const Change& change : pending_) {
    add("", change.directory);
    for (const auto& [name, node] : change.assignments) add(name, node);
    walk();
  }
  return hash;
}

}  // namespace crash
