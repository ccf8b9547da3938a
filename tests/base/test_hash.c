/* test_hash.c - XXH64 against the values of its reference implementation. */
#include "base/base.h"
#include "test.h"

TEST(the_hash_has_the_published_values)
{
    static const struct {
        size_t len;
        uint64_t seed, want;
    } cases[] = {
        { 0, UINT64_C(0x0), UINT64_C(0xef46db3751d8e999) },
        { 0, UINT64_C(0x9e3779b185ebca87), UINT64_C(0x6ec6d05f61c7e7a7) },
        { 1, UINT64_C(0x0), UINT64_C(0xe934a84adb052768) },
        { 1, UINT64_C(0x9e3779b185ebca87), UINT64_C(0x60508b0ced72c717) },
        { 3, UINT64_C(0x0), UINT64_C(0xf5cd310a927fde3e) },
        { 3, UINT64_C(0x9e3779b185ebca87), UINT64_C(0xcefeb8783bf44fed) },
        { 4, UINT64_C(0x0), UINT64_C(0xa9c00ae8f9b200f0) },
        { 4, UINT64_C(0x9e3779b185ebca87), UINT64_C(0x16ba9563e5c1dd59) },
        { 7, UINT64_C(0x0), UINT64_C(0x72b108a52e458e66) },
        { 7, UINT64_C(0x9e3779b185ebca87), UINT64_C(0xf94bb5bb6dca52d7) },
        { 8, UINT64_C(0x0), UINT64_C(0x74c725313330d0cc) },
        { 8, UINT64_C(0x9e3779b185ebca87), UINT64_C(0xf515d5b7e041598c) },
        { 12, UINT64_C(0x0), UINT64_C(0xad787b96d955363b) },
        { 12, UINT64_C(0x9e3779b185ebca87), UINT64_C(0xa81f76efa3e5fade) },
        { 31, UINT64_C(0x0), UINT64_C(0xf850659766dc378d) },
        { 31, UINT64_C(0x9e3779b185ebca87), UINT64_C(0x92159e9c0c40d048) },
        { 32, UINT64_C(0x0), UINT64_C(0x933a79bffa5ca70d) },
        { 32, UINT64_C(0x9e3779b185ebca87), UINT64_C(0x8d268c8354984c38) },
        { 33, UINT64_C(0x0), UINT64_C(0x73d1ced1fc434b81) },
        { 33, UINT64_C(0x9e3779b185ebca87), UINT64_C(0xfc56ef94bdea671f) },
        { 40, UINT64_C(0x0), UINT64_C(0xf16a1a29824acbf2) },
        { 40, UINT64_C(0x9e3779b185ebca87), UINT64_C(0xf1e7cb87fc84e371) },
        { 63, UINT64_C(0x0), UINT64_C(0x4999da3ed0d0a3a3) },
        { 63, UINT64_C(0x9e3779b185ebca87), UINT64_C(0x1f7a5f1681cbf7a5) },
        { 64, UINT64_C(0x0), UINT64_C(0x96ae9699d1ce1876) },
        { 64, UINT64_C(0x9e3779b185ebca87), UINT64_C(0xc93cff8db9860d32) },
        { 100, UINT64_C(0x0), UINT64_C(0xd45c5ff895f8ad88) },
        { 100, UINT64_C(0x9e3779b185ebca87), UINT64_C(0x698bb054792e3ea0) },
        { 255, UINT64_C(0x0), UINT64_C(0xcdd7c58b4a9a59a2) },
        { 255, UINT64_C(0x9e3779b185ebca87), UINT64_C(0x21f417ec3277f28e) },
        { 512, UINT64_C(0x0), UINT64_C(0x8148c3f5fb7484f9) },
        { 512, UINT64_C(0x9e3779b185ebca87), UINT64_C(0x8eb53f029d2f5ed4) },
    };
    unsigned char data[512];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 37 + (i >> 3));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t got = kw_hash64(data, cases[i].len, cases[i].seed);
        if (got != cases[i].want)
            fail_msg("%zu bytes, seed %llx: %016llx", cases[i].len,
                     (unsigned long long)cases[i].seed, (unsigned long long)got);
    }
    assert_true(kw_hash64(NULL, 0, 0) == UINT64_C(0xEF46DB3751D8E999));
    assert_true(kw_hash64("abc", 3, 0) == UINT64_C(0x44BC2CF5AD770999));
}
