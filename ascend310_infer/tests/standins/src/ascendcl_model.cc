// The models of the stand-in for AscendCL: descriptions, datasets and calls. ascendcl.cc has the rest.
#include <atomic>
#include <cstring>

#include "ascendcl_rules.h"

using namespace standin;

namespace {

std::atomic<int> executing{0};

void FillDims(aclmdlIODims* dims, std::initializer_list<int64_t> values) {
  *dims = {};
  for (int64_t value : values) dims->dims[dims->dimCount++] = value;
}

}  // namespace

extern "C" {

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
