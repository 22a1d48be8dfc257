// The memory layout of a window's attention, shared by the kernels with and without tensor cores.
//
// Queries, keys and values lie side by side in rows (n, 3 heads dim), without the bias of their projection, which is
// added where they are read. Windows overhang the map; all the tokens there are the bias alone, so they are one
// more key, with a count.
#pragma once

#include "numbers.cuh"

// Takes the place of a token's number for the padded tokens of a window, and for no token at all.
const int PADDED = -1, NONE = -2;

struct Map {
    int height, width, window_height, window_width, heads, dim, pool;
    float scale;

    __device__ size_t tokens() const { return (size_t)height * width; }
    // A pool makes one query of four tokens.
    __device__ size_t queries() const { return tokens() / (pool ? 4 : 1); }
    __device__ int window_tokens() const { return window_height * window_width; }
    __device__ int window_queries() const { return window_tokens() / (pool ? 4 : 1); }
};

struct Window {
    // Top left token, and real tokens along the sides.
    int y, x, height, width;
    // Padded tokens.
    int padding;
};

static __device__ Window window_of(Map m, int index) {
    int per_row = (m.width + m.window_width - 1) / m.window_width;
    Window w;
    w.y = index / per_row * m.window_height;
    w.x = index % per_row * m.window_width;
    w.height = m.height - w.y < m.window_height ? m.height - w.y : m.window_height;
    w.width = m.width - w.x < m.window_width ? m.width - w.x : m.window_width;
    w.padding = m.window_tokens() - w.height * w.width;
    return w;
}

static __device__ int keys_of(Window w) { return w.height * w.width + (w.padding > 0); }

static __device__ int queries_of(Map m, Window w) {
    return m.pool ? (w.height / 2) * (w.width / 2) : w.height * w.width;
}

// The token of a window's key: its place in the map.
static __device__ int token_of(Map m, Window w, int key) {
    int real = w.height * w.width;
    if (key >= real) return key == real && w.padding > 0 ? PADDED : NONE;
    return (w.y + key / w.width) * m.width + w.x + key % w.width;
}

// The place of a window's query in the queries' map, which is half as wide and high where queries are pooled.
static __device__ int place_of(Map m, Window w, int query) {
    if (query >= queries_of(m, w)) return NONE;
    int shrink = m.pool ? 2 : 1, width = w.width / shrink;
    return (w.y / shrink + query / width) * (m.width / shrink) + w.x / shrink + query % width;
}

static __device__ float4 fours(float x) { return {x, x, x, x}; }

static __device__ float4 plus(float4 a, float4 b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w}; }

// Four numbers of a row of `dim`, from `d` on, and zeros to the right of the row. Rows of fours begin at fours.
static __device__ float4 four_at(const float *row, int d, int dim) {
    if (dim % 4 == 0) return *(const float4 *)(row + d);
    return {row[d], d + 1 < dim ? row[d + 1] : 0.0f, d + 2 < dim ? row[d + 2] : 0.0f, d + 3 < dim ? row[d + 3] : 0.0f};
}

static __device__ float4 four_at(const Bf16 *row, int d, int dim) {
    if (dim % 4 == 0) {
        uint2 bits = *(const uint2 *)(row + d);
        return {__uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xffff0000u), __uint_as_float(bits.y << 16),
                __uint_as_float(bits.y & 0xffff0000u)};
    }
    return {get(row + d), d + 1 < dim ? get(row + d + 1) : 0.0f, d + 2 < dim ? get(row + d + 2) : 0.0f,
            d + 3 < dim ? get(row + d + 3) : 0.0f};
}

// One map's rows for one head.
template <typename T> struct Rows {
    const T *qkv;
    const float *bias;
    int channels, dim;

    // One number of part 0 (query), 1 (key) or 2 (value) of a token.
    __device__ float one(int part, int token, int d) const {
        return get(qkv + (size_t)token * 3 * channels + part * channels + d) + bias[part * channels + d];
    }

    // Four numbers, from `d` on.
    __device__ float4 four(int part, int token, int d) const {
        if (token == NONE) return fours(0.0f);
        float4 alone = four_at(bias + part * channels, d, dim);
        if (token == PADDED) return alone;
        return plus(four_at(qkv + (size_t)token * 3 * channels + part * channels, d, dim), alone);
    }
};

template <typename T> static __device__ Rows<T> rows_of(Map m, const T *qkv, const float *bias) {
    int channels = m.heads * m.dim, head = blockIdx.y * m.dim;
    return {qkv + blockIdx.z * m.tokens() * 3 * channels + head, bias + head, channels, m.dim};
}

// The first of the four tokens that are pooled to a query; the others follow to its right and below.
static __device__ int first_of_four(Map m, int place) {
    int half = m.width / 2;
    return place / half * 2 * m.width + place % half * 2;
}

// Among equals the first is the largest, and a NaN, once met, stays.
static __device__ bool larger(float v, float than) { return v > than || (isnan(v) && !isnan(than)); }

static __device__ float larger_of(float best, float v) { return larger(v, best) ? v : best; }

// Which of the four tokens gave number `d` of a pooled query.
template <typename T> static __device__ int which_of_four(Map m, Rows<T> rows, int place, int d) {
    int first = first_of_four(m, place), which = 0;
    float best = rows.one(0, first, d);
    for (int i = 1; i < 4; i++) {
        float v = rows.one(0, first + i / 2 * m.width + i % 2, d);
        if (larger(v, best)) {
            best = v;
            which = i;
        }
    }
    return which;
}

// Four numbers of a query, from `d` on.
template <typename T> static __device__ float4 query_at(Map m, Rows<T> rows, int place, int d) {
    if (place == NONE || !m.pool) return rows.four(0, place, d);
    int first = first_of_four(m, place);
    float4 best = rows.four(0, first, d);
    for (int i = 1; i < 4; i++) {
        float4 v = rows.four(0, first + i / 2 * m.width + i % 2, d);
        best = {larger_of(best.x, v.x), larger_of(best.y, v.y), larger_of(best.z, v.z), larger_of(best.w, v.w)};
    }
    return best;
}

// Blocks in x: `tiles` for each window.
static __device__ int tiles_of(int most, int rows) { return (most + rows - 1) / rows; }
