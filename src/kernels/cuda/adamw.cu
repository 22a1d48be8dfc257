// One step of AdamW on one weight. No product is joined with the sum after it: the host's arithmetic, to the bit.

extern "C" __global__ void adamw(
    size_t n, float keep, float first_new, float second_keep, float second_new, float second_scale, float epsilon,
    float step_size, const float *old, const float *gradient, float *first, float *second, float *weight
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float g = gradient[i], m = first[i], v = second[i];
    m = __fadd_rn(m, __fmul_rn(first_new, __fadd_rn(g, -m)));
    v = __fadd_rn(__fmul_rn(v, second_keep), __fmul_rn(__fmul_rn(second_new, g), g));
    float denominator = __fadd_rn(__fdiv_rn(__fsqrt_rn(v), second_scale), epsilon);
    first[i] = m;
    second[i] = v;
    weight[i] = __fadd_rn(__fmul_rn(old[i], keep), -__fdiv_rn(__fmul_rn(step_size, m), denominator));
}
