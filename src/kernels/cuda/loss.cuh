// What the losses have in common.
#pragma once

// Side of the box of pixels that a pixel's weight depends on.
const int BOX = 31;

// Sum over a block of 256 threads, in thread 0.
static __device__ double block_sum(double v) {
    __shared__ double parts[256];
    parts[threadIdx.x] = v;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    }
    __syncthreads();
    double sum = parts[0];
    __syncthreads();
    return sum;
}

// What a plane's class counts; without weights (`classes` is 0) each counts the same.
static __device__ double class_weight(size_t classes, const float *class_weights, size_t plane) {
    return classes == 0 ? 1.0 : (double)class_weights[plane % classes];
}

// The sum of what all planes count.
static __device__ double all_weights(size_t classes, const float *class_weights, size_t planes) {
    if (classes == 0) return (double)planes;
    double sum = 0.0;
    for (size_t k = 0; k < classes; k++) sum += (double)class_weights[k];
    return sum * (double)(planes / classes);
}

// 0 where there is nothing to divide by.
static __device__ double ratio(double a, double b) { return b == 0.0 ? 0.0 : a / b; }
