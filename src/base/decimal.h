/* decimal.h - doubles as decimal text, inside base/: the same text in every locale. */
#ifndef KW_BASE_DECIMAL_H
#define KW_BASE_DECIMAL_H

#include "base/str.h"

enum { KW_DECIMAL_BYTES = 32 };

/* Reads [-]digits[.digits][(e|E)[+-]digits], the whole slice, correctly rounded; too large gives an
 * infinity, too small a zero. False on any other text. At least one digit must stand before the
 * exponent ("5." and ".5" pass). */
bool kw_decimal_read(kw_str text, double *out);

/* Writes the shortest text that reads back as the finite number v, always with a point or an
 * exponent ("1.0", "-0.0", "1e-07", "0.1"), NUL-terminated. Returns its length. */
size_t kw_decimal_write(double v, char out[KW_DECIMAL_BYTES]);

#endif
