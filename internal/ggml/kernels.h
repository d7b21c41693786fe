// Single-threaded kernels over ggml's type traits. All rows are row-major;
// strides and sizes named *_bytes are in bytes, the others in elements.
#pragma once
#include <stddef.h>
#include <stdint.h>

int    ms_type_multiplies(int type);        // 1 if the CPU back end has a dot product for it
int    ms_activation_type(int type);        // the type its activations are quantised to
size_t ms_row_bytes(int type, int64_t cols);

// Quantises n rows of cols floats at x (packed) into y (packed).
void ms_quantize(int type, const float * x, void * y, int cols, int n);
// Widens one row to floats.
void ms_dequantize(int type, const void * row, float * y, int cols);

// *y = dot(w, x) of two rows of cols values, by ggml's own kernel.
void ms_dot(int type, int cols, const void * w, const void * x, float * y);

// y[t*stride + r] = dot(W row r, x row t) for r in [r0, r1), t in [0, n). x holds rows in the activation type of W's
// type. W's rows have `cols` values in row_bytes bytes each.
void ms_multiply(const void * w, size_t row_bytes, int type, int cols, int r0, int r1, const void * x, int n,
                 float * y, int stride);

// y[t] (dim floats each) = W2 act(W1 x + b1, W3 x + b3) + b2 for n rows, those of x named by idx, or all of them when it is NULL.
// W1 and W3 have ff rows of dim values, W2 dim rows of ff. a, b: n*ff floats of scratch; q: room for n rows of ff
// values in W2's activation type. act: one of Go's Activation. The biases are all there or all NULL.
void ms_feed_forward(const void * w1, int type1, const void * w2, int type2, const void * w3, int type3,
                     int dim, int ff, const void * x, const int32_t * idx, int n,
                     float * a, float * b, void * q, float * y, int act, const float * b1, const float * b2, const float * b3);

// a[t*ff + f] = act(W1 x + b1, W3 x + b3)[f] for f in [f0, f1), the first half of ms_feed_forward. b: n*ff floats of
// scratch. f0 is a multiple of 16: a part then treats every value as the whole would.
void ms_feed_inner(const void * w1, int type1, const void * w3, int type3, int dim, int ff, int f0, int f1,
                   const void * x, const int32_t * idx, int n, float * a, float * b, int act, const float * b1, const float * b3);

// One query head over n key vectors of kd values and value vectors of vd, kstride and vstride floats apart. sink: a
// score without a value in the softmax, -INFINITY for none. scores: n floats of scratch.
void ms_attend(const float * q, const float * k, const float * v, int n, int kstride, int vstride, int kd, int vd,
               float scale, float sink, float * scores, float * out);

// y = x / sqrt(mean(x^2) + eps) * w
void ms_rms_norm(const float * x, const float * w, float * y, int n, float eps);
// y += a * x
void ms_axpy(float a, const float * x, float * y, int n);
// y[i] = a row i · x for n rows of cols values.
void ms_dots(const float * a, const float * x, int cols, int n, float * y);

// The sum of the 64-bit words of n bytes, read as fast as they come.
uint64_t ms_read(const void * p, size_t n);
