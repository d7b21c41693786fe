// One activation row of Q8_0 with four weight rows at a time, of Q8_0 or MXFP4.
// The sums and their order are those of ggml's dot products for AVX2, so the
// bits are too; four of them side by side do not wait for each other's
// additions, and ask for the weights of the next four rows as they go, which
// the processor's own prefetching does not beyond a page.
#include "rows.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

enum { BLOCK = 32, X_BYTES = 34, Q8_0_BYTES = 34, MXFP4_BYTES = 17 };

ALWAYS float half(const void * p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return _cvtsh_ss(h);
}

// Sums of four neighbouring products of signed bytes each.
ALWAYS __m256i dot4(__m256i w, __m256i x) {
    const __m256i size = _mm256_sign_epi8(w, w), signs = _mm256_sign_epi8(x, w);
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return _mm256_dpbusd_epi32(_mm256_setzero_si256(), size, signs);
#else
    return _mm256_madd_epi16(_mm256_maddubs_epi16(size, signs), _mm256_set1_epi16(1));
#endif
}

// ggml adds eight partial sums up in this order.
ALWAYS float sum8(__m256 f) {
    __m128 r = _mm_add_ps(_mm256_extractf128_ps(f, 1), _mm256_castps256_ps128(f));
    r = _mm_add_ps(r, _mm_movehl_ps(r, r));
    return _mm_cvtss_f32(_mm_add_ss(r, _mm_movehdup_ps(r)));
}

// ask asks for weights that are wanted soon, once for a few blocks of all rows:
// of the next rows if these are short, else of a place further on in each. On
// two cores of a Xeon that reads 21 GB/s, Q8_0 comes to 15.7 GB/s at a width of
// 2048 and 17.4 at 4096 (9.8 and 14.5 without asking), and to 18.7 at 8448.
ALWAYS void ask(const char * w, size_t row_bytes, size_t done, size_t bytes) {
    enum { SHORT = 6144, FURTHER = 1024, LINE = 64 };
    if (row_bytes <= SHORT) {
        const char * next = w + MS_SINGLE * (row_bytes + done);
        for (size_t i = 0; i < MS_SINGLE * bytes; i += LINE) _mm_prefetch(next + i, _MM_HINT_T1);
    } else {
        for (int r = 0; r < MS_SINGLE; r++)
            for (size_t i = 0; i < bytes; i += LINE) _mm_prefetch(w + r * row_bytes + done + FURTHER + i, _MM_HINT_T0);
    }
}

static void single_q8_0(const char * w, size_t row_bytes, int cols, const char * x, float * y) {
    __m256 acc[MS_SINGLE];
    for (int r = 0; r < MS_SINGLE; r++) acc[r] = _mm256_setzero_ps();
    for (int b = 0; b < cols / BLOCK; b++) {
        const char * at = x + (size_t) b * X_BYTES;
        const __m256i codes = _mm256_loadu_si256((const __m256i *) (at + 2));
        const float d = half(at);
        ask(w, row_bytes, (size_t) b * Q8_0_BYTES, Q8_0_BYTES);
#pragma GCC unroll 4
        for (int r = 0; r < MS_SINGLE; r++) {
            const char * row = w + r * row_bytes + (size_t) b * Q8_0_BYTES;
            const __m256i dot = dot4(_mm256_loadu_si256((const __m256i *) (row + 2)), codes);
            acc[r] = _mm256_fmadd_ps(_mm256_set1_ps(half(row) * d), _mm256_cvtepi32_ps(dot), acc[r]);
        }
    }
    for (int r = 0; r < MS_SINGLE; r++) y[r] = sum8(acc[r]);
}

// Half of the power of two that MXFP4 has as the scale of a block: the table
// of values holds their doubles.
ALWAYS float power(uint8_t e) {
    const uint32_t bits = e < 2 ? 0x00200000u << e : (uint32_t) (e - 1) << 23;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

ALWAYS __m256i values(const char * codes) {
    const __m128i table = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    const __m128i low = _mm_set1_epi8(15), both = _mm_loadu_si128((const __m128i *) codes);
    return _mm256_set_m128i(_mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(both, 4), low)),
                            _mm_shuffle_epi8(table, _mm_and_si128(both, low)));
}

// Blocks in turn go to two sums.
static void single_mxfp4(const char * w, size_t row_bytes, int cols, const char * x, float * y) {
    __m256 acc[2][MS_SINGLE];
    for (int r = 0; r < MS_SINGLE; r++) acc[0][r] = acc[1][r] = _mm256_setzero_ps();
    for (int b = 0; b < cols / BLOCK; b += 2) {
        ask(w, row_bytes, (size_t) b * MXFP4_BYTES, 2 * MXFP4_BYTES);
#pragma GCC unroll 2
        for (int k = 0; k < 2; k++) {
            const char * at = x + (size_t) (b + k) * X_BYTES;
            const __m256i codes = _mm256_loadu_si256((const __m256i *) (at + 2));
            const float d = half(at);
#pragma GCC unroll 4
            for (int r = 0; r < MS_SINGLE; r++) {
                const char * row = w + r * row_bytes + (size_t) (b + k) * MXFP4_BYTES;
                const __m256i dot = dot4(values(row + 1), codes);
                acc[k][r] = _mm256_fmadd_ps(_mm256_set1_ps(d * power((uint8_t) row[0])), _mm256_cvtepi32_ps(dot), acc[k][r]);
            }
        }
    }
    for (int r = 0; r < MS_SINGLE; r++) y[r] = sum8(_mm256_add_ps(acc[0][r], acc[1][r]));
}

const ms_single_t ms_single_q8_0 = single_q8_0, ms_single_mxfp4 = single_mxfp4;

#else
const ms_single_t ms_single_q8_0 = NULL, ms_single_mxfp4 = NULL;
#endif
