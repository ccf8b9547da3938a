/* test_rows.c - every instruction set's kernels against the generic row: exact ones by memcmp, fast ones by a bound. */
#include "cpu/kernels.h"
#include "base/base.h"
#include "test.h"
#include <math.h>

enum { N = 300 }; /* lengths up to here, so that every tail is met */

static const kw_kernels *generic(void)
{
    size_t n;
    return kw_kernel_rows(&n)[0];
}

/* Values of many sizes, zeros of both signs, and with `special` infinities and NaN too. */
static void fill(float *x, size_t n, uint64_t seed, bool special)
{
    static const float odd[] = { 0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, 3e38f, -104.0f };
    kw_rng rng;
    kw_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        float u = (float)(kw_rng_f64(&rng) * 2 - 1);
        x[i] = u * ldexpf(1.0f, (int)(kw_rng_u64(&rng) % 12) - 6);
        if (special && kw_rng_u64(&rng) % 7 == 0) x[i] = odd[kw_rng_u64(&rng) % 8];
    }
}

static bool same(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(a[i] != a[i] && b[i] != b[i]) && memcmp(&a[i], &b[i], sizeof *a)) return false;
    return true;
}

typedef void (*check_fn)(const kw_kernels *row);

/* Runs a check with each row that this machine has, holes filled from below. */
static void each_row(check_fn check)
{
    size_t n;
    const kw_kernels *const *rows = kw_kernel_rows(&n);
    for (size_t i = 1; i < n; i++) {
        kw_kernels chosen;
        if ((rows[i]->needs & kw_cpu_features()) != rows[i]->needs) {
            printf("this machine cannot run the row %s\n", rows[i]->name);
            continue;
        }
        assert_int_equal(kw_kernels_select(kw_cpu_features(), rows[i]->name, &chosen), KW_OK);
        assert_string_equal(chosen.name, rows[i]->name);
        check(&chosen);
    }
}

static void check_cells(const kw_kernels *row)
{
    float a[N], b[N], got[N], want[N];
    fill(a, N, 1, true);
    fill(b, N, 2, true);
    for (size_t n = 0; n <= N; n++) {
        row->add(got, a, b, n), generic()->add(want, a, b, n);
        assert_true(same(got, want, n));
        row->mul(got, a, b, n), generic()->mul(want, a, b, n);
        assert_true(same(got, want, n));
        row->silu(got, a, n), generic()->silu(want, a, n);
        assert_true(same(got, want, n));
        row->swiglu(got, a, b, n), generic()->swiglu(want, a, b, n);
        assert_true(same(got, want, n));
        row->gelu_tanh(got, a, n), generic()->gelu_tanh(want, a, n);
        assert_true(same(got, want, n));
        row->geglu(got, a, b, n), generic()->geglu(want, a, b, n);
        assert_true(same(got, want, n));
        row->softcap(got, a, n, 30.0f), generic()->softcap(want, a, n, 30.0f);
        assert_true(same(got, want, n));
        row->gelu(got, a, n), generic()->gelu(want, a, n);
        assert_true(same(got, want, n));
        fill(a, N, n, false);
        for (int biased = 0; biased < 2; biased++) {
            kw_layer_norm_args norm = { b, biased ? a : NULL, n, 1e-5f };
            row->layer_norm(got, a, &norm), generic()->layer_norm(want, a, &norm);
            assert_true(n == 0 || same(got, want, n));
        }
        row->rms_norm(got, a, b, n, 1e-5f), generic()->rms_norm(want, a, b, n, 1e-5f);
        assert_true(n == 0 || same(got, want, n));
        fill(a, N, n, true);
    }
}

TEST(cells_and_norms_have_the_bits_of_the_generic_row) { each_row(check_cells); }

/* The generic gelus against double arithmetic: the error at most 3e-7, and of the value itself away from the tail. */
TEST(gelu_and_its_tanh_form_are_what_they_are_called)
{
    double worst[2] = { 0, 0 };
    for (int i = -12000; i <= 12000; i++) {
        float x = (float)i / 1000, got[2];
        double d = (double)x, inner = 0.7978845608028654 * (d + 0.044715 * d * d * d);
        double want[2] = { d * 0.5 * erfc(-d * 0.7071067811865476), d * 0.5 * (1 + tanh(inner)) };
        generic()->gelu(&got[0], &x, 1), generic()->gelu_tanh(&got[1], &x, 1);
        for (int form = 0; form < 2; form++) {
            double size = fabs(want[form]) > 1 ? fabs(want[form]) : 1;
            double error = fabs((double)got[form] - want[form]) / size;
            worst[form] = error > worst[form] ? error : worst[form];
        }
    }
    printf("worst error: erf %.2e, tanh %.2e\n", worst[0], worst[1]);
    assert_true(worst[0] < 3e-7 && worst[1] < 3e-7);
    float infinite = INFINITY, out;
    generic()->gelu(&out, &infinite, 1);
    assert_true(out == INFINITY);
}

static void check_gelu_fast(const kw_kernels *row)
{
    enum { MANY = 24001 };
    static float x[MANY], got[MANY], one;
    double worst = 0;
    for (int i = 0; i < MANY; i++) x[i] = (float)(i - MANY / 2) / 1000;
    row->gelu_fast(got, x, MANY);
    for (int i = 0; i < MANY; i++) {
        double want = (double)x[i] * 0.5 * erfc(-(double)x[i] * 0.7071067811865476);
        double error = fabs((double)got[i] - want) / fmax(fabs(want), 1);
        worst = error > worst ? error : worst;
        row->gelu_fast(&one, &x[i], 1); /* wherever it stands */
        assert_memory_equal(&one, &got[i], sizeof one);
    }
    printf("%s: worst error %.2e\n", row->name, worst);
    assert_true(worst < 2e-6);
    float odd[4] = { INFINITY, -INFINITY, NAN, 1e30f }, of[4];
    row->gelu_fast(of, odd, 4);
    assert_true(of[0] == INFINITY && fabsf(of[1]) < 2e-6f && isnan(of[2]));
    assert_true(fabsf(of[3] - 1e30f) < 1e24f);
}

TEST(the_fast_gelu_is_within_2e6) { each_row(check_gelu_fast); }

/* In doubles, over values far from 0, where a mean of too few bits would show. */
TEST(layer_norm_is_what_it_is_called)
{
    enum { WIDE = 301 };
    float x[WIDE], w[WIDE], bias[WIDE], got[WIDE];
    double mean = 0, variance = 0, worst = 0;
    fill(w, WIDE, 21, false);
    fill(bias, WIDE, 22, false);
    fill(x, WIDE, 23, false);
    for (int i = 0; i < WIDE; i++) mean += (double)(x[i] += 20) / (double)WIDE;
    for (int i = 0; i < WIDE; i++) variance += pow((double)x[i] - mean, 2) / (double)WIDE;
    generic()->layer_norm(got, x, &(kw_layer_norm_args){ w, bias, WIDE, 1e-5f });
    for (int i = 0; i < WIDE; i++) {
        double y = ((double)x[i] - mean) / sqrt(variance + 1e-5),
               want = y * (double)w[i] + (double)bias[i];
        double error =
            fabs((double)got[i] - want) / (1 + fabs(y * (double)w[i]) + fabs((double)bias[i]));
        worst = error > worst ? error : worst;
    }
    printf("worst error %.2e\n", worst);
    assert_true(worst < 2e-6);
}

static void check_rope(const kw_kernels *row)
{
    float x[4 * 40], table[40], got[4 * 40], want[4 * 40];
    fill(x, 160, 3, true);
    fill(table, 40, 4, false);
    for (int half = 1; half <= 20; half++)
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            kw_rope_row r = { x, table, table + half, got, 4, 40, half, interleaved };
            row->rope(&r);
            r.dst = want;
            generic()->rope(&r);
            assert_true(same(got, want, 160));
        }
}

/* The generic row is the definition, so it is held against the C library. */
TEST(gelu_and_softcap_are_what_they_say)
{
    float x[N], gelu[N], capped[N];
    double worst = 0;
    for (int i = 0; i < N; i++) x[i] = (float)(i - N / 2) * 0.04f;
    generic()->gelu_tanh(gelu, x, N);
    generic()->softcap(capped, x, N, 2.5f);
    for (int i = 0; i < N; i++) {
        double v = (double)x[i], u = sqrt(2 / acos(-1.0)) * (v + 0.044715 * v * v * v);
        worst = fmax(worst, fabs((double)gelu[i] - 0.5 * v * (1 + tanh(u))));
        worst = fmax(worst, fabs((double)capped[i] - 2.5 * tanh(v / 2.5)));
    }
    printf("worst error %.2e\n", worst);
    assert_true(worst < 1e-6);
    x[0] = INFINITY, x[1] = -1e20f, x[2] = NAN, x[3] = -INFINITY;
    generic()->gelu_tanh(gelu, x, 4);
    generic()->softcap(capped, x, 4, 2.5f);
    assert_true(gelu[0] == INFINITY && gelu[1] == 0 && isnan(gelu[2]));
    assert_true(capped[0] == 2.5f && capped[1] == -2.5f && isnan(capped[2]) && capped[3] == -2.5f);
}

TEST(rope_has_the_bits_of_the_generic_row) { each_row(check_rope); }

static void check_dots(const kw_kernels *row)
{
    static float w[9 * N], x[9 * N], got[81], want[81];
    fill(w, 9 * N, 5, false);
    fill(x, 9 * N, 6, false);
    for (size_t k = 1; k <= N; k += k < 40 ? 1 : 13)
        for (size_t n_w = 1; n_w <= 9; n_w++)
            for (size_t n_x = 1; n_x <= 9; n_x += 2) {
                kw_dots d = { got, w, x, 9, N, N, n_w, n_x, k };
                row->dots_exact(&d);
                d.dst = want;
                generic()->dots_exact(&d);
                for (size_t i = 0; i < n_x; i++) assert_true(same(got + i * 9, want + i * 9, n_w));
            }
}

TEST(exact_dots_have_the_bits_of_the_generic_row_for_every_tile) { each_row(check_dots); }

static void check_attend(const kw_kernels *row)
{
    enum { HEADS = 5, WIDTH = 48 };
    static float q[HEADS * WIDTH], k[64 * WIDTH], v[64 * WIDTH], acc[2][HEADS * WIDTH];
    static float bias[HEADS * KW_ATTEND_BLOCK];
    fill(bias, HEADS * KW_ATTEND_BLOCK, 24, false);
    fill(q, HEADS * WIDTH, 7, false);
    fill(k, 64 * WIDTH, 8, false);
    fill(v, 64 * WIDTH, 9, false);
    for (int width = 1; width <= WIDTH; width += 3)
        for (int n = 1; n <= 64; n += 7)
            for (int from = 0; from < n; from += 5) {
                float max[2][HEADS], sum[2][HEADS];
                for (int side = 0; side < 2; side++) {
                    for (int h = 0; h < HEADS; h++) max[side][h] = -1e9f, sum[side][h] = 0;
                    memset(acc[side], 0, sizeof acc[side]);
                    float cap = n & 1 ? 2.0f : 0;
                    kw_attend_block b = {
                        q,     k,     v,    acc[side], max[side], sum[side], WIDTH,
                        HEADS, width, from, n,         0.125f,    cap,       n & 2 ? bias : NULL
                    };
                    (side ? generic() : row)->attend(&b);
                }
                assert_true(same(acc[0], acc[1], (size_t)(HEADS * width)));
                assert_true(same(max[0], max[1], HEADS) && same(sum[0], sum[1], HEADS));
            }
}

TEST(attention_has_the_bits_of_the_generic_row) { each_row(check_attend); }

/* Packs w by the row under test and multiplies, in two parts of k. */
static void multiply(const kw_kernels *row, const float *w, const float *x, size_t n_w, size_t n_x,
                     size_t k, float *dst)
{
    static float packed[64 * N];
    size_t half = k / 2;
    for (int part = 0; part < 2; part++) {
        size_t at = part ? half : 0, len = part ? k - half : half;
        if (len == 0 && part == 0) continue;
        kw_pack p = { w + at, packed, N, n_w, len, row->panel };
        row->pack(&p);
        kw_gemm g = { dst, packed, x + at, 64, N, n_w, n_x, len, row->panel, part && half };
        row->gemm(&g);
    }
}

static void check_gemm(const kw_kernels *row)
{
    enum { X = 11 };
    static float w[64 * N], x[X * N], got[X * 64], alone[64];
    fill(w, 64 * N, 10, false);
    fill(x, X * N, 11, false);
    for (size_t k = 1; k <= N; k += 29)
        for (size_t n_w = 1; n_w <= row->panel; n_w += row->panel > 9 ? 5 : 1) {
            multiply(row, w, x, n_w, X, k, got);
            for (size_t i = 0; i < X; i++) {
                multiply(row, w, x + i * N, n_w, 1, k, alone);
                assert_true(
                    same(got + i * 64, alone, n_w)); /* the same bits alone and with others */
                for (size_t j = 0; j < n_w; j++) {
                    double sum = 0, size = 0;
                    for (size_t e = 0; e < k; e++) {
                        sum += (double)w[j * N + e] * (double)x[i * N + e];
                        size += fabs((double)w[j * N + e] * (double)x[i * N + e]);
                    }
                    assert_true(fabs((double)got[i * 64 + j] - sum) <= 2e-6 * size);
                }
            }
        }
}

TEST(fast_products_are_within_2e6_and_do_not_depend_on_the_tile) { each_row(check_gemm); }

static void check_decoders(const kw_kernels *row)
{
    static unsigned char packed[8 * 256 * 8];
    static float got[8 * 256], want[8 * 256];
    kw_rng rng;
    kw_rng_seed(&rng, 13);
    for (int t = 0; t < KW_DTYPE_COUNT; t++) {
        const kw_dtype_info *info = kw_dtype_get((kw_dtype)t);
        if (!info->decode) continue;
        for (size_t i = 0; i < sizeof packed; i++) packed[i] = (unsigned char)kw_rng_u64(&rng);
        for (size_t n = info->block; n <= 8 * 256; n += info->block) {
            row->decode[t](packed, got, n);
            info->decode(packed, want, n);
            if (!same(got, want, n)) fail_msg("%s decodes %s otherwise", row->name, info->name);
            if (info->block == 1 && n > 70) break;
        }
    }
}

TEST(decoders_have_the_bits_of_the_format) { each_row(check_decoders); }

static void check_halves(const kw_kernels *row)
{
    static uint16_t every[65536];
    static float got[65536], want[65536];
    for (int i = 0; i < 65536; i++) every[i] = (uint16_t)i;
    row->decode[KW_F16](every, got, 65536);
    for (int i = 0; i < 65536; i++) want[i] = kw_f16_to_f32(every[i]);
    assert_true(same(got, want, 65536));
    row->decode[KW_BF16](every, got, 65536);
    for (int i = 0; i < 65536; i++) want[i] = kw_bf16_to_f32(every[i]);
    assert_true(same(got, want, 65536));
}

TEST(all_65536_halves_have_the_bits_of_the_format) { each_row(check_halves); }

static void check_q8(const kw_kernels *row)
{
    enum { K = 512, W = 7, X = 5 };
    static float x[X * K], weights[W * K], got[W * X], alone[W];
    static unsigned char packed[W * K * 4], codes[X * (2 * K + K / 4 + 64)];
    double worst = 0;
    fill(x, X * K, 12, false);
    size_t stride = kw_q8_row_bytes(K);
    for (int i = 0; i < X; i++) row->encode_q8(x + i * K, codes + (size_t)i * stride, K);
    for (int t = 0; t < KW_DTYPE_COUNT; t++) {
        if (!row->dots_q8[t]) continue;
        const kw_dtype_info *info = kw_dtype_get((kw_dtype)t);
        size_t bytes = K / info->block * info->bytes;
        kw_rng rng;
        kw_rng_seed(&rng, (uint64_t)t);
        for (size_t i = 0; i < W * bytes; i++) packed[i] = (unsigned char)kw_rng_u64(&rng);
        for (size_t b = 0; b < W * bytes; b += info->bytes) { /* sane scales: f16 near 0.01 */
            packed[b] = packed[b + 2] = 0x21;
            packed[b + 1] = packed[b + 3] = 0x21;
            packed[b + info->bytes - 1] = packed[b + info->bytes - 2] = 0x21;
        }
        info->decode(packed, weights, W * K);
        kw_dots_q8 d = { got, packed, codes, W, bytes, stride, W, X, K };
        row->dots_q8[t](&d);
        for (int i = 0; i < X; i++)
            for (int j = 0; j < W; j++) {
                double sum = 0, size = 0;
                for (int e = 0; e < K; e++) {
                    sum += (double)weights[j * K + e] * (double)x[i * K + e];
                    size += fabs((double)weights[j * K + e]) * 0.5;
                }
                double error = fabs((double)got[i * W + j] - sum) / size;
                worst = error > worst ? error : worst;
            }
        for (int i = 0; i < X; i++) {
            kw_dots_q8 one = {
                alone, packed, codes + (size_t)i * stride, W, bytes, stride, W, 1, K
            };
            row->dots_q8[t](&one);
            assert_true(same(alone, got + i * W, W));
        }
    }
    printf("%s: worst error %.2e of the sum of sizes\n", row->name, worst);
    assert_true(worst < 1e-4);
}

TEST(int8_dots_are_within_1e4_and_do_not_depend_on_the_batch) { each_row(check_q8); }

/* Rows that differ in their integer products alone. */
TEST(int8_dots_of_arm_have_the_same_bits_in_every_row)
{
    enum { K = 768, W = 6, X = 9 };
    static const kw_dtype types[] = { KW_Q4_0, KW_Q4_1, KW_Q8_0, KW_Q4_K, KW_Q6_K };
    static const char *const names[] = { "dotprod", "i8mm" };
    static float x[X * K], got[W * X], want[W * X];
    static unsigned char packed[W * K * 2], codes[X * (2 * K + K / 4 + 64)];
    kw_kernels neon, row;
    kw_rng rng;
    if (kw_kernels_select(kw_cpu_features(), "neon", &neon)) {
        test_say_skipped("this build has no row called neon");
        return;
    }
    kw_rng_seed(&rng, 17);
    fill(x, X * K, 18, false);
    for (size_t i = 0; i < sizeof packed; i++) packed[i] = (unsigned char)(kw_rng_u64(&rng) & 0xbf);
    size_t stride = kw_q8_row_bytes(K);
    for (int i = 0; i < X; i++) neon.encode_q8(x + i * K, codes + (size_t)i * stride, K);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        assert_int_equal(kw_kernels_select(kw_cpu_features(), names[n], &row), KW_OK);
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            const kw_dtype_info *info = kw_dtype_get(types[t]);
            size_t bytes = K / info->block * info->bytes;
            kw_dots_q8 d = { got, packed, codes, W, bytes, stride, W, X, K };
            row.dots_q8[types[t]](&d);
            d.dst = want;
            neon.dots_q8[types[t]](&d);
            assert_true(same(got, want, W * X));
        }
    }
}

/* Codes and activations as large as they come, so that a sum kept in too few bits shows. */
static void check_q8_extremes(const kw_kernels *row)
{
    enum { K = 64, W = 3, X = 3 };
    static const float edge[X][2] = { { 1, 1 }, { -1, -1 }, { 1, 0.998f } };
    static unsigned char packed[W * 68], codes[X * (2 * K + K / 4 + 64)];
    float x[K], got[W * X];
    if (!row->dots_q8[KW_Q8_0]) return;
    size_t stride = kw_q8_row_bytes(K);
    for (int i = 0; i < X; i++) {
        for (int e = 0; e < K; e++) x[e] = edge[i][e & 1];
        row->encode_q8(x, codes + (size_t)i * stride, K);
    }
    for (int i = 0; i < W * 68; i++) packed[i] = i % 34 == 0 ? 0 : i % 34 == 1 ? 0x3c : 0x80;
    for (int i = 68; i < 136; i++) packed[i] = i % 34 < 2 ? packed[i] : 0x7f; /* 127 in row 1 */
    row->dots_q8[KW_Q8_0](&(kw_dots_q8){ got, packed, codes, W, 68, stride, W, X, K });
    for (int i = 0; i < X; i++)
        for (int j = 0; j < W; j++) {
            double want =
                (j == 1 ? 127 : -128) * (double)(K / 2) * ((double)edge[i][0] + (double)edge[i][1]);
            assert_true(fabs((double)got[i * W + j] - want) <= 2e-5 * fabs(want));
        }
}

TEST(int8_dots_hold_the_largest_codes) { each_row(check_q8_extremes); }

static void check_encode(const kw_kernels *row)
{
    enum { K = 480 };
    static float x[K];
    static unsigned char got[2 * K + K / 4 + 64], want[2 * K + K / 4 + 64];
    for (uint64_t seed = 0; seed < 50; seed++) {
        fill(x, K, seed, false);
        for (int i = 0; i < 32; i++) x[i] = 0; /* a block of nothing */
        for (size_t k = 32; k <= K; k += 32) {
            row->encode_q8(x, got, k);
            generic()->encode_q8(x, want, k);
            assert_memory_equal(got, want, 2 * k + k / 4);
        }
    }
}

TEST(encoded_activations_have_the_bits_of_the_generic_row) { each_row(check_encode); }

TEST(an_unknown_cap_lists_the_rows)
{
    kw_kernels chosen;
    assert_int_equal(kw_kernels_select(0, "z80", &chosen), KW_EINVAL);
    assert_non_null(strstr(kw_error_message(), "generic"));
}

TEST(a_machine_without_features_gets_the_generic_row)
{
    kw_kernels chosen;
    assert_int_equal(kw_kernels_select(0, NULL, &chosen), KW_OK);
    assert_string_equal(chosen.name, "generic");
}
