// Sum of two maps, then a ReLU, over n numbers.

extern "C" __global__ void add_relu(size_t n, const float* a, const float* b, float* y) {
    const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) y[i] = fmaxf(a[i] + b[i], 0.0f);
}

extern "C" __global__ void add_relu_backward(size_t n, const float* y, const float* gy, float* ga, float* gb) {
    const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float g = y[i] <= 0.0f ? 0.0f : gy[i];
    ga[i] += g;
    gb[i] += g;
}
