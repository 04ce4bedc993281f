// JPEG and PNG files to RGB, told apart by their first bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "preprocessing.h"

namespace resnet_zoo {

// Decodes as MindSpore's Decode does: gray, palette and CMYK become RGB, 16 bits keep the upper 8, transparency is
// dropped, orientation tags are ignored. `pillow_cmyk` rounds the conversion from CMYK as Pillow does.
// Throws AppError saying why the bytes cannot be used; among the reasons is data that ends too early.
Image Decode(const std::vector<uint8_t>& bytes, bool pillow_cmyk);

// The two formats, for Decode.
Image DecodeJpeg(const std::vector<uint8_t>& bytes, bool pillow_cmyk);
Image DecodePng(const std::vector<uint8_t>& bytes);

// Throws AppError for a size that is not positive or has more pixels than Pillow accepts.
void CheckSize(uint64_t width, uint64_t height);

}  // namespace resnet_zoo
