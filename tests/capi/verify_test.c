/* SPDX-License-Identifier: Apache-2.0
 * treering_checkpoint_verify: intact files pass, and whatever is changed is found and named. */
#include "support.h"

static treering_blob* container(const treering_save_options* options) {
  sample s;
  treering_blob* blob = NULL;
  make_sample(&s);
  blob = save_to_memory(s.tree, options);
  free_sample(&s);
  return blob;
}

/* A copy of a container in memory that may be changed, opened; to be freed. */
typedef struct image {
  uint8_t* bytes;
  uint64_t size;
} image;

static image copy_of(const treering_blob* blob) {
  image out;
  out.size = treering_blob_size(blob);
  out.bytes = malloc((size_t)out.size);
  assert_non_null(out.bytes);
  memcpy(out.bytes, treering_blob_data(blob), (size_t)out.size);
  return out;
}

static treering_status open_and_verify(const image* from, uint32_t threads,
                                       treering_report** report) {
  treering_checkpoint* checkpoint = NULL;
  treering_read_options options = {.struct_size = sizeof options, .threads = threads};
  treering_status status = treering_checkpoint_open_memory(&checkpoint, from->bytes, from->size,
                                                           NULL, NULL, NULL, err());
  *report = NULL;
  if (status != TREERING_OK) return status;
  status = treering_checkpoint_verify(report, checkpoint, &options, err());
  treering_checkpoint_free(checkpoint);
  return status;
}

static void an_intact_container_passes_with_every_codec_and_thread_count(void** state) {
  int32_t codec;
  uint32_t threads;
  (void)state;
  for (codec = TREERING_CODEC_RAW; codec <= TREERING_CODEC_ZSTD_PLANES; ++codec) {
    for (threads = 0; threads <= 3; threads += 3) {
      treering_save_options options = {
          .struct_size = sizeof options, .codec = codec, .chunk_bytes = 4096};
      treering_blob* blob = container(&options);
      image copy = copy_of(blob);
      treering_report* report = NULL;
      assert_ok(open_and_verify(&copy, threads, &report));
      assert_non_null(report);
      assert_int_equal(treering_report_count(report), 0);
      treering_report_free(report);
      free(copy.bytes);
      treering_blob_free(blob);
    }
  }
}

static void every_flipped_byte_is_found(void** state) {
  treering_blob* blob = container(NULL);
  image copy = copy_of(blob);
  uint64_t i, missed = 0;
  (void)state;
  for (i = 0; i < copy.size; i = i < 200000 && i > 3000 && i + 3000 < copy.size ? i + 997 : i + 1) {
    treering_report* report = NULL;
    copy.bytes[i] ^= 0x10;
    if (open_and_verify(&copy, 0, &report) == TREERING_OK) {
      print_error("byte %d\n", (int)i);
      ++missed;
    } else if (report != NULL && treering_report_count(report) == 0) {
      print_error("byte %d: empty report\n", (int)i);
      ++missed;
    }
    treering_report_free(report);
    copy.bytes[i] ^= 0x10;
  }
  assert_int_equal(missed, 0);
  free(copy.bytes);
  treering_blob_free(blob);
}

static uint64_t offset_of(const image* from, const void* bytes, size_t size) {
  uint64_t i;
  for (i = 0; i + size <= from->size; ++i) {
    if (memcmp(from->bytes + i, bytes, size) == 0) return i;
  }
  fail();
  return 0;
}

static void a_damaged_chunk_names_its_leaf_and_no_other(void** state) {
  treering_blob* blob = container(NULL);
  image copy = copy_of(blob);
  const float value[2] = {5000.f, 5001.f};
  const uint64_t at = offset_of(&copy, value, sizeof value);
  treering_report* report = NULL;
  treering_finding finding;
  (void)state;
  copy.bytes[at] ^= 1;
  assert_fails(open_and_verify(&copy, 0, &report), TREERING_CORRUPT_CHECKSUM, "params/kernel",
               "1 damaged leaf", "restore");
  assert_int_equal(treering_report_count(report), 1);
  finding = find_finding(report, TREERING_FINDING_DAMAGED, "params/kernel");
  assert_int_equal(finding.status, TREERING_CORRUPT_CHECKSUM);
  assert_true(finding.offset <= at);
  assert_non_null(strstr(treering_report_text(report), "params/kernel"));
  treering_report_free(report);
  free(copy.bytes);
  treering_blob_free(blob);
}

static void a_damaged_packed_chunk_names_all_leaves_in_it(void** state) {
  treering_blob* blob = container(NULL);
  image copy = copy_of(blob);
  const uint8_t small[] = {10, 11, 12, 13, 14, 15};
  const uint64_t at = offset_of(&copy, small, sizeof small);
  treering_report* report = NULL;
  (void)state;
  copy.bytes[at] ^= 1;
  assert_fails(open_and_verify(&copy, 2, &report), TREERING_CORRUPT_CHECKSUM, "3 damaged leaves");
  find_finding(report, TREERING_FINDING_DAMAGED, "small");
  find_finding(report, TREERING_FINDING_DAMAGED, "params/bias");
  find_finding(report, TREERING_FINDING_DAMAGED, "again"); /* the same leaf */
  assert_int_equal(treering_report_count(report), 3);
  treering_report_free(report);
  free(copy.bytes);
  treering_blob_free(blob);
}

static void a_damaged_block_of_the_index_is_told_with_its_offset_and_what_it_holds(void** state) {
  treering_blob* blob = container(NULL);
  image copy = copy_of(blob);
  treering_report* report = NULL;
  treering_finding finding;
  const uint64_t at = offset_of(&copy, "paramskernel", 6);
  (void)state;
  copy.bytes[at] ^= 1;
  assert_fails(open_and_verify(&copy, 0, &report), TREERING_CORRUPT_CHECKSUM, "index block 0");
  finding = find_finding(report, TREERING_FINDING_INVALID, "index block 0");
  assert_int_equal(finding.status, TREERING_CORRUPT_CHECKSUM);
  assert_true(finding.offset < at);
  assert_non_null(strstr(finding.found, "nodes 0 to 10"));
  treering_report_free(report);
  free(copy.bytes);
  treering_blob_free(blob);
}

static int32_t cancel(void* user, uint64_t done, uint64_t total) {
  uint64_t* last = user;
  if (total == 0 || done > total || done <= *last) return -1;
  *last = done;
  return done == total ? 7 : 0;
}

static void progress_counts_up_to_the_total_and_cancels(void** state) {
  treering_blob* blob = container(NULL);
  treering_checkpoint* checkpoint = open_blob(blob);
  uint64_t last = 0;
  treering_read_options options = {
      .struct_size = sizeof options, .progress = cancel, .user = &last};
  treering_report* report = (treering_report*)&last;
  (void)state;
  assert_fails(treering_checkpoint_verify(&report, checkpoint, &options, err()), TREERING_CANCELLED,
               "memory");
  assert_null(report);
  assert_true(last > SAMPLE_ROWS * SAMPLE_COLUMNS * 4);
  treering_checkpoint_free(checkpoint);
  treering_blob_free(blob);
}

static void null_arguments_are_refused(void** state) {
  treering_report* report = NULL;
  treering_blob* blob = container(NULL);
  treering_checkpoint* checkpoint = open_blob(blob);
  (void)state;
  assert_fails(treering_checkpoint_verify(NULL, checkpoint, NULL, err()), TREERING_INVALID_ARGUMENT,
               "out_report");
  assert_fails(treering_checkpoint_verify(&report, NULL, NULL, err()), TREERING_INVALID_ARGUMENT,
               "checkpoint");
  assert_null(report);
  treering_checkpoint_free(checkpoint);
  treering_blob_free(blob);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_intact_container_passes_with_every_codec_and_thread_count),
      cmocka_unit_test(every_flipped_byte_is_found),
      cmocka_unit_test(a_damaged_chunk_names_its_leaf_and_no_other),
      cmocka_unit_test(a_damaged_packed_chunk_names_all_leaves_in_it),
      cmocka_unit_test(a_damaged_block_of_the_index_is_told_with_its_offset_and_what_it_holds),
      cmocka_unit_test(progress_counts_up_to_the_total_and_cancels),
      cmocka_unit_test(null_arguments_are_refused),
  };
  return cmocka_run_group_tests_name("capi verify", tests, NULL, NULL);
}
