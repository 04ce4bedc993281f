// SHA-256 (FIPS 180-4) of a file: the check that an export is the one its .meta.json describes.
#pragma once

#include <filesystem>
#include <string>

namespace resnet_zoo {

// Hexadecimal. Throws AppError (kExitFailure) when the file cannot be read.
std::string Sha256OfFile(const std::filesystem::path& path);

}  // namespace resnet_zoo
