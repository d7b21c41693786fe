#include "kernels.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "rows.h"

// The few names of ggml used here, declared by hand so that its headers need
// not be found: they lie in the Go module that links the sources.
typedef void (*ggml_to_float_t)(const void *, float *, int64_t);
typedef void (*ggml_from_float_t)(const float *, void *, int64_t);
typedef void (*ggml_vec_dot_t)(int n, float * s, size_t bs, const void * x, size_t bx, const void * y, size_t by, int nrc);

struct ggml_type_traits {
    const char *      type_name;
    int64_t           blck_size;
    int64_t           blck_size_interleave;
    size_t            type_size;
    bool              is_quantized;
    ggml_to_float_t   to_float;
    ggml_from_float_t from_float_ref;
};
struct ggml_type_traits_cpu {
    ggml_from_float_t from_float;
    ggml_vec_dot_t    vec_dot;
    int               vec_dot_type;
    int64_t           nrows;
};
extern const struct ggml_type_traits *     ggml_get_type_traits(int type);
extern const struct ggml_type_traits_cpu * ggml_get_type_traits_cpu(int type);
extern size_t ggml_row_size(int type, int64_t ne);

extern void   ggml_vec_dot_f32(int n, float * s, size_t bs, const float * x, size_t bx, const float * y, size_t by, int nrc);
extern double ggml_vec_soft_max_f32(const int n, float * y, const float * x, float max);
extern void   ggml_vec_swiglu_f32(const int n, float * y, const float * x, const float * g);

// The Go module that carries ggml has no package for its AMX directory, but
// ggml-cpu.cpp refers to this function of it (under its C++ name) when the
// compiler is told that the CPU has AMX. NULL is its answer on a CPU without;
// the buffer type it would return belongs to ggml's graphs, which are not used
// here.
void * _Z28ggml_backend_amx_buffer_typev(void);
void * _Z28ggml_backend_amx_buffer_typev(void) { return NULL; }

enum { TYPE_F32 = 0, TYPE_COUNT = 40 };

int ms_type_multiplies(int type) {
    return type >= 0 && type < TYPE_COUNT && ggml_get_type_traits_cpu(type)->vec_dot != NULL;
}

int ms_activation_type(int type) { return ggml_get_type_traits_cpu(type)->vec_dot_type; }

size_t ms_row_bytes(int type, int64_t cols) { return ggml_row_size(type, cols); }

void ms_quantize(int type, const float * x, void * y, int cols, int n) {
    const size_t bytes = ggml_row_size(type, cols);
    const ggml_from_float_t from = ggml_get_type_traits_cpu(type)->from_float;
    if (type == TYPE_F32) {
        memcpy(y, x, bytes * n);
        return;
    }
    for (int t = 0; t < n; t++) from(x + (size_t) t * cols, (char *) y + t * bytes, cols);
}

void ms_dequantize(int type, const void * row, float * y, int cols) {
    if (type == TYPE_F32) {
        memcpy(y, row, (size_t) cols * sizeof(float));
        return;
    }
    ggml_get_type_traits(type)->to_float(row, y, cols);
}

void ms_dot(int type, int cols, const void * w, const void * x, float * y) {
    ggml_get_type_traits_cpu(type)->vec_dot(cols, y, 0, w, 0, x, 0, 1);
}

// From so many activation rows on, unpacking weights once for all of them pays.
enum { WORTHWHILE_ROWS = 2, ROWS_AT_A_TIME = 64 };

// ahead asks for the bytes that a row's product will want soon, so many after
// those at hand: the processor's own prefetching stops at the end of each page
// of 4 KB, and a row is about half of one. A third of decoding's time.
static inline void ahead(const char * row, size_t bytes) {
    enum { DISTANCE = 4096, LINE = 64 };
    for (size_t i = 0; i < bytes; i += LINE) __builtin_prefetch(row + DISTANCE + i);
}

// A block of weight rows stays in the first-level cache while all activation
// rows pass over it; 16 rows of 2048 values are 18 KB in Q4_K. Both ways give
// the same bits.
static void multiply(const char * w, size_t row_bytes, int type, int cols, int r0, int r1,
                     const char * x, const int32_t * idx, int n, float * y, int stride) {
    const struct ggml_type_traits_cpu * traits = ggml_get_type_traits_cpu(type);
    const ggml_vec_dot_t dot = traits->vec_dot;
    const ms_group_t group = n < WORTHWHILE_ROWS ? NULL : ms_group(type);
    const ms_single_t single = group ? NULL : ms_single(type, cols);
    const size_t x_bytes = ggml_row_size(traits->vec_dot_type, cols);
    const char * rows[ROWS_AT_A_TIME];
    for (int t0 = 0; t0 < n; t0 += ROWS_AT_A_TIME) {
        const int m = n - t0 < ROWS_AT_A_TIME ? n - t0 : ROWS_AT_A_TIME;
        for (int t = 0; t < m; t++) rows[t] = x + (size_t) (idx ? idx[t0 + t] : t0 + t) * x_bytes;
        float * to = y + (size_t) t0 * stride;
        for (int r = r0; r < r1; r += MS_GROUP) {
            if (group && r + MS_GROUP <= r1) {
                group(w + r * row_bytes, row_bytes, cols, rows, m, to + r, stride);
                continue;
            }
            const int end = r + MS_GROUP < r1 ? r + MS_GROUP : r1;
            int from = r;
            for (; single && from + MS_SINGLE <= end; from += MS_SINGLE)
                for (int t = 0; t < m; t++) single(w + from * row_bytes, row_bytes, cols, rows[t], to + (size_t) t * stride + from);
            for (int t = 0; t < m; t++)
                for (int i = from; i < end; i++) {
                    if (t == 0) ahead(w + i * row_bytes, row_bytes);
                    dot(cols, to + (size_t) t * stride + i, 0, w + i * row_bytes, 0, rows[t], 0, 1);
                }
        }
    }
}

void ms_multiply(const void * w, size_t row_bytes, int type, int cols, int r0, int r1, const void * x, int n,
                 float * y, int stride) {
    multiply(w, row_bytes, type, cols, r0, r1, x, NULL, n, y, stride);
}

// One row of values between the two layers, into a. The numbers of act are Go's.
static void activate(int act, int n, float * a, float * b, const float * b1, const float * b3) {
    const float alpha = 1.702f, limit = 7.0f;
    if (b1) {
        ms_axpy(1, b1, a, n);
        ms_axpy(1, b3, b, n);
    }
    if (act == 0) {
        ggml_vec_swiglu_f32(n, a, a, b);
        return;
    }
    for (int i = 0; i < n; i++) {
        const float g = fminf(a[i], limit), u = fmaxf(fminf(b[i], limit), -limit);
        a[i] = g / (1.0f + expf(-alpha * g)) * (u + 1.0f);
    }
}

void ms_feed_forward(const void * w1, int type1, const void * w2, int type2, const void * w3, int type3,
                     int dim, int ff, const void * x, const int32_t * idx, int n,
                     float * a, float * b, void * q, float * y, int act, const float * b1, const float * b2, const float * b3) {
    multiply(w1, ggml_row_size(type1, dim), type1, dim, 0, ff, x, idx, n, a, ff);
    multiply(w3, ggml_row_size(type3, dim), type3, dim, 0, ff, x, idx, n, b, ff);
    // Row by row: one run over all rows would treat a row's end by its place in the batch.
    for (int t = 0; t < n; t++) activate(act, ff, a + (size_t) t * ff, b + (size_t) t * ff, b1, b3);
    ms_quantize(ms_activation_type(type2), a, q, ff, n);
    multiply(w2, ggml_row_size(type2, ff), type2, ff, 0, dim, q, NULL, n, y, dim);
    for (int t = 0; b2 && t < n; t++) ms_axpy(1, b2, y + (size_t) t * dim, dim);
}

void ms_feed_inner(const void * w1, int type1, const void * w3, int type3, int dim, int ff, int f0, int f1,
                   const void * x, const int32_t * idx, int n, float * a, float * b, int act, const float * b1, const float * b3) {
    multiply(w1, ggml_row_size(type1, dim), type1, dim, f0, f1, x, idx, n, a, ff);
    multiply(w3, ggml_row_size(type3, dim), type3, dim, f0, f1, x, idx, n, b, ff);
    for (int t = 0; t < n; t++)
        activate(act, f1 - f0, a + (size_t) t * ff + f0, b + (size_t) t * ff + f0, b1 ? b1 + f0 : NULL, b3 ? b3 + f0 : NULL);
}

void ms_attend(const float * q, const float * k, const float * v, int n, int kstride, int vstride, int kd, int vd,
               float scale, float sink, float * scores, float * out) {
    float top = sink;
    for (int t = 0; t < n; t++) {
        float s;
        ggml_vec_dot_f32(kd, &s, 0, k + (size_t) t * kstride, 0, q, 0, 1);
        s *= scale;
        scores[t] = s;
        if (s > top) top = s;
    }
    const double sum = ggml_vec_soft_max_f32(n, scores, scores, top) + (double) expf(sink - top);
    const float inv = (float) (1.0 / sum);
    memset(out, 0, (size_t) vd * sizeof(float));
    for (int t = 0; t < n; t++) ms_axpy(scores[t] * inv, v + (size_t) t * vstride, out, vd);
}

void ms_rms_norm(const float * x, const float * w, float * y, int n, float eps) {
    // Eight running sums, so that the compiler can use vectors without
    // reordering a float sum behind our back.
    double s[8] = {0};
    int i = 0;
    for (; i + 7 < n; i += 8)
        for (int j = 0; j < 8; j++) s[j] += (double) (x[i + j] * x[i + j]);
    for (; i < n; i++) s[0] += (double) (x[i] * x[i]);
    const double sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
    const float k = 1.0f / sqrtf((float) (sum / n) + eps);
    for (i = 0; i < n; i++) y[i] = x[i] * k * w[i];
}

void ms_axpy(float a, const float * x, float * y, int n) {
    for (int i = 0; i < n; i++) y[i] += a * x[i];
}

void ms_dots(const float * a, const float * x, int cols, int n, float * y) {
    for (int i = 0; i < n; i++) {
        ggml_vec_dot_f32(cols, &y[i], 0, a + (size_t) i * cols, 0, x, 0, 1);
    }
}

uint64_t ms_read(const void * p, size_t n) {
    uint64_t sum[8] = {0};
    const char * b = p;
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t v[8];
        ahead(b + i, 64);
        memcpy(v, b + i, 64);
        for (int k = 0; k < 8; k++) sum[k] += v[k];
    }
    for (; i < n; i++) sum[0] += (unsigned char) b[i];
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}
