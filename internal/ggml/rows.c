#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "kernels.h"

enum { TYPE_Q4_0 = 2, TYPE_Q8_0 = 8, TYPE_Q4_K = 12, TYPE_Q5_K = 13, TYPE_Q6_K = 14, TYPE_MXFP4 = 39, TYPE_COUNT = 40 };

static ms_group_t built(int type) {
    switch (type) {
        case TYPE_Q4_0: return ms_group_q4_0;
        case TYPE_Q8_0: return ms_group_q8_0;
        case TYPE_Q4_K: return ms_group_q4_k;
        case TYPE_Q5_K: return ms_group_q5_k;
        case TYPE_Q6_K: return ms_group_q6_k;
        default: return NULL;
    }
}

static ms_single_t built_single(int type) {
    switch (type) {
        case TYPE_Q8_0: return ms_single_q8_0;
        case TYPE_MXFP4: return ms_single_mxfp4;
        default: return NULL;
    }
}

// agrees compares the products of a type with ggml's dot products on random
// weights, to the last bit: group, or if that is NULL, single. Compilers may
// fuse multiplications and additions in one and not in the other, and ggml may
// choose other instructions than those the product was written after; then the
// answer is no, and the product unused.
static int agrees(int type, ms_group_t group, ms_single_t single) {
    enum { COLS = 1024, ROWS = 9 };
    const int act = ms_activation_type(type);
    const size_t w_bytes = ms_row_bytes(type, COLS), x_bytes = ms_row_bytes(act, COLS);
    float * values = malloc(sizeof(float) * COLS * MS_GROUP);
    char * w = malloc(w_bytes * MS_GROUP), * x = malloc(x_bytes * ROWS);
    float y[ROWS][MS_GROUP], want[ROWS][MS_GROUP];
    int same = 0;
    if (values && w && x) {
        uint32_t state = 1;
        for (int i = 0; i < COLS * MS_GROUP; i++) {
            state = state * 1664525u + 1013904223u;
            values[i] = ((int32_t) state >> 8) * 1e-7f;
        }
        ms_quantize(type, values, w, COLS, MS_GROUP);
        ms_quantize(act, values + 7 * COLS, x, COLS, ROWS);
        const char * rows[ROWS];
        for (int t = 0; t < ROWS; t++) {
            rows[t] = x + t * x_bytes;
            for (int r = 0; r < MS_GROUP; r++) ms_dot(type, COLS, w + r * w_bytes, rows[t], &want[t][r]);
            for (int r = 0; !group && r < MS_GROUP; r += MS_SINGLE) single(w + r * w_bytes, w_bytes, COLS, rows[t], &y[t][r]);
        }
        if (group) group(w, w_bytes, COLS, rows, ROWS, y[0], MS_GROUP);
        same = memcmp(y, want, sizeof y) == 0;
    }
    free(values);
    free(w);
    free(x);
    return same;
}

ms_group_t ms_group(int type) {
    static _Atomic signed char verdict[TYPE_COUNT]; // 0 not known yet, 1 to be used, -1 not
    if (type < 0 || type >= TYPE_COUNT || verdict[type] < 0) return NULL;
    const ms_group_t group = built(type);
    if (verdict[type] == 0) verdict[type] = group && agrees(type, group, NULL) ? 1 : -1;
    return verdict[type] > 0 ? group : NULL;
}

ms_single_t ms_single(int type, int cols) {
    static _Atomic signed char verdict[TYPE_COUNT]; // as above
    if (type < 0 || type >= TYPE_COUNT || verdict[type] < 0 || cols % 64 != 0) return NULL;
    const ms_single_t single = built_single(type);
    if (verdict[type] == 0) verdict[type] = single && agrees(type, NULL, single) ? 1 : -1;
    return verdict[type] > 0 ? single : NULL;
}
