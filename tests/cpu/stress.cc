// Calls the operators of src/cpu/kernels from two threads, again and again, and compares every result bit for bit with the
// first one. Built with -DRANDOM_DELAYS the pool's threads meet at random moments.
//
//   stress SECONDS [THREADS]
//
// Exit code 1 where a result differs or an operator fails. Prints how many calls were compared.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

using Function = int(int, void**, int*, int64_t**, const char**, void*, void*);
extern "C" {
void blocked_set_threads(int number);
Function convolution_forward, convolution_backward_data, convolution_backward_weights, pool_forward, pool_backward,
    norm_forward, norm_backward, mean_forward, mean_backward, scale_forward, scale_backward, sum, momentum, adamw, average,
    add_share, square_sum, clip;
}

namespace {
struct Tensor {
  std::vector<int64_t> shape;
  std::string type;
  std::vector<char> data, original = {};

  Tensor(std::vector<int64_t> s, std::string t, std::mt19937& random) : shape(std::move(s)), type(std::move(t)) {
    size_t count = 1;
    for (int64_t size : shape) count *= size;
    if (type == "uint8") {
      data.resize(count);
    } else if (type == "bfloat16") {
      std::normal_distribution<float> normal;
      data.resize(2 * count);
      for (size_t i = 0; i < count; ++i) {
        float value = normal(random);
        std::memcpy(&data[2 * i], reinterpret_cast<char*>(&value) + 2, 2);
      }
    } else {
      std::normal_distribution<float> normal(0.5);
      data.resize(4 * count);
      for (size_t i = 0; i < count; ++i) {
        float value = normal(random);
        std::memcpy(&data[4 * i], &value, 4);
      }
    }
  }
  template <typename T>
  Tensor(std::initializer_list<T> values, const char* t) : shape{static_cast<int64_t>(values.size())}, type(t) {
    data.resize(values.size() * sizeof(T));
    std::memcpy(data.data(), values.begin(), data.size());
  }
};

struct Operation {
  std::string name;
  Function* function;
  std::vector<Tensor> parameters;
  size_t inputs;
  std::vector<std::vector<char>> expected = {};
  std::vector<size_t> changed = {};  // inputs, in place

  bool Run() {
    std::vector<void*> data;
    std::vector<int> ndims;
    std::vector<int64_t*> shapes;
    std::vector<const char*> types;
    for (size_t i : changed) parameters[i].data = parameters[i].original;
    for (size_t i = 0; i < parameters.size(); ++i) {
      Tensor& p = parameters[i];
      if (i >= inputs) std::memset(p.data.data(), 0x3a, p.data.size());  // what is not written shows
      data.push_back(p.data.data());
      ndims.push_back(static_cast<int>(p.shape.size()));
      shapes.push_back(p.shape.data());
      types.push_back(p.type.c_str());
    }
    return function(static_cast<int>(data.size()), data.data(), ndims.data(), shapes.data(), types.data(), nullptr,
                    nullptr) == 0;
  }
  // Whether the operator ran and gave what it gave the first time.
  bool Repeats() {
    if (!Run()) return false;
    std::vector<std::vector<char>> found;
    for (size_t i = inputs; i < parameters.size(); ++i) found.push_back(parameters[i].data);
    for (size_t i : changed) found.push_back(parameters[i].data);
    if (expected.empty()) expected = found;
    return found == expected;
  }
};

std::vector<Operation> Operations(const std::string& type, bool channels_last, unsigned seed) {
  constexpr int64_t kB = BLOCK;
  std::mt19937 random(seed);
  auto form = [&](int64_t n, int64_t c, int64_t h, int64_t w) -> std::vector<int64_t> {
    return {n, channels_last ? 1 : c / kB, h, w, channels_last ? c : kB};
  };
  auto act = [&](int64_t n, int64_t c, int64_t h, int64_t w) { return Tensor(form(n, c, h, w), type, random); };
  auto bytes = [&](int64_t n, int64_t c, int64_t h, int64_t w) { return Tensor(form(n, c, h, w), "uint8", random); };
  auto f32 = [&](std::vector<int64_t> shape) { return Tensor(std::move(shape), "float32", random); };
  auto ints = [](std::initializer_list<int32_t> values) { return Tensor(values, "int32"); };
  auto relu = Tensor({1e-5F, 0.9F, 1.F, 1.F}, "float32");
  auto positive = [&](int64_t c) {
    Tensor t = f32({c});
    for (size_t i = 0; i < t.data.size(); i += 4) t.data[i + 3] &= 0x7f;
    return t;
  };
  std::vector<Operation> all;
  auto add = [&](const char* name, Function* function, std::vector<Tensor> inputs, std::vector<Tensor> outputs) {
    Operation made{name, function, std::move(inputs), 0};
    made.inputs = made.parameters.size();
    for (Tensor& output : outputs) made.parameters.push_back(std::move(output));
    all.push_back(std::move(made));
  };
  auto add_in_place = [&](const char* name, Function* function, std::vector<Tensor> inputs, std::vector<size_t> changed) {
    add(name, function, std::move(inputs), {ints({0})});
    Operation& made = all.back();
    made.parameters.back().data.clear();  // not written
    made.changed = std::move(changed);
    for (size_t i : made.changed) made.parameters[i].original = made.parameters[i].data;
  };
  struct Shape {
    int64_t in, out, size, kernel, stride, groups;
  };
  for (Shape s : {Shape{32, 64, 14, 3, 1, 1}, Shape{64, 64, 9, 3, 2, 1}, Shape{64, 128, 7, 1, 1, 1},
                  Shape{64, 64, 9, 3, 1, 16}, Shape{32, 64, 8, 1, 2, 1}}) {
    int64_t out = (s.size - 1) / s.stride + 1;
    auto weights = [&] { return f32({s.out, s.in / s.groups, s.kernel, s.kernel}); };
    auto config = [&] { return ints({static_cast<int32_t>(s.stride), 0, 0}); };
    auto x = [&] { return act(3, s.in, s.size, s.size); };
    auto y = [&] { return act(3, s.out, out, out); };
    add("convolution_forward", convolution_forward, {config(), x(), weights()}, {y()});
    add("convolution_backward_data", convolution_backward_data, {config(), y(), weights(), x()}, {x()});
    add("convolution_backward_weights", convolution_backward_weights, {config(), y(), x(), weights()}, {weights()});
    if (s.groups == 1)
      add("convolution_forward, folded", convolution_forward,
          {ints({int(s.stride), 0, 1}), x(), weights(), f32({s.out}), y()}, {y()});
  }
  add("pool_forward", pool_forward, {ints({3, 2, 0, 1}), act(3, 32, 9, 9)}, {act(3, 32, 5, 5), bytes(3, 32, 5, 5)});
  add("pool_forward, average", pool_forward, {ints({3, 2, 1, 0}), act(3, 32, 9, 9)}, {act(3, 32, 5, 5), bytes(3, 32, 5, 5)});
  all.back().parameters.back().data.clear();  // not written
  add("pool_backward, average", pool_backward, {ints({3, 2, 0, 0}), act(3, 32, 5, 5), bytes(3, 32, 5, 5), act(3, 32, 9, 9)},
      {act(3, 32, 9, 9)});
  for (int64_t c : {16, 64, 160}) {
    auto x = [&] { return act(5, c, 9, 8); };
    auto v = [&] { return f32({c}); };
    add("norm_forward", norm_forward, {relu, x(), v(), v(), v(), positive(c)}, {x(), v(), v(), v(), v()});
    add("norm_forward, add", norm_forward, {relu, x(), v(), v(), v(), positive(c), x()}, {x(), v(), v(), v(), v()});
    add("norm_backward", norm_backward, {relu, x(), x(), v(), v(), v(), positive(c)}, {x(), v(), v()});
    add("norm_backward, add", norm_backward, {relu, x(), x(), v(), v(), v(), positive(c), x()}, {x(), v(), v(), x()});
    auto pooled = [&] { return Tensor(form(5, c, 1, 1), "float32", random); };
    add("mean_forward", mean_forward, {x()}, {pooled()});
    add("mean_backward", mean_backward, {pooled(), x()}, {x()});
    add("scale_forward", scale_forward, {x(), pooled()}, {x()});
    add("scale_backward", scale_backward, {x(), x(), pooled()}, {x(), pooled()});
    add("scale_forward, add", scale_forward, {x(), pooled(), x()}, {x()});
    add("scale_backward, add", scale_backward, {x(), x(), pooled(), x()}, {x(), pooled(), x()});
    add("sum", sum, {x(), x()}, {x()});
  }
  if (type == "bfloat16") return all;
  constexpr int64_t kMany = 50'000;  // several threads' shares
  auto many = [&] { return f32({kMany}); };
  auto floats = [](std::initializer_list<float> values) { return Tensor(values, "float32"); };
  add_in_place("momentum", momentum, {floats({0.9F, 1e-4F, 0, 1}), floats({0.1F}), many(), many(), many()}, {2, 3});
  add_in_place("adamw", adamw,
               {floats({0.9F, 0.1F, 0.999F, 0.001F, 1e-8F, 0.05F, 1}), floats({0.1F}), floats({0.1F}), floats({0.001F}),
                many(), many(), positive(kMany), many()},
               {4, 5, 6});
  add_in_place("average", average, {floats({0.99F}), many(), many()}, {1});
  add_in_place("add_share", add_share, {floats({4}), ints({1}), many(), many()}, {2});
  add("square_sum", square_sum, {many()}, {f32({1})});
  add("clip", clip, {floats({1}), floats({3}), many()}, {many()});
  return all;
}
}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(std::atof(argv[1]));
  blocked_set_threads(argc > 2 ? std::atoi(argv[2]) : 4);
  std::atomic<long> calls{0}, wrong{0};
  auto work = [&](unsigned seed) {
    std::vector<Operation> all = Operations("float32", false, seed);
    auto add = [&](const char* type, bool channels_last) {
      for (Operation& one : Operations(type, channels_last, seed)) all.push_back(std::move(one));
    };
    if (BLOCK == 16 && __builtin_cpu_supports("avx512bf16")) add("bfloat16", false), add("bfloat16", true);
    for (Operation& one : all) wrong += !one.Repeats();
    std::mt19937 random(seed);
    while (std::chrono::steady_clock::now() < end && !wrong) {
      Operation& one = all[random() % all.size()];
      if (!one.Repeats()) {
        std::printf("%s (%s): another result than the first time\n", one.name.c_str(), one.parameters[1].type.c_str());
        ++wrong;
      }
      ++calls;
    }
  };
  std::thread other(work, 1);
  work(2);
  other.join();
  std::printf("%ld calls compared, %ld differ\n", calls.load(), wrong.load());
  return wrong ? 1 : 0;
}
