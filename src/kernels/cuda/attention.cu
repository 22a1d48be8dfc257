// Multi-head attention inside of windows, its scores never stored: forward with a running softmax, backward in two
// passes that recompute the weights.
//
// A block works on one head of one window of one map: on a tile of ROWS queries (or keys, for the keys' gradients), to
// which it holds one tile of COLUMNS keys (or queries) after another. Tiles are WIDTH numbers wide, dim of them used.
// Eight neighbouring threads share ROWS / (THREADS / 8) rows, so that sums along a row stay in a warp.

#include "attention.cuh"
#include "numbers.cuh"

const int ALONG = 8;

static __device__ float largest_along(float v) {
    for (int lane = ALONG / 2; lane > 0; lane /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, v, lane);
        v = other > v ? other : v;
    }
    return v;
}

static __device__ float sum_along(float v) {
    for (int lane = ALONG / 2; lane > 0; lane /= 2) v += __shfl_xor_sync(0xffffffffu, v, lane);
    return v;
}

template <int WIDTH, int ROWS, int COLUMNS, int THREADS> struct Tiles {
    // Vectors from a row of a tile to the next: an odd number, so that eight rows lie in different banks.
    static const int STEP = WIDTH / 4 + 1;
    static const int WEIGHT_STEP = COLUMNS / 4 + 1;
    // Rows and columns of a tile of weights that a thread works on, and numbers of a row of results.
    static const int DOWN = THREADS / ALONG, R = ROWS / DOWN, C = COLUMNS / ALONG, W = WIDTH / ALONG;

    static __device__ int row(int i) { return threadIdx.x / ALONG + i * DOWN; }
    static __device__ int column(int j) { return threadIdx.x % ALONG + j * ALONG; }
    // A thread's numbers of a row come in fours.
    static __device__ int number(int k) { return threadIdx.x % ALONG * 4 + k / 4 * 4 * ALONG + k % 4; }

    // Fills a tile of `count` rows, four numbers at a time, and zeros to the right of them.
    template <typename Source> static __device__ void load(int count, float4 *tile, int dim, Source source) {
        for (int i = threadIdx.x; i < count * (WIDTH / 4); i += THREADS) {
            int r = i / (WIDTH / 4), d = i % (WIDTH / 4) * 4;
            tile[r * STEP + d / 4] = d < dim ? source(r, d) : fours(0.0f);
        }
    }

    // Each row of `left` times each of `right`.
    static __device__ void dots(int dim, const float4 *left, const float4 *right, float s[R][C]) {
        for (int i = 0; i < R; i++) {
            for (int j = 0; j < C; j++) s[i][j] = 0.0f;
        }
        for (int d = 0; d < (dim + 3) / 4; d++) {
            float4 a[R], b[C];
#pragma unroll
            for (int i = 0; i < R; i++) a[i] = left[row(i) * STEP + d];
#pragma unroll
            for (int j = 0; j < C; j++) b[j] = right[column(j) * STEP + d];
#pragma unroll
            for (int i = 0; i < R; i++) {
#pragma unroll
                for (int j = 0; j < C; j++) {
                    s[i][j] = fmaf(a[i].x, b[j].x, s[i][j]);
                    s[i][j] = fmaf(a[i].y, b[j].y, s[i][j]);
                    s[i][j] = fmaf(a[i].z, b[j].z, s[i][j]);
                    s[i][j] = fmaf(a[i].w, b[j].w, s[i][j]);
                }
            }
        }
    }

    static __device__ void store(const float s[R][C], float4 *weights) {
        float *numbers = (float *)weights;
#pragma unroll
        for (int i = 0; i < R; i++) {
#pragma unroll
            for (int j = 0; j < C; j++) numbers[row(i) * WEIGHT_STEP * 4 + column(j)] = s[i][j];
        }
    }

    // sums += weights * others
    static __device__ void accumulate(const float4 *weights, const float4 *others, float sums[R][W]) {
        for (int c = 0; c < COLUMNS / 4; c++) {
            float p[R][4];
#pragma unroll
            for (int i = 0; i < R; i++) {
                float4 four = weights[row(i) * WEIGHT_STEP + c];
                p[i][0] = four.x;
                p[i][1] = four.y;
                p[i][2] = four.z;
                p[i][3] = four.w;
            }
#pragma unroll
            for (int k = 0; k < 4; k++) {
#pragma unroll
                for (int g = 0; g < W / 4; g++) {
                    float4 v = others[(c * 4 + k) * STEP + threadIdx.x % ALONG + g * ALONG];
#pragma unroll
                    for (int i = 0; i < R; i++) {
                        sums[i][g * 4] = fmaf(p[i][k], v.x, sums[i][g * 4]);
                        sums[i][g * 4 + 1] = fmaf(p[i][k], v.y, sums[i][g * 4 + 1]);
                        sums[i][g * 4 + 2] = fmaf(p[i][k], v.z, sums[i][g * 4 + 2]);
                        sums[i][g * 4 + 3] = fmaf(p[i][k], v.w, sums[i][g * 4 + 3]);
                    }
                }
            }
        }
    }

    static __device__ void clear(float sums[R][W]) {
#pragma unroll
        for (int i = 0; i < R; i++) {
#pragma unroll
            for (int k = 0; k < W; k++) sums[i][k] = 0.0f;
        }
    }
};

// out (queries, heads dim): softmax(q k^T scale) v; and for each query and head its largest score and 1 / the sum of
// its weights, (queries, heads, 2).
template <int WIDTH, int ROWS, int COLUMNS, int THREADS>
static __device__ void forward(Map m, const float *qkv, const float *bias, float *out, float *statistics) {
    typedef Tiles<WIDTH, ROWS, COLUMNS, THREADS> T;
    __shared__ float4 queries[ROWS * T::STEP];
    __shared__ float4 others[COLUMNS * T::STEP];
    __shared__ float4 weights[ROWS * T::WEIGHT_STEP];
    __shared__ int places[ROWS], tokens[COLUMNS];
    int tiles = tiles_of(m.window_queries(), ROWS), first = blockIdx.x % tiles * ROWS;
    Window w = window_of(m, blockIdx.x / tiles);
    if (first >= queries_of(m, w)) return;
    auto rows = rows_of(m, qkv, bias);
    int keys = keys_of(w);
    for (int r = threadIdx.x; r < ROWS; r += THREADS) places[r] = place_of(m, w, first + r);
    __syncthreads();
    T::load(ROWS, queries, m.dim, [&](int r, int d) { return query_at(m, rows, places[r], d); });
    float sums[T::R][T::W], most[T::R], total[T::R];
    T::clear(sums);
    for (int i = 0; i < T::R; i++) {
        most[i] = -3.0e38f; // below every score, yet no infinity, whose difference to another is no number
        total[i] = 0.0f;
    }
    for (int start = 0; start < keys; start += COLUMNS) {
        for (int c = threadIdx.x; c < COLUMNS; c += THREADS) tokens[c] = token_of(m, w, start + c);
        __syncthreads();
        T::load(COLUMNS, others, m.dim, [&](int c, int d) { return rows.four(1, tokens[c], d); });
        __syncthreads();
        float s[T::R][T::C];
        T::dots(m.dim, queries, others, s);
#pragma unroll
        for (int i = 0; i < T::R; i++) {
            float top = most[i];
#pragma unroll
            for (int j = 0; j < T::C; j++) top = tokens[T::column(j)] != NONE && s[i][j] > top ? s[i][j] : top;
            top = largest_along(top);
            float sum = 0.0f, shrink = expf((most[i] - top) * m.scale);
#pragma unroll
            for (int j = 0; j < T::C; j++) {
                int token = tokens[T::column(j)];
                float p = token == NONE ? 0.0f : expf((s[i][j] - top) * m.scale);
                s[i][j] = token == PADDED ? p * w.padding : p;
                sum += s[i][j];
            }
            total[i] = total[i] * shrink + sum_along(sum);
            most[i] = top;
#pragma unroll
            for (int k = 0; k < T::W; k++) sums[i][k] *= shrink;
        }
        T::store(s, weights);
        __syncthreads();
        T::load(COLUMNS, others, m.dim, [&](int c, int d) { return rows.four(2, tokens[c], d); });
        __syncthreads();
        T::accumulate(weights, others, sums);
    }
    size_t per_map = m.queries();
#pragma unroll
    for (int i = 0; i < T::R; i++) {
        int place = places[T::row(i)];
        if (place == NONE) continue;
        size_t at = (blockIdx.z * per_map + place) * m.heads + blockIdx.y;
        float factor = 1.0f / total[i];
#pragma unroll
        for (int k = 0; k < T::W; k++) {
            if (T::number(k) < m.dim) out[at * m.dim + T::number(k)] = sums[i][k] * factor;
        }
        if (threadIdx.x % ALONG == 0) {
            statistics[at * 2] = most[i];
            statistics[at * 2 + 1] = factor;
        }
    }
}

// The gradient of the queries, into their part of gqkv. `dots` (queries, heads): the sum of output times its gradient.
template <int WIDTH, int ROWS, int COLUMNS, int THREADS>
static __device__ void backward_queries(
    Map m, const float *qkv, const float *bias, const float *statistics, const float *dots, const float *gout,
    float *gqkv
) {
    typedef Tiles<WIDTH, ROWS, COLUMNS, THREADS> T;
    __shared__ float4 queries[ROWS * T::STEP];
    __shared__ float4 gradients[ROWS * T::STEP];
    __shared__ float4 others[COLUMNS * T::STEP];
    __shared__ float4 weights[ROWS * T::WEIGHT_STEP];
    __shared__ int places[ROWS], tokens[COLUMNS];
    int tiles = tiles_of(m.window_queries(), ROWS), first = blockIdx.x % tiles * ROWS;
    Window w = window_of(m, blockIdx.x / tiles);
    if (first >= queries_of(m, w)) return;
    auto rows = rows_of(m, qkv, bias);
    int keys = keys_of(w);
    size_t before = blockIdx.z * m.queries();
    for (int r = threadIdx.x; r < ROWS; r += THREADS) places[r] = place_of(m, w, first + r);
    __syncthreads();
    T::load(ROWS, queries, m.dim, [&](int r, int d) { return query_at(m, rows, places[r], d); });
    T::load(ROWS, gradients, m.dim, [&](int r, int d) {
        if (places[r] == NONE) return fours(0.0f);
        return four_at(gout + ((before + places[r]) * m.heads + blockIdx.y) * m.dim, d, m.dim);
    });
    float sums[T::R][T::W], most[T::R], factor[T::R], dot[T::R];
    T::clear(sums);
    for (int i = 0; i < T::R; i++) {
        int place = places[T::row(i)];
        size_t at = (before + place) * m.heads + blockIdx.y;
        most[i] = place == NONE ? 0.0f : statistics[at * 2];
        factor[i] = place == NONE ? 0.0f : statistics[at * 2 + 1];
        dot[i] = place == NONE ? 0.0f : dots[at];
    }
    for (int start = 0; start < keys; start += COLUMNS) {
        for (int c = threadIdx.x; c < COLUMNS; c += THREADS) tokens[c] = token_of(m, w, start + c);
        __syncthreads();
        T::load(COLUMNS, others, m.dim, [&](int c, int d) { return rows.four(1, tokens[c], d); });
        __syncthreads();
        float p[T::R][T::C], g[T::R][T::C];
        T::dots(m.dim, queries, others, p);
        __syncthreads();
        T::load(COLUMNS, others, m.dim, [&](int c, int d) { return rows.four(2, tokens[c], d); });
        __syncthreads();
        T::dots(m.dim, gradients, others, g);
#pragma unroll
        for (int i = 0; i < T::R; i++) {
#pragma unroll
            for (int j = 0; j < T::C; j++) {
                int token = tokens[T::column(j)];
                float weight = token == NONE ? 0.0f : expf((p[i][j] - most[i]) * m.scale) * factor[i];
                if (token == PADDED) weight *= w.padding;
                p[i][j] = weight * (g[i][j] - dot[i]) * m.scale;
            }
        }
        T::store(p, weights);
        __syncthreads();
        T::load(COLUMNS, others, m.dim, [&](int c, int d) { return rows.four(1, tokens[c], d); });
        __syncthreads();
        T::accumulate(weights, others, sums);
    }
    int channels = m.heads * m.dim;
    float *g = gqkv + blockIdx.z * m.tokens() * 3 * channels + blockIdx.y * m.dim;
#pragma unroll
    for (int i = 0; i < T::R; i++) {
        int place = places[T::row(i)];
        if (place == NONE) continue;
#pragma unroll
        for (int k = 0; k < T::W; k++) {
            int d = T::number(k);
            if (d >= m.dim) continue;
            if (!m.pool) {
                g[(size_t)place * 3 * channels + d] = sums[i][k];
                continue;
            }
            int first = first_of_four(m, place), which = which_of_four(m, rows, place, d);
            for (int t = 0; t < 4; t++) {
                g[(size_t)(first + t / 2 * m.width + t % 2) * 3 * channels + d] = t == which ? sums[i][k] : 0.0f;
            }
        }
    }
}

// The gradients of keys and values, into their parts of gqkv. The padded key is frozen and has none.
template <int WIDTH, int ROWS, int COLUMNS, int THREADS>
static __device__ void backward_keys(
    Map m, const float *qkv, const float *bias, const float *statistics, const float *dots, const float *gout,
    float *gqkv
) {
    typedef Tiles<WIDTH, ROWS, COLUMNS, THREADS> T;
    __shared__ float4 keys[ROWS * T::STEP];
    __shared__ float4 values[ROWS * T::STEP];
    __shared__ float4 others[COLUMNS * T::STEP];
    __shared__ float4 weights[ROWS * T::WEIGHT_STEP];
    __shared__ int tokens[ROWS], places[COLUMNS];
    __shared__ float most[COLUMNS], factor[COLUMNS], dot[COLUMNS];
    int tiles = tiles_of(m.window_tokens(), ROWS), first = blockIdx.x % tiles * ROWS;
    Window w = window_of(m, blockIdx.x / tiles);
    if (first >= w.height * w.width) return;
    auto rows = rows_of(m, qkv, bias);
    int queries = queries_of(m, w);
    size_t before = blockIdx.z * m.queries();
    for (int r = threadIdx.x; r < ROWS; r += THREADS) {
        int token = token_of(m, w, first + r);
        tokens[r] = token == PADDED ? NONE : token;
    }
    __syncthreads();
    T::load(ROWS, keys, m.dim, [&](int r, int d) { return rows.four(1, tokens[r], d); });
    T::load(ROWS, values, m.dim, [&](int r, int d) { return rows.four(2, tokens[r], d); });
    float key_sums[T::R][T::W], value_sums[T::R][T::W];
    T::clear(key_sums);
    T::clear(value_sums);
    for (int start = 0; start < queries; start += COLUMNS) {
        for (int c = threadIdx.x; c < COLUMNS; c += THREADS) {
            int place = place_of(m, w, start + c);
            size_t at = (before + place) * m.heads + blockIdx.y;
            places[c] = place;
            most[c] = place == NONE ? 0.0f : statistics[at * 2];
            factor[c] = place == NONE ? 0.0f : statistics[at * 2 + 1];
            dot[c] = place == NONE ? 0.0f : dots[at];
        }
        __syncthreads();
        T::load(COLUMNS, others, m.dim, [&](int c, int d) { return query_at(m, rows, places[c], d); });
        __syncthreads();
        float p[T::R][T::C], g[T::R][T::C];
        T::dots(m.dim, keys, others, p);
#pragma unroll
        for (int i = 0; i < T::R; i++) {
#pragma unroll
            for (int j = 0; j < T::C; j++) {
                int c = T::column(j);
                p[i][j] = places[c] == NONE ? 0.0f : expf((p[i][j] - most[c]) * m.scale) * factor[c];
            }
        }
        T::store(p, weights);
        __syncthreads();
        T::load(COLUMNS, others, m.dim, [&](int c, int d) {
            if (places[c] == NONE) return fours(0.0f);
            return four_at(gout + ((before + places[c]) * m.heads + blockIdx.y) * m.dim, d, m.dim);
        });
        __syncthreads();
        T::dots(m.dim, values, others, g);
        T::accumulate(weights, others, value_sums);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < T::R; i++) {
#pragma unroll
            for (int j = 0; j < T::C; j++) p[i][j] *= (g[i][j] - dot[T::column(j)]) * m.scale;
        }
        T::store(p, weights);
        T::load(COLUMNS, others, m.dim, [&](int c, int d) { return query_at(m, rows, places[c], d); });
        __syncthreads();
        T::accumulate(weights, others, key_sums);
    }
    int channels = m.heads * m.dim;
    float *g = gqkv + blockIdx.z * m.tokens() * 3 * channels + blockIdx.y * m.dim;
#pragma unroll
    for (int i = 0; i < T::R; i++) {
        int token = tokens[T::row(i)];
        if (token == NONE) continue;
        float *row = g + (size_t)token * 3 * channels;
#pragma unroll
        for (int k = 0; k < T::W; k++) {
            int d = T::number(k);
            if (d >= m.dim) continue;
            row[channels + d] = key_sums[i][k];
            row[2 * channels + d] = value_sums[i][k];
        }
    }
}

// dots (rows, heads): the sum of output times its gradient, one warp each; blocks of (32, 8).
template <typename T, typename G>
static __device__ void dots_of(size_t rows, int dim, const T *out, const G *gout, float *dots) {
    size_t row = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    float sum = 0.0f;
    for (int d = threadIdx.x; d < dim; d += 32) sum = fmaf(get(out + row * dim + d), get(gout + row * dim + d), sum);
    for (int lane = 16; lane > 0; lane /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lane);
    if (threadIdx.x == 0) dots[row] = sum;
}

extern "C" __global__ void attention_dots(size_t rows, int dim, const float *out, const float *gout, float *dots) {
    dots_of(rows, dim, out, gout, dots);
}

// For a width that tensor cores do not know.
extern "C" __global__ void attention_dots_bf16(size_t rows, int dim, const Bf16 *out, const float *gout, float *dots) {
    dots_of(rows, dim, out, gout, dots);
}

extern "C" __global__ void attention_dots_all_bf16(size_t rows, int dim, const Bf16 *out, const Bf16 *gout, float *dots) {
    dots_of(rows, dim, out, gout, dots);
}

// The three passes for heads of at most WIDTH numbers: rows, columns and threads of a block, forward and backward. What
// the host launches is named after the width; `few` are for windows of at most 16 tokens.
#define ATTENTION(NAME, WIDTH, ROWS, COLUMNS, THREADS, ROWS_BACK, COLUMNS_BACK, THREADS_BACK)                            \
    extern "C" __global__ void attention_##NAME(                                                                         \
        int height, int width, int window_height, int window_width, int heads, int dim, int pool, float scale,           \
        const float *qkv, const float *bias, float *out, float *statistics                                               \
    ) {                                                                                                                  \
        Map m = {height, width, window_height, window_width, heads, dim, pool, scale};                                   \
        forward<WIDTH, ROWS, COLUMNS, THREADS>(m, qkv, bias, out, statistics);                                           \
    }                                                                                                                    \
    extern "C" __global__ void attention_backward_queries_##NAME(                                                        \
        int height, int width, int window_height, int window_width, int heads, int dim, int pool, float scale,           \
        const float *qkv, const float *bias, const float *statistics, const float *dots, const float *gout,              \
        float *gqkv                                                                                                      \
    ) {                                                                                                                  \
        Map m = {height, width, window_height, window_width, heads, dim, pool, scale};                                   \
        backward_queries<WIDTH, ROWS_BACK, COLUMNS_BACK, THREADS_BACK>(m, qkv, bias, statistics, dots, gout, gqkv);      \
    }                                                                                                                    \
    extern "C" __global__ void attention_backward_keys_##NAME(                                                           \
        int height, int width, int window_height, int window_width, int heads, int dim, int pool, float scale,           \
        const float *qkv, const float *bias, const float *statistics, const float *dots, const float *gout,              \
        float *gqkv                                                                                                      \
    ) {                                                                                                                  \
        Map m = {height, width, window_height, window_width, heads, dim, pool, scale};                                   \
        backward_keys<WIDTH, ROWS_BACK, COLUMNS_BACK, THREADS_BACK>(m, qkv, bias, statistics, dots, gout, gqkv);         \
    }

ATTENTION(32_few, 32, 16, 16, 64, 16, 16, 64)
ATTENTION(64_few, 64, 16, 16, 64, 16, 16, 64)
ATTENTION(96_few, 96, 16, 16, 64, 16, 16, 64)
ATTENTION(32, 32, 64, 32, 128, 32, 32, 128)
ATTENTION(64, 64, 64, 32, 128, 32, 32, 128)
ATTENTION(96, 96, 64, 32, 128, 32, 32, 128)
ATTENTION(160, 160, 32, 32, 128, 16, 16, 128)
ATTENTION(320, 320, 16, 16, 128, 8, 8, 64)
