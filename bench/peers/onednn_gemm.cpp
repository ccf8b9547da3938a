/* onednn_gemm.cpp - times oneDNN's matmul at one shape, as one line of JSON.
 *
 * dst[m, n] = src[m, k] times weights[k, n], the weights reordered once into the layout oneDNN asks for (that is not
 * timed: weights do not change between calls). The result is checked against a plain sum at a few places, so that a
 * number is never the speed of something else. Threads: OMP_NUM_THREADS.
 *
 *     onednn_gemm bf16|f32 M N K RUNS */
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <vector>
#include <dnnl.hpp>

using namespace dnnl;
using dims = memory::dims;

static float value(long i) { return static_cast<float>((i * 7919) % 31 - 15) / 16.0f; } /* exact in bf16 */

static memory filled(const memory::desc &want, const memory::desc &plain, engine &e, stream &s, long n)
{
    memory f32(plain, e), out(want, e);
    float *p = static_cast<float *>(f32.get_data_handle());
    for (long i = 0; i < n; i++) p[i] = value(i);
    reorder(f32, out).execute(s, f32, out);
    s.wait();
    return out;
}

static bool right(const float *dst, long m, long n, long k)
{
    for (long at = 0; at < m * n; at += m * n / 7 + 1) {
        double sum = 0;
        for (long i = 0; i < k; i++) sum += double(value(at / n * k + i)) * double(value(i * n + at % n));
        if (std::fabs(sum - double(dst[at])) > 1e-3 * (1 + std::fabs(sum))) return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 6) return std::fprintf(stderr, "usage: onednn_gemm bf16|f32 M N K RUNS\n"), 2;
    const auto type = std::string(argv[1]) == "bf16" ? memory::data_type::bf16 : memory::data_type::f32;
    const long m = std::atol(argv[2]), n = std::atol(argv[3]), k = std::atol(argv[4]);
    const int runs = std::atoi(argv[5]);
    const auto f32 = memory::data_type::f32;
    using tag = memory::format_tag;
    engine e(engine::kind::cpu, 0);
    stream s(e);
    try {
        memory::desc src(dims{ m, k }, type, tag::ab), any(dims{ k, n }, type, tag::any);
        memory::desc dst(dims{ m, n }, f32, tag::ab);
        matmul::primitive_desc pd(matmul::desc(src, any, dst), e);
        memory a = filled(src, { dims{ m, k }, f32, tag::ab }, e, s, m * k);
        memory b = filled(pd.weights_desc(), { dims{ k, n }, f32, tag::ab }, e, s, k * n);
        memory c(dst, e);
        const std::unordered_map<int, memory> args{ { DNNL_ARG_SRC, a }, { DNNL_ARG_WEIGHTS, b }, { DNNL_ARG_DST, c } };
        matmul op(pd);
        std::printf("{\"peer\": \"oneDNN %d.%d.%d\", \"dtype\": \"%s\", \"impl\": \"%s\", \"gflop_s\": [", version()->major,
                    version()->minor, version()->patch, argv[1], pd.impl_info_str());
        for (int i = 0; i <= runs; i++) {
            auto start = std::chrono::steady_clock::now();
            op.execute(s, args);
            s.wait();
            std::chrono::duration<double> t = std::chrono::steady_clock::now() - start;
            if (i > 0) std::printf("%s%.3f", i > 1 ? ", " : "", 2e-9 * double(m) * double(n) * double(k) / t.count());
        }
        std::printf("], \"right\": %s}\n", right(static_cast<float *>(c.get_data_handle()), m, n, k) ? "true" : "false");
    } catch (const error &x) {
        std::printf("{\"peer\": \"oneDNN\", \"dtype\": \"%s\", \"error\": \"%s\"}\n", argv[1], x.what());
        return 1;
    }
    return 0;
}
