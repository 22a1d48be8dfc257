// CUDA C++ for a host compiler: what a kernel's source needs so that g++ compiles it unchanged (`-include standin.h`).
//
// The threads of a block are fibers of one thread of the operating system, which switch only at barriers and shuffles; so
// a block's shared memory is `thread_local`. See runtime.cpp.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#ifndef STANDIN_LIST // left alone when compile.sh looks for kernels and shared memory in the preprocessed source
#define __global__
#define __shared__ thread_local
#endif
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __restrict__ __restrict
#define __align__(bytes) alignas(bytes)
#define __launch_bounds__(...)
#define __CUDA_ARCH__ 800

// ---- types

struct alignas(8) float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct uint3 { unsigned x, y, z; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

extern thread_local uint3 threadIdx, blockIdx;
extern thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

// ---- the runtime's side

namespace standin {

// Takes the next thread of the block on the current fiber; false when none is left.
bool next_thread();
void finish_thread();
// Waits for all threads of the block that have not finished.
void block_barrier();
// Waits for the lanes of `mask`; each gives a value and gets that of the lane `source`.
uint64_t exchange(unsigned mask, uint64_t value, unsigned source);
// The same, and each gets the bits of all lanes of `mask` whose value is not zero.
unsigned ballot(unsigned mask, bool value);
// Waits for all 32 lanes; each gives a pointer, and the last calls `work` with them all.
void together(void* mine, void (*work)(void* const lanes[32]));
unsigned lane();
// Ends the kernel with an error.
[[noreturn]] void fail(const char* why);

struct Kernel {
    const char* name;
    // Runs threads of the current block until none is left.
    void (*run)(void** arguments);
    // The current thread's dynamic shared memory; null if the source declares none.
    void* (*shared)();
    unsigned arguments;
    // Bit i: argument i is a pointer.
    uint64_t pointers;
    // Each argument as text, in the kernel's order; pointers as `p`, or `0` for none.
    std::string (*describe)(void** arguments);
};
constexpr size_t SHARED_BYTES = 48 * 1024;
constexpr size_t SHARED_GUARD = 256;

void enlist(const Kernel& kernel);

template <auto F> struct Entry;
template <class... A, void (*F)(A...)> struct Entry<F> {
    template <class T> static T load(const void* bytes) {
        T value;
        std::memcpy(&value, bytes, sizeof(T));
        return value;
    }
    template <size_t... I> static void run_all(void** arguments, std::index_sequence<I...>) {
        const std::tuple<std::remove_cv_t<A>...> values(load<std::remove_cv_t<A>>(arguments[I])...);
        while (next_thread()) {
            F(std::get<I>(values)...);
            finish_thread();
        }
    }
    static void run(void** arguments) { run_all(arguments, std::index_sequence_for<A...>()); }
    static constexpr uint64_t pointers() {
        uint64_t bits = 0, bit = 1;
        ((bits |= std::is_pointer_v<A> ? bit : 0, bit <<= 1), ...);
        return bits;
    }
    static constexpr unsigned count = sizeof...(A);
    template <size_t... I> static std::string describe_all(void** arguments, std::index_sequence<I...>) {
        std::string text;
        const auto add = [&](auto value) {
            text += ' ';
            if constexpr (std::is_pointer_v<decltype(value)>) text += value ? "p" : "0";
            else if constexpr (std::is_arithmetic_v<decltype(value)>) text += std::to_string(value);
            else text += '?';
        };
        (add(load<std::remove_cv_t<A>>(arguments[I])), ...);
        return text;
    }
    static std::string describe(void** arguments) { return describe_all(arguments, std::index_sequence_for<A...>()); }
};

struct Enlist {
    template <class E> Enlist(E, const char* name, void* (*shared)()) {
        enlist({name, E::run, shared, E::count, E::pointers(), E::describe});
    }
};

} // namespace standin

// ---- barriers, shuffles, votes

inline void __syncthreads() { standin::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { standin::exchange(mask, 0, standin::lane()); }

namespace standin {
template <class T> T shuffle(unsigned mask, T value, unsigned source) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    bits = exchange(mask, bits, source);
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}
} // namespace standin

template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    return standin::shuffle(mask, value, (standin::lane() & ~(width - 1)) | (source & (width - 1)));
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    const unsigned me = standin::lane(), source = me ^ bits;
    return standin::shuffle(mask, value, (source & ~(width - 1)) == (me & ~(width - 1)) ? source : me);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned me = standin::lane();
    return standin::shuffle(mask, value, (me & (width - 1)) + by < unsigned(width) ? me + by : me);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned me = standin::lane();
    return standin::shuffle(mask, value, (me & (width - 1)) >= by ? me - by : me);
}
inline unsigned __ballot_sync(unsigned mask, int yes) { return standin::ballot(mask, yes != 0); }
inline int __any_sync(unsigned mask, int yes) { return standin::ballot(mask, yes != 0) != 0; }
inline int __all_sync(unsigned mask, int yes) { return standin::ballot(mask, yes == 0) == 0; }

// ---- tensor cores: products of a warp, see src/kernels/cuda/tensor.cuh for which lane holds what

struct __standin_Mma {
    float* d;
    const unsigned *a, *b;
};
// d (16, 8) += a (16, 16) b (16, 8), numbers of a and b in bf16, two to a word; the sum is in single precision.
inline void __standin_mma_bf16(float* d, const unsigned* a, const unsigned* b) {
    __standin_Mma mine{d, a, b};
    standin::together(&mine, [](void* const lanes[32]) {
        const auto of = [&](unsigned lane) { return static_cast<const __standin_Mma*>(lanes[lane]); };
        const auto number = [](unsigned word, unsigned high) {
            const unsigned bits = high ? word & 0xffff0000u : word << 16;
            float x;
            std::memcpy(&x, &bits, sizeof x);
            return x;
        };
        float left[16][16], right[16][8];
        for (unsigned lane = 0; lane < 32; lane++) {
            const unsigned group = lane / 4, pair = lane % 4 * 2;
            for (unsigned high = 0; high < 2; high++) {
                for (unsigned i = 0; i < 4; i++) {
                    left[group + i % 2 * 8][pair + i / 2 * 8 + high] = number(of(lane)->a[i], high);
                }
                for (unsigned i = 0; i < 2; i++) right[pair + i * 8 + high][group] = number(of(lane)->b[i], high);
            }
        }
        for (unsigned lane = 0; lane < 32; lane++) {
            for (unsigned i = 0; i < 4; i++) {
                const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
                float sum = of(lane)->d[i];
                for (unsigned k = 0; k < 16; k++) sum += left[row][k] * right[k][column];
                of(lane)->d[i] = sum;
            }
        }
    });
}

struct __standin_Load {
    unsigned* r;
    const unsigned short* row;
    bool turned;
};
// Four (8, 8) matrices of 16-bit numbers whose rows the lanes name, or their transposes.
inline void __standin_ldmatrix(unsigned* r, const void* row, bool turned) {
    __standin_Load mine{r, static_cast<const unsigned short*>(row), turned};
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0) standin::fail("a row of a matrix that is not aligned to 16 bytes");
    standin::together(&mine, [](void* const lanes[32]) {
        const auto of = [&](unsigned lane) { return static_cast<const __standin_Load*>(lanes[lane]); };
        for (unsigned lane = 0; lane < 32; lane++) {
            const unsigned group = lane / 4, pair = lane % 4 * 2;
            for (unsigned i = 0; i < 4; i++) {
                const auto at = [&](unsigned y, unsigned x) -> unsigned { return of(8 * i + y)->row[x]; };
                of(lane)->r[i] = of(lane)->turned ? at(pair, group) | at(pair + 1, group) << 16
                                                  : at(group, pair) | at(group, pair + 1) << 16;
            }
        }
    });
}

// ---- atomics (blocks run on several threads of the operating system)

template <class T, class F> T __standin_atomic(T* at, F change) {
    T old, next;
    __atomic_load(at, &old, __ATOMIC_RELAXED);
    do {
        next = change(old);
    } while (!__atomic_compare_exchange(at, &old, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
template <class T, class U> T atomicAdd(T* at, U by) {
    return __standin_atomic(at, [&](T old) { return T(old + T(by)); });
}
template <class T, class U> T atomicMax(T* at, U by) {
    return __standin_atomic(at, [&](T old) { return old < T(by) ? T(by) : old; });
}
template <class T, class U> T atomicMin(T* at, U by) {
    return __standin_atomic(at, [&](T old) { return T(by) < old ? T(by) : old; });
}
template <class T, class U> T atomicExch(T* at, U to) {
    return __standin_atomic(at, [&](T) { return T(to); });
}
template <class T, class U> T atomicCAS(T* at, U from, U to) {
    return __standin_atomic(at, [&](T old) { return old == T(from) ? T(to) : old; });
}

// ---- numbers

using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;
template <class A, class B> constexpr std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    return T(b) < T(a) ? T(b) : T(a);
}
template <class A, class B> constexpr std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    return T(a) < T(b) ? T(b) : T(a);
}
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
// Rounded by itself: the compiler joins no product with the sum after it.
inline float __standin_rounded(float x) {
    asm("" : "+x"(x));
    return x;
}
inline float __fadd_rn(float x, float y) { return __standin_rounded(x + y); }
inline float __fmul_rn(float x, float y) { return __standin_rounded(x * y); }
inline float __fdiv_rn(float x, float y) { return __standin_rounded(x / y); }
inline float __fsqrt_rn(float x) { return __standin_rounded(sqrtf(x)); }
template <class T> T __ldg(const T* at) { return *at; }
template <class To, class From> To __standin_cast(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof(To));
    return to;
}
inline int __float_as_int(float x) { return __standin_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return __standin_cast<unsigned>(x); }
inline float __int_as_float(int x) { return __standin_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return __standin_cast<float>(x); }
inline long long __double_as_longlong(double x) { return __standin_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return __standin_cast<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(unsigned(x)); }
