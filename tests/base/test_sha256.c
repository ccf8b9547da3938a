/* test_sha256.c - the examples of FIPS 180-4, and every way of cutting an input. */
#include "base/base.h"
#include "test.h"

static void check(const char *text, size_t times, const char *want)
{
    kw_sha256 s;
    char hex[65];
    kw_sha256_open(&s);
    for (size_t i = 0; i < times; i++) kw_sha256_add(&s, text, strlen(text));
    kw_sha256_close(&s, hex);
    assert_string_equal(hex, want);
}

TEST(the_standards_examples)
{
    check("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check("aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(it_does_not_matter_how_an_input_is_cut)
{
    unsigned char data[200];
    char want[65], got[65];
    kw_sha256 s;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 7);
    for (size_t n = 0; n <= sizeof data; n++) {
        kw_sha256_open(&s);
        kw_sha256_add(&s, data, n);
        kw_sha256_close(&s, want);
        for (size_t cut = 0; cut <= n; cut += 13) {
            kw_sha256_open(&s);
            kw_sha256_add(&s, data, cut);
            kw_sha256_add(&s, data + cut, n - cut);
            kw_sha256_close(&s, got);
            assert_string_equal(got, want);
        }
    }
}
