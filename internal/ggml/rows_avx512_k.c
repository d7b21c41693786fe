// Q4_K, Q5_K and Q6_K weights with Q8_K activations, superblocks of 256
// values. ggml keeps eight running sums: sum i gets d_w * d_x * (the exact
// product, sub-block scales included, of values 4i to 4i+3 of each 32 values
// of the superblock), superblock after superblock. The minima of Q4_K have four
// more sums, those of Q5_K one. So do these products, sixteen weight rows at a
// time.
#include "rows.h"
#include "rows_avx512.h"

#ifdef MS_AVX512

enum {
    SUPER = 256,       // values
    X_BYTES = 292,     // of a superblock of activations
    X_CODES = 4,       // a float scale before, 16 sums of 16 codes each behind
    X_SUMS = 260,
    CHUNK = 16,        // superblocks unpacked at a time
    TILE = 8,          // activation rows at a time
};

enum kind { Q4_K, Q5_K, Q6_K };

struct unpacked {
    __m512i q[8][8];      // [i][j]: codes 4i to 4i+3 of the j-th 32 values, without sign
    __m512i scale[2][8];  // [i/4][j]: 16 bits; both halves alike in Q4_K and Q5_K
    __m512i min[4];       // pairs of 16 bits, for sub-blocks 2m and 2m+1
    __m512  d, dmin;
};

// One superblock row of activations, as the sums need it.
struct prepared {
    int32_t pair[4];      // sums of the codes of sub-blocks 2m and 2m+1, 16 bits each
    int32_t fix[8][8];    // [j][i]: -32 * (sum of codes 4i to 4i+3 of the j-th 32 values), for Q6_K
};

// The 6-bit scales and minima of eight sub-blocks, and the factors of both.
ALWAYS void unpack_scales(const char * w, size_t row_bytes, struct unpacked * to) {
    const __m512i six = _mm512_set1_epi8(63), four = _mm512_set1_epi8(15), two = _mm512_set1_epi8(3);
    __m512i h[4];
    gather16(w, row_bytes, h);
    to->d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(h[0]));
    to->dmin = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(h[0], 16)));
    const __m512i scale[2] = {
        _mm512_and_si512(h[1], six),
        _mm512_or_si512(_mm512_and_si512(h[3], four),
                        _mm512_slli_epi16(_mm512_and_si512(_mm512_srli_epi16(h[1], 6), two), 4)),
    };
    const __m512i min[2] = {
        _mm512_and_si512(h[2], six),
        _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(h[3], 4), four),
                        _mm512_slli_epi16(_mm512_and_si512(_mm512_srli_epi16(h[2], 6), two), 4)),
    };
    const __m512i byte = _mm512_set1_epi32(255);
    for (int j = 0; j < 8; j++) {
        to->scale[0][j] = _mm512_and_si512(_mm512_srli_epi32(scale[j / 4], 8 * (j % 4)), byte);
        to->scale[1][j] = to->scale[0][j];
    }
    for (int m = 0; m < 4; m++) {
        const __m512i two_mins = _mm512_srli_epi32(min[m / 2], 16 * (m % 2));
        to->min[m] = _mm512_or_si512(_mm512_and_si512(two_mins, byte),
                                     _mm512_slli_epi32(_mm512_and_si512(two_mins, _mm512_set1_epi32(255 << 8)), 8));
    }
}

ALWAYS void unpack_q4_k(const char * w, size_t row_bytes, struct unpacked * to) {
    const __m512i four = _mm512_set1_epi8(15);
    unpack_scales(w, row_bytes, to);
    for (int j = 0; j < 8; j += 2) {
        __m512i both[8];
        gather16(w + 16 + 16 * j, row_bytes, both);
        gather16(w + 32 + 16 * j, row_bytes, both + 4);
        for (int i = 0; i < 8; i++) {
            to->q[i][j] = _mm512_and_si512(both[i], four);
            to->q[i][j + 1] = _mm512_and_si512(_mm512_srli_epi16(both[i], 4), four);
        }
    }
}

ALWAYS void unpack_q5_k(const char * w, size_t row_bytes, struct unpacked * to) {
    const __m512i four = _mm512_set1_epi8(15), fifth = _mm512_set1_epi8(16);
    __m512i high[8];
    unpack_scales(w, row_bytes, to);
    gather16(w + 16, row_bytes, high);
    gather16(w + 32, row_bytes, high + 4);
    for (int j = 0; j < 8; j += 2) {
        __m512i both[8];
        gather16(w + 48 + 16 * j, row_bytes, both);
        gather16(w + 64 + 16 * j, row_bytes, both + 4);
        for (int i = 0; i < 8; i++) {
            // Bit j of a high byte is the fifth bit of its value in sub-block j.
            const __m512i h0 = j < 4 ? _mm512_slli_epi16(high[i], 4 - j) : _mm512_srli_epi16(high[i], j - 4);
            const __m512i h1 = j < 3 ? _mm512_slli_epi16(high[i], 3 - j) : _mm512_srli_epi16(high[i], j - 3);
            to->q[i][j] = _mm512_or_si512(_mm512_and_si512(both[i], four), _mm512_and_si512(h0, fifth));
            to->q[i][j + 1] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(both[i], 4), four), _mm512_and_si512(h1, fifth));
        }
    }
}

ALWAYS void unpack_q6_k(const char * w, size_t row_bytes, struct unpacked * to) {
    const __m512i four = _mm512_set1_epi8(15), two = _mm512_set1_epi8(0x30);
    __m512i s[4];
    gather16(w + 192, row_bytes, s);
    to->d = gather_half(w + 208, row_bytes);
    for (int k = 0; k < 16; k++) { // 8 bits with sign to 16 with sign; the upper half of a lane stays empty
        const __m512i wide = _mm512_srai_epi32(_mm512_slli_epi32(s[k / 4], 24 - 8 * (k % 4)), 24);
        to->scale[k % 2][k / 2] = _mm512_and_si512(wide, _mm512_set1_epi32(0xffff));
    }
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 8; i += 4) {
            __m512i a[4], b[4], h[4];
            gather16(w + 64 * half + 4 * i, row_bytes, a);
            gather16(w + 64 * half + 32 + 4 * i, row_bytes, b);
            gather16(w + 128 + 32 * half + 4 * i, row_bytes, h);
            for (int k = 0; k < 4; k++) {
                __m512i * q = &to->q[i + k][4 * half];
                q[0] = _mm512_or_si512(_mm512_and_si512(a[k], four), _mm512_and_si512(_mm512_slli_epi16(h[k], 4), two));
                q[1] = _mm512_or_si512(_mm512_and_si512(b[k], four), _mm512_and_si512(_mm512_slli_epi16(h[k], 2), two));
                q[2] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(a[k], 4), four), _mm512_and_si512(h[k], two));
                q[3] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(b[k], 4), four), _mm512_and_si512(_mm512_srli_epi16(h[k], 2), two));
            }
        }
    }
}

ALWAYS void prepare(const char * x, enum kind kind, struct prepared * to) {
    if (kind == Q6_K) {
        for (int j = 0; j < 8; j++) {
            const __m256i codes = _mm256_loadu_si256((const __m256i *) (x + X_CODES + 32 * j));
            const __m256i sums = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(32), codes);
            _mm256_storeu_si256((__m256i *) to->fix[j], _mm256_sub_epi32(_mm256_setzero_si256(), sums));
        }
        return;
    }
    const __m128i lo = _mm_loadu_si128((const __m128i *) (x + X_SUMS)), hi = _mm_loadu_si128((const __m128i *) (x + X_SUMS + 16));
    _mm_storeu_si128((__m128i *) to->pair, _mm_hadd_epi16(lo, hi));
}

struct sums {
    __m512 f[8], m[4];
};

// Goes on with the sums over one superblock, for `rows` rows of activations.
ALWAYS void superblock(const struct unpacked * w, const char * const * x, size_t off, int rows, enum kind kind, struct sums * acc) {
    struct prepared p[TILE];
    __m512 d[TILE];
    for (int t = 0; t < rows; t++) {
        float dx;
        memcpy(&dx, x[t] + off, 4);
        prepare(x[t] + off, kind, &p[t]);
        d[t] = _mm512_mul_ps(_mm512_set1_ps(dx), w->d);
        if (kind == Q6_K) continue;
        const __m512 dmin = _mm512_mul_ps(_mm512_set1_ps(-dx), w->dmin);
        __m512i least[4];
        for (int m = 0; m < 4; m++)
            least[m] = _mm512_dpwssd_epi32(_mm512_setzero_si512(), w->min[m], _mm512_set1_epi32(p[t].pair[m]));
        if (kind == Q4_K) {
            for (int m = 0; m < 4; m++) acc[t].m[m] = _mm512_fmadd_ps(dmin, _mm512_cvtepi32_ps(least[m]), acc[t].m[m]);
        } else {
            const __m512i all = _mm512_add_epi32(_mm512_add_epi32(least[0], least[1]), _mm512_add_epi32(least[2], least[3]));
            acc[t].m[0] = _mm512_fmadd_ps(dmin, _mm512_cvtepi32_ps(all), acc[t].m[0]);
        }
    }
    for (int i = 0; i < 8; i++) {
        __m512i sum[TILE];
        for (int t = 0; t < rows; t++) sum[t] = _mm512_setzero_si512();
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            const __m512i q = w->q[i][j], scale = w->scale[i / 4][j];
#pragma GCC unroll 8
            for (int t = 0; t < rows; t++) {
                const __m512i from = kind == Q6_K ? _mm512_set1_epi32(p[t].fix[j][i]) : _mm512_setzero_si512();
                const __m512i dot = _mm512_dpbusd_epi32(from, q, spread4(x[t] + off + X_CODES + 32 * j + 4 * i));
                // The dot product fits 16 bits, so that one instruction multiplies by the scale and adds.
                sum[t] = _mm512_dpwssd_epi32(sum[t], dot, scale);
            }
        }
        for (int t = 0; t < rows; t++) acc[t].f[i] = _mm512_fmadd_ps(d[t], _mm512_cvtepi32_ps(sum[t]), acc[t].f[i]);
    }
}

ALWAYS __m512 total(const struct sums * s, enum kind kind) {
    const __m512 sum = sum8(s->f);
    switch (kind) {
        case Q4_K: return _mm512_add_ps(sum, _mm512_add_ps(_mm512_add_ps(s->m[0], s->m[2]), _mm512_add_ps(s->m[1], s->m[3])));
        case Q5_K: return _mm512_add_ps(sum, s->m[0]);
        default: return sum;
    }
}

ALWAYS void unpack(const char * w, size_t row_bytes, enum kind kind, struct unpacked * to) {
    switch (kind) {
        case Q4_K: unpack_q4_k(w, row_bytes, to); break;
        case Q5_K: unpack_q5_k(w, row_bytes, to); break;
        default: unpack_q6_k(w, row_bytes, to);
    }
}

ALWAYS void group(const char * w, size_t row_bytes, size_t block_bytes, enum kind kind, int cols,
                  const char * const * x, int n, float * y, int stride) {
    const int nb = cols / SUPER;
    struct unpacked u[CHUNK];
    for (int t = 0; t < n;) {
        const int rows = n - t >= 8 ? 8 : n - t >= 4 ? 4 : n - t >= 2 ? 2 : 1;
        struct sums acc[TILE];
        for (int k = 0; k < rows; k++) {
            for (int i = 0; i < 8; i++) acc[k].f[i] = _mm512_setzero_ps();
            for (int i = 0; i < 4; i++) acc[k].m[i] = _mm512_setzero_ps();
        }
        for (int b = 0; b < nb; b++) {
            struct unpacked * at = &u[b % CHUNK];
            if (t == 0) ahead(w, row_bytes, block_bytes, b);
            if (t == 0 || nb > CHUNK) unpack(w + b * block_bytes, row_bytes, kind, at);
            const size_t off = (size_t) b * X_BYTES;
            switch (rows) {
                case 8: superblock(at, x + t, off, 8, kind, acc); break;
                case 4: superblock(at, x + t, off, 4, kind, acc); break;
                case 2: superblock(at, x + t, off, 2, kind, acc); break;
                default: superblock(at, x + t, off, 1, kind, acc);
            }
        }
        for (int k = 0; k < rows; k++) _mm512_storeu_ps(y + (size_t) (t + k) * stride, total(&acc[k], kind));
        t += rows;
    }
}

static void group_q4_k(const char * w, size_t row_bytes, int cols, const char * const * x, int n, float * y, int stride) {
    group(w, row_bytes, 144, Q4_K, cols, x, n, y, stride);
}

static void group_q5_k(const char * w, size_t row_bytes, int cols, const char * const * x, int n, float * y, int stride) {
    group(w, row_bytes, 176, Q5_K, cols, x, n, y, stride);
}

static void group_q6_k(const char * w, size_t row_bytes, int cols, const char * const * x, int n, float * y, int stride) {
    group(w, row_bytes, 210, Q6_K, cols, x, n, y, stride);
}

const ms_group_t ms_group_q4_k = group_q4_k, ms_group_q5_k = group_q5_k, ms_group_q6_k = group_q6_k;

#endif // else see rows_avx2_k.c
