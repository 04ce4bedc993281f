#include "ascendcl_rules.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace standin {

[[noreturn]] void Broken(const char* function, const char* rule) {
  std::fprintf(stderr, "STAND-IN: %s: %s\n", function, rule);
  std::abort();
}

bool Fails(const char* function) {
  const char* chosen = std::getenv("STANDIN_FAIL");
  return chosen && std::string(function) + ":" + std::to_string(++calls[function]) == chosen;
}

bool OnDevice() {
  const char* mode = std::getenv("STANDIN_RUN_MODE");
  return mode && std::strcmp(mode, "device") == 0;
}

size_t Pages(size_t size) { return (size + 4095) / 4096 * 4096; }

std::map<uint8_t*, size_t>::iterator BlockOf(const void* address, size_t size) {
  auto* wanted = static_cast<uint8_t*>(const_cast<void*>(address));
  auto block = memory.upper_bound(wanted);
  if (block == memory.begin()) return memory.end();
  --block;
  return wanted + size <= block->first + block->second ? block : memory.end();
}

Opened::Opened(const void* address) : block_(BlockOf(address, 0)) { Protect(PROT_READ | PROT_WRITE); }
Opened::~Opened() { Protect(OnDevice() ? PROT_READ | PROT_WRITE : PROT_NONE); }

void Opened::Protect(int rights) {
  if (block_ != memory.end()) mprotect(block_->first, Pages(block_->second), rights);
}

}  // namespace standin
