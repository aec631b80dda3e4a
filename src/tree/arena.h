// SPDX-License-Identifier: Apache-2.0
// Memory that only grows, at addresses that stay, shared by copies of a tree.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace treering::tree {

// What was allocated lives as long as any arena that shares the block. The owner of an arena alone
// allocates from it; copies start a block of their own, so trees stay independent across threads.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Holds what `other` holds.
  void Share(const Arena& other) {
    blocks_.reserve(blocks_.size() + other.blocks_.size());
    for (const auto& block : other.blocks_) blocks_.push_back(block);
  }

  // Aligned to 8.
  char* Allocate(size_t size) {
    size = (size + 7) & ~size_t{7};
    if (size > left_ && size > block_size_ / 4) return NewBlock(size);
    if (size > left_) {
      next_ = NewBlock(block_size_);
      left_ = block_size_;
      if (block_size_ < (size_t{1} << 20)) block_size_ *= 2;
    }
    char* result = next_;
    next_ += size;
    left_ -= size;
    return result;
  }
  // Text is packed without alignment: keys are short and many.
  const char* Text(std::string_view text) {
    if (text.size() > 64) return Fill(Allocate(text.size()), text);
    if (text.size() > text_left_) {
      text_left_ = block_size_ / 8;
      text_next_ = Allocate(text_left_);
    }
    char* at = text_next_;
    text_next_ += text.size();
    text_left_ -= text.size();
    return Fill(at, text);
  }
  template <typename T>
  const T* Array(const T* from, uint64_t count) {
    if (count == 0) return nullptr;
    char* at = Allocate(static_cast<size_t>(count) * sizeof(T));
    std::memcpy(at, from, static_cast<size_t>(count) * sizeof(T));
    return reinterpret_cast<const T*>(at);
  }

 private:
  static const char* Fill(char* at, std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    return at;
  }
  char* NewBlock(size_t size) {
    blocks_.push_back(std::shared_ptr<char[]>(new char[size]));
    return blocks_.back().get();
  }

  std::vector<std::shared_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  size_t left_ = 0;
  char* text_next_ = nullptr;
  size_t text_left_ = 0;
  size_t block_size_ = 1024;
};

}  // namespace treering::tree
