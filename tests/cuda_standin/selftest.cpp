// The stand-in's own test: right kernels give right numbers, and each mistake is caught.

#include "runtime.h"
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

extern "C" {
int cuMemAllocAsync(uint64_t*, size_t, void*);
int cuMemFreeAsync(uint64_t, void*);
int cuMemcpyHtoD_v2(uint64_t, const void*, size_t);
int cuMemcpyDtoH_v2(void*, uint64_t, size_t);
int cuMemcpyHtoDAsync_v2(uint64_t, const void*, size_t, void*);
int cuStreamCreate(void**, unsigned);
int cuStreamWaitEvent(void*, void*, unsigned);
int cuEventCreate(void**, unsigned);
int cuEventRecord(void*, void*);
int cuModuleLoadData(void**, const char*);
int cuModuleGetFunction(void**, void*, const char*);
int cuLaunchKernel(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**);
}

static int failures = 0;
static void check(const char* what, bool holds) {
    std::printf("%s: %s\n", what, holds ? "ok" : "FAILED");
    failures += !holds;
}

template <class T> static uint64_t device(const std::vector<T>& numbers) {
    uint64_t address = 0;
    if (cuMemAllocAsync(&address, numbers.size() * sizeof(T), nullptr)) std::abort();
    cuMemcpyHtoD_v2(address, numbers.data(), numbers.size() * sizeof(T));
    return address;
}
template <class T> static std::vector<T> host(uint64_t address, size_t n) {
    std::vector<T> numbers(n);
    if (cuMemcpyDtoH_v2(numbers.data(), address, n * sizeof(T))) std::abort();
    return numbers;
}

template <class... A> static int launch(const char* kernel, dim3 grid, dim3 block, unsigned shared, A... arguments) {
    void *module, *function;
    const std::string ptx = std::string(".target sm_75\n.visible .entry ") + kernel + "(\n";
    if (cuModuleLoadData(&module, ptx.c_str()) || cuModuleGetFunction(&function, module, kernel)) return -1;
    void* pointers[] = {&arguments...};
    return cuLaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, nullptr, pointers, nullptr);
}

static std::vector<float> turned_without_barrier() {
    std::vector<float> x(64);
    std::iota(x.begin(), x.end(), 1.0f);
    const uint64_t address = device(x);
    launch("turn_without_barrier", {1}, {64}, 0, address);
    return host<float>(address, 64);
}

int main(int count, char** arguments) {
    if (count > 1) { // tells a number to the process that asks, below
        uint64_t address;
        if (cuMemAllocAsync(&address, 4, nullptr)) return std::puts("lost"), 0;
        std::printf("%f\n", turned_without_barrier()[0]);
        return 0;
    }

    const uint64_t places = device(std::vector<unsigned>(2 * 3 * 2 * 24));
    check("indices run", launch("indices", {2, 3, 2}, {4, 3, 2}, 0, places) == 0);
    bool right = true;
    const auto found = host<unsigned>(places, 288);
    for (unsigned i = 0; i < 288; i++) right &= found[i] == i / 24 * 1000 + i % 24;
    check("indices", right);

    std::vector<float> x(40 * 256);
    std::iota(x.begin(), x.end(), 0.0f);
    const uint64_t numbers = device(x);
    check("turn runs", launch("turn", {40}, {256}, 0, numbers) == 0);
    const auto turned = host<float>(numbers, x.size());
    right = true;
    for (size_t i = 0; i < x.size(); i++) right &= turned[i] == x[i / 256 * 256 + 255 - i % 256];
    check("barriers", right);

    const uint64_t ones = device(std::vector<float>(40 * 256, 1.0f)), sum = device(std::vector<float>(1));
    const uint64_t votes = device(std::vector<unsigned>(40 * 256));
    check("sums run", launch("sums", {40}, {256}, 8 * 4, ones, sum, votes) == 0);
    check("shuffles and atomics", host<float>(sum, 1)[0] == 40 * 256);
    right = true;
    for (unsigned vote : host<unsigned>(votes, 40 * 256)) right &= vote == 0xaaaaaaaa;
    check("votes", right);

    std::vector<unsigned short> a(256), b(256);
    const auto number = [](int i, int step) { return float(i * step % 17 - 8); };
    const auto upper_half = [](float v) {
        unsigned bits;
        std::memcpy(&bits, &v, sizeof bits);
        return static_cast<unsigned short>(bits >> 16);
    };
    for (int i = 0; i < 256; i++) a[i] = upper_half(number(i, 5)), b[i] = upper_half(number(i, 11));
    const uint64_t product = device(std::vector<float>(256));
    check("products run", launch("products", {1}, {32}, 0, device(a), device(b), product) == 0);
    right = true;
    const auto summed = host<float>(product, 256);
    for (int i = 0; i < 256; i++) {
        float sum = 0.0f;
        for (int k = 0; k < 16; k++) {
            sum += number(i / 16 * 16 + k, 5) * (number(i % 16 * 16 + k, 11) + number(k * 16 + i % 16, 11));
        }
        right &= summed[i] == sum;
    }
    check("products on tensor cores", right);

    const auto wrong = [](int error) { return error > 0; };
    const uint64_t ten = device(std::vector<float>(10));
    check("a number past the end", wrong(launch("write_at", {1}, {1}, 0, device(std::vector<float>(10)), 10ll)));
    check("a number before the start", wrong(launch("write_at", {1}, {1}, 0, device(std::vector<float>(10)), -1ll)));
    check("the last number", launch("write_at", {1}, {1}, 0, ten, 9ll) == 0);
    cuMemFreeAsync(ten, nullptr);
    check("freed memory", wrong(launch("write_at", {1}, {1}, 0, ten, 0ll)));

    uint64_t unset;
    cuMemAllocAsync(&unset, 32 * 4, nullptr);
    const uint64_t copy = device(std::vector<float>(32));
    check("a copy runs", launch("copy", {1}, {32}, 0, unset, copy) == 0);
    check("numbers read before they are written", std::isnan(host<float>(copy, 32)[31]));
    check("a copy of shared memory runs", launch("copy_of_shared", {1}, {32}, 128, copy) == 0);
    check("shared numbers read before they are written", std::isnan(host<float>(copy, 32)[31]));
    check("the last shared number", launch("write_shared", {1}, {1}, 128, 31) == 0);
    check("a shared number past the end", wrong(launch("write_shared", {1}, {1}, 128, 32)));

    void *stream, *event;
    cuStreamCreate(&stream, 1), cuEventCreate(&event, 2);
    const std::vector<float> late(32, 7.0f);
    const uint64_t beside = device(std::vector<float>(32, 1.0f));
    cuMemcpyHtoDAsync_v2(beside, late.data(), 32 * 4, stream);
    cuEventRecord(event, stream);
    check("a copy that nobody waited for", host<float>(beside, 32)[31] == 1.0f);
    cuStreamWaitEvent(nullptr, event, 0);
    check("and one that somebody did", host<float>(beside, 32)[31] == 7.0f);

    check("a shuffle without half of its lanes", wrong(launch("shuffle_without_half", {1}, {32}, 0, copy)));
    check("threads that wait at two places", wrong(launch("wait_at_two_places", {1}, {32}, 0, copy)));
    check("a product without half of its lanes", wrong(launch("product_of_half", {1}, {32}, 0, copy)));
    check("a matrix between rows", wrong(launch("load_between_rows", {1}, {32}, 0, copy)));
    check("half a warp at another exchange", wrong(launch("vote_and_shuffle", {1}, {32}, 0, copy)));
    check("and a right kernel after them", launch("turn", {40}, {256}, 0, numbers) == 0);

    check("too large a block", wrong(launch("turn", {1}, {2048}, 0, numbers)));
    check("an empty grid", wrong(launch("turn", {0}, {256}, 0, numbers)));
    check("too much shared memory", wrong(launch("write_shared", {1}, {1}, 49 * 1024, 0)));
    check("a kernel that is not there", wrong(launch("nowhere", {1}, {1}, 0, numbers)));
    void* module;
    check("PTX for newer cards", wrong(cuModuleLoadData(&module, ".target sm_90\n.entry turn(")));
    uint64_t huge;
    check("more memory than there is", cuMemAllocAsync(&huge, size_t(1) << 40, nullptr) == 2);

    const auto other_process = [&](const std::string& setting) {
        char line[64] = "";
        FILE* output = popen((setting + " " + arguments[0] + " number").c_str(), "r");
        if (!output || !std::fgets(line, sizeof line, output)) std::abort();
        pclose(output);
        return std::string(line);
    };
    check("a card that is lost", other_process("CUDA_STANDIN_LOST=0") == "lost\n");
    check("a missing barrier", other_process("") != other_process("CUDA_STANDIN_REVERSE=1"));
    return failures > 0;
}
