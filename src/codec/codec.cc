// SPDX-License-Identifier: Apache-2.0
// Encoding and decoding of chunks: raw, one zstd frame, or planes of bytes in frames of their own.
//
// Encoding is a function of input and parameters alone: each frame begins by resetting the context,
// and nothing depends on how large the scratch memory has grown. It is never a gain that turns out
// a loss: what does not shrink is answered as raw, and so is each plane.
//
// Decoding trusts nothing. A frame is taken only if it is exactly one, of the right magic, without
// dictionary, stating the very size wanted; then zstd decodes into memory of that size. Whoever
// calls has verified the hash, so what is wrong here was written wrong or by an enemy.
//
// Only the stable API of libzstd is used, so that any version from 1.4.8 on serves.
#include "codec/codec.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <cstring>
#include <string>
#include <utility>

#include "codec/planes.h"

namespace treering::codec {
namespace {

using base::ByteSpan;
using base::Code;
using base::Status;

constexpr uint64_t kMaxRaw = uint64_t{1} << 30;
constexpr uint32_t kFrameMagic = 0xFD2FB528;
constexpr uint32_t kPlaneStored = uint32_t{1} << 31;  // the plane is stored as it is
constexpr uint8_t kRotateBit = 0x80;

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Memory that only grows and is not cleared.
class Scratch {
 public:
  uint8_t* Need(uint64_t size) {
    if (size > size_) {
      memory_.reset();
      size_ = 0;
      memory_.reset(new uint8_t[static_cast<size_t>(size)]);
      size_ = size;
    }
    return memory_.get();
  }

 private:
  std::unique_ptr<uint8_t[]> memory_;
  uint64_t size_ = 0;
};

Status Corrupt(const char* what) {
  return Status(Code::kCorruptStructure, std::string("chunk: ") + what);
}

Status FromZstd(size_t result) {
  if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) {
    return Status(Code::kNoMemory, "out of memory in zstd");
  }
  return Status(Code::kInternal, std::string("zstd: ") + ZSTD_getErrorName(result));
}

bool IsPlaneWidth(uint32_t width) { return width == 2 || width == 4 || width == 8; }

// How a frame is made. kSkewed: literals through Huffman and hardly a match sought, since
// accidental matches cost more than the literals they replace.
enum class Effort { kLevel, kLiterals };

size_t SetUp(ZSTD_CCtx* context, Effort effort, int32_t level) {
  const std::pair<ZSTD_cParameter, int> literals[] = {
      {ZSTD_c_strategy, ZSTD_fast}, {ZSTD_c_windowLog, 18},   {ZSTD_c_hashLog, 6},
      {ZSTD_c_minMatch, 7},         {ZSTD_c_targetLength, 0},
  };
  size_t result = ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
  if (ZSTD_isError(result)) return result;
  result = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel,
                                  effort == Effort::kLiterals ? 1 : level);
  if (effort == Effort::kLevel) return result;
  for (const auto& [parameter, value] : literals) {
    if (ZSTD_isError(result)) return result;
    result = ZSTD_CCtx_setParameter(context, parameter, value);
  }
  return result;
}

// The duty of FORMAT.md: exactly one frame that says it holds `size` bytes.
Status CheckFrame(ByteSpan stored, uint64_t size) {
  const size_t stored_size = static_cast<size_t>(stored.size);
  if (stored.size < 4 || base::LoadLe32(stored.data) != kFrameMagic) {
    return Corrupt("not a zstd frame");
  }
  if (ZSTD_getFrameContentSize(stored.data, stored_size) != size) {
    return Corrupt("the zstd frame states another size than the chunk record");
  }
  if (ZSTD_getDictID_fromFrame(stored.data, stored_size) != 0) {
    return Corrupt("the zstd frame wants a dictionary");
  }
  if (ZSTD_findFrameCompressedSize(stored.data, stored_size) != stored_size) {
    return Corrupt("the zstd frame does not end where the chunk does");
  }
  return Status();
}

}  // namespace

struct Codec::State {
  std::unique_ptr<ZSTD_CCtx, FreeZstd> compressor;
  std::unique_ptr<ZSTD_DCtx, FreeZstd> decompressor;
  Scratch scratch;

  Status Compress(Effort effort, int32_t level, ByteSpan raw, uint8_t* out, uint64_t capacity,
                  uint64_t* size);
  Status Decompress(ByteSpan stored, uint8_t* out, uint64_t size);
  Status EncodeFrame(const CodecParams& params, ByteSpan raw, std::vector<uint8_t>* out);
  Status EncodePlane(ByteSpan plane, uint8_t* out, uint64_t capacity, uint32_t* word);
  Status EncodePlanes(const CodecParams& params, ByteSpan raw, std::vector<uint8_t>* out);
  Status DecodePlanes(uint8_t param, ByteSpan stored, uint8_t* out, uint64_t raw_size);
};

Status Codec::State::Compress(Effort effort, int32_t level, ByteSpan raw, uint8_t* out,
                              uint64_t capacity, uint64_t* size) {
  if (!compressor) compressor.reset(ZSTD_createCCtx());
  if (!compressor) return Status(Code::kNoMemory, "out of memory for a zstd context");
  size_t result = SetUp(compressor.get(), effort, level);
  if (!ZSTD_isError(result)) {
    result = ZSTD_compress2(compressor.get(), out, static_cast<size_t>(capacity), raw.data,
                            static_cast<size_t>(raw.size));
  }
  if (ZSTD_isError(result)) return FromZstd(result);
  *size = result;
  return Status();
}

Status Codec::State::Decompress(ByteSpan stored, uint8_t* out, uint64_t size) {
  TR_RETURN_IF_ERROR(CheckFrame(stored, size));
  if (!decompressor) decompressor.reset(ZSTD_createDCtx());
  if (!decompressor) return Status(Code::kNoMemory, "out of memory for a zstd context");
  const size_t result = ZSTD_decompressDCtx(decompressor.get(), out, static_cast<size_t>(size),
                                            stored.data, static_cast<size_t>(stored.size));
  if (result == size) return Status();
  if (ZSTD_isError(result) && ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) {
    return FromZstd(result);
  }
  return Corrupt("the zstd frame does not decode");
}

Status Codec::State::EncodeFrame(const CodecParams& params, ByteSpan raw,
                                 std::vector<uint8_t>* out) {
  out->resize(ZSTD_compressBound(static_cast<size_t>(raw.size)));
  uint64_t size = 0;
  TR_RETURN_IF_ERROR(Compress(Effort::kLevel, params.level, raw, out->data(), out->size(), &size));
  out->resize(static_cast<size_t>(size));
  return Status();
}

// Writes the plane in its best form to `out`; *word says how and how long.
Status Codec::State::EncodePlane(ByteSpan plane, uint8_t* out, uint64_t capacity, uint32_t* word) {
  const PlaneKind kind = JudgePlane(plane);
  uint64_t size = plane.size;
  if (kind != PlaneKind::kNoise) {
    const Effort effort = kind == PlaneKind::kDominated ? Effort::kLevel : Effort::kLiterals;
    TR_RETURN_IF_ERROR(Compress(effort, 1, plane, out, capacity, &size));
  }
  *word = static_cast<uint32_t>(size);
  if (size >= plane.size) {
    std::memcpy(out, plane.data, static_cast<size_t>(plane.size));
    *word = static_cast<uint32_t>(plane.size) | kPlaneStored;
  }
  return Status();
}

Status Codec::State::EncodePlanes(const CodecParams& params, ByteSpan raw,
                                  std::vector<uint8_t>* out) {
  const uint32_t width = params.element;
  const uint64_t count = raw.size / width;
  const uint64_t bound = ZSTD_compressBound(static_cast<size_t>(count));
  uint8_t* planes = scratch.Need(raw.size);
  SplitPlanes(raw.data, count, width, params.rotate, planes);
  // No plane ends up longer than it was, so the last begins early enough to have its bound.
  out->resize(static_cast<size_t>(4 * width + (width - 1) * count + bound));
  uint64_t at = 4 * width;
  for (uint32_t i = 0; i < width; ++i) {
    uint32_t word = 0;
    TR_RETURN_IF_ERROR(
        EncodePlane(ByteSpan(planes + i * count, count), out->data() + at, bound, &word));
    base::StoreLe32(out->data() + 4 * i, word);
    at += word & ~kPlaneStored;
  }
  out->resize(static_cast<size_t>(at));
  return Status();
}

// Planes stored as they are stay where they lie; the others are decoded into scratch memory.
Status Codec::State::DecodePlanes(uint8_t param, ByteSpan stored, uint8_t* out, uint64_t raw_size) {
  const uint32_t width = param & 0x0f;
  if (!IsPlaneWidth(width) || (param & 0x70) != 0) return Corrupt("unknown plane parameter");
  if (raw_size % width != 0) return Corrupt("planes of a size that is no multiple of the element");
  const uint64_t count = raw_size / width;
  base::ByteReader reader(stored);
  uint32_t words[kMaxPlanes] = {};
  uint64_t coded = 0;
  for (uint32_t i = 0; i < width; ++i) {
    words[i] = reader.U32();
    coded += (words[i] & kPlaneStored) == 0;
  }
  ByteSpan parts[kMaxPlanes];
  for (uint32_t i = 0; i < width; ++i) {
    const bool as_is = (words[i] & kPlaneStored) != 0;
    parts[i] = reader.Bytes(words[i] & ~kPlaneStored);
    if (as_is && parts[i].size != count) return Corrupt("a plane has the wrong length");
    if (!as_is) TR_RETURN_IF_ERROR(CheckFrame(parts[i], count));
  }
  if (!reader.done()) return Corrupt("the lengths of the planes do not add up");
  uint8_t* decoded = scratch.Need(coded * count);
  const uint8_t* planes[kMaxPlanes] = {};
  for (uint32_t i = 0; i < width; ++i) {
    planes[i] = parts[i].data;
    if ((words[i] & kPlaneStored) != 0) continue;
    TR_RETURN_IF_ERROR(Decompress(parts[i], decoded, count));
    planes[i] = decoded;
    decoded += count;
  }
  MergePlanes(planes, count, width, (param & kRotateBit) != 0, out);
  return Status();
}

Codec::Codec() : state_(new State) {}

Codec::~Codec() = default;

Status Codec::Encode(const CodecParams& params, ByteSpan raw, std::vector<uint8_t>* out,
                     uint8_t* used) {
  *used = kRaw;
  out->clear();
  if (raw.size > kMaxRaw) {
    return Status(Code::kLimit, "chunk of " + std::to_string(raw.size) +
                                    " bytes, at most 1 GiB is possible; use smaller chunks");
  }
  if (params.codec == kZstdPlanes && !IsPlaneWidth(params.element)) {
    return Status(Code::kInvalidArgument,
                  "planes need elements of 2, 4 or 8 bytes, not " + std::to_string(params.element));
  }
  if (params.codec > kZstdPlanes) {
    return Status(Code::kUnsupportedCodec,
                  "unknown codec " + std::to_string(params.codec) + "; known are 0, 1 and 2");
  }
  const bool planes = params.codec == kZstdPlanes;
  if (params.codec == kRaw || raw.size == 0) return Status();
  if (planes && raw.size % params.element != 0) return Status();
  Status status =
      planes ? state_->EncodePlanes(params, raw, out) : state_->EncodeFrame(params, raw, out);
  if (!status.ok() || out->size() >= raw.size) {
    out->clear();
  } else {
    *used = params.codec;
  }
  return status;
}

Status Codec::Decode(uint8_t codec, uint8_t param, ByteSpan stored, void* dst, uint64_t raw_size) {
  if (codec > kZstdPlanes) {
    return Status(Code::kUnsupportedCodec, "chunk: codec " + std::to_string(codec) +
                                               " is unknown to this version; use a newer one");
  }
  if (raw_size > kMaxRaw) return Corrupt("more than 1 GiB of raw bytes");
  if (codec != kZstdPlanes && param != 0) return Corrupt("a parameter where the codec has none");
  if (codec == kRaw) {
    if (stored.size != raw_size) return Corrupt("stored and raw size of a raw chunk differ");
    if (raw_size != 0) std::memcpy(dst, stored.data, static_cast<size_t>(raw_size));
    return Status();
  }
  if (raw_size == 0) return Corrupt("compressed, but without raw bytes");
  auto* out = static_cast<uint8_t*>(dst);
  return codec == kZstd ? state_->Decompress(stored, out, raw_size)
                        : state_->DecodePlanes(param, stored, out, raw_size);
}

uint8_t ParamByte(const CodecParams& params) {
  if (params.codec != kZstdPlanes) return 0;
  return static_cast<uint8_t>(params.element | (params.rotate ? kRotateBit : 0));
}

}  // namespace treering::codec
