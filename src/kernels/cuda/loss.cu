// Weighted cross-entropy plus weighted IoU over planes of logits, sums in double precision and a fixed order. A pixel
// whose weight is 0 is ignored, and what stands there need be no number.

#include "loss.cuh"

// Sums over 31 neighbours in a row of `width`.
extern "C" __global__ void box_rows(size_t n, int width, const float *mask, double *rows) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int x = (int)(i % width);
    const float *line = mask + (i - x);
    double sum = 0.0;
    for (int at = x - BOX / 2; at <= x + BOX / 2; at++) sum += at >= 0 && at < width ? (double)line[at] : 0.0;
    rows[i] = sum;
}

// 1 + 5 |box mean - mask| of planes (height, width); padding counts as zeros in the mean.
extern "C" __global__ void box_weights(
    size_t n, int height, int width, const float *mask, const double *rows, float *y
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int line = (int)(i / width % height);
    double sum = 0.0;
    for (int at = line - BOX / 2; at <= line + BOX / 2; at++) {
        if (at >= 0 && at < height) sum += rows[i + (size_t)at * width - (size_t)line * width];
    }
    y[i] = 1.0f + 5.0f * fabsf((float)(sum / (BOX * BOX)) - mask[i]);
}

// The same where pixels may be ignored: `known` is 0 there. One plane of it is for `sharing` planes of the mask. rows
// (2, n): sums of the mask where it is known, and how many pixels are ignored.
extern "C" __global__ void box_rows_known(
    size_t n, size_t pixels, size_t sharing, int width, const float *mask, const float *known, double *rows
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int x = (int)(i % pixels % width);
    const float *line = mask + (i - x), *known_line = known + (i / pixels / sharing * pixels + i % pixels - x);
    double sum = 0.0, ignored = 0.0;
    for (int at = x - BOX / 2; at <= x + BOX / 2; at++) {
        if (at < 0 || at >= width) continue;
        if (known_line[at] == 0.0f) ignored += 1.0;
        else sum += (double)line[at];
    }
    rows[i] = sum;
    rows[n + i] = ignored;
}

// 1 + 5 |box mean - mask|, and 0 where pixels are ignored, which count in no mean.
extern "C" __global__ void box_weights_known(
    size_t n, size_t pixels, size_t sharing, int height, int width, const float *mask, const float *known,
    const double *rows, float *y
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    if (known[i / pixels / sharing * pixels + i % pixels] == 0.0f) {
        y[i] = 0.0f;
        return;
    }
    int line = (int)(i % pixels / width);
    double sum = 0.0, ignored = 0.0;
    for (int at = line - BOX / 2; at <= line + BOX / 2; at++) {
        if (at < 0 || at >= height) continue;
        size_t row = i + (size_t)at * width - (size_t)line * width;
        sum += rows[row];
        ignored += rows[n + row];
    }
    y[i] = 1.0f + 5.0f * fabsf((float)(sum / (BOX * BOX - ignored)) - mask[i]);
}

static __device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// ln(1 + e^x) without overflow.
static __device__ float softplus(float x) { return (x < 0.0f ? 0.0f : x) + log1pf(expf(-fabsf(x))); }

// partial (planes, chunks, 4): sums of what the cross-entropy counts (w or 1), of the cross-entropy, of w p m and of w
// (p + m). A block of 256 threads sums `chunk` pixels.
extern "C" __global__ void loss_sums(
    size_t chunk, size_t pixels, int weighted, const float *x, const float *mask, const float *weight, double *partial
) {
    size_t chunks = gridDim.x, plane = blockIdx.y, first = plane * pixels;
    double sums[4] = {0.0, 0.0, 0.0, 0.0};
    for (size_t i = threadIdx.x; i < chunk; i += 256) {
        size_t at = blockIdx.x * chunk + i;
        if (at >= pixels) break;
        float v = x[first + at], m = mask[first + at], w = weight[first + at];
        if (w == 0.0f) continue;
        float p = sigmoid(v), entropy = softplus(v) - v * m;
        sums[0] += weighted ? w : 1.0f;
        sums[1] += weighted ? w * entropy : entropy;
        sums[2] += w * p * m;
        sums[3] += w * (p + m);
    }
    for (int k = 0; k < 4; k++) {
        double sum = block_sum(sums[k]);
        if (threadIdx.x == 0) partial[(plane * chunks + blockIdx.x) * 4 + k] = sum;
    }
}

// totals (planes, 4)
extern "C" __global__ void loss_totals(size_t planes, size_t chunks, const double *partial, double *totals) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= planes * 4) return;
    double sum = 0.0;
    for (size_t chunk = 0; chunk < chunks; chunk++) sum += partial[(i / 4 * chunks + chunk) * 4 + i % 4];
    totals[i] = sum;
}

// The mean over images and, by weight, over classes; one thread.
extern "C" __global__ void loss_value(
    size_t planes, size_t classes, const float *class_weights, const double *totals, float *y
) {
    double loss = 0.0;
    for (size_t plane = 0; plane < planes; plane++) {
        const double *s = totals + plane * 4;
        double iou = (s[2] + 1.0) / (s[3] - s[2] + 1.0);
        loss += class_weight(classes, class_weights, plane) * (ratio(s[1], s[0]) + 1.0 - iou);
    }
    y[0] = (float)(loss / all_weights(classes, class_weights, planes));
}

// factors (planes, 3): of the cross-entropy, and a and b of the IoU's gradient w p (1 - p) (a m + b).
extern "C" __global__ void loss_factors(
    size_t planes, size_t classes, const float *class_weights, const double *totals, const float *gy, float *factors
) {
    size_t plane = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (plane >= planes) return;
    const double *s = totals + plane * 4;
    // -d/dp (I + 1) / (T - I + 1), with dI = w m dp and dT = w dp
    double n = s[2] + 1.0, d = s[3] - s[2] + 1.0;
    double share = class_weight(classes, class_weights, plane), all = all_weights(classes, class_weights, planes);
    double g = (double)gy[0] * share / all;
    factors[plane * 3] = (float)ratio(g, s[0]);
    factors[plane * 3 + 1] = (float)(-g * (d + n) / (d * d));
    factors[plane * 3 + 2] = (float)(g * n / (d * d));
}

// Adds to the gradient of the logits.
extern "C" __global__ void loss_backward(
    size_t n, size_t pixels, int weighted, const float *x, const float *mask, const float *weight,
    const float *factors, float *gx
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float *f = factors + i / pixels * 3;
    float p = sigmoid(x[i]), m = mask[i], w = weight[i];
    if (w == 0.0f) return;
    float entropy = weighted ? f[0] * w : f[0];
    gx[i] += entropy * (p - m) + w * p * (1.0f - p) * (f[1] * m + f[2]);
}
