// Breaks one rule of AscendCL, to prove that the stand-in notices. Usage: misuse RULE
#include <cstring>
#include <string>
#include <thread>

#include <acl/acl.h>

int main(int argc, char** argv) {
  const std::string rule = argc > 1 ? argv[1] : "";
  if (rule == "no_init") aclrtSetDevice(0);
  aclInit(nullptr);
  aclrtSetDevice(0);
  aclrtContext context = nullptr;
  aclrtCreateContext(&context, 0);
  void* memory = nullptr;
  aclrtMalloc(&memory, 100, ACL_MEM_MALLOC_HUGE_FIRST);
  char host[200] = {};
  if (rule == "host_access") std::memset(memory, 0, 1);
  if (rule == "overrun") aclrtMemcpy(memory, 200, host, 200, ACL_MEMCPY_HOST_TO_DEVICE);
  if (rule == "capacity") aclrtMemcpy(memory, 50, host, 100, ACL_MEMCPY_HOST_TO_DEVICE);
  if (rule == "direction") aclrtMemcpy(memory, 100, host, 100, ACL_MEMCPY_DEVICE_TO_HOST);
  if (rule == "host_buffer") aclCreateDataBuffer(host, 100);
  if (rule == "short_block") aclCreateDataBuffer(memory, 101);
  if (rule == "thread") std::thread([&] { aclrtMemcpy(memory, 100, host, 100, ACL_MEMCPY_HOST_TO_DEVICE); }).join();
  if (rule == "left_buffer") aclCreateDataBuffer(memory, 100);
  if (rule == "in_use") aclrtResetDevice(0);
  aclrtFree(memory);
  if (rule == "double_free") aclrtFree(memory);
  if (rule == "left_dataset") aclmdlCreateDataset();
  aclrtDestroyContext(context);
  aclrtResetDevice(0);
  return aclFinalize();
}
