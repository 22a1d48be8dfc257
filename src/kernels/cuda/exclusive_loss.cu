// The loss of classes that exclude each other. Formulas and names are those of kernels/exclusive_loss.rs; sums are in
// double precision and a fixed order. A pixel whose weight is 0 is ignored, and what stands there need be no number.

#include "loss.cuh"

// Sums over an image's pixels, by class: of the class's pixels w, what the cross-entropy counts (w or 1), the
// cross-entropy and w p; of all pixels w p.
const int SUMS = 5;
enum { WEIGHT, SHARE, ENTROPY, INTERSECTION, PROBABILITY };

// What a class's gradient is made of: c_k / sum(u), and g_k = w (all + [y = k] own).
const int FACTORS = 3;
enum { OF_ENTROPY, OWN, ALL };

// Whether an index is a class.
static __device__ bool is_class(float index, int classes) { return index >= 0.0f && index < (float)classes; }

// The weights of the pixels of index maps (height, width), 0 where they are ignored. Each looks at the 31x31 around it,
// whatever the number of classes: counts are exact.
extern "C" __global__ void exclusive_weights(
    size_t n, int height, int width, int classes, const float *index, float *y
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float own = index[i];
    if (!is_class(own, classes)) {
        y[i] = 0.0f;
        return;
    }
    int x = (int)(i % width), line = (int)(i / width % height), same = 0, labelled = 0;
    const float *map = index + (i - (size_t)line * width - x);
    int top = max(line - BOX / 2, 0), bottom = min(line + BOX / 2, height - 1);
    int left = max(x - BOX / 2, 0), right = min(x + BOX / 2, width - 1);
    for (int row = top; row <= bottom; row++) {
        for (int column = left; column <= right; column++) {
            float other = map[(size_t)row * width + column];
            same += other == own;
            labelled += is_class(other, classes);
        }
    }
    y[i] = (float)(1.0 + 5.0 * (1.0 - (double)same / (double)labelled));
}

// Of a softmax over the classes each pixel's largest logit, and the sum of e to the power of all less it: scales (2,
// n).
extern "C" __global__ void softmax_scales(size_t n, size_t pixels, int classes, const float *x, float *scales) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    x += i / pixels * classes * pixels + i % pixels;
    // comparisons rather than fmaxf, which would turn what is no number into one
    float largest = x[0], sum = 0.0f;
    for (int k = 1; k < classes; k++) largest = x[k * pixels] > largest ? x[k * pixels] : largest;
    for (int k = 0; k < classes; k++) sum += expf(x[k * pixels] - largest);
    scales[i] = largest;
    scales[n + i] = sum;
}

// partial (images, classes, chunks, SUMS). A block of 256 threads sums `chunk` pixels of one class of one image.
extern "C" __global__ void exclusive_sums(
    size_t n, size_t chunk, size_t pixels, int weighted, const float *x, const float *index, const float *weight,
    const float *scales, double *partial
) {
    size_t chunks = gridDim.x, plane = (size_t)blockIdx.z * gridDim.y + blockIdx.y;
    float class_ = (float)blockIdx.y;
    double sums[SUMS] = {0.0, 0.0, 0.0, 0.0, 0.0};
    for (size_t i = threadIdx.x; i < chunk; i += 256) {
        size_t at = blockIdx.x * chunk + i;
        if (at >= pixels) break;
        size_t pixel = blockIdx.z * pixels + at;
        float w = weight[pixel];
        if (w == 0.0f) continue;
        float v = x[plane * pixels + at], largest = scales[pixel], sum = scales[n + pixel];
        float p = expf(v - largest) / sum;
        sums[PROBABILITY] += w * p;
        if (index[pixel] != class_) continue;
        float entropy = (largest - v) + logf(sum);
        sums[WEIGHT] += w;
        sums[SHARE] += weighted ? w : 1.0f;
        sums[ENTROPY] += weighted ? w * entropy : entropy;
        sums[INTERSECTION] += w * p;
    }
    for (int k = 0; k < SUMS; k++) {
        double sum = block_sum(sums[k]);
        if (threadIdx.x == 0) partial[(plane * chunks + blockIdx.x) * SUMS + k] = sum;
    }
}

// totals (images, classes, SUMS)
extern "C" __global__ void exclusive_totals(size_t planes, size_t chunks, const double *partial, double *totals) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= planes * SUMS) return;
    double sum = 0.0;
    for (size_t chunk = 0; chunk < chunks; chunk++) sum += partial[(i / SUMS * chunks + chunk) * SUMS + i % SUMS];
    totals[i] = sum;
}

// sum(u) of an image, and sum(c) over the classes that it shows.
struct Denominators {
    double shares, shown;
};

static __device__ Denominators denominators(
    size_t classes, size_t weighing, const float *class_weights, const double *totals
) {
    Denominators all = {0.0, 0.0};
    for (size_t k = 0; k < classes; k++) {
        const double *s = totals + k * SUMS;
        double c = class_weight(weighing, class_weights, k);
        all.shares += c * s[SHARE];
        if (s[WEIGHT] != 0.0) all.shown += c;
    }
    return all;
}

// The soft union of a class and its truth.
static __device__ double union_of(const double *s) { return s[PROBABILITY] + s[WEIGHT] - s[INTERSECTION]; }

// The mean over the images; one block of 256 threads. `weighing` is the number of class weights: all of them, or 0.
extern "C" __global__ void exclusive_value(
    size_t images, size_t classes, size_t weighing, const float *class_weights, const double *totals, float *y
) {
    double loss = 0.0;
    for (size_t image = threadIdx.x; image < images; image += 256) {
        const double *sums = totals + image * classes * SUMS;
        double entropy = 0.0, iou = 0.0;
        for (size_t k = 0; k < classes; k++) {
            const double *s = sums + k * SUMS;
            double c = class_weight(weighing, class_weights, k);
            entropy += c * s[ENTROPY];
            if (s[WEIGHT] != 0.0) iou += c * (1.0 - (s[INTERSECTION] + 1.0) / (union_of(s) + 1.0));
        }
        Denominators all = denominators(classes, weighing, class_weights, sums);
        loss += ratio(entropy, all.shares) + ratio(iou, all.shown);
    }
    loss = block_sum(loss);
    if (threadIdx.x == 0) y[0] = (float)(loss / (double)images);
}

// factors (images, classes, FACTORS); a thread for each image.
extern "C" __global__ void exclusive_factors(
    size_t images, size_t classes, size_t weighing, const float *class_weights, const double *totals, const float *gy,
    float *factors
) {
    size_t image = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (image >= images) return;
    totals += image * classes * SUMS;
    factors += image * classes * FACTORS;
    Denominators all = denominators(classes, weighing, class_weights, totals);
    for (size_t k = 0; k < classes; k++) {
        const double *s = totals + k * SUMS;
        double g = (double)gy[0] / (double)images * class_weight(weighing, class_weights, k);
        double iou = s[WEIGHT] == 0.0 ? 0.0 : ratio(g, all.shown), n = s[INTERSECTION] + 1.0, d = union_of(s) + 1.0;
        factors[k * FACTORS + OF_ENTROPY] = (float)ratio(g, all.shares);
        factors[k * FACTORS + OWN] = (float)(-iou * (d + n) / (d * d));
        factors[k * FACTORS + ALL] = (float)(iou * n / (d * d));
    }
}

// Adds to the gradient of the logits; a thread for each pixel.
extern "C" __global__ void exclusive_backward(
    size_t n, size_t pixels, int classes, int weighted, const float *x, const float *index, const float *weight,
    const float *scales, const float *factors, float *gx
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float w = weight[i], largest = scales[i], sum = scales[n + i];
    if (w == 0.0f || !is_class(index[i], classes)) return;
    int own = (int)index[i];
    size_t first = i / pixels * classes * pixels + i % pixels;
    x += first;
    gx += first;
    const float *f = factors + i / pixels * classes * FACTORS;
    // sum_j(g_j p_j) / w
    float pull = 0.0f;
    for (int k = 0; k < classes; k++) {
        float p = expf(x[k * pixels] - largest) / sum;
        pull += (f[k * FACTORS + ALL] + (k == own ? f[k * FACTORS + OWN] : 0.0f)) * p;
    }
    float entropy = f[own * FACTORS + OF_ENTROPY] * (weighted ? w : 1.0f);
    for (int k = 0; k < classes; k++) {
        float p = expf(x[k * pixels] - largest) / sum;
        float slope = f[k * FACTORS + ALL] + (k == own ? f[k * FACTORS + OWN] : 0.0f) - pull;
        gx[k * pixels] += entropy * (p - (k == own ? 1.0f : 0.0f)) + w * p * slope;
    }
}
