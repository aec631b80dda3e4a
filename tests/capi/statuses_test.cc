// SPDX-License-Identifier: Apache-2.0
// Statuses that need a file of a newer version, a lie with right checksums, or a failing system.
//
// Each leaves its outputs NULL or zero, and its message says what to do. Damage, missing files and
// wrong arguments are provoked by the tests in C; statuses.py sees to it that none is left out.
#include "../container/ring_builder.h"

#include <cerrno>

extern "C" {
#include "support.h"
}

namespace {

using written::Bytes;
using written::RingEditor;
namespace format = treering::format;

// The n-th fsync from now on fails; 0: none does.
int fsync_to_fail = 0;

Bytes SampleBytes() {
  sample s;
  make_sample(&s);
  treering_blob* blob = save_to_memory(s.tree, nullptr);
  const auto* data = static_cast<const uint8_t*>(treering_blob_data(blob));
  Bytes bytes(data, data + treering_blob_size(blob));
  treering_blob_free(blob);
  free_sample(&s);
  return bytes;
}

uint32_t IdOf(const Bytes& bytes, const char* path) {
  treering_checkpoint* checkpoint = nullptr;
  assert_ok(treering_checkpoint_open_memory(&checkpoint, bytes.data(), bytes.size(), nullptr,
                                            nullptr, nullptr, err()));
  const uint64_t id = find_node(checkpoint, path);
  treering_checkpoint_free(checkpoint);
  return static_cast<uint32_t>(id);
}

// What opening the bytes answers; -1 if it set its output nevertheless.
treering_status OpenStatus(const Bytes& bytes) {
  auto* checkpoint = reinterpret_cast<treering_checkpoint*>(&last_error);
  const treering_status status = treering_checkpoint_open_memory(
      &checkpoint, bytes.data(), bytes.size(), nullptr, nullptr, nullptr, err());
  if (status != TREERING_OK) return checkpoint == nullptr ? status : -1;
  treering_checkpoint_free(checkpoint);
  return status;
}

// What a whole load answers, and that "step" is still read; -1 if one of them is not as it must be.
treering_status LoadStatus(const Bytes& bytes) {
  treering_checkpoint* checkpoint = nullptr;
  auto* tree = reinterpret_cast<treering_tree*>(&last_error);
  uint8_t step = 0;
  treering_read read = {};
  read.dst = &step;
  read.dst_size = 1;
  if (treering_checkpoint_open_memory(&checkpoint, bytes.data(), bytes.size(), nullptr, nullptr,
                                      nullptr, err()) != TREERING_OK) {
    return -1;
  }
  const bool others =
      treering_checkpoint_find(&read.node, checkpoint, "", 0, "step", 4, err()) == TREERING_OK &&
      treering_checkpoint_read(checkpoint, &read, sizeof read, 1, nullptr, err()) == TREERING_OK &&
      step == 7;
  treering_status status = treering_checkpoint_load(&tree, checkpoint, "", 0, nullptr, err());
  if (tree != nullptr || !others) status = -1;
  treering_checkpoint_free(checkpoint);
  return status;
}

template <typename Change>
treering_status LoadWithNode(const char* path, Change change) {
  const Bytes bytes = SampleBytes();
  RingEditor edit(bytes);
  const uint32_t id = IdOf(bytes, path);
  format::NodeRecord record = edit.node(id);
  change(&record);
  edit.SetNode(id, record);
  return LoadStatus(edit.Make());
}

void a_newer_version_is_refused_at_opening(void** /*state*/) {
  RingEditor edit(SampleBytes());
  edit.trailer.major = 2;
  assert_fails(OpenStatus(edit.Make()), TREERING_UNSUPPORTED_VERSION, "version 2", "newer");
}

void an_unknown_incompatible_feature_is_refused_at_opening(void** /*state*/) {
  RingEditor edit(SampleBytes());
  edit.trailer.features_incompat = 8;
  assert_fails(OpenStatus(edit.Make()), TREERING_UNSUPPORTED_FEATURE, "0x0000000000000008",
               "newer");
}

void an_unknown_kind_costs_its_leaf(void** /*state*/) {
  assert_fails(LoadWithNode("small", [](format::NodeRecord* r) { r->kind = 90; }),
               TREERING_UNSUPPORTED_KIND, "'small'", "90", "newer");
}

void an_unknown_dtype_costs_its_leaf(void** /*state*/) {
  assert_fails(LoadWithNode("params/kernel", [](format::NodeRecord* r) { r->dtype_code = 99; }),
               TREERING_UNSUPPORTED_DTYPE, "'params/kernel'", "99", "newer");
}

void an_unknown_codec_costs_its_leaf(void** /*state*/) {
  RingEditor edit(SampleBytes());
  format::ChunkRecord chunk = edit.chunk(0);
  chunk.codec = 77;
  edit.SetChunk(0, chunk);
  assert_fails(LoadStatus(edit.Make()), TREERING_UNSUPPORTED_CODEC, "'params/kernel'", "77",
               "newer");
}

void a_lie_with_right_checksums_is_corrupt_structure(void** /*state*/) {
  assert_fails(LoadWithNode("small", [](format::NodeRecord* r) { r->size = 39; }),
               TREERING_CORRUPT_STRUCTURE, "'small'", "restore");
}

int32_t Take(void* /*user*/, const void* /*data*/, uint64_t /*size*/) { return 0; }
int32_t FailToFlush(void* /*user*/) { return EIO; }

void a_sink_that_cannot_flush_is_a_sync_failure(void** /*state*/) {
  treering_sink sink = {};
  sink.struct_size = sizeof sink;
  sink.write = Take;
  sink.flush = FailToFlush;
  treering_writer* writer = nullptr;
  treering_summary summary = {};
  summary.struct_size = sizeof summary;
  summary.file_size = 1;
  assert_ok(treering_writer_create_sink(&writer, &sink, nullptr, err()));
  assert_ok(treering_writer_add_bytes(writer, TREERING_ITEM_BLOB, "a", 1, "x", 1, err()));
  assert_fails(treering_writer_finish(&summary, nullptr, writer, err()), TREERING_IO_SYNC, "flush",
               "5");
  assert_int_equal(last_error.os_error, EIO);
  assert_int_equal(summary.file_size, 0);
  treering_writer_free(writer);
}

// Saves to "a.ring" with the n-th flush failing.
treering_status SaveWithFailingFlush(int n, treering_summary* summary) {
  treering_writer* writer = nullptr;
  *summary = {};
  summary->struct_size = sizeof *summary;
  summary->file_size = 1;
  assert_ok(treering_writer_create(&writer, in_scratch("a.ring"), TREERING_NUL, nullptr, err()));
  assert_ok(treering_writer_add_bytes(writer, TREERING_ITEM_BLOB, "a", 1, "x", 1, err()));
  fsync_to_fail = n;
  const treering_status status = treering_writer_finish(summary, nullptr, writer, err());
  fsync_to_fail = 0;
  treering_writer_free(writer);
  return status;
}

void a_file_that_cannot_be_flushed_never_exists(void** /*state*/) {
  treering_summary summary;
  assert_fails(SaveWithFailingFlush(1, &summary), TREERING_IO_SYNC, "a.ring");
  assert_int_equal(last_error.os_error, EIO);
  assert_int_equal(summary.file_size, 0);
  assert_int_equal(scratch_entries(), 0);
}

void a_folder_that_cannot_be_flushed_leaves_the_outcome_unknown(void** /*state*/) {
  treering_summary summary;
  assert_fails(SaveWithFailingFlush(2, &summary), TREERING_OUTCOME_UNKNOWN, "a.ring", "power loss");
  assert_int_equal(last_error.os_error, EIO);
  struct stat info;
  assert_int_equal(stat(in_scratch("a.ring"), &info), 0);
  assert_int_equal(summary.file_size, info.st_size);
}

}  // namespace

extern "C" {
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) {
  if (fsync_to_fail == 0 || --fsync_to_fail != 0) return __real_fsync(fd);
  errno = EIO;
  return -1;
}
}

#define TEST(name) cmocka_unit_test_teardown(name, empty_scratch)
int main() {
  const CMUnitTest tests[] = {
      TEST(a_newer_version_is_refused_at_opening),
      TEST(an_unknown_incompatible_feature_is_refused_at_opening),
      TEST(an_unknown_kind_costs_its_leaf),
      TEST(an_unknown_dtype_costs_its_leaf),
      TEST(an_unknown_codec_costs_its_leaf),
      TEST(a_lie_with_right_checksums_is_corrupt_structure),
      TEST(a_sink_that_cannot_flush_is_a_sync_failure),
      TEST(a_file_that_cannot_be_flushed_never_exists),
      TEST(a_folder_that_cannot_be_flushed_leaves_the_outcome_unknown),
  };
  return cmocka_run_group_tests_name("capi statuses", tests, make_scratch, drop_scratch);
}
