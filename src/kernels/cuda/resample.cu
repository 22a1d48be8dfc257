// Bilinear interpolation as PyTorch's `interpolate` defines it, forward and backward.
//
// A map is (image, from_height, from_width, k, c): k groups of c channels, of which the result keeps each as a map of its
// own, (image, k, to_height, to_width, row), with the c numbers from `offset` on of each row. The decoder's join has k = 1,
// a head's masks c = 1.

struct Taps {
    int low, high;
    float at_low, at_high;
};

// What place `i` of an axis of length `to` reads of one of length `from`, with or without `align_corners`.
static __device__ Taps taps_at(int i, int from, int to, int corners) {
    float source;
    if (corners) {
        source = to > 1 ? (float)(from - 1) / (float)(to - 1) * (float)i : 0.0f;
    } else {
        source = (float)from / (float)to * ((float)i + 0.5f) - 0.5f;
        source = source > 0.0f ? source : 0.0f;
    }
    Taps taps;
    taps.low = (int)source < from - 1 ? (int)source : from - 1;
    taps.high = taps.low + 1 < from - 1 ? taps.low + 1 : from - 1;
    taps.at_high = source - (float)taps.low;
    taps.at_low = 1.0f - taps.at_high;
    return taps;
}

// Bounds of the places of an axis of `to` that read place `j` of one of `from`: those whose source is less than 1 away.
static __device__ void readers_of(int j, int from, int to, int corners, int *begin, int *end) {
    float half = corners ? 0.0f : 0.5f;
    float step = corners ? (float)(to - 1) / (float)(from > 1 ? from - 1 : 1) : (float)to / (float)from;
    int first = (int)floorf(((float)j - 1.0f + half) * step - half);
    int last = (int)ceilf(((float)j + 1.0f + half) * step - half);
    *begin = j == 0 || first < 0 ? 0 : first;
    *end = j == from - 1 || last + 1 > to ? to : last + 1;
}

static __device__ float weight_of(Taps taps, int j) {
    return (taps.low == j ? taps.at_low : 0.0f) + (taps.high == j ? taps.at_high : 0.0f);
}

extern "C" __global__ void bilinear(
    size_t images, int k, int c, int from_height, int from_width, int to_height, int to_width, int corners, const float *x,
    int row, int offset, float *y
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= images * k * to_height * to_width * c) return;
    int ch = (int)(i % c), column = (int)(i / c % to_width);
    size_t line = i / c / to_width, map = line / to_height, image = map / k, line_length = (size_t)from_width * k * c;
    int group = (int)(map % k);
    Taps v = taps_at((int)(line % to_height), from_height, to_height, corners);
    Taps h = taps_at(column, from_width, to_width, corners);
    const float *here = x + image * from_height * line_length + (size_t)group * c + ch;
    const float *top = here + v.low * line_length, *bottom = here + v.high * line_length;
    size_t left = (size_t)h.low * k * c, right = (size_t)h.high * k * c;
    y[(line * to_width + column) * row + offset + ch] =
        v.at_low * (h.at_low * top[left] + h.at_high * top[right]) +
        v.at_high * (h.at_low * bottom[left] + h.at_high * bottom[right]);
}

// The transpose of the horizontal half: `lines` lines of gy, each (to, row), to narrow (lines, from, c);
// `from` and `to` are widths.
extern "C" __global__ void bilinear_backward_columns(
    size_t lines, int c, int from, int to, int corners, const float *gy, int row, int offset, float *narrow
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= lines * from * c) return;
    int ch = (int)(i % c), j = (int)(i / c % from), begin, end;
    size_t line = i / c / from;
    readers_of(j, from, to, corners, &begin, &end);
    float sum = 0.0f;
    for (int column = begin; column < end; column++) {
        float weight = weight_of(taps_at(column, from, to, corners), j);
        if (weight != 0.0f) sum += weight * gy[(line * to + column) * row + offset + ch];
    }
    narrow[i] = sum;
}

// And of the vertical half: adds narrow (image, k, to, width, c) to gx (image, from, width, k, c); `from` and `to` are
// heights.
extern "C" __global__ void bilinear_backward_rows(
    size_t images, int k, int c, int from, int to, int width, int corners, const float *narrow, float *gx
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= images * from * width * k * c) return;
    int ch = (int)(i % c), group = (int)(i / c % k), column = (int)(i / c / k % width), begin, end;
    size_t line = i / c / k / width, image = line / from, map = image * k + group;
    int j = (int)(line % from);
    readers_of(j, from, to, corners, &begin, &end);
    float sum = 0.0f;
    for (int row = begin; row < end; row++) {
        float weight = weight_of(taps_at(row, from, to, corners), j);
        if (weight != 0.0f) sum += weight * narrow[((map * to + row) * width + column) * c + ch];
    }
    gx[i] += sum;
}
