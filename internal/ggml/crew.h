// Threads that share out the work of one call among themselves.
#pragma once
#include <stddef.h>
#include <stdint.h>

// A crew is a number of threads that sleep until there is work. Several callers may use one at a time; each works on
// its own job, and the threads on the oldest that has pieces left.
struct ms_crew;

// A crew for so many workers, the caller among them, two at least. Its threads start with the first job. NULL when there
// is no memory.
struct ms_crew * ms_crew_new(int workers);
// Ends the threads. Nobody uses the crew any more.
void ms_crew_free(struct ms_crew * c);

// The pointers below are numbers, since Go may not hand over memory with pointers in it. What they point to stays where
// it is during the call, which Go's collector never changes.

// One matrix to multiply with, and where the products go: (n, out).
struct ms_product {
    uintptr_t w, y;
    size_t    row_bytes;
    int32_t   type, cols, out;
};

// Multiplies n rows of activations x by each of count matrices, cut into so many pieces each. crew may be NULL.
void ms_crew_multiply(struct ms_crew * c, const struct ms_product * p, int count, int pieces, const void * x, int n);

// One feed-forward network and the rows for it; see ms_feed_forward. left belongs to the crew.
struct ms_network {
    uintptr_t w1, w2, w3, b1, b2, b3;
    uintptr_t x, rows, a, b, q, y;
    int32_t   type1, type2, type3, dim, ff, act, n;
    int32_t   left;
};

// Computes count networks, each half of each cut into so many pieces of whole multiples of 16 values. crew may be NULL.
void ms_crew_feed(struct ms_crew * c, struct ms_network * w, int count, int pieces);

// One query head; see ms_attend.
struct ms_head {
    uintptr_t q, k, v, out;
    int32_t   n, kstride, vstride, kd, vd;
    float     scale, sink;
};

// Computes count heads, cut into so many pieces. scores: room for as many floats as the longest has positions, for the
// caller. crew may be NULL.
void ms_crew_attend(struct ms_crew * c, const struct ms_head * h, int count, int pieces, float * scores);

// ms_quantize and ms_rms_norm (of rows of n values) of rows rows, cut into so many pieces. crew may be NULL.
void ms_crew_quantize(struct ms_crew * c, int type, const float * x, void * y, int cols, int rows, int pieces);
void ms_crew_norm(struct ms_crew * c, const float * x, const float * w, float * y, int n, float eps, int rows, int pieces);
