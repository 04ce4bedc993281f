// Stands in for libascendcl.so in the tests: keeps AscendCL's rules and ends the process when one is broken.
//  - "device" memory is out of the host's reach outside of these functions (mprotect): touching it is a crash;
//  - pointers, sizes, directions of copies, contexts of threads and the order of calls are checked;
//  - a model computes one call at a time; a dynamic batch must be set before each call;
//  - aclFinalize counts what was not released.
// STANDIN_FAIL=<function>:<n> makes the n-th call of a function fail; STANDIN_RUN_MODE=device: the program runs on the
// device.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "ascendcl_rules.h"

using namespace standin;

extern "C" {

aclError aclInit(const char*) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  RULE(!initialized, "called twice");
  if (Fails(__func__)) return kFailure;
  initialized = true;
  return ACL_ERROR_NONE;
}

aclError aclFinalize() {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  RULE(initialized, "called before aclInit");
  const std::map<const char*, size_t> left = {{"contexts", contexts.size()},   {"device blocks", memory.size()},
                                              {"descriptions", descs.size()},  {"data buffers", buffers.size()},
                                              {"datasets", datasets.size()},   {"models", models.size()},
                                              {"devices", device >= 0 ? 1 : 0}};
  for (const auto& [kind, count] : left) {
    if (count) {
      std::fprintf(stderr, "STAND-IN: aclFinalize: %zu %s were not released\n", count, kind);
      std::abort();
    }
  }
  initialized = false;
  return ACL_ERROR_NONE;
}

const char* aclGetRecentErrMsg() { return "EE9999: the stand-in was told to fail\n        second line"; }

aclError aclrtSetDevice(int32_t id) {
  ENTER();
  if (id > 3) return 107001;  // invalid device, as four are here
  device = id;
  return ACL_ERROR_NONE;
}

aclError aclrtResetDevice(int32_t id) {
  ENTER();
  RULE(device == id && contexts.empty() && memory.empty() && models.empty(), "the device is still in use");
  device = -1;
  return ACL_ERROR_NONE;
}

aclError aclrtGetRunMode(aclrtRunMode* mode) {
  ENTER();
  *mode = OnDevice() ? ACL_DEVICE : ACL_HOST;
  return ACL_ERROR_NONE;
}

aclError aclrtCreateContext(aclrtContext* context, int32_t id) {
  ENTER();
  RULE(id == device, "no such device was set");
  *context = new char;
  contexts.insert(*context);
  current_context = *context;
  return ACL_ERROR_NONE;
}

aclError aclrtDestroyContext(aclrtContext context) {
  ENTER();
  RULE(contexts.erase(context) == 1, "no such context");
  delete static_cast<char*>(context);
  return ACL_ERROR_NONE;
}

aclError aclrtSetCurrentContext(aclrtContext context) {
  ENTER();
  RULE(contexts.count(context), "no such context");
  current_context = context;
  return ACL_ERROR_NONE;
}

aclError aclrtMalloc(void** pointer, size_t size, aclrtMemMallocPolicy) {
  ENTER();
  NEED_CONTEXT();
  RULE(size > 0, "size 0");
  const int rights = OnDevice() ? PROT_READ | PROT_WRITE : PROT_NONE;
  // An unmapped page before and after: an overrun of these functions themselves is a crash as well.
  auto* block = static_cast<uint8_t*>(mmap(nullptr, Pages(size), rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  memory[block] = size;
  *pointer = block;
  return ACL_ERROR_NONE;
}

aclError aclrtFree(void* pointer) {
  ENTER();
  const auto block = memory.find(static_cast<uint8_t*>(pointer));
  RULE(block != memory.end(), "no such block");
  munmap(block->first, Pages(block->second));
  memory.erase(block);
  return ACL_ERROR_NONE;
}

aclError aclrtMemcpy(void* target, size_t capacity, const void* source, size_t count, aclrtMemcpyKind kind) {
  ENTER();
  NEED_CONTEXT();
  RULE(count <= capacity, "the target is too small");
  const bool to_device = BlockOf(target, count) != memory.end(), from_device = BlockOf(source, count) != memory.end();
  RULE(to_device || BlockOf(target, 0) == memory.end(), "the target overruns its block");
  RULE(from_device || BlockOf(source, 0) == memory.end(), "the source overruns its block");
  if (OnDevice()) {
    RULE(kind == ACL_MEMCPY_DEVICE_TO_DEVICE, "on the device all memory is the device's");
  } else {
    RULE(to_device == (kind == ACL_MEMCPY_HOST_TO_DEVICE), "the target is not where the kind of copy says");
    RULE(from_device == (kind == ACL_MEMCPY_DEVICE_TO_HOST), "the source is not where the kind of copy says");
  }
  const Opened first(target), second(source);
  std::memcpy(target, source, count);
  return ACL_ERROR_NONE;
}

aclDataBuffer* aclCreateDataBuffer(void* data, size_t size) {
  ENTER_MAKING();
  RULE(BlockOf(data, size) != memory.end(), "not device memory of that size");
  auto* buffer = new aclDataBuffer{data, size};
  buffers.insert(buffer);
  return buffer;
}

aclError aclDestroyDataBuffer(const aclDataBuffer* buffer) {
  ENTER();
  RULE(buffers.erase(buffer) == 1, "no such data buffer");
  delete buffer;
  return ACL_ERROR_NONE;
}

}  // extern "C"
