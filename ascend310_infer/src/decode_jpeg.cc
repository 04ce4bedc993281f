#include <csetjmp>
#include <cstdio>
#include <string>

#include <jpeglib.h>

#include <jerror.h>

#include "app_error.h"
#include "decode.h"

namespace resnet_zoo {

namespace {

// libjpeg's default handlers end the process and print; these jump back and count.
struct ErrorManager {
  jpeg_error_mgr base;  // first: libjpeg knows this part
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  long warnings;
  bool too_short;  // the data ended before the end marker
};

[[noreturn]] void Fail(j_common_ptr info) {
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  errors->base.format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

void Emit(j_common_ptr info, int level) {
  if (level >= 0) return;
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  ++errors->warnings;
  errors->too_short = errors->too_short || info->err->msg_code == JWRN_JPEG_EOF;
}

void Ignore(j_common_ptr) {}

// Each scan of a progressive file is small but costs a pass over the image; encoders write about ten.
void LimitScans(j_common_ptr info) {
  constexpr int kMostScans = 500;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMostScans) return;
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  std::snprintf(errors->message, sizeof errors->message, "more than %d scans", kMostScans);
  std::longjmp(errors->jump, 1);
}

// Releases libjpeg's memory when decoding ends, in whatever way. Lives outside the function that setjmp returns to.
struct Decompressor {
  jpeg_decompress_struct info{};
  ErrorManager errors{};
  jpeg_progress_mgr progress{};
  Decompressor() {
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = Fail;
    errors.base.emit_message = Emit;
    errors.base.output_message = Ignore;
  }
  ~Decompressor() { jpeg_destroy_decompress(&info); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
};

// The three functions below hold no object with a destructor, because an error jumps out of them.
bool ReadHeader(Decompressor* decompressor, const uint8_t* bytes, size_t size) {
  if (setjmp(decompressor->errors.jump)) return false;
  jpeg_create_decompress(&decompressor->info);
  decompressor->progress.progress_monitor = LimitScans;
  decompressor->info.progress = &decompressor->progress;
  jpeg_mem_src(&decompressor->info, bytes, static_cast<unsigned long>(size));
  jpeg_read_header(&decompressor->info, TRUE);
  return true;
}

// output: num_components bytes per pixel.
bool ReadRows(Decompressor* decompressor, uint8_t* output) {
  auto& info = decompressor->info;
  if (setjmp(decompressor->errors.jump)) return false;
  jpeg_start_decompress(&info);
  const size_t stride = static_cast<size_t>(info.output_width) * static_cast<size_t>(info.output_components);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = output + info.output_scanline * stride;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  return true;
}

// a * b / 255, rounded to the nearest.
int Product(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

// Adobe's CMYK is stored inverted: 255 is no ink.
uint8_t Unmixed(int ink, int black, bool inverted, bool pillow) {
  if (pillow) return static_cast<uint8_t>(black - Product(255 - ink, black));
  if (!inverted) ink = 255 - ink, black = 255 - black;
  return static_cast<uint8_t>(ink * black / 255);
}

}  // namespace

Image DecodeJpeg(const std::vector<uint8_t>& bytes, bool pillow_cmyk) {
  Decompressor decompressor;
  auto& info = decompressor.info;
  const auto fail = [&] { return AppError(std::string("cannot be decoded (") + decompressor.errors.message + ")"); };
  if (!ReadHeader(&decompressor, bytes.data(), bytes.size())) throw fail();
  CheckSize(info.image_width, info.image_height);
  const bool cmyk = info.num_components == 4;
  info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  Image image{static_cast<int>(info.image_width), static_cast<int>(info.image_height), {}};
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  image.pixels.resize(count * (cmyk ? 4 : 3));
  if (!ReadRows(&decompressor, image.pixels.data())) throw fail();
  // A missing end marker alone is an oddity; a second warning says that pixels had to be invented. Without the first,
  // warnings are about data that are all there.
  if (decompressor.errors.too_short && decompressor.errors.warnings > 1) throw AppError("is truncated or damaged");
  if (cmyk) {
    uint8_t* pixels = image.pixels.data();
    const bool inverted = info.saw_Adobe_marker;
    for (size_t i = 0; i < count; ++i) {
      const uint8_t* ink = pixels + 4 * i;
      const int black = ink[3];
      for (size_t c = 0; c < 3; ++c) pixels[3 * i + c] = Unmixed(ink[c], black, inverted, pillow_cmyk);
    }
    image.pixels.resize(count * 3);
  }
  return image;
}

}  // namespace resnet_zoo
