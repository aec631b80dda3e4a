/* SPDX-License-Identifier: Apache-2.0
 * Classifies digits with a network trained in Python: weights by path, zero-copy, from the mapped
 * file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <treering/treering.h>

enum { kPixels = 64, kHidden = 64, kClasses = 10 };

static treering_error error = {.struct_size = sizeof error};

static void Check(treering_status status) {
  if (status == TREERING_OK) return;
  fprintf(stderr, "%s\n", error.message);
  exit(2);
}

static treering_checkpoint* Open(const char* path) {
  const treering_open_options options = {.struct_size = sizeof options, .map = 1};
  treering_checkpoint* file = NULL;
  Check(treering_checkpoint_open(&file, path, TREERING_NUL, &options, &error));
  return file;
}

/* The array at `path`, which must have this dtype and `columns` (0: one axis only); *rows is its
 * first dimension. The bytes lie in the mapping and have passed their checksums. */
static treering_blob* View(const treering_checkpoint* file, const char* path, uint32_t dtype,
                           uint64_t columns, uint64_t* rows) {
  uint64_t id = 0, count = 0;
  treering_node node;
  treering_blob *scratch = NULL, *view = NULL;
  Check(treering_checkpoint_find(&id, file, "", 0, path, TREERING_NUL, &error));
  Check(treering_checkpoint_nodes(file, id, &node, sizeof node, 1, &count, &scratch, &error));
  if (node.kind != TREERING_ARRAY || node.dtype != dtype || node.rank != (columns == 0 ? 1 : 2) ||
      (columns != 0 && node.shape[1] != columns)) {
    fprintf(stderr, "%s: not the array that this program knows\n", path);
    exit(2);
  }
  *rows = node.shape[0];
  treering_blob_free(scratch);
  Check(treering_checkpoint_view(&view, file, id, NULL, NULL, &error));
  return view;
}

/* One layer's weights: `inputs` by `outputs`, and a bias. */
typedef struct Layer {
  treering_blob *kernel, *bias;
} Layer;

static Layer OpenLayer(const treering_checkpoint* file, const char* name, uint64_t inputs,
                       uint64_t outputs) {
  char path[100];
  uint64_t rows = 0, biases = 0;
  Layer layer;
  snprintf(path, sizeof path, "model/%s/kernel", name);
  layer.kernel = View(file, path, TREERING_FLOAT32, outputs, &rows);
  snprintf(path, sizeof path, "model/%s/bias", name);
  layer.bias = View(file, path, TREERING_FLOAT32, 0, &biases);
  if (rows != inputs || biases != outputs) {
    fprintf(stderr, "model/%s: another size than this program knows\n", name);
    exit(2);
  }
  return layer;
}

static void FreeLayer(Layer layer) {
  treering_blob_free(layer.kernel);
  treering_blob_free(layer.bias);
}

static void Apply(Layer layer, const float* in, size_t inputs, float* out, size_t outputs) {
  const float* kernel = treering_blob_data(layer.kernel);
  memcpy(out, treering_blob_data(layer.bias), outputs * sizeof *out);
  for (size_t i = 0; i < inputs; ++i) {
    for (size_t j = 0; j < outputs; ++j) out[j] += in[i] * kernel[i * outputs + j];
  }
}

static int Classify(Layer hidden, Layer output, const uint8_t* pixels) {
  float in[kPixels], middle[kHidden], out[kClasses];
  int best = 0;
  for (int i = 0; i < kPixels; ++i) in[i] = (float)pixels[i] / 16;
  Apply(hidden, in, kPixels, middle, kHidden);
  for (int i = 0; i < kHidden; ++i) middle[i] = middle[i] > 0 ? middle[i] : 0;
  Apply(output, middle, kHidden, out, kClasses);
  for (int i = 1; i < kClasses; ++i) best = out[i] > out[best] ? i : best;
  return best;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    printf("usage: classify CHECKPOINT.ring DIGITS.ring\n");
    return argc == 1 ? 0 : 2;
  }
  treering_checkpoint *file = Open(argv[1]), *digits = Open(argv[2]);
  const Layer hidden = OpenLayer(file, "hidden", kPixels, kHidden);
  const Layer output = OpenLayer(file, "output", kHidden, kClasses);
  uint64_t count = 0, labels_count = 0, right = 0;
  treering_blob* images = View(digits, "images", TREERING_UINT8, kPixels, &count);
  treering_blob* labels = View(digits, "labels", TREERING_INT32, 0, &labels_count);
  /* Views keep the mapping; the files may be closed. */
  treering_checkpoint_free(file);
  treering_checkpoint_free(digits);
  if (count == 0 || count != labels_count) return fprintf(stderr, "no digits\n"), 2;
  printf("predictions: ");
  for (uint64_t i = 0; i < count; ++i) {
    const int found =
        Classify(hidden, output, (const uint8_t*)treering_blob_data(images) + i * kPixels);
    right += found == ((const int32_t*)treering_blob_data(labels))[i];
    printf("%d", found);
  }
  printf("\naccuracy: %.4f\n", (double)right / (double)count);
  FreeLayer(hidden);
  FreeLayer(output);
  treering_blob_free(images);
  treering_blob_free(labels);
  return 0;
}
