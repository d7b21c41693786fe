// Rows of 8-bit codes, in blocks that share the value of largest magnitude; see expert.Codes.
#pragma once
#include <stdint.h>

// Gives the first of so many blocks that no quantiser gives: with codes other than 0 beside an extreme of 0, without
// the code of its extreme, with -128, or with an extreme whose magnitude is not between least and most. -1: none.
int ms_codes_bad(const int8_t * codes, const float * extremes, int blocks, int block, float least, float most);

// Widens codes to floats that a quantiser takes back to them: each code times the scale, the first of the extreme's as
// the extreme was, and every other value kept just below it. The codes must be good.
void ms_codes_floats(const int8_t * codes, const float * extremes, int blocks, int block, float * y);
