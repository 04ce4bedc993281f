#include "files.h"
#include "scratch.h"
#include "sha256.h"

namespace resnet_zoo {

TEST_CASE_FIXTURE(Scratch, "SHA-256") {
  const auto digest = [this](const std::string& text) {
    WriteFile(scratch / "digest", text);
    return Sha256OfFile(scratch / "digest");
  };
  // FIPS 180-4's examples, and the lengths around a block's end.
  CHECK(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digest(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  CHECK(digest(std::string(1 << 20, 'a')) == "9bc1b2a288b26af7257a36277ae3816a7d4f16e89c1e7e77d0a5c48bad62b360");
}

}  // namespace resnet_zoo
