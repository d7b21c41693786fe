// Products of several weight rows at a time with many activation rows, or with
// one, to the bits of ggml's own dot product.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { MS_GROUP = 16 }; // weight rows of one product

// What ms_group_* have in common: y[t*stride + r] = dot(row r of w, x[t]) for r in [0, MS_GROUP), t in [0, n).
// w has rows of row_bytes bytes, each of cols values; x[t] is a row of cols values in the activation type.
typedef void (*ms_group_t)(const char * w, size_t row_bytes, int cols, const char * const * x, int n, float * y, int stride);

// The product for this type of weights, or NULL when ggml's dot product must be called row by row.
ms_group_t ms_group(int type);

// Implementations; NULL where the build's instruction set has none.
extern const ms_group_t ms_group_q4_0, ms_group_q8_0, ms_group_q4_k, ms_group_q5_k, ms_group_q6_k;

enum { MS_SINGLE = 4 }; // weight rows of one product with one activation row

// y[r] = dot(row r of w, x) for r in [0, MS_SINGLE).
typedef void (*ms_single_t)(const char * w, size_t row_bytes, int cols, const char * x, float * y);

// The product for this type and width, or NULL when ggml's dot product is to be called.
ms_single_t ms_single(int type, int cols);

extern const ms_single_t ms_single_q8_0, ms_single_mxfp4;
