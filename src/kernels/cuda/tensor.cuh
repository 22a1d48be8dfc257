// Products of bf16 numbers on tensor cores, by a warp together: compute capability 8.0 and newer.
//
// A lane holds of each matrix what the instructions say: of a left factor (16, 16) the pairs at rows lane / 4 and
// lane / 4 + 8, columns lane % 4 * 2 and 8 more; of a right factor (16, 8) those at rows lane % 4 * 2 and 8 more, column
// lane / 4; of a result (16, 8) those at rows lane / 4 and lane / 4 + 8, columns lane % 4 * 2. A pair is two numbers, the
// first in the lower half. The stand-in of the tests has a function for each instruction.
#pragma once

#include "numbers.cuh"

// d += a b
static __device__ void multiply(float d[4], const unsigned a[4], const unsigned b[2]) {
#ifdef __NVCC__
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    __standin_mma_bf16(d, a, b);
#endif
}

// Four (8, 8) matrices of shared memory: lane 8 i + j names row j of matrix i, and gets of each the pair at row lane / 4,
// columns lane % 4 * 2.
static __device__ void load_four(unsigned r[4], const Bf16 *row) {
#ifdef __NVCC__
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
#else
    __standin_ldmatrix(r, row, false);
#endif
}

// The same of their transposes: the pair at column lane / 4, rows lane % 4 * 2.
static __device__ void load_four_turned(unsigned r[4], const Bf16 *row) {
#ifdef __NVCC__
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
#else
    __standin_ldmatrix(r, row, true);
#endif
}

// Two numbers, rounded.
static __device__ unsigned pair_of(float low, float high) {
    Bf16 l, h;
    put(low, &l);
    put(high, &h);
    return (unsigned)h.bits << 16 | l.bits;
}
