// The products of rows_avx512_k.c for CPUs with AVX2 alone: eight weight rows
// in the lanes of a vector, 16-bit products instead of VNNI. Sums are kept in
// the same order, so that the bits are ggml's.
#include "rows.h"

#include <string.h>

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && \
    !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__))
#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

enum {
    LANES = 8,         // weight rows
    SUPER = 256,       // values
    X_BYTES = 292,     // of a superblock of activations
    X_CODES = 4,       // a float scale before, 16 sums of 16 codes each behind
    X_SUMS = 260,
    CHUNK = 16,        // superblocks unpacked at a time
    TILE = 4,          // activation rows at a time
};

enum kind { Q4_K, Q5_K, Q6_K };

struct unpacked {
    __m256i q[8][8];      // [i][j]: codes 4i to 4i+3 of the j-th 32 values, without sign
    __m256i scale[2][8];  // [i/4][j]: 16 bits, twice in each lane
    __m256i min[4];       // pairs of 16 bits, for sub-blocks 2m and 2m+1
    __m256  d, dmin;
};

// One superblock row of activations, as the sums need it.
struct prepared {
    int32_t pair[4];      // sums of the codes of sub-blocks 2m and 2m+1, 16 bits each
    int32_t fix[8][8];    // [j][i]: 32 * (codes 4i + 4i+1), 32 * (codes 4i+2 + 4i+3), 16 bits each, for Q6_K
};

// Reads 16 bytes from each of 8 rows: lane r of out[k] is the k-th 32-bit word of row r.
ALWAYS void gather16(const char * w, size_t row_bytes, __m256i out[4]) {
    __m256i z[4];
    for (int k = 0; k < 4; k++) {
        const char * p = w + k * row_bytes;
        z[k] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *) p)),
                                       _mm_loadu_si128((const __m128i *) (p + 4 * row_bytes)), 1);
    }
    const __m256i a = _mm256_unpacklo_epi32(z[0], z[1]), b = _mm256_unpackhi_epi32(z[0], z[1]);
    const __m256i c = _mm256_unpacklo_epi32(z[2], z[3]), d = _mm256_unpackhi_epi32(z[2], z[3]);
    out[0] = _mm256_unpacklo_epi64(a, c);
    out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d);
    out[3] = _mm256_unpackhi_epi64(b, d);
}

// Reads one half-precision number from each of 8 rows, step bytes apart.
ALWAYS __m256 gather_half(const char * w, size_t step) {
    uint16_t h[LANES];
    for (int r = 0; r < LANES; r++) memcpy(&h[r], w + r * step, 2);
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) h));
}

ALWAYS __m256i spread4(const void * p) {
    int32_t v;
    memcpy(&v, p, 4);
    return _mm256_set1_epi32(v);
}

// A number of 16 bits in the low half of each lane, to both halves.
ALWAYS __m256i twice(__m256i low) { return _mm256_or_si256(low, _mm256_slli_epi32(low, 16)); }

ALWAYS void unpack_scales(const char * w, size_t row_bytes, struct unpacked * to) {
    const __m256i six = _mm256_set1_epi8(63), four = _mm256_set1_epi8(15), two = _mm256_set1_epi8(3);
    const __m256i byte = _mm256_set1_epi32(255);
    __m256i h[4];
    gather16(w, row_bytes, h);
    to->d = gather_half(w, row_bytes);
    to->dmin = gather_half(w + 2, row_bytes);
    const __m256i scale[2] = {
        _mm256_and_si256(h[1], six),
        _mm256_or_si256(_mm256_and_si256(h[3], four),
                        _mm256_slli_epi16(_mm256_and_si256(_mm256_srli_epi16(h[1], 6), two), 4)),
    };
    const __m256i min[2] = {
        _mm256_and_si256(h[2], six),
        _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(h[3], 4), four),
                        _mm256_slli_epi16(_mm256_and_si256(_mm256_srli_epi16(h[2], 6), two), 4)),
    };
    for (int j = 0; j < 8; j++) {
        to->scale[0][j] = twice(_mm256_and_si256(_mm256_srli_epi32(scale[j / 4], 8 * (j % 4)), byte));
        to->scale[1][j] = to->scale[0][j];
    }
    for (int m = 0; m < 4; m++) {
        const __m256i two_mins = _mm256_srli_epi32(min[m / 2], 16 * (m % 2));
        to->min[m] = _mm256_or_si256(_mm256_and_si256(two_mins, byte),
                                     _mm256_slli_epi32(_mm256_and_si256(two_mins, _mm256_set1_epi32(255 << 8)), 8));
    }
}

ALWAYS void unpack_q4_k(const char * w, size_t row_bytes, struct unpacked * to) {
    const __m256i four = _mm256_set1_epi8(15);
    unpack_scales(w, row_bytes, to);
    for (int j = 0; j < 8; j += 2) {
        __m256i both[8];
        gather16(w + 16 + 16 * j, row_bytes, both);
        gather16(w + 32 + 16 * j, row_bytes, both + 4);
        for (int i = 0; i < 8; i++) {
            to->q[i][j] = _mm256_and_si256(both[i], four);
            to->q[i][j + 1] = _mm256_and_si256(_mm256_srli_epi16(both[i], 4), four);
        }
    }
}

ALWAYS void unpack_q5_k(const char * w, size_t row_bytes, struct unpacked * to) {
    const __m256i four = _mm256_set1_epi8(15), fifth = _mm256_set1_epi8(16);
    __m256i high[8];
    unpack_scales(w, row_bytes, to);
    gather16(w + 16, row_bytes, high);
    gather16(w + 32, row_bytes, high + 4);
    for (int j = 0; j < 8; j += 2) {
        __m256i both[8];
        gather16(w + 48 + 16 * j, row_bytes, both);
        gather16(w + 64 + 16 * j, row_bytes, both + 4);
        for (int i = 0; i < 8; i++) {
            // Bit j of a high byte is the fifth bit of its value in sub-block j.
            const __m256i h0 = j < 4 ? _mm256_slli_epi16(high[i], 4 - j) : _mm256_srli_epi16(high[i], j - 4);
            const __m256i h1 = j < 3 ? _mm256_slli_epi16(high[i], 3 - j) : _mm256_srli_epi16(high[i], j - 3);
            to->q[i][j] = _mm256_or_si256(_mm256_and_si256(both[i], four), _mm256_and_si256(h0, fifth));
            to->q[i][j + 1] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(both[i], 4), four), _mm256_and_si256(h1, fifth));
        }
    }
}

ALWAYS void unpack_q6_k(const char * w, size_t row_bytes, struct unpacked * to) {
    const __m256i four = _mm256_set1_epi8(15), two = _mm256_set1_epi8(0x30);
    __m256i s[4];
    gather16(w + 192, row_bytes, s);
    to->d = gather_half(w + 208, row_bytes);
    for (int k = 0; k < 16; k++) { // 8 bits with sign to 16 with sign
        const __m256i wide = _mm256_srai_epi32(_mm256_slli_epi32(s[k / 4], 24 - 8 * (k % 4)), 24);
        to->scale[k % 2][k / 2] = twice(_mm256_and_si256(wide, _mm256_set1_epi32(0xffff)));
    }
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 8; i += 4) {
            __m256i a[4], b[4], h[4];
            gather16(w + 64 * half + 4 * i, row_bytes, a);
            gather16(w + 64 * half + 32 + 4 * i, row_bytes, b);
            gather16(w + 128 + 32 * half + 4 * i, row_bytes, h);
            for (int k = 0; k < 4; k++) {
                __m256i * q = &to->q[i + k][4 * half];
                q[0] = _mm256_or_si256(_mm256_and_si256(a[k], four), _mm256_and_si256(_mm256_slli_epi16(h[k], 4), two));
                q[1] = _mm256_or_si256(_mm256_and_si256(b[k], four), _mm256_and_si256(_mm256_slli_epi16(h[k], 2), two));
                q[2] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(a[k], 4), four), _mm256_and_si256(h[k], two));
                q[3] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(b[k], 4), four), _mm256_and_si256(_mm256_srli_epi16(h[k], 2), two));
            }
        }
    }
}

ALWAYS void prepare(const char * x, enum kind kind, struct prepared * to) {
    if (kind == Q6_K) {
        for (int j = 0; j < 8; j++) {
            const __m256i codes = _mm256_loadu_si256((const __m256i *) (x + X_CODES + 32 * j));
            _mm256_storeu_si256((__m256i *) to->fix[j], _mm256_maddubs_epi16(_mm256_set1_epi8(32), codes));
        }
        return;
    }
    const __m128i lo = _mm_loadu_si128((const __m128i *) (x + X_SUMS)), hi = _mm_loadu_si128((const __m128i *) (x + X_SUMS + 16));
    _mm_storeu_si128((__m128i *) to->pair, _mm_hadd_epi16(lo, hi));
}

struct sums {
    __m256 f[8], m[4];
};

// Goes on with the sums over one superblock, for `rows` rows of activations.
ALWAYS void superblock(const struct unpacked * w, const char * const * x, size_t off, int rows, enum kind kind, struct sums * acc) {
    struct prepared p[TILE];
    __m256 d[TILE];
    for (int t = 0; t < rows; t++) {
        float dx;
        memcpy(&dx, x[t] + off, 4);
        prepare(x[t] + off, kind, &p[t]);
        d[t] = _mm256_mul_ps(_mm256_set1_ps(dx), w->d);
        if (kind == Q6_K) continue;
        const __m256 dmin = _mm256_mul_ps(_mm256_set1_ps(-dx), w->dmin);
        __m256i least[4];
        for (int m = 0; m < 4; m++) least[m] = _mm256_madd_epi16(w->min[m], _mm256_set1_epi32(p[t].pair[m]));
        if (kind == Q4_K) {
            for (int m = 0; m < 4; m++) acc[t].m[m] = _mm256_fmadd_ps(dmin, _mm256_cvtepi32_ps(least[m]), acc[t].m[m]);
        } else {
            const __m256i all = _mm256_add_epi32(_mm256_add_epi32(least[0], least[1]), _mm256_add_epi32(least[2], least[3]));
            acc[t].m[0] = _mm256_fmadd_ps(dmin, _mm256_cvtepi32_ps(all), acc[t].m[0]);
        }
    }
    for (int i = 0; i < 8; i++) {
        __m256i sum[TILE];
        for (int t = 0; t < rows; t++) sum[t] = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            const __m256i q = w->q[i][j], scale = w->scale[i / 4][j];
#pragma GCC unroll 4
            for (int t = 0; t < rows; t++) {
                __m256i pairs = _mm256_maddubs_epi16(q, spread4(x[t] + off + X_CODES + 32 * j + 4 * i));
                if (kind == Q6_K) pairs = _mm256_sub_epi16(pairs, _mm256_set1_epi32(p[t].fix[j][i]));
                sum[t] = _mm256_add_epi32(sum[t], _mm256_madd_epi16(pairs, scale));
            }
        }
        for (int t = 0; t < rows; t++) acc[t].f[i] = _mm256_fmadd_ps(d[t], _mm256_cvtepi32_ps(sum[t]), acc[t].f[i]);
    }
}

// ggml adds eight partial sums up in this order.
ALWAYS __m256 total(const struct sums * s, enum kind kind) {
    const __m256 * f = s->f;
    const __m256 r0 = _mm256_add_ps(f[4], f[0]), r1 = _mm256_add_ps(f[5], f[1]);
    const __m256 r2 = _mm256_add_ps(f[6], f[2]), r3 = _mm256_add_ps(f[7], f[3]);
    const __m256 sum = _mm256_add_ps(_mm256_add_ps(r0, r2), _mm256_add_ps(r1, r3));
    switch (kind) {
        case Q4_K: return _mm256_add_ps(sum, _mm256_add_ps(_mm256_add_ps(s->m[0], s->m[2]), _mm256_add_ps(s->m[1], s->m[3])));
        case Q5_K: return _mm256_add_ps(sum, s->m[0]);
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

ALWAYS void eight(const char * w, size_t row_bytes, size_t block_bytes, enum kind kind, int cols,
                  const char * const * x, int n, float * y, int stride) {
    const int nb = cols / SUPER;
    struct unpacked u[CHUNK];
    for (int t = 0; t < n;) {
        const int rows = n - t >= 4 ? 4 : n - t >= 2 ? 2 : 1;
        struct sums acc[TILE];
        for (int k = 0; k < rows; k++) {
            for (int i = 0; i < 8; i++) acc[k].f[i] = _mm256_setzero_ps();
            for (int i = 0; i < 4; i++) acc[k].m[i] = _mm256_setzero_ps();
        }
        for (int b = 0; b < nb; b++) {
            struct unpacked * at = &u[b % CHUNK];
            if (t == 0 || nb > CHUNK) unpack(w + b * block_bytes, row_bytes, kind, at);
            const size_t off = (size_t) b * X_BYTES;
            switch (rows) {
                case 4: superblock(at, x + t, off, 4, kind, acc); break;
                case 2: superblock(at, x + t, off, 2, kind, acc); break;
                default: superblock(at, x + t, off, 1, kind, acc);
            }
        }
        for (int k = 0; k < rows; k++) _mm256_storeu_ps(y + (size_t) (t + k) * stride, total(&acc[k], kind));
        t += rows;
    }
}

static void group_q4_k(const char * w, size_t row_bytes, int cols, const char * const * x, int n, float * y, int stride) {
    for (int r = 0; r < MS_GROUP; r += LANES) eight(w + r * row_bytes, row_bytes, 144, Q4_K, cols, x, n, y + r, stride);
}

static void group_q5_k(const char * w, size_t row_bytes, int cols, const char * const * x, int n, float * y, int stride) {
    for (int r = 0; r < MS_GROUP; r += LANES) eight(w + r * row_bytes, row_bytes, 176, Q5_K, cols, x, n, y + r, stride);
}

static void group_q6_k(const char * w, size_t row_bytes, int cols, const char * const * x, int n, float * y, int stride) {
    for (int r = 0; r < MS_GROUP; r += LANES) eight(w + r * row_bytes, row_bytes, 210, Q6_K, cols, x, n, y + r, stride);
}

const ms_group_t ms_group_q4_k = group_q4_k, ms_group_q5_k = group_q5_k, ms_group_q6_k = group_q6_k;
#define MS_AVX2 1
#endif

// Where neither file has them.
#if !defined(MS_AVX2) && !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__))
const ms_group_t ms_group_q4_k = NULL, ms_group_q5_k = NULL, ms_group_q6_k = NULL;
#endif
