// SPDX-License-Identifier: Apache-2.0
// Chunks through a codec: raw, one zstd frame, or byte planes.
//
// Encoding may only ever make a chunk smaller, otherwise it answers that the chunk stays raw.
// Decoding is total: lengths are checked against each other and against the size that the caller
// expects before a byte is written, and each decoder fills exactly that room or says corrupt.
//
// Planes are stored as one word each (bit 31: the plane is raw; the low bits: its stored length),
// then the planes in order, and nothing after. Scratch memory grows to one chunk and is kept.
// The hash of the stored bytes has been checked by the caller.
#include "codec/codec.h"

#include <cstring>
#include <string>

#include "codec/planes.h"
#include "codec/zstd_frame.h"

namespace treering::codec {
namespace {

using base::ByteSpan;
using base::Code;
using base::Status;

constexpr uint32_t kPlaneIsRaw = uint32_t{1} << 31;
constexpr uint8_t kElementBits = 0x0f;
constexpr uint8_t kRotateBit = 0x80;

Status Corrupt(std::string what) {
  return Status(Code::kCorruptStructure, std::move(what) + "; restore another copy");
}

bool ValidElement(uint32_t width) { return width == 2 || width == 4 || width == 8; }

}  // namespace

uint8_t ParamByte(const CodecParams& params) {
  if (params.codec != kZstdPlanes) return 0;
  const uint32_t rotate = params.rotate ? kRotateBit : 0;
  return static_cast<uint8_t>((params.element & kElementBits) | rotate);
}

struct Codec::State {
  ZstdFrames zstd;
  std::vector<uint8_t> scratch;  // planes of one chunk

  uint8_t* Scratch(uint64_t size) {
    if (scratch.size() < size) scratch.resize(static_cast<size_t>(size));
    return scratch.data();
  }
  Status EncodeZstd(int32_t level, ByteSpan raw, std::vector<uint8_t>* out);
  Status EncodePlanes(const CodecParams& params, ByteSpan raw, std::vector<uint8_t>* out);
  base::Result<uint64_t> EncodePlane(int32_t level, ByteSpan plane, uint8_t* dst);
  Status DecodePlanes(uint8_t param, ByteSpan stored, uint8_t* dst, uint64_t raw_size);
};

Codec::Codec() : state_(new State) {}
Codec::~Codec() = default;

Status Codec::Encode(const CodecParams& params, ByteSpan raw, std::vector<uint8_t>* out,
                     uint8_t* used) {
  out->clear();
  *used = kRaw;
  Status status;
  if (params.codec == kZstd) {
    status = state_->EncodeZstd(params.level, raw, out);
  } else if (params.codec == kZstdPlanes && ValidElement(params.element)) {
    status = state_->EncodePlanes(params, raw, out);
  } else if (params.codec != kRaw) {
    status = Status(Code::kInvalidArgument,
                    "codec " + std::to_string(params.codec) + " with elements of " +
                        std::to_string(params.element) + " bytes is unknown; use raw or zstd");
  }
  if (!status.ok()) out->clear();
  if (!out->empty()) *used = params.codec;
  return status;
}

// Each of the following leaves *out empty where the result would not be smaller.
Status Codec::State::EncodeZstd(int32_t level, ByteSpan raw, std::vector<uint8_t>* out) {
  if (raw.size < 2) return Status();
  out->resize(static_cast<size_t>(raw.size - 1));
  ZstdMode mode;
  mode.level = level;
  TR_ASSIGN_OR_RETURN(const uint64_t size, zstd.Compress(mode, raw, out->data(), out->size()));
  out->resize(static_cast<size_t>(size));
  return Status();
}

Status Codec::State::EncodePlanes(const CodecParams& params, ByteSpan raw,
                                  std::vector<uint8_t>* out) {
  const uint32_t width = params.element;
  const uint64_t count = raw.size / width;
  if (count == 0 || raw.size % width != 0 || count >= kPlaneIsRaw) return Status();
  Planes planes = {};
  uint8_t* const first = Scratch(raw.size);
  for (uint32_t i = 0; i < width; ++i) planes[i] = first + i * count;
  SplitPlanes(raw.data, count, width, params.rotate, planes);

  uint64_t at = 4 * uint64_t{width};
  out->resize(static_cast<size_t>(at + raw.size));
  for (uint32_t i = 0; i < width; ++i) {
    const ByteSpan plane(planes[i], count);
    uint8_t* to = out->data() + at;
    TR_ASSIGN_OR_RETURN(const uint64_t size, EncodePlane(params.level, plane, to));
    const bool is_raw = size == 0;
    if (is_raw) std::memcpy(to, plane.data, static_cast<size_t>(count));
    const uint32_t length = static_cast<uint32_t>(is_raw ? count : size);
    base::StoreLe32(out->data() + 4 * i, length | (is_raw ? kPlaneIsRaw : 0));
    at += length;
  }
  out->resize(at < raw.size ? static_cast<size_t>(at) : 0);
  return Status();
}

// The length of the frame at dst, or 0 if the plane is better off raw. dst has room for the plane.
base::Result<uint64_t> Codec::State::EncodePlane(int32_t level, ByteSpan plane, uint8_t* dst) {
  const PlaneKind kind = LookAtPlane(plane);
  if (kind == PlaneKind::kNoise) return uint64_t{0};
  ZstdMode mode;
  mode.entropy_only = kind == PlaneKind::kUneven;
  mode.level = level;
  return zstd.Compress(mode, plane, dst, plane.size - 1);
}

Status Codec::Decode(uint8_t codec, uint8_t param, ByteSpan stored, void* dst, uint64_t raw_size) {
  uint8_t* to = static_cast<uint8_t*>(dst);
  if (codec > kZstdPlanes) {
    return Status(Code::kUnsupportedCodec,
                  "codec " + std::to_string(codec) + " is unknown; read this with a newer version");
  }
  if (codec == kZstdPlanes) return state_->DecodePlanes(param, stored, to, raw_size);
  if (param != 0) return Corrupt("codec parameter " + std::to_string(param) + " where 0 is due");
  if (codec == kZstd) return state_->zstd.Decompress(stored, to, raw_size);
  if (stored.size != raw_size) {
    return Corrupt("a raw chunk has " + std::to_string(stored.size) + " bytes where " +
                   std::to_string(raw_size) + " are expected");
  }
  if (raw_size != 0) std::memcpy(to, stored.data, static_cast<size_t>(raw_size));
  return Status();
}

Status Codec::State::DecodePlanes(uint8_t param, ByteSpan stored, uint8_t* dst, uint64_t raw_size) {
  const uint32_t width = param & kElementBits;
  if (!ValidElement(width) || (param & ~(kElementBits | kRotateBit)) != 0) {
    return Corrupt("codec parameter " + std::to_string(param) + " is none of byte planes");
  }
  const uint64_t count = raw_size / width;
  if (raw_size % width != 0) return Corrupt("a chunk of planes is no whole number of elements");
  base::ByteReader reader(stored);
  uint32_t words[kMaxElement] = {};
  uint64_t total = 4 * uint64_t{width};
  for (uint32_t i = 0; i < width; ++i) {
    words[i] = reader.U32();
    total += words[i] & ~kPlaneIsRaw;
  }
  if (!reader.ok() || total != stored.size) return Corrupt("planes do not fill their chunk");

  ConstPlanes planes = {};
  uint64_t scratch_size = 0;
  for (uint32_t i = 0; i < width; ++i) {
    if ((words[i] & kPlaneIsRaw) == 0) scratch_size += count;  // at most raw_size
  }
  uint8_t* next = Scratch(scratch_size);
  for (uint32_t i = 0; i < width; ++i) {
    const ByteSpan plane = reader.Bytes(words[i] & ~kPlaneIsRaw);
    if ((words[i] & kPlaneIsRaw) != 0) {
      if (plane.size != count) return Corrupt("a raw plane has a wrong length");
      planes[i] = plane.data;
      continue;
    }
    TR_RETURN_IF_ERROR(zstd.Decompress(plane, next, count));
    planes[i] = next;
    next += count;
  }
  JoinPlanes(planes, count, width, (param & kRotateBit) != 0, dst);
  return Status();
}

}  // namespace treering::codec
