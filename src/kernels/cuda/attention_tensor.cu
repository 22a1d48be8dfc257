// The attention of attention.cu on tensor cores: queries, keys, values, weights and gradients are rounded to bf16 where
// they are multiplied; scores, softmax and sums are single precision. For compute capability 8.0 and newer.
//
// A block works on one head of one window of one map: on 16 queries (or keys, for the keys' gradients) for each of its
// warps, to which it holds COLUMNS keys (or queries) at a time. Tiles are WIDTH numbers wide, dim of them used.

#include "attention.cuh"
#include "tensor.cuh"

const unsigned ALL = 0xffffffffu;

template <int WIDTH, int WARPS, int COLUMNS> struct Tensor {
    static const int ROWS = 16 * WARPS, THREADS = 32 * WARPS;
    // Numbers from a row of a tile to the next: eight rows lie in different banks.
    static const int STEP = WIDTH + 8;
    static_assert(STEP % 8 == 0, "a row begins at whole 16 bytes, as ldmatrix wants it");
    // Steps of 16 in depth, and pairs of steps of 8 columns.
    static const int DEEP = WIDTH / 16, PAIRS = COLUMNS / 16;

    static __device__ int warp() { return threadIdx.x / 32; }
    static __device__ int lane() { return threadIdx.x % 32; }
    // A lane's rows of a warp's 16, and its column in each step of 8: that of the first number of a pair.
    static __device__ int row(int i) { return 16 * warp() + lane() / 4 + 8 * i; }
    static __device__ int column(int step) { return 8 * step + lane() % 4 * 2; }

    // Fills a tile of `count` rows, four numbers at a time, and zeros to the right of them.
    template <typename Source> static __device__ void load(int count, Bf16 *tile, int dim, Source source) {
        for (int i = threadIdx.x; i < count * (WIDTH / 4); i += THREADS) {
            int r = i / (WIDTH / 4), d = i % (WIDTH / 4) * 4;
            float4 v = d < dim ? source(r, d) : fours(0.0f);
            *(uint2 *)(tile + r * STEP + d) = {pair_of(v.x, v.y), pair_of(v.z, v.w)};
        }
    }

    // A warp's 16 rows of a tile as a left factor.
    static __device__ void left(const Bf16 *tile, unsigned a[DEEP][4]) {
        for (int k = 0; k < DEEP; k++) {
            load_four(a[k], tile + (16 * warp() + lane() % 16) * STEP + 16 * k + lane() / 16 * 8);
        }
    }

    // s = left times each row of `others`
    static __device__ void dots(const unsigned a[DEEP][4], const Bf16 *others, float s[2 * PAIRS][4]) {
        __syncwarp(); // the instructions below need all lanes at once, and branches may have parted them
#pragma unroll
        for (int j = 0; j < PAIRS; j++) {
            for (int i = 0; i < 4; i++) s[2 * j][i] = s[2 * j + 1][i] = 0.0f;
#pragma unroll
            for (int k = 0; k < DEEP; k++) {
                unsigned b[4];
                load_four(b, others + (16 * j + lane() % 8 + lane() / 16 * 8) * STEP + 16 * k + lane() / 8 % 2 * 8);
                multiply(s[2 * j], a[k], b);
                multiply(s[2 * j + 1], a[k], b + 2);
            }
        }
    }

    // sums += weights * others
    static __device__ void accumulate(const float s[2 * PAIRS][4], const Bf16 *others, float sums[2 * DEEP][4]) {
        __syncwarp(); // as in `dots`
#pragma unroll
        for (int j = 0; j < PAIRS; j++) {
            const float *low = s[2 * j], *high = s[2 * j + 1];
            unsigned a[4] = {
                pair_of(low[0], low[1]), pair_of(low[2], low[3]), pair_of(high[0], high[1]), pair_of(high[2], high[3])
            };
#pragma unroll
            for (int k = 0; k < DEEP; k++) {
                unsigned b[4];
                load_four_turned(b, others + (16 * j + lane() % 16) * STEP + 16 * k + lane() / 16 * 8);
                multiply(sums[2 * k], a, b);
                multiply(sums[2 * k + 1], a, b + 2);
            }
        }
    }

    static __device__ void clear(float sums[2 * DEEP][4]) {
#pragma unroll
        for (int k = 0; k < 2 * DEEP; k++) {
            for (int i = 0; i < 4; i++) sums[k][i] = 0.0f;
        }
    }
};

// Over the four lanes that share a row.
static __device__ float largest_along(float v) {
    for (int lane = 2; lane > 0; lane /= 2) {
        float other = __shfl_xor_sync(ALL, v, lane);
        v = other > v ? other : v;
    }
    return v;
}

static __device__ float sum_along(float v) {
    for (int lane = 2; lane > 0; lane /= 2) v += __shfl_xor_sync(ALL, v, lane);
    return v;
}

// Two numbers of a row of `dim`, from `d` on, as far as it goes. Rows of even length begin at pairs.
static __device__ void put_pair(float low, float high, Bf16 *row, int d, int dim) {
    if (dim % 2 == 0) {
        if (d < dim) *(unsigned *)(row + d) = pair_of(low, high);
        return;
    }
    if (d < dim) put(low, row + d);
    if (d + 1 < dim) put(high, row + d + 1);
}

// As `forward` of attention.cu; qkv and out are bf16.
template <int WIDTH, int WARPS, int COLUMNS>
static __device__ void forward(Map m, const Bf16 *qkv, const float *bias, Bf16 *out, float *statistics) {
    typedef Tensor<WIDTH, WARPS, COLUMNS> T;
    __align__(16) __shared__ Bf16 queries[T::ROWS * T::STEP];
    __align__(16) __shared__ Bf16 key_tile[COLUMNS * T::STEP];
    __align__(16) __shared__ Bf16 values[COLUMNS * T::STEP];
    __shared__ int places[T::ROWS], tokens[COLUMNS];
    int tiles = tiles_of(m.window_queries(), T::ROWS), first = blockIdx.x % tiles * T::ROWS;
    Window w = window_of(m, blockIdx.x / tiles);
    if (first >= queries_of(m, w)) return;
    auto rows = rows_of(m, qkv, bias);
    int keys = keys_of(w);
    for (int r = threadIdx.x; r < T::ROWS; r += T::THREADS) places[r] = place_of(m, w, first + r);
    __syncthreads();
    T::load(T::ROWS, queries, m.dim, [&](int r, int d) { return query_at(m, rows, places[r], d); });
    __syncthreads();
    unsigned q[T::DEEP][4];
    T::left(queries, q);
    float sums[2 * T::DEEP][4], most[2], total[2];
    T::clear(sums);
    for (int i = 0; i < 2; i++) {
        most[i] = -3.0e38f; // below every score, yet no infinity, whose difference to another is no number
        total[i] = 0.0f;
    }
    for (int start = 0; start < keys; start += COLUMNS) {
        for (int c = threadIdx.x; c < COLUMNS; c += T::THREADS) tokens[c] = token_of(m, w, start + c);
        __syncthreads();
        T::load(COLUMNS, key_tile, m.dim, [&](int c, int d) { return rows.four(1, tokens[c], d); });
        T::load(COLUMNS, values, m.dim, [&](int c, int d) { return rows.four(2, tokens[c], d); });
        __syncthreads();
        float s[2 * T::PAIRS][4];
        T::dots(q, key_tile, s);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            float top = most[i];
#pragma unroll
            for (int j = 0; j < 2 * T::PAIRS; j++) {
                for (int e = 0; e < 2; e++) {
                    float v = s[j][2 * i + e];
                    top = tokens[T::column(j) + e] != NONE && v > top ? v : top;
                }
            }
            top = largest_along(top);
            float sum = 0.0f, shrink = __expf((most[i] - top) * m.scale);
#pragma unroll
            for (int j = 0; j < 2 * T::PAIRS; j++) {
                for (int e = 0; e < 2; e++) {
                    int token = tokens[T::column(j) + e];
                    float p = token == NONE ? 0.0f : __expf((s[j][2 * i + e] - top) * m.scale);
                    p = token == PADDED ? p * w.padding : p;
                    s[j][2 * i + e] = p;
                    sum += p;
                }
            }
            total[i] = total[i] * shrink + sum_along(sum);
            most[i] = top;
#pragma unroll
            for (int k = 0; k < 2 * T::DEEP; k++) {
                sums[k][2 * i] *= shrink;
                sums[k][2 * i + 1] *= shrink;
            }
        }
        T::accumulate(s, values, sums);
        __syncthreads();
    }
    size_t per_map = m.queries();
#pragma unroll
    for (int i = 0; i < 2; i++) {
        int place = places[T::row(i)];
        if (place == NONE) continue;
        size_t at = (blockIdx.z * per_map + place) * m.heads + blockIdx.y;
        float factor = 1.0f / total[i];
#pragma unroll
        for (int k = 0; k < 2 * T::DEEP; k++) {
            put_pair(sums[k][2 * i] * factor, sums[k][2 * i + 1] * factor, out + at * m.dim, T::column(k), m.dim);
        }
        if (T::lane() % 4 == 0) {
            statistics[at * 2] = most[i];
            statistics[at * 2 + 1] = factor;
        }
    }
}

// As `backward_queries` of attention.cu; qkv, gout and gqkv are bf16.
template <int WIDTH, int WARPS, int COLUMNS>
static __device__ void backward_queries(
    Map m, const Bf16 *qkv, const float *bias, const float *statistics, const float *dots, const Bf16 *gout, Bf16 *gqkv
) {
    typedef Tensor<WIDTH, WARPS, COLUMNS> T;
    __align__(16) __shared__ Bf16 queries[T::ROWS * T::STEP];
    __align__(16) __shared__ Bf16 gradients[T::ROWS * T::STEP];
    __align__(16) __shared__ Bf16 key_tile[COLUMNS * T::STEP];
    __align__(16) __shared__ Bf16 values[COLUMNS * T::STEP];
    __shared__ int places[T::ROWS], tokens[COLUMNS];
    int tiles = tiles_of(m.window_queries(), T::ROWS), first = blockIdx.x % tiles * T::ROWS;
    Window w = window_of(m, blockIdx.x / tiles);
    if (first >= queries_of(m, w)) return;
    auto rows = rows_of(m, qkv, bias);
    int keys = keys_of(w);
    size_t before = blockIdx.z * m.queries();
    for (int r = threadIdx.x; r < T::ROWS; r += T::THREADS) places[r] = place_of(m, w, first + r);
    __syncthreads();
    T::load(T::ROWS, queries, m.dim, [&](int r, int d) { return query_at(m, rows, places[r], d); });
    T::load(T::ROWS, gradients, m.dim, [&](int r, int d) {
        if (places[r] == NONE) return fours(0.0f);
        return four_at(gout + ((before + places[r]) * m.heads + blockIdx.y) * m.dim, d, m.dim);
    });
    __syncthreads();
    unsigned q[T::DEEP][4], g_out[T::DEEP][4];
    T::left(queries, q);
    T::left(gradients, g_out);
    float sums[2 * T::DEEP][4], most[2], factor[2], dot[2];
    T::clear(sums);
    for (int i = 0; i < 2; i++) {
        int place = places[T::row(i)];
        size_t at = (before + place) * m.heads + blockIdx.y;
        most[i] = place == NONE ? 0.0f : statistics[at * 2];
        factor[i] = place == NONE ? 0.0f : statistics[at * 2 + 1];
        dot[i] = place == NONE ? 0.0f : dots[at];
    }
    for (int start = 0; start < keys; start += COLUMNS) {
        for (int c = threadIdx.x; c < COLUMNS; c += T::THREADS) tokens[c] = token_of(m, w, start + c);
        __syncthreads();
        T::load(COLUMNS, key_tile, m.dim, [&](int c, int d) { return rows.four(1, tokens[c], d); });
        T::load(COLUMNS, values, m.dim, [&](int c, int d) { return rows.four(2, tokens[c], d); });
        __syncthreads();
        float p[2 * T::PAIRS][4], g[2 * T::PAIRS][4];
        T::dots(q, key_tile, p);
        T::dots(g_out, values, g);
#pragma unroll
        for (int j = 0; j < 2 * T::PAIRS; j++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int token = tokens[T::column(j) + i % 2];
                float weight = token == NONE ? 0.0f : __expf((p[j][i] - most[i / 2]) * m.scale) * factor[i / 2];
                if (token == PADDED) weight *= w.padding;
                p[j][i] = weight * (g[j][i] - dot[i / 2]) * m.scale;
            }
        }
        T::accumulate(p, key_tile, sums);
        __syncthreads();
    }
    int channels = m.heads * m.dim;
    Bf16 *g = gqkv + blockIdx.z * m.tokens() * 3 * channels + blockIdx.y * m.dim;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        int place = places[T::row(i)];
        if (place == NONE) continue;
#pragma unroll
        for (int k = 0; k < 2 * T::DEEP; k++) {
            int d = T::column(k);
            if (!m.pool) {
                put_pair(sums[k][2 * i], sums[k][2 * i + 1], g + (size_t)place * 3 * channels, d, m.dim);
                continue;
            }
            for (int e = 0; e < 2 && d + e < m.dim; e++) {
                int token = first_of_four(m, place), which = which_of_four(m, rows, place, d + e);
                for (int t = 0; t < 4; t++) {
                    float v = t == which ? sums[k][2 * i + e] : 0.0f;
                    put(v, g + (size_t)(token + t / 2 * m.width + t % 2) * 3 * channels + d + e);
                }
            }
        }
    }
}

// As `backward_keys` of attention.cu; qkv, gout and gqkv are bf16.
template <int WIDTH, int WARPS, int COLUMNS>
static __device__ void backward_keys(
    Map m, const Bf16 *qkv, const float *bias, const float *statistics, const float *dots, const Bf16 *gout, Bf16 *gqkv
) {
    typedef Tensor<WIDTH, WARPS, COLUMNS> T;
    __align__(16) __shared__ Bf16 keys[T::ROWS * T::STEP];
    __align__(16) __shared__ Bf16 values[T::ROWS * T::STEP];
    __align__(16) __shared__ Bf16 query_tile[COLUMNS * T::STEP];
    __align__(16) __shared__ Bf16 gradients[COLUMNS * T::STEP];
    __shared__ int tokens[T::ROWS], places[COLUMNS];
    __shared__ float most[COLUMNS], factor[COLUMNS], dot[COLUMNS];
    int tiles = tiles_of(m.window_tokens(), T::ROWS), first = blockIdx.x % tiles * T::ROWS;
    Window w = window_of(m, blockIdx.x / tiles);
    if (first >= w.height * w.width) return;
    auto rows = rows_of(m, qkv, bias);
    int queries = queries_of(m, w);
    size_t before = blockIdx.z * m.queries();
    for (int r = threadIdx.x; r < T::ROWS; r += T::THREADS) {
        int token = token_of(m, w, first + r);
        tokens[r] = token == PADDED ? NONE : token;
    }
    __syncthreads();
    T::load(T::ROWS, keys, m.dim, [&](int r, int d) { return rows.four(1, tokens[r], d); });
    T::load(T::ROWS, values, m.dim, [&](int r, int d) { return rows.four(2, tokens[r], d); });
    __syncthreads();
    unsigned k_left[T::DEEP][4], v_left[T::DEEP][4];
    T::left(keys, k_left);
    T::left(values, v_left);
    float key_sums[2 * T::DEEP][4], value_sums[2 * T::DEEP][4];
    T::clear(key_sums);
    T::clear(value_sums);
    for (int start = 0; start < queries; start += COLUMNS) {
        for (int c = threadIdx.x; c < COLUMNS; c += T::THREADS) {
            int place = place_of(m, w, start + c);
            size_t at = (before + place) * m.heads + blockIdx.y;
            places[c] = place;
            most[c] = place == NONE ? 0.0f : statistics[at * 2];
            factor[c] = place == NONE ? 0.0f : statistics[at * 2 + 1];
            dot[c] = place == NONE ? 0.0f : dots[at];
        }
        __syncthreads();
        T::load(COLUMNS, query_tile, m.dim, [&](int c, int d) { return query_at(m, rows, places[c], d); });
        T::load(COLUMNS, gradients, m.dim, [&](int c, int d) {
            if (places[c] == NONE) return fours(0.0f);
            return four_at(gout + ((before + places[c]) * m.heads + blockIdx.y) * m.dim, d, m.dim);
        });
        __syncthreads();
        float p[2 * T::PAIRS][4], g[2 * T::PAIRS][4];
        T::dots(k_left, query_tile, p);
#pragma unroll
        for (int j = 0; j < 2 * T::PAIRS; j++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int c = T::column(j) + i % 2;
                p[j][i] = places[c] == NONE ? 0.0f : __expf((p[j][i] - most[c]) * m.scale) * factor[c];
            }
        }
        T::accumulate(p, gradients, value_sums);
        T::dots(v_left, gradients, g);
#pragma unroll
        for (int j = 0; j < 2 * T::PAIRS; j++) {
#pragma unroll
            for (int i = 0; i < 4; i++) p[j][i] *= (g[j][i] - dot[T::column(j) + i % 2]) * m.scale;
        }
        T::accumulate(p, query_tile, key_sums);
        __syncthreads();
    }
    int channels = m.heads * m.dim;
    Bf16 *g = gqkv + blockIdx.z * m.tokens() * 3 * channels + blockIdx.y * m.dim;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        int token = tokens[T::row(i)];
        if (token == NONE) continue;
        Bf16 *row = g + (size_t)token * 3 * channels;
#pragma unroll
        for (int k = 0; k < 2 * T::DEEP; k++) {
            put_pair(key_sums[k][2 * i], key_sums[k][2 * i + 1], row + channels, T::column(k), m.dim);
            put_pair(value_sums[k][2 * i], value_sums[k][2 * i + 1], row + 2 * channels, T::column(k), m.dim);
        }
    }
}

// The three passes for heads of at most WIDTH numbers: warps of a block and columns, forward and backward. What the host
// launches is named after the width; `few` are for windows of at most 16 tokens.
#define ATTENTION(NAME, WIDTH, WARPS, COLUMNS, WARPS_BACK, COLUMNS_BACK)                                                 \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) attention_tensor_##NAME(                                 \
        int height, int width, int window_height, int window_width, int heads, int dim, int pool, float scale,           \
        const Bf16 *qkv, const float *bias, Bf16 *out, float *statistics                                                 \
    ) {                                                                                                                  \
        Map m = {height, width, window_height, window_width, heads, dim, pool, scale};                                   \
        forward<WIDTH, WARPS, COLUMNS>(m, qkv, bias, out, statistics);                                                   \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(32 * WARPS_BACK, 1) attention_tensor_backward_queries_##NAME(           \
        int height, int width, int window_height, int window_width, int heads, int dim, int pool, float scale,           \
        const Bf16 *qkv, const float *bias, const float *statistics, const float *dots, const Bf16 *gout,                \
        Bf16 *gqkv                                                                                                       \
    ) {                                                                                                                  \
        Map m = {height, width, window_height, window_width, heads, dim, pool, scale};                                   \
        backward_queries<WIDTH, WARPS_BACK, COLUMNS_BACK>(m, qkv, bias, statistics, dots, gout, gqkv);                   \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(32 * WARPS_BACK, 1) attention_tensor_backward_keys_##NAME(              \
        int height, int width, int window_height, int window_width, int heads, int dim, int pool, float scale,           \
        const Bf16 *qkv, const float *bias, const float *statistics, const float *dots, const Bf16 *gout,                \
        Bf16 *gqkv                                                                                                       \
    ) {                                                                                                                  \
        Map m = {height, width, window_height, window_width, heads, dim, pool, scale};                                   \
        backward_keys<WIDTH, WARPS_BACK, COLUMNS_BACK>(m, qkv, bias, statistics, dots, gout, gqkv);                      \
    }

ATTENTION(64_few, 64, 1, 16, 1, 16)
ATTENTION(80_few, 80, 1, 16, 1, 16)
ATTENTION(96_few, 96, 1, 16, 1, 16)
ATTENTION(64, 64, 4, 64, 4, 32)
ATTENTION(80, 80, 4, 64, 4, 32)
ATTENTION(96, 96, 4, 64, 4, 32)
