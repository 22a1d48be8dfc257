// Work on rows of numbers: what a block does between its products.
//
// Kernels over rows run in blocks of (32, 8): each warp works on one row. Those named `_bf16` round what they write to
// bf16, for the product that comes next, those named `_all_bf16` read such numbers too; the others do the same work in
// single precision.

#include "numbers.cuh"

static __device__ size_t this_row() { return (size_t)blockIdx.x * blockDim.y + threadIdx.y; }

static __device__ float warp_sum(float v) {
    for (int lane = 16; lane > 0; lane /= 2) v += __shfl_xor_sync(0xffffffffu, v, lane);
    return v;
}

// x Phi(x), the exact form.
static __device__ float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

static __device__ float gelu_slope(float x) {
    float cdf = 0.5f * (1.0f + erff(x * 0.70710678f));
    return fmaf(x * 0.39894228f, expf(-0.5f * x * x), cdf);
}

// The largest of four and which it is: among equals the first; a NaN, once met, stays.
static __device__ float largest_of_four(float a, float b, float c, float d, int *which) {
    float others[3] = {b, c, d}, best = a;
    *which = 0;
    for (int i = 0; i < 3; i++) {
        if (others[i] > best || (isnan(others[i]) && !isnan(best))) {
            best = others[i];
            *which = i + 1;
        }
    }
    return best;
}

// y = x, rounded
extern "C" __global__ void round_bf16(size_t n, const float *x, Bf16 *y) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) put(x[i], y + i);
}

// The same of two.
extern "C" __global__ void round_two_bf16(size_t n, const float *x, Bf16 *y, size_t m, const float *v, Bf16 *w) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) put(x[i], y + i);
    else if (i - n < m) put(v[i - n], w + i - n);
}

// y = gelu(x + bias); both may be one.
template <typename F, typename T>
static __device__ void bias_gelu_to(size_t rows, int c, const F *x, const float *bias, T *y) {
    size_t row = this_row();
    if (row >= rows) return;
    for (int i = threadIdx.x; i < c; i += 32) put(gelu(get(x + row * c + i) + bias[i]), y + row * c + i);
}

extern "C" __global__ void bias_gelu(size_t rows, int c, const float *x, const float *bias, float *y) {
    bias_gelu_to(rows, c, x, bias, y);
}

extern "C" __global__ void bias_gelu_bf16(size_t rows, int c, const float *x, const float *bias, Bf16 *y) {
    bias_gelu_to(rows, c, x, bias, y);
}

extern "C" __global__ void bias_gelu_all_bf16(size_t rows, int c, const Bf16 *x, const float *bias, Bf16 *y) {
    bias_gelu_to(rows, c, x, bias, y);
}

// y = gelu(x + bias) + residual
extern "C" __global__ void bias_gelu_add(
    size_t rows, int c, const float *x, const float *bias, const float *residual, float *y
) {
    size_t row = this_row();
    if (row >= rows) return;
    for (int i = threadIdx.x; i < c; i += 32) {
        y[row * c + i] = gelu(x[row * c + i] + bias[i]) + residual[row * c + i];
    }
}

// y = y + bias + residual
extern "C" __global__ void bias_add(size_t rows, int c, float *y, const float *bias, const float *residual) {
    size_t row = this_row();
    if (row >= rows) return;
    for (int i = threadIdx.x; i < c; i += 32) y[row * c + i] += bias[i] + residual[row * c + i];
}

// y = y + bias (if there is one), then a ReLU if asked for.
extern "C" __global__ void bias_relu(size_t rows, int c, float *y, const float *bias, int relu) {
    size_t row = this_row();
    if (row >= rows) return;
    for (int i = threadIdx.x; i < c; i += 32) {
        float v = y[row * c + i] + (bias ? bias[i] : 0.0f);
        y[row * c + i] = relu && v < 0.0f ? 0.0f : v;
    }
}

// y = g gelu'(x + bias); g and y may be one.
template <typename T>
static __device__ void bias_gelu_backward_to(size_t rows, int c, const T *x, const float *bias, const T *g, T *y) {
    size_t row = this_row();
    if (row >= rows) return;
    for (int i = threadIdx.x; i < c; i += 32) {
        put(get(g + row * c + i) * gelu_slope(get(x + row * c + i) + bias[i]), y + row * c + i);
    }
}

extern "C" __global__ void bias_gelu_backward(
    size_t rows, int c, const float *x, const float *bias, const float *g, float *y
) {
    bias_gelu_backward_to(rows, c, x, bias, g, y);
}

extern "C" __global__ void bias_gelu_backward_all_bf16(
    size_t rows, int c, const Bf16 *x, const float *bias, const Bf16 *g, Bf16 *y
) {
    bias_gelu_backward_to(rows, c, x, bias, g, y);
}

// Mean and 1 / sqrt(variance + 1e-6) of a row (Hiera's epsilon), the same in every lane.
static __device__ void row_moments(int c, const float *x, float *mean, float *inverse) {
    float sum = 0.0f, squares = 0.0f;
    for (int i = threadIdx.x; i < c; i += 32) sum += x[i];
    float m = warp_sum(sum) / c;
    for (int i = threadIdx.x; i < c; i += 32) squares = fmaf(x[i] - m, x[i] - m, squares);
    *mean = m;
    *inverse = 1.0f / sqrtf(warp_sum(squares) / c + 1e-6f);
}

// y = (x - mean) / sqrt(variance + 1e-6) gamma + beta, for one row.
template <typename T>
static __device__ void norm_row(int c, const float *x, const float *gamma, const float *beta, T *y) {
    float mean, inverse;
    row_moments(c, x, &mean, &inverse);
    for (int i = threadIdx.x; i < c; i += 32) put(fmaf((x[i] - mean) * inverse, gamma[i], beta[i]), y + i);
}

template <typename T>
static __device__ void layer_norm_to(
    size_t rows, int c, const float *x, const float *gamma, const float *beta, T *y
) {
    size_t row = this_row();
    if (row < rows) norm_row(c, x + row * c, gamma, beta, y + row * c);
}

extern "C" __global__ void layer_norm(
    size_t rows, int c, const float *x, const float *gamma, const float *beta, float *y
) {
    layer_norm_to(rows, c, x, gamma, beta, y);
}

extern "C" __global__ void layer_norm_bf16(
    size_t rows, int c, const float *x, const float *gamma, const float *beta, Bf16 *y
) {
    layer_norm_to(rows, c, x, gamma, beta, y);
}

// y = x + bias + residual, or gelu(x + bias) + residual, and its layer norm; x and y may be one. A lane reads again what it
// wrote itself.
template <bool GELU, typename T>
static __device__ void bias_add_norm_to(
    size_t rows, int c, const float *x, const float *bias, const float *residual, float *y, const float *gamma,
    const float *beta, T *normed
) {
    size_t row = this_row();
    if (row >= rows) return;
    x += row * c;
    y += row * c;
    for (int i = threadIdx.x; i < c; i += 32) {
        y[i] = GELU ? gelu(x[i] + bias[i]) + residual[row * c + i] : x[i] + (bias[i] + residual[row * c + i]);
    }
    norm_row(c, y, gamma, beta, normed + row * c);
}

#define BIAS_ADD_NORM(NAME, GELU, T)                                                                                     \
    extern "C" __global__ void NAME(                                                                                     \
        size_t rows, int c, const float *x, const float *bias, const float *residual, float *y, const float *gamma,      \
        const float *beta, T *normed                                                                                     \
    ) {                                                                                                                  \
        bias_add_norm_to<GELU>(rows, c, x, bias, residual, y, gamma, beta, normed);                                      \
    }

BIAS_ADD_NORM(bias_add_norm, false, float)
BIAS_ADD_NORM(bias_add_norm_bf16, false, Bf16)
BIAS_ADD_NORM(bias_gelu_add_norm, true, float)
BIAS_ADD_NORM(bias_gelu_add_norm_bf16, true, Bf16)

// The gradient of a layer norm's input in the place of that of its output, plus a residual if there is one.
extern "C" __global__ void layer_norm_backward(
    size_t rows, int c, const float *x, const float *gamma, float *g, const float *residual
) {
    size_t row = this_row();
    if (row >= rows) return;
    x += row * c;
    g += row * c;
    float mean, inverse, sum = 0.0f, dot = 0.0f;
    row_moments(c, x, &mean, &inverse);
    for (int i = threadIdx.x; i < c; i += 32) {
        float v = g[i] * gamma[i];
        sum += v;
        dot = fmaf(x[i] - mean, v, dot);
    }
    float mean_g = warp_sum(sum) / c, slope = warp_sum(dot) * inverse * inverse / c;
    for (int i = threadIdx.x; i < c; i += 32) {
        float v = inverse * (g[i] * gamma[i] - mean_g - (x[i] - mean) * slope);
        g[i] = residual ? v + residual[row * c + i] : v;
    }
}

// The four rows of a map of width 2 half that a 2x2 pool makes one of, for a row of the pooled map.
struct Four {
    size_t at[4];
};

static __device__ Four four_rows(size_t row, int half, int c) {
    // Lines of all maps lie one under another, an even number of each: a pair of them never straddles two maps.
    size_t line = row / half, column = row % half, width = 2 * (size_t)half;
    size_t first = (2 * line * width + 2 * column) * c;
    return {{first, first + c, first + width * c, first + width * c + c}};
}

// y = y + bias + the 2x2 max pool of (full + full_bias); rows of y are counted.
extern "C" __global__ void bias_add_pooled(
    size_t rows, int half, int c, float *y, const float *bias, const float *full, const float *full_bias
) {
    size_t row = this_row();
    if (row >= rows) return;
    Four four = four_rows(row, half, c);
    for (int i = threadIdx.x; i < c; i += 32) {
        float b = full_bias[i];
        int which;
        float largest = largest_of_four(full[four.at[0] + i] + b, full[four.at[1] + i] + b, full[four.at[2] + i] + b,
                                        full[four.at[3] + i] + b, &which);
        y[row * c + i] += bias[i] + largest;
    }
}

// The gradient of the pool's input in the place of its input.
extern "C" __global__ void pool_backward(
    size_t rows, int half, int c, float *full, const float *full_bias, const float *g
) {
    size_t row = this_row();
    if (row >= rows) return;
    Four four = four_rows(row, half, c);
    for (int i = threadIdx.x; i < c; i += 32) {
        float b = full_bias[i];
        int which;
        largest_of_four(full[four.at[0] + i] + b, full[four.at[1] + i] + b, full[four.at[2] + i] + b,
                        full[four.at[3] + i] + b, &which);
        for (int k = 0; k < 4; k++) full[four.at[k] + i] = k == which ? g[row * c + i] : 0.0f;
    }
}

// Copies rows of c numbers into rows of `width`, from `offset` on.
extern "C" __global__ void put_columns(size_t rows, int c, const float *x, int width, int offset, float *y) {
    size_t row = this_row();
    if (row >= rows) return;
    for (int i = threadIdx.x; i < c; i += 32) y[row * width + offset + i] = x[row * c + i];
}

// Adds c numbers of each row of `width`, from `offset` on, to rows of c.
extern "C" __global__ void add_columns(size_t rows, int c, const float *x, int width, int offset, float *y) {
    size_t row = this_row();
    if (row >= rows) return;
    for (int i = threadIdx.x; i < c; i += 32) y[row * c + i] += x[row * width + offset + i];
}
