// Stands in for libascendcl.so in the tests: keeps AscendCL's rules and ends the process when one is broken.
//  - "device" memory is out of the host's reach outside of these functions (mprotect): touching it is a crash;
//  - pointers, sizes, directions of copies, contexts of threads and the order of calls are checked;
//  - a model computes one call at a time; a dynamic batch must be set before each call;
//  - aclFinalize counts what was not released.
// STANDIN_FAIL=<function>:<n> makes the n-th call of a function fail; STANDIN_RUN_MODE=device: the program runs on the
// device.
#include <sys/mman.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>

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

namespace {

constexpr aclError kFailure = 500002;

std::recursive_mutex mutex;
bool initialized = false;
int device = -1;
std::set<void*> contexts;
thread_local void* current_context = nullptr;
std::map<uint8_t*, size_t> memory;  // device blocks
std::set<const void*> descs, buffers, datasets;
std::map<uint32_t, LinearModel> models;
std::atomic<int> executing{0};
std::map<std::string, int> calls;

[[noreturn]] void Broken(const char* function, const char* rule) {
  std::fprintf(stderr, "STAND-IN: %s: %s\n", function, rule);
  std::abort();
}

// Whether this call was chosen to fail.
bool Fails(const char* function) {
  const char* chosen = std::getenv("STANDIN_FAIL");
  return chosen && std::string(function) + ":" + std::to_string(++calls[function]) == chosen;
}

bool OnDevice() {
  const char* mode = std::getenv("STANDIN_RUN_MODE");
  return mode && std::strcmp(mode, "device") == 0;
}

#define RULE(condition, text) \
  if (!(condition)) Broken(__func__, text)
#define ENTER()                                            \
  const std::lock_guard<std::recursive_mutex> lock(mutex); \
  RULE(initialized, "called before aclInit");              \
  if (Fails(__func__)) return kFailure
#define ENTER_MAKING()                                     \
  const std::lock_guard<std::recursive_mutex> lock(mutex); \
  RULE(initialized, "called before aclInit");              \
  if (Fails(__func__)) return nullptr
#define NEED_CONTEXT() RULE(contexts.count(current_context), "this thread has no current context")

size_t Pages(size_t size) { return (size + 4095) / 4096 * 4096; }

// The block that holds [address, address + size), or the end.
std::map<uint8_t*, size_t>::iterator BlockOf(const void* address, size_t size) {
  auto* wanted = static_cast<uint8_t*>(const_cast<void*>(address));
  auto block = memory.upper_bound(wanted);
  if (block == memory.begin()) return memory.end();
  --block;
  return wanted + size <= block->first + block->second ? block : memory.end();
}

// Opens a block to the host while it lives. Each block is used by one thread at a time.
class Opened {
 public:
  explicit Opened(const void* address) : block_(BlockOf(address, 0)) { Protect(PROT_READ | PROT_WRITE); }
  ~Opened() { Protect(OnDevice() ? PROT_READ | PROT_WRITE : PROT_NONE); }

 private:
  void Protect(int rights) {
    if (block_ != memory.end()) mprotect(block_->first, Pages(block_->second), rights);
  }
  std::map<uint8_t*, size_t>::iterator block_;
};

void FillDims(aclmdlIODims* dims, std::initializer_list<int64_t> values) {
  *dims = {};
  for (int64_t value : values) dims->dims[dims->dimCount++] = value;
}

}  // namespace

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

aclError aclmdlLoadFromFile(const char* path, uint32_t* id) {
  ENTER();
  NEED_CONTEXT();
  LinearModel model;
  if (!ReadLinearModel(path, &model)) return 145000;  // ACL_ERROR_GE_PARAM_INVALID, for what is no model
  *id = 7;
  models[*id] = model;
  return ACL_ERROR_NONE;
}

aclError aclmdlUnload(uint32_t id) {
  ENTER();
  RULE(models.erase(id) == 1, "no such model");
  return ACL_ERROR_NONE;
}

aclmdlDesc* aclmdlCreateDesc() {
  ENTER_MAKING();
  auto* desc = new aclmdlDesc;
  descs.insert(desc);
  return desc;
}

aclError aclmdlDestroyDesc(aclmdlDesc* desc) {
  ENTER();
  RULE(descs.erase(desc) == 1, "no such description");
  delete desc;
  return ACL_ERROR_NONE;
}

aclError aclmdlGetDesc(aclmdlDesc* desc, uint32_t id) {
  ENTER();
  RULE(descs.count(desc) && models.count(id), "no such description or model");
  desc->model = models[id];
  desc->filled = true;
  return ACL_ERROR_NONE;
}

size_t aclmdlGetNumInputs(aclmdlDesc* desc) { return desc->model.gears.empty() ? 1 : 2; }
size_t aclmdlGetNumOutputs(aclmdlDesc*) { return 1; }

size_t aclmdlGetInputSizeByIndex(aclmdlDesc* desc, size_t index) {
  RULE(desc->filled && index < aclmdlGetNumInputs(desc), "no such input");
  return index == 1 ? 8 : desc->model.InputSize() * static_cast<size_t>(desc->model.batch);
}

size_t aclmdlGetOutputSizeByIndex(aclmdlDesc* desc, size_t index) {
  RULE(desc->filled && index == 0, "no such output");
  return desc->model.OutputSize() * static_cast<size_t>(desc->model.batch);
}

aclError aclmdlGetInputDims(const aclmdlDesc* desc, size_t index, aclmdlIODims* dims) {
  ENTER();
  RULE(desc->filled && index == 0, "no such input");
  const LinearModel& model = desc->model;
  const int64_t batch = model.gears.empty() ? model.batch : -1;
  if (model.pixels)
    FillDims(dims, {batch, model.height, model.width, model.channels});
  else
    FillDims(dims, {batch, model.channels, model.height, model.width});
  return ACL_ERROR_NONE;
}

aclError aclmdlGetOutputDims(const aclmdlDesc* desc, size_t index, aclmdlIODims* dims) {
  ENTER();
  RULE(desc->filled && index == 0, "no such output");
  FillDims(dims, {desc->model.batch, desc->model.classes});
  return ACL_ERROR_NONE;
}

aclDataType aclmdlGetInputDataType(const aclmdlDesc* desc, size_t) { return desc->model.pixels ? ACL_UINT8 : ACL_FLOAT; }
aclDataType aclmdlGetOutputDataType(const aclmdlDesc* desc, size_t) {
  return desc->model.half_output ? ACL_FLOAT16 : ACL_FLOAT;
}

aclError aclmdlGetInputIndexByName(const aclmdlDesc* desc, const char* name, size_t* index) {
  ENTER();
  if (desc->model.gears.empty() || std::strcmp(name, ACL_DYNAMIC_TENSOR_NAME) != 0) return kFailure;
  *index = 1;
  return ACL_ERROR_NONE;
}

aclError aclmdlGetDynamicBatch(const aclmdlDesc* desc, aclmdlBatch* batch) {
  ENTER();
  *batch = {};
  for (int64_t gear : desc->model.gears) batch->batch[batch->batchCount++] = static_cast<uint64_t>(gear);
  return ACL_ERROR_NONE;
}

aclError aclmdlSetDynamicBatchSize(uint32_t id, aclmdlDataset* dataset, size_t index, uint64_t size) {
  ENTER();
  RULE(models.count(id) && datasets.count(dataset) && index == 1, "no such model, dataset or input");
  bool known = false;
  for (int64_t gear : models[id].gears) known = known || gear == static_cast<int64_t>(size);
  RULE(known, "the model was not converted for this batch size");
  dataset->gear = static_cast<int64_t>(size);
  return ACL_ERROR_NONE;
}

aclmdlDataset* aclmdlCreateDataset() {
  ENTER_MAKING();
  auto* dataset = new aclmdlDataset;
  datasets.insert(dataset);
  return dataset;
}

aclError aclmdlDestroyDataset(const aclmdlDataset* dataset) {
  ENTER();
  RULE(datasets.erase(dataset) == 1, "no such dataset");
  delete dataset;
  return ACL_ERROR_NONE;
}

aclError aclmdlAddDatasetBuffer(aclmdlDataset* dataset, aclDataBuffer* buffer) {
  ENTER();
  RULE(datasets.count(dataset) && buffers.count(buffer), "no such dataset or buffer");
  dataset->buffers.push_back(buffer);
  return ACL_ERROR_NONE;
}

aclError aclmdlExecute(uint32_t id, const aclmdlDataset* input, aclmdlDataset* output) {
  RULE(++executing == 1, "the model is computing another call already");
  const LinearModel* model = nullptr;
  {
    const std::lock_guard<std::recursive_mutex> lock(mutex);
    if (Fails(__func__)) {
      --executing;
      return kFailure;
    }
    NEED_CONTEXT();
    RULE(models.count(id) && datasets.count(input) && datasets.count(output), "no such model or dataset");
    model = &models[id];
    const size_t inputs = model->gears.empty() ? 1 : 2;
    RULE(input->buffers.size() == inputs && output->buffers.size() == 1, "wrong number of buffers");
    for (const auto* buffer : {input->buffers[0], output->buffers[0], input->buffers[inputs - 1]}) {
      RULE(buffers.count(buffer) && BlockOf(buffer->data, buffer->size) != memory.end(), "a buffer was released");
    }
    RULE(input->buffers[0]->size >= model->InputSize() * static_cast<size_t>(model->batch), "short input");
    RULE(output->buffers[0]->size >= model->OutputSize() * static_cast<size_t>(model->batch), "short output");
    RULE(model->gears.empty() || input->gear > 0, "no batch size was set for this call");
  }
  const auto images = static_cast<size_t>(model->gears.empty() ? model->batch : input->gear);
  const Opened first(input->buffers[0]->data), second(output->buffers[0]->data);
  model->Compute(static_cast<uint8_t*>(input->buffers[0]->data), images, static_cast<uint8_t*>(output->buffers[0]->data));
  const_cast<aclmdlDataset*>(input)->gear = 0;
  --executing;
  return ACL_ERROR_NONE;
}

}  // extern "C"
