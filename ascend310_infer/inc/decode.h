// Image files to RGB, told apart by their first bytes: JPEG, PNG, BMP, TIFF and WebP.
#pragma once

#include <cstdint>
#include <vector>

#include "preprocessing.h"

namespace resnet_zoo {

// The pixels of Pillow's convert("RGB"): gray, palette and CMYK become RGB, transparency is dropped; orientation tags are
// ignored and 16-bit PNGs keep the upper 8 bits. Of several pages the first is read; animations are refused.
// `pillow_cmyk` rounds the conversion of a JPEG from CMYK as Pillow does, else as MindSpore's Decode.
// Throws AppError saying why the bytes cannot be used; among the reasons is data that ends too early.
Image Decode(const std::vector<uint8_t>& bytes, bool pillow_cmyk);

// The formats, for Decode.
Image DecodeJpeg(const std::vector<uint8_t>& bytes, bool pillow_cmyk);
Image DecodePng(const std::vector<uint8_t>& bytes);
Image DecodeBmp(const std::vector<uint8_t>& bytes);
Image DecodeTiff(const std::vector<uint8_t>& bytes);
Image DecodeWebp(const std::vector<uint8_t>& bytes);

// Throws AppError for a size that is not positive, or more than is safe: 178,956,970 pixels or 65,500 in a direction, as in
// Python.
void CheckSize(uint64_t width, uint64_t height);

}  // namespace resnet_zoo
