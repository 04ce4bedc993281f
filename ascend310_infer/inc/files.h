// Whole files: read at once, written so that a path holds the old content or the new one, whenever the process ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace resnet_zoo {

// Throws AppError (kExitFailure) naming the file and the system's reason; `limit` is the largest size in bytes. Pipes,
// devices and sockets are refused without being opened.
std::vector<uint8_t> ReadFile(const std::filesystem::path& path, size_t limit);

// Longest name of a result without its ending, in bytes: file systems take 255, "_0.json" comes on top.
constexpr size_t kLongestName = 255 - 16;

// Writes a hidden temporary file beside `path`, which nobody can foresee and nobody else opens, and renames it. Throws
// AppError (kExitFailure).
void WriteFile(const std::filesystem::path& path, const void* data, size_t size);
void WriteFile(const std::filesystem::path& path, const std::string& text);

// Removes what runs that were killed left in a folder: this user's temporary files that no process writes any more.
void RemoveLeftovers(const std::filesystem::path& folder);

// Makes a folder and those above it. Throws AppError (kExitFailure).
void MakeFolder(const std::filesystem::path& path);

}  // namespace resnet_zoo
