/* hash.h - a checksum of bytes: fast enough to run over weights, good enough that no accident passes. */
#ifndef KW_BASE_HASH_H
#define KW_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH64 of the bytes. It finds damage; it does not stop somebody who builds two inputs with one value. */
uint64_t kw_hash64(const void *data, size_t len, uint64_t seed);

#endif
