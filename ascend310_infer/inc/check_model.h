// What a model file may hold, looked at before an SDK opens it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace resnet_zoo {

// Throws AppError saying why an ONNX file is not opened: it is damaged, its tensors lie elsewhere (in other files, or at an
// address of the process) or do not have the size that they say, or it has operators beyond ONNX's own.
void CheckOnnx(const uint8_t* data, size_t size);

// What a MINDIR file says of who wrote it: printable, and "unknown" where it says nothing.
struct MindirOrigin {
  uint64_t version = 0;
  std::string producer;
};

// The same for a MINDIR file: damaged, tensors outside its folder, or an operator `Custom` whose code is in a library.
MindirOrigin CheckMindir(const uint8_t* data, size_t size);

}  // namespace resnet_zoo
