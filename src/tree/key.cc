// SPDX-License-Identifier: Apache-2.0
// Names of the kinds of nodes.
//
// Messages name kinds in words; numbers never reach a person. The words are the ones that the
// command line and the bindings print too, so they are decided here once. Kinds that are not known
// have a name as well, since a message about one must be possible.
#include "tree/key.h"

namespace treering::tree {

const char* KindName(Kind kind) {
  switch (kind) {
    case Kind::kDict:
      return "dict";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kNamedTuple:
      return "namedtuple";
    case Kind::kDataclass:
      return "dataclass";
    case Kind::kCustom:
      return "custom node";
    case Kind::kNone:
      return "none";
    case Kind::kArray:
      return "array";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kComplex:
      return "complex";
    case Kind::kString:
      return "string";
    case Kind::kBytes:
      return "bytes";
    case Kind::kPrngKey:
      return "PRNG key";
    case Kind::kAlias:
      return "alias";
    case Kind::kPlaceholder:
      return "placeholder";
  }
  return "unknown kind";
}

}  // namespace treering::tree
