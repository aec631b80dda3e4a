// SPDX-License-Identifier: Apache-2.0
// The one place that talks to libzstd.
//
// A zstd decoder accepts more than we store: several frames, skippable ones, old formats, frames of
// unknown size or with a dictionary. Each would be a second way to write the same chunk and a size
// that nobody has checked. So a frame is examined before it is decoded: magic, content size,
// dictionary id, and that it fills its span. Only then is it decoded, into exactly that room.
//
// Whether the bytes are the right ones is told by the chunk's hash, not here.
#include "codec/zstd_frame.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <string>

namespace treering::codec {
namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr uint32_t kMagic = 0xFD2FB528;

struct FreeCompress {
  void operator()(ZSTD_CCtx* p) const { ZSTD_freeCCtx(p); }
};
struct FreeDecompress {
  void operator()(ZSTD_DCtx* p) const { ZSTD_freeDCtx(p); }
};

Status Corrupt(std::string what) {
  return Status(Code::kCorruptStructure, std::move(what) + "; restore another copy");
}

// 0, or the error of the first parameter that was refused. Few table entries and long matches only:
// accidental short matches of such data cost more than the literals they replace.
size_t SetParameters(ZSTD_CCtx* context, const ZstdMode& mode) {
  size_t result = ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
  const auto set = [&](ZSTD_cParameter parameter, int value) {
    if (!ZSTD_isError(result)) result = ZSTD_CCtx_setParameter(context, parameter, value);
  };
  if (!mode.entropy_only) {
    set(ZSTD_c_compressionLevel, mode.level);
    return result;
  }
  set(ZSTD_c_compressionLevel, 1);
  set(ZSTD_c_strategy, ZSTD_fast);
  set(ZSTD_c_windowLog, 18);
  set(ZSTD_c_hashLog, 6);
  set(ZSTD_c_minMatch, 7);
  return result;
}

Status ExamineFrame(base::ByteSpan frame, uint64_t size) {
  if (frame.size < 4 || base::LoadLe32(frame.data) != kMagic) {
    return Corrupt("the stored bytes are no zstd frame");
  }
  const size_t length = static_cast<size_t>(frame.size);
  const unsigned long long content = ZSTD_getFrameContentSize(frame.data, length);
  if (content == ZSTD_CONTENTSIZE_ERROR || content == ZSTD_CONTENTSIZE_UNKNOWN) {
    return Corrupt("a zstd frame does not state its content size");
  }
  if (content != size) {
    return Corrupt("a zstd frame states " + std::to_string(content) + " bytes of content where " +
                   std::to_string(size) + " are expected");
  }
  const size_t used = ZSTD_findFrameCompressedSize(frame.data, length);
  if (ZSTD_isError(used) || used != length) {
    return Corrupt("a zstd frame does not fill its " + std::to_string(length) + " stored bytes");
  }
  if (ZSTD_getDictID_fromFrame(frame.data, length) != 0) {
    return Corrupt("a zstd frame asks for a dictionary");
  }
  return Status();
}

}  // namespace

struct ZstdFrames::State {
  std::unique_ptr<ZSTD_CCtx, FreeCompress> compress;
  std::unique_ptr<ZSTD_DCtx, FreeDecompress> decompress;
};

ZstdFrames::ZstdFrames() : state_(new State) {}
ZstdFrames::~ZstdFrames() = default;

Result<uint64_t> ZstdFrames::Compress(const ZstdMode& mode, base::ByteSpan src, uint8_t* dst,
                                      uint64_t capacity) {
  if (state_->compress == nullptr) state_->compress.reset(ZSTD_createCCtx());
  ZSTD_CCtx* context = state_->compress.get();
  if (context == nullptr) return Status(Code::kNoMemory, "out of memory for zstd");
  size_t result = SetParameters(context, mode);
  if (!ZSTD_isError(result)) {
    result = ZSTD_compress2(context, dst, static_cast<size_t>(capacity), src.data,
                            static_cast<size_t>(src.size));
  }
  if (!ZSTD_isError(result)) return static_cast<uint64_t>(result);
  const ZSTD_ErrorCode error = ZSTD_getErrorCode(result);
  if (error == ZSTD_error_dstSize_tooSmall) return uint64_t{0};
  if (error == ZSTD_error_memory_allocation)
    return Status(Code::kNoMemory, "out of memory for zstd");
  return Status(Code::kInternal, std::string("zstd cannot compress: ") + ZSTD_getErrorName(result));
}

Status ZstdFrames::Decompress(base::ByteSpan frame, uint8_t* dst, uint64_t size) {
  TR_RETURN_IF_ERROR(ExamineFrame(frame, size));
  if (state_->decompress == nullptr) state_->decompress.reset(ZSTD_createDCtx());
  if (state_->decompress == nullptr) return Status(Code::kNoMemory, "out of memory for zstd");
  const size_t got = ZSTD_decompressDCtx(state_->decompress.get(), dst, static_cast<size_t>(size),
                                         frame.data, static_cast<size_t>(frame.size));
  if (ZSTD_isError(got)) {
    if (ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation) {
      return Status(Code::kNoMemory, "out of memory for zstd");
    }
    return Corrupt(std::string("a zstd frame cannot be decoded: ") + ZSTD_getErrorName(got));
  }
  if (got != size) return Corrupt("a zstd frame holds fewer bytes than it states");
  return Status();
}

}  // namespace treering::codec
