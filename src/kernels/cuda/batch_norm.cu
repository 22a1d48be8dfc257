// Sums of columns, in double precision and a fixed order, and batch normalisation with the batch's statistics.
//
// Sums run in blocks of (32, 8): a block adds up `chunk` rows of 32 columns; what the blocks found is added by `*_finish`.
// So no result depends on the order in which blocks run. Normalisation and gradients are computed in double precision too
// and rounded once.

// Adds up a column's eight numbers; every thread of the column gets the sum.
static __device__ double column_sum(double v) {
    __shared__ double parts[8][32];
    parts[threadIdx.y][threadIdx.x] = v;
    __syncthreads();
    double sum = 0.0;
    for (int i = 0; i < 8; i++) sum += parts[i][threadIdx.x];
    __syncthreads();
    return sum;
}

// Adds up a column of `count` rows of `width` doubles; a block's eight lines share its rows, and every thread gets the sum.
static __device__ double column_total(size_t count, int width, int column, bool inside, const double *partial) {
    double sum = 0.0;
    if (inside) {
        for (size_t i = threadIdx.y; i < count; i += 8) sum += partial[i * width + column];
    }
    return column_sum(sum);
}

// partial (chunks, c): sums of x
extern "C" __global__ void column_sums(size_t chunk, size_t rows, int c, const float *x, double *partial) {
    int column = blockIdx.y * 32 + threadIdx.x;
    size_t first = (size_t)blockIdx.x * chunk;
    double sum = 0.0;
    if (column < c) {
        for (size_t row = first + threadIdx.y; row < first + chunk && row < rows; row += 8) sum += x[row * c + column];
    }
    sum = column_sum(sum);
    if (column < c && threadIdx.y == 0) partial[blockIdx.x * (size_t)c + column] = sum;
}

// y (c) += totals
extern "C" __global__ void column_sums_finish(size_t chunks, int c, const double *partial, float *y) {
    int column = blockIdx.x * 32 + threadIdx.x;
    double sum = column_total(chunks, c, column, column < c, partial);
    if (column < c && threadIdx.y == 0) y[column] += (float)sum;
}

// mean (c), in double precision
extern "C" __global__ void mean_finish(size_t chunks, int c, size_t rows, const double *partial, double *mean) {
    int column = blockIdx.x * 32 + threadIdx.x;
    double sum = column_total(chunks, c, column, column < c, partial);
    if (column < c && threadIdx.y == 0) mean[column] = sum / (double)rows;
}

// mean (c), rounded
extern "C" __global__ void channel_mean_finish(size_t chunks, int c, size_t rows, const double *partial, float *mean) {
    int column = blockIdx.x * 32 + threadIdx.x;
    double sum = column_total(chunks, c, column, column < c, partial);
    if (column < c && threadIdx.y == 0) mean[column] = (float)(sum / (double)rows);
}

// y = x - mean. Blocks of (32, 8), a row per warp.
extern "C" __global__ void centre(size_t rows, int c, const float *x, const float *mean, float *y) {
    size_t row = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    for (int i = threadIdx.x; i < c; i += 32) y[row * c + i] = x[row * c + i] - mean[i];
}

// partial (chunks, c): sums of (x - mean)^2
extern "C" __global__ void square_sums(
    size_t chunk, size_t rows, int c, const float *x, const double *mean, double *partial
) {
    int column = blockIdx.y * 32 + threadIdx.x;
    size_t first = (size_t)blockIdx.x * chunk;
    double sum = 0.0;
    if (column < c) {
        double m = mean[column];
        for (size_t row = first + threadIdx.y; row < first + chunk && row < rows; row += 8) {
            double d = x[row * c + column] - m;
            sum += d * d;
        }
    }
    sum = column_sum(sum);
    if (column < c && threadIdx.y == 0) partial[blockIdx.x * (size_t)c + column] = sum;
}

// What the normalisation and its gradient need of each channel: mean, 1 / sqrt(variance + eps) and that times the
// scale, `c` numbers each in `saved`; and the statistics that go out, the variance unbiased.
extern "C" __global__ void moments_finish(
    size_t chunks, int c, size_t rows, double epsilon, const double *mean, const double *partial, const float *scale,
    double *saved, float *mean_out, float *variance_out
) {
    int column = blockIdx.x * 32 + threadIdx.x;
    double sum = column_total(chunks, c, column, column < c, partial);
    if (column >= c || threadIdx.y > 0) return;
    double variance = sum / (double)rows, inverse = 1.0 / sqrt(variance + epsilon);
    saved[column] = mean[column];
    saved[c + column] = inverse;
    saved[2 * c + column] = inverse * scale[column];
    mean_out[column] = (float)mean[column];
    variance_out[column] = (float)(variance * (double)rows / ((double)rows - 1.0));
}

// y = (x - mean) factor + bias, then a ReLU if asked for. Blocks of (32, 8), a row per warp.
extern "C" __global__ void batch_norm(
    size_t rows, int c, const float *x, const double *saved, const float *bias, int relu, float *y
) {
    size_t row = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    for (int i = threadIdx.x; i < c; i += 32) {
        double v = (x[row * c + i] - saved[i]) * saved[2 * c + i] + bias[i];
        y[row * c + i] = relu && v < 0.0 ? 0.0f : (float)v;
    }
}

// The gradient that the ReLU let through; `d` is x - mean.
static __device__ double let_through(float g, double d, double factor, float bias, int relu) {
    return relu && d * factor + bias <= 0.0 ? 0.0 : g;
}

// partial (chunks, 2 c): sums of g and of g (x - mean)
extern "C" __global__ void batch_norm_gradient_sums(
    size_t chunk, size_t rows, int c, const float *x, const double *saved, const float *bias, int relu, const float *gy,
    double *partial
) {
    int column = blockIdx.y * 32 + threadIdx.x;
    size_t first = (size_t)blockIdx.x * chunk;
    double sum = 0.0, dot = 0.0;
    if (column < c) {
        for (size_t row = first + threadIdx.y; row < first + chunk && row < rows; row += 8) {
            double d = x[row * c + column] - saved[column];
            double g = let_through(gy[row * c + column], d, saved[2 * c + column], bias[column], relu);
            sum += g;
            dot += g * d;
        }
    }
    sum = column_sum(sum);
    dot = column_sum(dot);
    if (column < c && threadIdx.y == 0) {
        partial[blockIdx.x * 2 * (size_t)c + column] = sum;
        partial[blockIdx.x * 2 * (size_t)c + c + column] = dot;
    }
}

// Adds to the gradients of scale and bias; `means` (2, c) gets what the input's gradient takes away.
extern "C" __global__ void batch_norm_gradient_finish(
    size_t chunks, int c, size_t rows, const double *partial, const double *saved, float *g_scale, float *g_bias,
    double *means
) {
    int column = blockIdx.x * 32 + threadIdx.x;
    double sum = column_total(chunks, 2 * c, column, column < c, partial);
    double dot = column_total(chunks, 2 * c, c + column, column < c, partial);
    if (column >= c || threadIdx.y > 0) return;
    double inverse = saved[c + column], n = (double)rows;
    g_bias[column] += (float)sum;
    g_scale[column] += (float)(dot * inverse);
    means[column] = sum / n;
    means[c + column] = dot * inverse * inverse / n;
}

// gx += factor (g - mean of g - (x - mean) slope)
extern "C" __global__ void batch_norm_backward(
    size_t rows, int c, const float *x, const double *saved, const float *bias, int relu, const double *means,
    const float *gy, float *gx
) {
    size_t row = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    for (int i = threadIdx.x; i < c; i += 32) {
        double d = x[row * c + i] - saved[i], factor = saved[2 * c + i];
        double g = let_through(gy[row * c + i], d, factor, bias[i], relu);
        gx[row * c + i] += (float)(factor * (g - means[i] - d * means[c + i]));
    }
}
