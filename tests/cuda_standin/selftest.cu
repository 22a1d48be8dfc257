// Kernels for the stand-in's own test: some right, some with one mistake each.

#include "../../src/kernels/cuda/tensor.cuh"

extern "C" __global__ void indices(unsigned* y) {
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    y[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

// Turns each block's numbers around.
extern "C" __global__ void turn(float* x) {
    __shared__ float block[256];
    float* mine = x + blockIdx.x * blockDim.x;
    block[threadIdx.x] = mine[threadIdx.x];
    __syncthreads();
    mine[threadIdx.x] = block[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void turn_without_barrier(float* x) {
    __shared__ float block[256];
    block[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = block[blockDim.x - 1 - threadIdx.x];
}

// Sums of a block's numbers by shuffles, then in shared memory; all kinds of shuffles and votes on the way.
extern "C" __global__ void sums(const float* x, float* y, unsigned* votes) {
    extern __shared__ float parts[];
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float sum = x[blockIdx.x * blockDim.x + threadIdx.x];
    for (int bits = 16; bits > 0; bits /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, bits);
    if (lane == 0) parts[warp] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        float all = 0.0f;
        for (unsigned i = 0; i < blockDim.x / 32; i++) all += parts[i];
        atomicAdd(y, all);
    }
    const int down = __shfl_down_sync(0xffffffffu, int(lane), 3), up = __shfl_up_sync(0xffffffffu, int(lane), 3);
    const int first = __shfl_sync(0xffffffffu, int(lane), 5, 8);
    const bool right = down == int(lane < 29 ? lane + 3 : lane) && up == int(lane >= 3 ? lane - 3 : lane) &&
                       first == int(lane / 8 * 8 + 5);
    __syncwarp();
    const unsigned ballot = __ballot_sync(0xffffffffu, lane % 2);
    votes[blockIdx.x * blockDim.x + threadIdx.x] = right ? ballot : 0;
}

// y (16, 16) = a (16, 16) b^T + a b by one warp on tensor cores; a and b in bf16.
extern "C" __global__ void products(const Bf16* a, const Bf16* b, float* y) {
    __align__(16) __shared__ Bf16 left[16 * 16], right[16 * 16];
    const unsigned lane = threadIdx.x;
    for (unsigned i = lane; i < 256; i += 32) {
        left[i] = a[i];
        right[i] = b[i];
    }
    __syncwarp();
    unsigned rows[4], columns[4], turned[4];
    load_four(rows, left + lane % 16 * 16 + lane / 16 * 8);
    load_four(columns, right + (lane % 8 + lane / 16 * 8) * 16 + lane / 8 % 2 * 8);
    load_four_turned(turned, right + lane % 16 * 16 + lane / 16 * 8);
    for (unsigned half = 0; half < 2; half++) {
        float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        multiply(sums, rows, columns + 2 * half);
        multiply(sums, rows, turned + 2 * half);
        for (unsigned i = 0; i < 4; i++) y[(lane / 4 + i / 2 * 8) * 16 + half * 8 + lane % 4 * 2 + i % 2] = sums[i];
    }
}

// Half of the warp has gone.
extern "C" __global__ void product_of_half(float* y) {
    if (threadIdx.x >= 16) return;
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    const unsigned a[4] = {0, 0, 0, 0}, b[2] = {0, 0};
    multiply(sums, a, b);
    y[threadIdx.x] = sums[0];
}

extern "C" __global__ void load_between_rows(float* y) {
    __align__(16) __shared__ Bf16 tile[9 * 8];
    unsigned r[4];
    load_four(r, tile + threadIdx.x % 8 * 8 + 1);
    y[threadIdx.x] = r[0];
}

// Half of the warp votes, half of it shuffles.
extern "C" __global__ void vote_and_shuffle(float* x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __ballot_sync(0xffffffffu, 1);
    else x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
}

extern "C" __global__ void write_at(float* x, long long place) { x[place] = 1.0f; }

extern "C" __global__ void copy(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }

extern "C" __global__ void copy_of_shared(float* y) {
    extern __shared__ float parts[];
    y[threadIdx.x] = parts[threadIdx.x];
}

extern "C" __global__ void write_shared(int place) {
    extern __shared__ float parts[];
    parts[place] = 1.0f;
}

extern "C" __global__ void shuffle_without_half(float* x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
}

extern "C" __global__ void wait_at_two_places(float* x) {
    if (threadIdx.x % 2 == 0) {
        __syncthreads();
    } else {
        x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
    }
}
