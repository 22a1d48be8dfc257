// The frozen stem: patches of the image for its 7x7 convolution with stride 4 and padding 3, and the positional
// embedding.

// Patches (count, 3 * 7 * 7) of an image (b, 3, height, width), for `count` pixels of the map from `first` on.
extern "C" __global__ void stem_gather(
    size_t first, size_t count, int height, int width, const float *x, float *patches
) {
    const int KERNEL = 7, STRIDE = 4, PADDING = 3, TAPS = 3 * KERNEL * KERNEL;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count * TAPS) return;
    int tap = (int)(i % TAPS), lines = height / STRIDE, line_length = width / STRIDE;
    size_t pixel = first + i / TAPS, line = pixel / line_length, map = line / lines;
    int plane = tap / (KERNEL * KERNEL);
    int y = (int)(line % lines) * STRIDE + tap / KERNEL % KERNEL - PADDING;
    int column = (int)(pixel % line_length) * STRIDE + tap % KERNEL - PADDING;
    bool inside = y >= 0 && y < height && column >= 0 && column < width;
    patches[i] = inside ? x[((map * 3 + plane) * height + y) * width + column] : 0.0f;
}

// Keys' cubic kernel (A = -0.75) for distances up to 1.
static __device__ float cubic_near(float t) { return ((-0.75f + 2.0f) * t - (-0.75f + 3.0f)) * t * t + 1.0f; }

// Keys' cubic kernel for distances from 1 to 2.
static __device__ float cubic_far(float t) {
    return ((-0.75f * t - 5.0f * -0.75f) * t + 8.0f * -0.75f) * t - 4.0f * -0.75f;
}

// The four indices that the place `i` of an axis reads, edges on edges, and their weights.
static __device__ void cubic_taps(int i, int from, int to, int index[4], float weight[4]) {
    float source = (float)from / (float)to * ((float)i + 0.5f) - 0.5f;
    float low = floorf(source), t = source - low;
    weight[0] = cubic_far(t + 1.0f);
    weight[1] = cubic_near(t);
    weight[2] = cubic_near(1.0f - t);
    weight[3] = cubic_far(2.0f - t);
    for (int j = 0; j < 4; j++) {
        int at = (int)low + j - 1;
        index[j] = at < 0 ? 0 : at > from - 1 ? from - 1 : at;
    }
}

// (height, width, c): the background (c, bg, bg) resized, plus the window (c, w, w) as tiles, plus the bias (c).
extern "C" __global__ void position(
    int height, int width, int c, int bg, int w, const float *background, const float *window, const float *bias, float *y
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)height * width * c) return;
    int ch = (int)(i % c), column = (int)(i / c % width), row = (int)(i / c / width);
    int rows[4], columns[4];
    float vertical[4], horizontal[4], smooth = 0.0f;
    cubic_taps(row, bg, height, rows, vertical);
    cubic_taps(column, bg, width, columns, horizontal);
    const float *plane = background + (size_t)ch * bg * bg;
    for (int k = 0; k < 4; k++) {
        float line = 0.0f;
        for (int j = 0; j < 4; j++) line += vertical[j] * plane[rows[j] * bg + columns[k]];
        smooth += horizontal[k] * line;
    }
    y[i] = smooth + window[((size_t)ch * w + row % w) * w + column % w] + bias[ch];
}

// Adds a map of `numbers` to each of the maps that lie consecutively in y.
extern "C" __global__ void add_to_maps(size_t n, size_t numbers, const float *map, float *y) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] += map[i % numbers];
}
