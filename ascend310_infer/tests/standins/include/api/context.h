// The part of MindSpore Lite's C++ interface that ascend310_infer calls, declared anew from its documentation: used to
// compile the tests where MindSpore's own headers are not at hand (-DLITE_INCLUDE_DIR=). Never used in a build for a device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mindspore {

enum StatusCode : uint32_t { kSuccess = 0, kLiteError = 0xf0000001 };

class Status {
 public:
  Status();
  Status(enum StatusCode code, const std::string& message)
      : Status(code, std::vector<char>(message.begin(), message.end())) {}
  bool IsOk() const;
  std::string ToString() const {
    const auto text = ToCString();
    return std::string(text.begin(), text.end());
  }

 private:
  Status(enum StatusCode code, const std::vector<char>& message);
  std::vector<char> ToCString() const;
  struct Data;
  std::shared_ptr<Data> data_;
};

std::vector<char> CharVersion();
inline std::string Version() {
  const auto text = CharVersion();
  return std::string(text.begin(), text.end());
}

class DeviceInfoContext {
 public:
  struct Data;
  DeviceInfoContext();
  virtual ~DeviceInfoContext() = default;

 protected:
  std::shared_ptr<Data> data_;
};

class AscendDeviceInfo : public DeviceInfoContext {
 public:
  void SetDeviceID(uint32_t device_id);
  uint32_t GetDeviceID() const;
};

class CPUDeviceInfo : public DeviceInfoContext {};

class Context {
 public:
  struct Data;
  Context();
  void SetThreadNum(int32_t thread_num);
  std::vector<std::shared_ptr<DeviceInfoContext>>& MutableDeviceInfo();

 private:
  std::shared_ptr<Data> data_;
};

}  // namespace mindspore
