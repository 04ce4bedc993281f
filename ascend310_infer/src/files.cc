#include "files.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include <unistd.h>

#include "app_error.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

std::vector<uint8_t> ReadFile(const fs::path& path, size_t limit) {
  std::error_code error;
  // Opening a pipe would wait for its other end.
  if (fs::exists(path, error) && !fs::is_regular_file(path, error)) {
    throw AppError(path.string() + ": is no regular file", kExitFailure);
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  const auto size = file ? fs::file_size(path, error) : 0;
  if (!file || error) {
    throw AppError(path.string() + ": " + (error ? error.message() : std::strerror(errno)), kExitFailure);
  }
  if (size > limit) {
    throw AppError(path.string() + ": has " + std::to_string(size) + " bytes, more than the " + std::to_string(limit) +
                       " that are accepted",
                   kExitFailure);
  }
  std::vector<uint8_t> bytes(size);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size))) {
    throw AppError(path.string() + ": cannot be read to its end", kExitFailure);
  }
  return bytes;
}

void WriteFile(const fs::path& path, const void* data, size_t size) {
  const fs::path temporary = path.parent_path() / ("." + std::to_string(getpid()) + "." + path.filename().string());
  errno = 0;
  bool written = false;
  {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
    file.close();
    written = !file.fail();
  }
  std::string reason = std::strerror(errno);
  std::error_code error;
  if (written) {
    fs::rename(temporary, path, error);
    if (!error) return;
    reason = error.message();
  }
  fs::remove(temporary, error);
  throw AppError(path.string() + ": cannot be written: " + reason, kExitFailure);
}

void WriteFile(const fs::path& path, const std::string& text) { WriteFile(path, text.data(), text.size()); }

void MakeFolder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw AppError(path.string() + ": the folder cannot be made: " + error.message(), kExitFailure);
}

}  // namespace resnet_zoo
