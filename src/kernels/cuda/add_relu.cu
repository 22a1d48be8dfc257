// Sum of two maps, then a ReLU, over n numbers.

extern "C" __global__ void add_relu(size_t n, const float *a, const float *b, float *y) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float v = a[i] + b[i];
    y[i] = v < 0.0f ? 0.0f : v; // not `fmaxf`, which would turn a NaN into a number
}

extern "C" __global__ void add_relu_backward(size_t n, const float *y, const float *gy, float *ga, float *gb) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float g = y[i] <= 0.0f ? 0.0f : gy[i];
    ga[i] += g;
    gb[i] += g;
}
