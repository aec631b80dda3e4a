/* SPDX-License-Identifier: Apache-2.0
 * Moves whole columns of Python objects into treering's structs and back, one call for all rows.
 *
 * A tree of 100,000 leaves must not cost 100,000 crossings between Python and C. Python walks the
 * tree and keeps three lists (keys, values, codes); treering_py_fill makes nodes of them in one go,
 * and the functions below it make lists of nodes. Arrays are read through `__array_struct__`, whose
 * layout is NumPy's protocol for all versions, so that no NumPy header is needed and the module
 * stays within the stable ABI. Lists and dicts come as addresses (Python's id()) that the caller
 * keeps alive; each function takes the GIL, which cffi has released.
 *
 * Memory that nodes point into (shapes, small numbers) is the caller's treering_py_memory.
 */
#ifndef TREERING_PYTHON_BRIDGE_H_
#define TREERING_PYTHON_BRIDGE_H_

#include <Python.h>
#include <stdlib.h>
#include <string.h>
#include <treering/treering.h>

/* NumPy's PyArrayInterface. */
typedef struct {
  int two;
  int nd;
  char typekind;
  int itemsize;
  int flags; /* 1: C order without gaps */
  Py_ssize_t* shape;
  Py_ssize_t* strides;
  void* data;
  PyObject* descr;
} ArrayInterface;

/* What a row's code means. */
typedef struct treering_py_code {
  int32_t kind;
  uint32_t reserved;
  const treering_attribute* attributes;
  uint64_t attribute_count;
} treering_py_code;

typedef struct MemoryBlock {
  struct MemoryBlock* next;
  size_t used;
  size_t size;
  uint64_t words[1];
} MemoryBlock;

typedef struct treering_py_memory {
  MemoryBlock* blocks;
  PyObject* kept; /* a list of bytes objects that keys and strings point into */
} treering_py_memory;

static treering_py_memory* treering_py_memory_new(void) {
  return (treering_py_memory*)calloc(1, sizeof(treering_py_memory));
}

static void treering_py_memory_free(treering_py_memory* memory) {
  if (memory == NULL) return;
  while (memory->blocks != NULL) {
    MemoryBlock* next = memory->blocks->next;
    free(memory->blocks);
    memory->blocks = next;
  }
  PyGILState_STATE state = PyGILState_Ensure();
  Py_XDECREF(memory->kept);
  PyGILState_Release(state);
  free(memory);
}

static uint64_t* TakeWords(treering_py_memory* memory, size_t count) {
  MemoryBlock* block = memory->blocks;
  if (block == NULL || block->size - block->used < count) {
    const size_t size = count > 8192 ? count : 8192;
    block = (MemoryBlock*)malloc(sizeof(MemoryBlock) + size * sizeof(uint64_t));
    if (block == NULL) return NULL;
    block->next = memory->blocks;
    block->used = 0;
    block->size = size;
    memory->blocks = block;
  }
  block->used += count;
  return block->words + (block->used - count);
}

/* Text of a str; lone surrogates as WTF-8, in a bytes object that `memory` keeps. 0 or -1. */
static int TextOf(PyObject* object, treering_py_memory* memory, const char** text, uint64_t* size) {
  Py_ssize_t n = 0;
  *text = PyUnicode_AsUTF8AndSize(object, &n);
  if (*text == NULL) {
    PyErr_Clear();
    PyObject* bytes = PyUnicode_AsEncodedString(object, "utf-8", "surrogatepass");
    if (bytes == NULL) return -1;
    if (memory->kept == NULL) memory->kept = PyList_New(0);
    const int failed = memory->kept == NULL || PyList_Append(memory->kept, bytes) != 0;
    *text = PyBytes_AsString(bytes);
    n = PyBytes_Size(bytes);
    Py_DECREF(bytes); /* the list holds it */
    if (failed) return -1;
  }
  *size = (uint64_t)n;
  return 0;
}

/* None: no key (a root, or a position); int; bytes: an int beyond 64 bits; else str. 0 or -1. */
static int FillKey(PyObject* object, treering_py_memory* memory, treering_key* key) {
  if (object == Py_None) return 0;
  if (PyUnicode_Check(object)) {
    key->kind = TREERING_KEY_STRING;
    return TextOf(object, memory, &key->text, &key->text_size);
  }
  if (PyBytes_Check(object)) {
    key->kind = TREERING_KEY_BIGINT;
    key->text = PyBytes_AsString(object);
    key->text_size = (uint64_t)PyBytes_Size(object);
    return 0;
  }
  int overflow = 0;
  key->kind = TREERING_KEY_INT;
  key->integer = PyLong_AsLongLongAndOverflow(object, &overflow);
  return overflow != 0 || PyErr_Occurred() ? -1 : 0;
}

typedef struct {
  PyObject* dtypes; /* dict: numpy.dtype -> dtype number | 65536 if of 2 or 4 bits */
  PyObject* struct_name;
  PyObject* dtype_name;
  PyObject* last_dtype; /* borrowed: some array of the batch holds it */
  uint32_t last_number;
  int target;
  treering_py_memory* memory;
} Filler;

/* The dtype's number, 0 if it is not in the dict. */
static uint32_t NumberOf(Filler* filler, PyObject* array) {
  PyObject* dtype = PyObject_GetAttr(array, filler->dtype_name);
  if (dtype == NULL) return 0;
  if (dtype != filler->last_dtype) {
    PyObject* number = PyDict_GetItemWithError(filler->dtypes, dtype);
    filler->last_dtype = number == NULL ? NULL : dtype;
    filler->last_number = number == NULL ? 0 : (uint32_t)PyLong_AsUnsignedLong(number);
  }
  Py_DECREF(dtype);
  return filler->last_dtype == NULL ? 0 : filler->last_number;
}

static int FillFromInterface(Filler* filler, const ArrayInterface* in, treering_node* node) {
  const int strided = (in->flags & 1) == 0 && !filler->target;
  uint64_t count = 1;
  node->rank = (uint32_t)in->nd;
  if (in->nd != 0) {
    uint64_t* words = TakeWords(filler->memory, (size_t)in->nd * (strided ? 2 : 1));
    if (words == NULL) return -1;
    node->shape = words;
    for (int i = 0; i < in->nd; ++i) {
      words[i] = (uint64_t)in->shape[i];
      count *= words[i];
      if (strided) words[in->nd + i] = (uint64_t)(int64_t)in->strides[i];
    }
    if (strided) node->strides = (const int64_t*)(words + in->nd);
  }
  if (filler->target) {
    node->destination = in->data;
    node->destination_size = count * (uint64_t)in->itemsize;
  } else {
    node->data = in->data;
  }
  return 0;
}

static int FillArray(Filler* filler, PyObject* array, treering_node* node) {
  const uint32_t number = NumberOf(filler, array);
  if (number == 0) return -1;
  node->dtype = number & 65535;
  node->one_per_byte = number >> 16;
  PyObject* capsule = PyObject_GetAttr(array, filler->struct_name);
  if (capsule == NULL) return -1;
  const ArrayInterface* in = (const ArrayInterface*)PyCapsule_GetPointer(capsule, NULL);
  const int result = in == NULL ? -1 : FillFromInterface(filler, in, node);
  Py_DECREF(capsule);
  return result;
}

static int FillInteger(Filler* filler, PyObject* value, treering_node* node) {
  if (PyBytes_Check(value)) {
    node->data = PyBytes_AsString(value);
    node->data_size = (uint64_t)PyBytes_Size(value);
    return 0;
  }
  int overflow = 0;
  const uint64_t bits = (uint64_t)PyLong_AsLongLongAndOverflow(value, &overflow);
  unsigned char* bytes = (unsigned char*)TakeWords(filler->memory, 1);
  if (overflow != 0 || PyErr_Occurred() || bytes == NULL) return -1;
  for (int i = 0; i < 8; ++i) bytes[i] = (unsigned char)(bits >> (8 * i));
  node->data = bytes;
  node->data_size = 8;
  return 0;
}

static int FillNumber(Filler* filler, PyObject* value, treering_node* node) {
  double* words = (double*)(void*)TakeWords(filler->memory, 2);
  if (words == NULL) return -1;
  node->data = words;
  if (node->kind == TREERING_BOOLEAN) {
    const int truth = PyObject_IsTrue(value);
    *(unsigned char*)words = truth == 1;
    return truth < 0 ? -1 : 0;
  }
  if (node->kind == TREERING_FLOAT) {
    words[0] = PyFloat_AsDouble(value);
  } else {
    words[0] = PyComplex_RealAsDouble(value);
    words[1] = PyComplex_ImagAsDouble(value);
  }
  return PyErr_Occurred() ? -1 : 0;
}

static int FillValue(Filler* filler, PyObject* value, treering_node* node) {
  switch (node->kind) {
    case TREERING_ARRAY:
    case TREERING_PRNG_KEY:
      return FillArray(filler, value, node);
    case TREERING_NONE:
    case TREERING_PLACEHOLDER:
      return 0;
    case TREERING_ALIAS:
      node->alias_of = PyLong_AsUnsignedLongLong(value);
      return PyErr_Occurred() ? -1 : 0;
    case TREERING_BOOLEAN:
    case TREERING_FLOAT:
    case TREERING_COMPLEX:
      return filler->target ? 0 : FillNumber(filler, value, node);
    case TREERING_INTEGER:
      return filler->target ? 0 : FillInteger(filler, value, node);
    case TREERING_STRING: {
      const char* text = NULL;
      if (filler->target) return 0;
      if (TextOf(value, filler->memory, &text, &node->data_size) != 0) return -1;
      node->data = text;
      return 0;
    }
    case TREERING_BYTES:
      if (filler->target) return 0;
      node->data = PyBytes_AsString(value);
      node->data_size = (uint64_t)PyBytes_Size(value);
      return node->data == NULL ? -1 : 0;
    default:
      node->child_count = PyLong_AsUnsignedLongLong(value);
      return PyErr_Occurred() ? -1 : 0;
  }
}

static int FillRow(Filler* filler, PyObject* key, PyObject* value, const treering_py_code* code,
                   treering_node* node) {
  memset(node, 0, sizeof(*node));
  node->kind = code->kind;
  node->attributes = code->attributes;
  node->attribute_count = code->attribute_count;
  if (FillKey(key, filler->memory, &node->key) != 0) return -1;
  return FillValue(filler, value, node);
}

/* Fills nodes[first …] from the rows. Answers the number of rows, or the row that needs the
 * caller's help (a value or key of a form not known here): help and call again with first = row. */
static int64_t treering_py_fill(uintptr_t keys, uintptr_t values, uintptr_t codes,
                                const treering_py_code* table, uintptr_t dtypes, int32_t target,
                                int64_t first, treering_node* nodes, treering_py_memory* memory) {
  PyGILState_STATE state = PyGILState_Ensure();
  Filler filler;
  memset(&filler, 0, sizeof(filler));
  filler.dtypes = (PyObject*)dtypes;
  filler.struct_name = PyUnicode_InternFromString("__array_struct__");
  filler.dtype_name = PyUnicode_InternFromString("dtype");
  filler.target = target;
  filler.memory = memory;
  const Py_ssize_t count = PyList_Size((PyObject*)values);
  Py_ssize_t row = (Py_ssize_t)first;
  for (; row < count; ++row) {
    const unsigned long code = PyLong_AsUnsignedLong(PyList_GetItem((PyObject*)codes, row));
    if (FillRow(&filler, PyList_GetItem((PyObject*)keys, row),
                PyList_GetItem((PyObject*)values, row), &table[code], &nodes[row]) != 0) {
      break;
    }
  }
  PyErr_Clear();
  Py_XDECREF(filler.struct_name);
  Py_XDECREF(filler.dtype_name);
  PyGILState_Release(state);
  return (int64_t)row;
}

/* ---- back: nodes to lists */

static PyObject* KeyObject(const treering_key* key) {
  switch (key->kind) {
    case TREERING_KEY_STRING:
      return PyUnicode_DecodeUTF8(key->text, (Py_ssize_t)key->text_size, "surrogatepass");
    case TREERING_KEY_INT:
      return PyLong_FromLongLong(key->integer);
    case TREERING_KEY_BIGINT:
      return PyBytes_FromStringAndSize(key->text, (Py_ssize_t)key->text_size);
    default:
      Py_INCREF(Py_None);
      return Py_None;
  }
}

static PyObject* ShapeObject(const treering_node* node) {
  PyObject* tuple = PyTuple_New((Py_ssize_t)node->rank);
  for (uint32_t i = 0; tuple != NULL && i < node->rank; ++i) {
    PyObject* dimension = PyLong_FromUnsignedLongLong(node->shape[i]);
    if (dimension == NULL || PyTuple_SetItem(tuple, (Py_ssize_t)i, dimension) != 0) {
      Py_DECREF(tuple);
      return NULL;
    }
  }
  return tuple;
}

static PyObject* AttributesObject(const treering_node* node) {
  PyObject* tuple = PyTuple_New((Py_ssize_t)node->attribute_count);
  for (uint64_t i = 0; tuple != NULL && i < node->attribute_count; ++i) {
    const treering_attribute* a = &node->attributes[i];
    PyObject* id = PyLong_FromUnsignedLong(a->id);
    PyObject* value = PyBytes_FromStringAndSize((const char*)a->value, (Py_ssize_t)a->size);
    PyObject* pair = id == NULL || value == NULL ? NULL : PyTuple_Pack(2, id, value);
    Py_XDECREF(id);
    Py_XDECREF(value);
    if (pair == NULL || PyTuple_SetItem(tuple, (Py_ssize_t)i, pair) != 0) {
      Py_DECREF(tuple);
      return NULL;
    }
  }
  return tuple;
}

static int SameShape(const treering_node* a, const treering_node* b) {
  return a->rank == b->rank &&
         (a->rank == 0 || memcmp(a->shape, b->shape, a->rank * sizeof(uint64_t)) == 0);
}

static int SameAttributes(const treering_node* a, const treering_node* b) {
  if (a->attribute_count != b->attribute_count) return 0;
  for (uint64_t i = 0; i < a->attribute_count; ++i) {
    const treering_attribute* x = &a->attributes[i];
    const treering_attribute* y = &b->attributes[i];
    if (x->id != y->id || x->value != y->value || x->size != y->size) return 0;
  }
  return 1;
}

static int AppendNew(PyObject* list, PyObject* object) {
  if (object == NULL) return -1;
  const int result = PyList_Append(list, object);
  Py_DECREF(object);
  return result;
}

/* Appends the previous element again where the node is like the one before: one object for both. */
static int AppendLike(PyObject* list, int same, PyObject* (*make)(const treering_node*),
                      const treering_node* node) {
  if (!same) return AppendNew(list, make(node));
  return PyList_Append(list, PyList_GetItem(list, PyList_Size(list) - 1));
}

/* Appends key, shape and attributes ((id, value), …) of each node to the lists. 0, or -1: a text is
 * not what the format promises, or there is no memory. */
static int32_t treering_py_describe(const treering_node* nodes, uint64_t count, uintptr_t keys,
                                    uintptr_t shapes, uintptr_t attributes) {
  PyGILState_STATE state = PyGILState_Ensure();
  int failed = 0;
  for (uint64_t i = 0; i < count && !failed; ++i) {
    const treering_node* node = &nodes[i];
    failed = AppendNew((PyObject*)keys, KeyObject(&node->key)) != 0 ||
             AppendLike((PyObject*)shapes, i != 0 && SameShape(node, node - 1), ShapeObject,
                        node) != 0 ||
             AppendLike((PyObject*)attributes, i != 0 && SameAttributes(node, node - 1),
                        AttributesObject, node) != 0;
  }
  PyErr_Clear();
  PyGILState_Release(state);
  return failed ? -1 : 0;
}

/* One read per array of the list, of the node ids[i], nodes[ids[i] - base], into the array. 0 or
 * -1. */
static int32_t treering_py_reads(uintptr_t arrays, const uint64_t* ids, uint64_t base,
                                 const treering_node* nodes, treering_read* reads) {
  PyGILState_STATE state = PyGILState_Ensure();
  PyObject* name = PyUnicode_InternFromString("__array_struct__");
  const Py_ssize_t count = PyList_Size((PyObject*)arrays);
  int failed = name == NULL;
  for (Py_ssize_t i = 0; i < count && !failed; ++i) {
    PyObject* capsule = PyObject_GetAttr(PyList_GetItem((PyObject*)arrays, i), name);
    const ArrayInterface* in =
        capsule == NULL ? NULL : (const ArrayInterface*)PyCapsule_GetPointer(capsule, NULL);
    failed = in == NULL;
    if (!failed) {
      const uint32_t bits = nodes[ids[i] - base].dtype & 255;
      uint64_t size = (uint64_t)in->itemsize;
      for (int axis = 0; axis < in->nd; ++axis) size *= (uint64_t)in->shape[axis];
      memset(&reads[i], 0, sizeof(reads[i]));
      reads[i].node = ids[i];
      reads[i].dst = in->data;
      reads[i].dst_size = size;
      reads[i].one_per_byte = bits == 2 || bits == 4;
    }
    Py_XDECREF(capsule);
  }
  Py_XDECREF(name);
  PyErr_Clear();
  PyGILState_Release(state);
  return failed ? -1 : 0;
}

#endif /* TREERING_PYTHON_BRIDGE_H_ */
