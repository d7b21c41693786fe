// What the AVX-512 products share. The 16 lanes of a vector are 16 weight rows.
#pragma once
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__)
#include <immintrin.h>
#define MS_AVX512 1

#define ALWAYS static inline __attribute__((always_inline))

// Reads 16 bytes from each of 16 rows: lane r of out[k] is the k-th 32-bit word of row r.
ALWAYS void gather16(const char * w, size_t row_bytes, __m512i out[4]) {
    __m512i z[4];
    for (int k = 0; k < 4; k++) {
        const char * p = w + k * row_bytes;
        z[k] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *) p));
        z[k] = _mm512_inserti32x4(z[k], _mm_loadu_si128((const __m128i *) (p + 4 * row_bytes)), 1);
        z[k] = _mm512_inserti32x4(z[k], _mm_loadu_si128((const __m128i *) (p + 8 * row_bytes)), 2);
        z[k] = _mm512_inserti32x4(z[k], _mm_loadu_si128((const __m128i *) (p + 12 * row_bytes)), 3);
    }
    // 4x4 transposition in each quarter: row k + 4g is word k of quarter g.
    const __m512i a = _mm512_unpacklo_epi32(z[0], z[1]), b = _mm512_unpackhi_epi32(z[0], z[1]);
    const __m512i c = _mm512_unpacklo_epi32(z[2], z[3]), d = _mm512_unpackhi_epi32(z[2], z[3]);
    out[0] = _mm512_unpacklo_epi64(a, c);
    out[1] = _mm512_unpackhi_epi64(a, c);
    out[2] = _mm512_unpacklo_epi64(b, d);
    out[3] = _mm512_unpackhi_epi64(b, d);
}

// Asks for a part of the next 16 rows while a block of these is unpacked.
ALWAYS void ahead(const char * w, size_t row_bytes, size_t block_bytes, int block) {
    const char * p = w + 16 * row_bytes + 16 * block_bytes * block;
    for (size_t i = 0; i < 16 * block_bytes; i += 64) _mm_prefetch(p + i, _MM_HINT_T1);
}

// Reads one half-precision number from each of 16 rows.
ALWAYS __m512 gather_half(const char * w, size_t row_bytes) {
    uint16_t h[16];
    for (int r = 0; r < 16; r++) memcpy(&h[r], w + r * row_bytes, 2);
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) h));
}

ALWAYS float half(const void * p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return _cvtsh_ss(h);
}

// Four activation codes, to every lane.
ALWAYS __m512i spread4(const void * p) {
    int32_t v;
    memcpy(&v, p, 4);
    return _mm512_set1_epi32(v);
}

// ggml adds eight partial sums up in this order.
ALWAYS __m512 sum8(const __m512 f[8]) {
    const __m512 r0 = _mm512_add_ps(f[4], f[0]), r1 = _mm512_add_ps(f[5], f[1]);
    const __m512 r2 = _mm512_add_ps(f[6], f[2]), r3 = _mm512_add_ps(f[7], f[3]);
    return _mm512_add_ps(_mm512_add_ps(r0, r2), _mm512_add_ps(r1, r3));
}

#endif
