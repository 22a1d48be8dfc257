// What a convolution lays out for its matrix products. Maps are (b, height, width, c), taps are counted row by row. Kernels
// named `_bf16` round what they write to bf16.

#include "numbers.cuh"

// The rows of a map that each tap of a kernel reads, for `count` pixels from `first` on: columns (count, taps, c), zeros
// outside of the map. `sign` -1 turns the kernel around. Blocks of (32, 8): a warp works on one pixel and tap.
template <typename T>
static __device__ void conv_gather_to(
    size_t first, size_t count, int height, int width, int c, int kh, int kw, int dilation, int sign, const float *x,
    T *columns
) {
    int taps = kh * kw;
    size_t row = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= count * taps) return;
    int tap = (int)(row % taps);
    size_t pixel = first + row / taps, line = pixel / width, map = line / height;
    int y = (int)(line % height) + sign * dilation * (tap / kw - kh / 2);
    int from = (int)(pixel % width) + sign * dilation * (tap % kw - kw / 2);
    bool inside = y >= 0 && y < height && from >= 0 && from < width;
    const float *seen = inside ? x + ((map * height + y) * width + from) * c : x;
    for (int i = threadIdx.x; i < c; i += 32) put(inside ? seen[i] : 0.0f, columns + row * c + i);
}

extern "C" __global__ void conv_gather(
    size_t first, size_t count, int height, int width, int c, int kh, int kw, int dilation, int sign, const float *x,
    float *columns
) {
    conv_gather_to(first, count, height, width, c, kh, kw, dilation, sign, x, columns);
}

extern "C" __global__ void conv_gather_bf16(
    size_t first, size_t count, int height, int width, int c, int kh, int kw, int dilation, int sign, const float *x,
    Bf16 *columns
) {
    conv_gather_to(first, count, height, width, c, kh, kw, dilation, sign, x, columns);
}

// The published weight (co, c, taps) as (co, taps, c).
template <typename T>
static __device__ void by_tap(int co, int c, int taps, const float *weight, T *out) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)co * c * taps) return;
    size_t ch = i % c, tap = i / c % taps, o = i / c / taps;
    put(weight[(o * c + ch) * taps + tap], out + i);
}

extern "C" __global__ void conv_weight_by_tap(int co, int c, int taps, const float *weight, float *out) {
    by_tap(co, c, taps, weight, out);
}

extern "C" __global__ void conv_weight_by_tap_bf16(int co, int c, int taps, const float *weight, Bf16 *out) {
    by_tap(co, c, taps, weight, out);
}

// The published weight (co, c, taps) as (c, taps, co).
template <typename T>
static __device__ void by_input(int co, int c, int taps, const float *weight, T *out) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)co * c * taps) return;
    size_t o = i % co, tap = i / co % taps, ch = i / co / taps;
    put(weight[(o * c + ch) * taps + tap], out + i);
}

extern "C" __global__ void conv_weight_by_input(int co, int c, int taps, const float *weight, float *out) {
    by_input(co, c, taps, weight, out);
}

extern "C" __global__ void conv_weight_by_input_bf16(int co, int c, int taps, const float *weight, Bf16 *out) {
    by_input(co, c, taps, weight, out);
}

// Adds a gradient (co, taps, c) to one laid out as published, (co, c, taps).
extern "C" __global__ void conv_add_weight_gradient(int co, int c, int taps, const float *by_tap, float *gw) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)co * c * taps) return;
    size_t tap = i % taps, ch = i / taps % c, o = i / taps / c;
    gw[i] += by_tap[(o * taps + tap) * c + ch];
}

// out = g where the output y of a ReLU is positive, else 0
extern "C" __global__ void conv_relu_backward(size_t n, const float *y, const float *g, float *out) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = y[i] <= 0.0f ? 0.0f : g[i];
}

// A convolution and its batch norm as one convolution: the published weight (co, c, taps) as (co, taps, c), and a bias. The
// host's arithmetic, to the bit.
template <typename T>
static __device__ void fold(
    int co, int c, int taps, float epsilon, const float *weight, const float *scale, const float *shift, const float *mean,
    const float *variance, T *folded, float *bias
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)co * c * taps) return;
    size_t ch = i % c, tap = i / c % taps, o = i / c / taps;
    float factor = __fdiv_rn(scale[o], __fsqrt_rn(__fadd_rn(variance[o], epsilon)));
    put(__fmul_rn(weight[(o * c + ch) * taps + tap], factor), folded + i);
    if (ch == 0 && tap == 0) bias[o] = __fadd_rn(shift[o], -__fmul_rn(mean[o], factor));
}

extern "C" __global__ void conv_fold(
    int co, int c, int taps, float epsilon, const float *weight, const float *scale, const float *shift, const float *mean,
    const float *variance, float *folded, float *bias
) {
    fold(co, c, taps, epsilon, weight, scale, shift, mean, variance, folded, bias);
}

extern "C" __global__ void conv_fold_bf16(
    int co, int c, int taps, float epsilon, const float *weight, const float *scale, const float *shift, const float *mean,
    const float *variance, Bf16 *folded, float *bias
) {
    fold(co, c, taps, epsilon, weight, scale, shift, mean, variance, folded, bias);
}
