#include <array>
#include <csetjmp>
#include <cstring>
#include <string>

#include <png.h>

#include "app_error.h"
#include "decode.h"

namespace resnet_zoo {

namespace {

struct Source {
  const uint8_t* bytes;
  size_t size;
  char message[200];
};

[[noreturn]] void Fail(png_structp png, png_const_charp message) {
  auto* source = static_cast<Source*>(png_get_error_ptr(png));
  std::strncpy(source->message, message, sizeof source->message - 1);
  png_longjmp(png, 1);
}

void Ignore(png_structp, png_const_charp) {}

void Read(png_structp png, png_bytep output, size_t size) {
  auto* source = static_cast<Source*>(png_get_io_ptr(png));
  if (size > source->size) png_error(png, "the data ends too early");
  std::memcpy(output, source->bytes, size);
  source->bytes += size;
  source->size -= size;
}

// Releases libpng's memory when decoding ends, in whatever way.
struct Reader {
  Source source{};
  png_structp png;
  png_infop info;
  explicit Reader(const std::vector<uint8_t>& bytes)
      : source{bytes.data(), bytes.size(), {}}, png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, Fail, Ignore)),
        info(png ? png_create_info_struct(png) : nullptr) {
    if (!info) {
      png_destroy_read_struct(&png, nullptr, nullptr);
      throw AppError("libpng cannot be started: out of memory or another version", kExitFailure);
    }
    png_set_read_fn(png, &source, Read);
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
};

// The file, with the chunk that ends it where that alone is missing: all chunks before are whole and the image's data is
// there.
std::vector<uint8_t> WithEnd(const std::vector<uint8_t>& file) {
  constexpr std::array<uint8_t, 12> kEnd = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
  size_t at = 8;
  bool has_data = false;
  while (file.size() - at >= 12) {
    const size_t length = size_t{file[at]} << 24 | size_t{file[at + 1]} << 16 | size_t{file[at + 2]} << 8 | file[at + 3];
    if (std::memcmp(&file[at + 4], "IEND", 4) == 0 || length > file.size() - at - 12) return file;
    has_data = has_data || std::memcmp(&file[at + 4], "IDAT", 4) == 0;
    at += length + 12;
  }
  std::vector<uint8_t> bytes = file;
  if (!has_data) return bytes;
  bytes.resize(at);
  bytes.insert(bytes.end(), kEnd.begin(), kEnd.end());
  return bytes;
}

// The two functions below hold no object with a destructor, because an error jumps out of them.
bool ReadHeader(Reader* reader) {
  if (setjmp(png_jmpbuf(reader->png))) return false;
  png_set_user_limits(reader->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // CheckSize says what is too large
  png_read_info(reader->png, reader->info);
  return true;
}

// Sets libpng up to give 8-bit RGB; rows: one pointer per row.
bool ReadRows(Reader* reader, uint8_t** rows, size_t row_bytes) {
  png_structp png = reader->png;
  if (setjmp(png_jmpbuf(png))) return false;
  if (png_get_color_type(png, reader->info) == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  png_set_expand_gray_1_2_4_to_8(png);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  if (!(png_get_color_type(png, reader->info) & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, reader->info);
  if (png_get_rowbytes(png, reader->info) != row_bytes) png_error(png, "unexpected kind of pixels");
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

}  // namespace

Image DecodePng(const std::vector<uint8_t>& file) {
  const std::vector<uint8_t> bytes = WithEnd(file);
  Reader reader(bytes);
  const auto fail = [&] { return AppError(std::string("cannot be decoded (") + reader.source.message + ")"); };
  if (!ReadHeader(&reader)) throw fail();
  const auto width = png_get_image_width(reader.png, reader.info), height = png_get_image_height(reader.png, reader.info);
  CheckSize(width, height);
  Image image{static_cast<int>(width), static_cast<int>(height), std::vector<uint8_t>(size_t{width} * height * 3)};
  std::vector<uint8_t*> rows(height);
  for (size_t y = 0; y < height; ++y) rows[y] = image.pixels.data() + y * width * 3;
  if (!ReadRows(&reader, rows.data(), size_t{width} * 3)) throw fail();
  return image;
}

}  // namespace resnet_zoo
