#include "codes.h"

#include <math.h>
#include <string.h>

// code_of is the code of a block's extreme: -127 in blocks of 256, where the scale has a sign; in blocks of 32 it has
// none, so that the code has the extreme's.
static inline int8_t code_of(int block, float extreme) { return block == 256 || extreme < 0 ? -127 : 127; }

// below is the number before a > 0.
static inline float below(float a) {
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    bits--;
    memcpy(&a, &bits, sizeof bits);
    return a;
}

static inline int bad(const int8_t * codes, float e, int block, float least, float most) {
    const float a = fabsf(e);
    const int8_t code = code_of(block, e);
    uint8_t any = 0, extreme = 0, low = 0;
    for (int i = 0; i < block; i++) {
        any |= (uint8_t) codes[i];
        extreme |= codes[i] == code;
        low |= codes[i] == -128;
    }
    return e == 0 ? any != 0 : !extreme || low || !(a >= least && a <= most);
}

static inline void floats(const int8_t * codes, float e, int block, float * y) {
    const int8_t code = code_of(block, e);
    const float unit = e / code, a = fabsf(e);
    if (a == 0) { // so are the codes
        for (int i = 0; i < block; i++) y[i] = codes[i] * unit;
        return;
    }
    const float under = below(a);
    for (int i = 0; i < block; i++) {
        float x = codes[i] * unit;
        x = x >= a ? under : x;
        y[i] = x <= -a ? -under : x;
    }
    const int8_t * first = memchr(codes, (uint8_t) code, block);
    if (first) y[first - codes] = e;
}

// The two lengths of blocks that there are have loops of their own.

int ms_codes_bad(const int8_t * codes, const float * extremes, int blocks, int block, float least, float most) {
    for (int b = 0; b < blocks; b++, codes += block)
        if (block == 32 ? bad(codes, extremes[b], 32, least, most) : bad(codes, extremes[b], block, least, most)) return b;
    return -1;
}

void ms_codes_floats(const int8_t * codes, const float * extremes, int blocks, int block, float * y) {
    for (int b = 0; b < blocks; b++, codes += block, y += block)
        if (block == 32) floats(codes, extremes[b], 32, y);
        else floats(codes, extremes[b], block, y);
}
