// SPDX-License-Identifier: Apache-2.0
// What the recording file system consists of; for its own files only.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "recording_storage.h"

namespace crash {

struct Node : std::enable_shared_from_this<Node> {
  bool directory = false;

  // Files. `written` grows while a writer is open; `image` is the same as an image, null while it
  // is out of date.
  Bytes written;
  ImagePtr image;
  uint64_t durable_size = 0;
  bool open = false;  // to be written
  bool sync_failed = false;
  bool append_failed = false;
  bool close_failed = false;
  bool locked = false;

  // Directories: what programs see, and what is on the medium for sure.
  std::map<std::string, NodePtr> entries;
  std::map<std::string, NodePtr> durable;
  Node* parent = nullptr;
  bool removed = false;

  uint64_t size() const { return image != nullptr ? image->bytes().size : written.size(); }
  const ImagePtr& Contents() {
    if (image == nullptr) image = std::make_shared<const Image>(written);
    return image;
  }
};

}  // namespace crash
