// See context.h.
#pragma once

#include <functional>

#include "include/api/context.h"

namespace mindspore {

enum class DataType : int { kNumberTypeUInt8 = 37, kNumberTypeFloat16 = 42, kNumberTypeFloat32 = 43 };
enum ModelType : uint32_t { kMindIR = 0 };

class MSTensor {
 public:
  class Impl;
  MSTensor();
  explicit MSTensor(const std::shared_ptr<Impl>& impl);
  ~MSTensor();
  enum DataType DataType() const;
  const std::vector<int64_t>& Shape() const;
  std::shared_ptr<const void> Data() const;
  void* MutableData();
  size_t DataSize() const;
  const std::shared_ptr<Impl> impl() const { return impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

using MSKernelCallBack = std::function<bool()>;

class ModelImpl;
class Model {
 public:
  Model();
  ~Model();
  Status Build(const std::string& path, ModelType type, const std::shared_ptr<Context>& context) {
    return Build(std::vector<char>(path.begin(), path.end()), type, context);
  }
  Status Resize(const std::vector<MSTensor>& inputs, const std::vector<std::vector<int64_t>>& dims);
  Status Predict(const std::vector<MSTensor>& inputs, std::vector<MSTensor>* outputs,
                 const MSKernelCallBack& before = nullptr, const MSKernelCallBack& after = nullptr);
  std::vector<MSTensor> GetInputs();
  std::vector<MSTensor> GetOutputs();

 private:
  Status Build(const std::vector<char>& path, ModelType type, const std::shared_ptr<Context>& context);
  std::shared_ptr<ModelImpl> impl_;
};

}  // namespace mindspore
