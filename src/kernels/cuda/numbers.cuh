// How numbers are stored for matrix products: as they are, or rounded to bf16, the upper half of single precision.
#pragma once

struct Bf16 {
    unsigned short bits;
};

static __device__ void put(float v, float *y) { *y = v; }

// To the nearest, ties to even; NaN stays NaN.
static __device__ void put(float v, Bf16 *y) {
    unsigned bits = __float_as_uint(v);
    y->bits = (unsigned short)(isnan(v) ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static __device__ float get(const float *x) { return *x; }

static __device__ float get(const Bf16 *x) { return __uint_as_float((unsigned)x->bits << 16); }
