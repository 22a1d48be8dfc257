// The few functions of cuBLAS that this crate and dfdx call: products of matrices stored by columns.

#include "runtime.h"
#include "include/cuda_bf16.h"
#include <chrono>
#include <vector>

namespace {

enum Type { F32 = 0, BF16 = 14 };
enum Status { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum Compute { IN_F32 = 68, IN_F32_PEDANTIC = 69, IN_TF32 = 77 };

// A factor as the product sees it: element (i, j) of op(X).
struct Factor {
    const void* data;
    Type type;
    bool transposed, tf32;
    size_t ld;

    float at(size_t i, size_t j) const {
        const size_t place = transposed ? i * ld + j : j * ld + i;
        if (type == BF16) return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[place]);
        const float x = static_cast<const float*>(data)[place];
        // TF32 has 10 bits of mantissa
        return tf32 ? __uint_as_float((__float_as_uint(x) + 0x1000u) & ~0x1fffu) : x;
    }
};

constexpr size_t ROWS = 32, COLUMNS = 6;
typedef float Lanes __attribute__((vector_size(64)));

// Rows of op(A) from `i0` on, k by k, missing ones as zeros.
void pack(const Factor& a, size_t i0, size_t m, size_t k, float* panel) {
    const size_t rows = min(ROWS, m - i0);
    for (size_t p = 0; p < k; p++) {
        for (size_t i = 0; i < ROWS; i++) panel[p * ROWS + i] = i < rows ? a.at(i0 + i, p) : 0.0f;
    }
}

void tile(const float* panel, const float* b, size_t k, float (*sums)[ROWS]) {
    Lanes low[COLUMNS] = {}, high[COLUMNS] = {};
    for (size_t p = 0; p < k; p++) {
        Lanes a[2];
        std::memcpy(a, panel + p * ROWS, sizeof a);
        for (size_t j = 0; j < COLUMNS; j++) {
            low[j] += a[0] * b[p * COLUMNS + j];
            high[j] += a[1] * b[p * COLUMNS + j];
        }
    }
    for (size_t j = 0; j < COLUMNS; j++) {
        std::memcpy(sums[j], &low[j], sizeof(Lanes));
        std::memcpy(sums[j] + ROWS / 2, &high[j], sizeof(Lanes));
    }
}

void product(size_t m, size_t n, size_t k, float alpha, const Factor& a, const Factor& b, float beta, void* c, bool rounded,
             size_t ld) {
    const size_t panels = (m + ROWS - 1) / ROWS, strips = (n + COLUMNS - 1) / COLUMNS;
    std::vector<float> packed_a(panels * ROWS * k), packed_b(strips * COLUMNS * k);
    const bool small = m * n * k < 1 << 18;
    const auto each = [&](size_t count, const std::function<void(size_t)>& job) {
        if (!small) return standin::parallel(count, job);
        for (size_t i = 0; i < count; i++) job(i);
    };
    each(panels, [&](size_t i) { pack(a, i * ROWS, m, k, &packed_a[i * ROWS * k]); });
    each(strips, [&](size_t s) {
        float* strip = &packed_b[s * COLUMNS * k];
        for (size_t p = 0; p < k; p++) {
            for (size_t j = 0; j < COLUMNS; j++) {
                strip[p * COLUMNS + j] = s * COLUMNS + j < n ? b.at(p, s * COLUMNS + j) : 0.0f;
            }
        }
        float sums[COLUMNS][ROWS];
        for (size_t i0 = 0; i0 < m; i0 += ROWS) {
            tile(&packed_a[i0 * k], strip, k, sums);
            for (size_t j = 0; j < min(COLUMNS, n - s * COLUMNS); j++) {
                for (size_t i = 0; i < min(ROWS, m - i0); i++) {
                    const size_t place = (s * COLUMNS + j) * ld + i0 + i;
                    auto* narrow = static_cast<__nv_bfloat16*>(c) + place;
                    auto* wide = static_cast<float*>(c) + place;
                    // with a beta of zero the old number is not read: it may be none
                    const float old = beta == 0.0f ? 0.0f : beta * (rounded ? __bfloat162float(*narrow) : *wide);
                    if (rounded) *narrow = __float2bfloat16_rn(alpha * sums[j][i] + old);
                    else *wide = alpha * sums[j][i] + old;
                }
            }
        }
    });
}

size_t reach(size_t rows, size_t columns, size_t ld) { return columns == 0 || rows == 0 ? 0 : (columns - 1) * ld + rows; }

} // namespace

#define API extern "C" STANDIN_PUBLIC int

API cublasCreate_v2(void** handle) {
    *handle = new int(0);
    return SUCCESS;
}
API cublasDestroy_v2(void* handle) {
    delete static_cast<int*>(handle);
    return SUCCESS;
}
API cublasSetStream_v2(void*, void*) { return SUCCESS; }
API cublasSetMathMode(void*, int) { return SUCCESS; }

API cublasGemmStridedBatchedEx(void*, int op_a, int op_b, int m, int n, int k, const void* alpha, const void* a, int type_a,
                               int lda, long long stride_a, const void* b, int type_b, int ldb, long long stride_b,
                               const void* beta, void* c, int type_c, int ldc, long long stride_c, int batch, int compute,
                               int) {
    const std::string who = "cuBLAS product";
    if (type_a != type_b || (type_a != F32 && type_a != BF16)) return NOT_SUPPORTED;
    if (type_c != F32 && (type_c != BF16 || type_a != BF16)) return NOT_SUPPORTED;
    if (compute != IN_F32 && compute != IN_F32_PEDANTIC && compute != IN_TF32) return NOT_SUPPORTED;
    const bool ta = op_a != 0, tb = op_b != 0;
    const int rows_a = ta ? k : m, columns_a = ta ? m : k, rows_b = tb ? n : k, columns_b = tb ? k : n;
    if (m < 0 || n < 0 || k < 0 || batch < 0) return INVALID_VALUE;
    if (lda < max(1, rows_a) || ldb < max(1, rows_b) || ldc < max(1, m)) {
        standin::complain(who + ": a leading dimension is less than the rows");
        return INVALID_VALUE;
    }
    if (m == 0 || n == 0 || batch == 0) return SUCCESS;
    const size_t each = type_a == F32 ? 4 : 2, each_c = type_c == F32 ? 4 : 2, last = batch - 1;
    const auto from = [](const void* p) { return reinterpret_cast<uint64_t>(p); };
    if (!standin::inside(who + "'s first factor", from(a), (last * stride_a + reach(rows_a, columns_a, lda)) * each) ||
        !standin::inside(who + "'s second factor", from(b), (last * stride_b + reach(rows_b, columns_b, ldb)) * each) ||
        !standin::inside(who + "'s result", from(c), (last * stride_c + reach(m, n, ldc)) * each_c)) {
        return EXECUTION_FAILED;
    }
    if (standin::logs()) {
        const char* type = type_a == BF16 ? "bf16" : compute == IN_TF32 ? "tf32" : "f32";
        std::string text = std::string("product ") + type + (type_c == BF16 ? " bf16" : " f32");
        for (int extent : {m, n, k, batch, int(ta), int(tb)}) text += ' ' + std::to_string(extent);
        standin::log(text + (*static_cast<const float*>(beta) == 0.0f ? " 0" : " 1"));
    }
    if (standin::dry()) return SUCCESS;
    const auto start = std::chrono::steady_clock::now();
    const auto at = [](const void* p, size_t bytes) { return static_cast<const char*>(p) + bytes; };
    for (size_t i = 0; i <= last; i++) {
        const Factor fa{at(a, i * stride_a * each), Type(type_a), ta, compute == IN_TF32, size_t(lda)};
        const Factor fb{at(b, i * stride_b * each), Type(type_b), tb, compute == IN_TF32, size_t(ldb)};
        product(m, n, k, *static_cast<const float*>(alpha), fa, fb, *static_cast<const float*>(beta),
                static_cast<char*>(c) + i * stride_c * each_c, type_c == BF16, ldc);
    }
    standin::count("cublasGemm", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return SUCCESS;
}

API cublasGemmEx(void* h, int op_a, int op_b, int m, int n, int k, const void* alpha, const void* a, int type_a, int lda,
                 const void* b, int type_b, int ldb, const void* beta, void* c, int type_c, int ldc, int compute, int algo) {
    return cublasGemmStridedBatchedEx(h, op_a, op_b, m, n, k, alpha, a, type_a, lda, 0, b, type_b, ldb, 0, beta, c, type_c,
                                      ldc, 0, 1, compute, algo);
}

API cublasSgemmStridedBatched(void* h, int op_a, int op_b, int m, int n, int k, const float* alpha, const float* a, int lda,
                              long long stride_a, const float* b, int ldb, long long stride_b, const float* beta, float* c,
                              int ldc, long long stride_c, int batch) {
    return cublasGemmStridedBatchedEx(h, op_a, op_b, m, n, k, alpha, a, F32, lda, stride_a, b, F32, ldb, stride_b, beta, c,
                                      F32, ldc, stride_c, batch, IN_F32, 0);
}

API cublasSgemm_v2(void* h, int op_a, int op_b, int m, int n, int k, const float* alpha, const float* a, int lda,
                   const float* b, int ldb, const float* beta, float* c, int ldc) {
    return cublasSgemmStridedBatched(h, op_a, op_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}
