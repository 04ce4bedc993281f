// What the parts of the stand-in for AscendCL share: everything that was made and not released, and the rules' words.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <acl/acl.h>

#include "linear_model.h"

struct aclmdlDesc {
  LinearModel model;
  bool filled = false;
};
struct aclDataBuffer {
  void* data;
  size_t size;
};
struct aclmdlDataset {
  std::vector<aclDataBuffer*> buffers;
  int64_t gear = 0;
};

namespace standin {

constexpr aclError kFailure = 500002;

inline std::recursive_mutex mutex;
inline bool initialized = false;
inline int device = -1;
inline std::set<void*> contexts;
inline thread_local void* current_context = nullptr;
inline std::map<uint8_t*, size_t> memory;  // device blocks
inline std::set<const void*> descs, buffers, datasets;
inline std::map<uint32_t, LinearModel> models;
inline std::map<std::string, int> calls;

// Says which rule a function's caller broke, and ends the process.
[[noreturn]] void Broken(const char* function, const char* rule);

// Whether this call was chosen to fail.
bool Fails(const char* function);

bool OnDevice();

size_t Pages(size_t size);

// The block that holds [address, address + size), or the end.
std::map<uint8_t*, size_t>::iterator BlockOf(const void* address, size_t size);

// Opens a block to the host while it lives. Each block is used by one thread at a time.
class Opened {
 public:
  explicit Opened(const void* address);
  ~Opened();

 private:
  void Protect(int rights);
  std::map<uint8_t*, size_t>::iterator block_;
};

}  // namespace standin

#define RULE(condition, text) \
  if (!(condition)) standin::Broken(__func__, text)
#define ENTER()                                            \
  const std::lock_guard<std::recursive_mutex> lock(mutex); \
  RULE(initialized, "called before aclInit");              \
  if (Fails(__func__)) return kFailure
#define ENTER_MAKING()                                     \
  const std::lock_guard<std::recursive_mutex> lock(mutex); \
  RULE(initialized, "called before aclInit");              \
  if (Fails(__func__)) return nullptr
#define NEED_CONTEXT() RULE(contexts.count(current_context), "this thread has no current context")
