// Q8_0 and Q4_0 weights with Q8_0 activations. ggml keeps eight running sums,
// one for each four values of a block of 32: sum i gets d_w * d_x * (the exact
// product of values 4i to 4i+3), block after block. So do these products,
// sixteen weight rows at a time.
#include "rows.h"
#include "rows_avx512.h"

#ifdef MS_AVX512

enum {
    BLOCK = 32,        // values
    X_BYTES = 34,      // of a block of activations: a half-precision scale, 32 codes
    CHUNK = 128,       // blocks unpacked at a time
    TILE = 3,          // activation rows at a time: 24 running sums in 32 registers
};

struct unpacked {
    __m512i q[8]; // codes without sign: q + offset
    __m512  d;
};

typedef void (*unpack_t)(const char * w, size_t row_bytes, struct unpacked * to);

ALWAYS void unpack_q8_0(const char * w, size_t row_bytes, struct unpacked * to) {
    to->d = gather_half(w, row_bytes);
    gather16(w + 2, row_bytes, to->q);
    gather16(w + 18, row_bytes, to->q + 4);
    for (int i = 0; i < 8; i++) to->q[i] = _mm512_xor_si512(to->q[i], _mm512_set1_epi8((char) 0x80));
}

ALWAYS void unpack_q4_0(const char * w, size_t row_bytes, struct unpacked * to) {
    const __m512i low = _mm512_set1_epi8(15);
    __m512i both[4];
    to->d = gather_half(w, row_bytes);
    gather16(w + 2, row_bytes, both);
    for (int i = 0; i < 4; i++) {
        to->q[i] = _mm512_and_si512(both[i], low);
        to->q[i + 4] = _mm512_and_si512(_mm512_srli_epi16(both[i], 4), low);
    }
}

// fix[b][i] = -offset * (sum of codes 4i to 4i+3 of block b), what the missing sign of the weights adds.
ALWAYS void fixes(const char * x, int nb, int offset, int32_t (*fix)[8]) {
    const __m256i by = _mm256_set1_epi8((char) offset);
    for (int b = 0; b < nb; b++) {
        const __m256i codes = _mm256_loadu_si256((const __m256i *) (x + (size_t) b * X_BYTES + 2));
        const __m256i sums = _mm256_dpbusd_epi32(_mm256_setzero_si256(), by, codes);
        _mm256_storeu_si256((__m256i *) fix[b], _mm256_sub_epi32(_mm256_setzero_si256(), sums));
    }
}

// Goes on with the sums acc[t][i] over nb blocks.
ALWAYS void tile(const struct unpacked * w, const char * const * x, int nb, int rows, int offset, __m512 acc[TILE][8]) {
    int32_t fix[TILE][CHUNK][8];
    __m512 f[TILE][8];
    for (int t = 0; t < rows; t++) {
        fixes(x[t], nb, offset, fix[t]);
        for (int i = 0; i < 8; i++) f[t][i] = acc[t][i];
    }
    for (int b = 0; b < nb; b++) {
        __m512 d[TILE];
        for (int t = 0; t < rows; t++) d[t] = _mm512_mul_ps(w[b].d, _mm512_set1_ps(half(x[t] + (size_t) b * X_BYTES)));
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            const __m512i q = w[b].q[i];
#pragma GCC unroll 3
            for (int t = 0; t < rows; t++) {
                const __m512i dot = _mm512_dpbusd_epi32(_mm512_set1_epi32(fix[t][b][i]), q,
                                                        spread4(x[t] + (size_t) b * X_BYTES + 2 + 4 * i));
                f[t][i] = _mm512_fmadd_ps(d[t], _mm512_cvtepi32_ps(dot), f[t][i]);
            }
        }
    }
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < 8; i++) acc[t][i] = f[t][i];
}

ALWAYS void group(const char * w, size_t row_bytes, size_t block_bytes, unpack_t unpack, int offset,
                  int cols, const char * const * x, int n, float * y, int stride) {
    const int nb = cols / BLOCK;
    struct unpacked u[CHUNK];
    for (int t = 0; t < n; t += TILE) {
        const int rows = n - t < TILE ? n - t : TILE;
        __m512 acc[TILE][8];
        for (int k = 0; k < rows; k++)
            for (int i = 0; i < 8; i++) acc[k][i] = _mm512_setzero_ps();
        for (int b = 0; b < nb; b += CHUNK) {
            const int m = nb - b < CHUNK ? nb - b : CHUNK;
            if (t == 0 || nb > CHUNK)
                for (int j = 0; j < m; j++) {
                    if (t == 0) ahead(w, row_bytes, block_bytes, b + j);
                    unpack(w + (b + j) * block_bytes, row_bytes, &u[j]);
                }
            const char * at[TILE];
            for (int k = 0; k < rows; k++) at[k] = x[t + k] + (size_t) b * X_BYTES;
            switch (rows) {
                case 3: tile(u, at, m, 3, offset, acc); break;
                case 2: tile(u, at, m, 2, offset, acc); break;
                default: tile(u, at, m, 1, offset, acc);
            }
        }
        for (int k = 0; k < rows; k++) _mm512_storeu_ps(y + (size_t) (t + k) * stride, sum8(acc[k]));
    }
}

static void group_q8_0(const char * w, size_t row_bytes, int cols, const char * const * x, int n, float * y, int stride) {
    group(w, row_bytes, 34, unpack_q8_0, 128, cols, x, n, y, stride);
}

static void group_q4_0(const char * w, size_t row_bytes, int cols, const char * const * x, int n, float * y, int stride) {
    group(w, row_bytes, 18, unpack_q4_0, 8, cols, x, n, y, stride);
}

const ms_group_t ms_group_q8_0 = group_q8_0, ms_group_q4_0 = group_q4_0;

#else
const ms_group_t ms_group_q8_0 = NULL, ms_group_q4_0 = NULL;
#endif
