#include "files.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <random>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app_error.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

namespace {

constexpr char kPrefix[] = ".infer-", kEnding[] = ".tmp";
constexpr size_t kRandomDigits = 16;

// A file descriptor, closed in the end.
class Handle {
 public:
  explicit Handle(int number) : number_(number) {}
  ~Handle() {
    if (number_ >= 0) close(number_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  int Get() const { return number_; }
  // False where the system could not write what it had kept.
  bool Close() {
    const int number = number_;
    number_ = -1;
    return close(number) == 0;
  }

 private:
  int number_;
};

[[noreturn]] void Fail(const fs::path& path, const std::string& reason) {
  throw AppError(path.string() + ": " + reason, kExitFailure);
}

std::string RandomName() {
  constexpr char kDigits[] = "0123456789abcdef";
  static thread_local std::random_device device;
  std::string name = kPrefix;
  for (size_t i = 0; i < kRandomDigits; ++i) name += kDigits[device() & 15U];
  return name + kEnding;
}

bool IsTemporary(const std::string& name) {
  const size_t prefix = sizeof kPrefix - 1, ending = sizeof kEnding - 1;
  return name.size() == prefix + kRandomDigits + ending && name.compare(0, prefix, kPrefix) == 0 &&
         name.compare(prefix + kRandomDigits, ending, kEnding) == 0 &&
         name.find_first_not_of("0123456789abcdef", prefix) == prefix + kRandomDigits;
}

bool WriteAll(int file, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t count = write(file, data, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    data += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

// A new temporary file in a folder, locked as long as it is open: so RemoveLeftovers knows that it is in use.
int CreateTemporary(const fs::path& folder, fs::path* path) {
  for (;;) {
    *path = folder / RandomName();
    const int file = open(path->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file < 0 && errno == EEXIST) continue;
    if (file < 0 || flock(file, LOCK_EX) != 0) return file;  // without locks on this file system: as it is
    struct stat status {};
    if (fstat(file, &status) != 0 || status.st_nlink > 0) return file;
    close(file);  // RemoveLeftovers came between open and flock
  }
}

}  // namespace

std::vector<uint8_t> ReadFile(const fs::path& path, size_t limit) {
  struct stat status {};
  // Opening a pipe would wait for its other end, opening a device may do anything.
  if (stat(path.c_str(), &status) != 0) Fail(path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) Fail(path, "is no regular file");
  Handle file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.Get() < 0 || fstat(file.Get(), &status) != 0) Fail(path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) Fail(path, "is no regular file");
  const auto size = static_cast<size_t>(status.st_size);
  if (size > limit) {
    Fail(path, "has " + std::to_string(size) + " bytes, more than the " + std::to_string(limit) + " that are accepted");
  }
  std::vector<uint8_t> bytes(size);
  for (size_t done = 0; done < size;) {
    const ssize_t count = read(file.Get(), bytes.data() + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) Fail(path, "cannot be read to its end");
    done += static_cast<size_t>(count);
  }
  return bytes;
}

void WriteFile(const fs::path& path, const void* data, size_t size) {
  fs::path temporary;
  Handle file(CreateTemporary(path.parent_path(), &temporary));
  if (file.Get() < 0) Fail(path, std::string("cannot be written: ") + std::strerror(errno));
  if (WriteAll(file.Get(), static_cast<const char*>(data), size) && rename(temporary.c_str(), path.c_str()) == 0) {
    if (file.Close()) return;
    const std::string reason = std::strerror(errno);
    unlink(path.c_str());  // some file systems say only now that the disk is full
    Fail(path, "cannot be written: " + reason);
  }
  const std::string reason = std::strerror(errno);
  unlink(temporary.c_str());
  Fail(path, "cannot be written: " + reason);
}

void WriteFile(const fs::path& path, const std::string& text) { WriteFile(path, text.data(), text.size()); }

void RemoveLeftovers(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!IsTemporary(entry.path().filename().string())) continue;
    const Handle file(open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
    struct stat status {};
    const bool ours =
        file.Get() >= 0 && fstat(file.Get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid();
    if (ours && flock(file.Get(), LOCK_EX | LOCK_NB) == 0) unlink(entry.path().c_str());
  }
}

void MakeFolder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw AppError(path.string() + ": the folder cannot be made: " + error.message(), kExitFailure);
}

}  // namespace resnet_zoo
