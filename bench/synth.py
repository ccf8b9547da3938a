#!/usr/bin/env python3
"""synth.py - writes a GGUF model of a known shape with random weights: speed without a download.

How fast a model runs depends on its shapes and formats, not on what it says, so a file of noise with the sizes of a real
model measures as well as the real one. Its text is noise, its quality is not to be measured.

    synth.py llama-1b q4_0 FILE.gguf            types: f16 q8_0 q4_0 q4_k_m

Shapes of other families stand in FAMILIES: Gemma 2 (with a third of its layers) and 3, GPT-2, Qwen3, and two mixtures of experts that are
smaller than the real ones, so that they fit a small machine.

The mixtures of formats are those of the usual quantizer: with q4_0 and q4_k_m the output head (or the embedding that serves as one) is
Q6_K, and with q4_k_m the value projections and second ffn matrices of the outer eighths and of every third layer between
are Q6_K too; rows that are not whole blocks of 256 take Q8_0 or Q4_0 instead. Weights have mean 0 and deviation 1/sqrt(columns), norms are 1. One stretch of blocks is drawn for each type and width and
a tensor is cut from it at random places, so a 4 GB file takes about as long as the disk. The same shape and type give the same bytes.

    file:  "GGUF" 3 | counts | keys and values | names, shapes, types, offsets | padding | data, each tensor padded to 32
"""
import array
import itertools
import math
import os
import random
import struct
import sys

ALIGN = 32
SHAPES = {
    "tiny": dict(vocab=1024, context=2048, width=256, ffn=768, layers=4, heads=4, kv=2, base=1e4, tied=False),
    "tiny-moe": dict(vocab=1024, context=2048, width=256, ffn=256, layers=2, heads=4, kv=2, base=1e4, tied=False, experts=4, used=2,
                     ffn_expert=256),
    "tiny-moe-apart": dict(vocab=1024, context=2048, width=256, ffn=256, layers=2, heads=4, kv=2, base=1e4, tied=False, experts=4,
                           used=2, ffn_expert=256, apart=True),
    "small": dict(vocab=4096, context=2048, width=512, ffn=1536, layers=6, heads=8, kv=4, base=1e4, tied=False),
    "llama-1b": dict(vocab=128256, context=131072, width=2048, ffn=8192, layers=16, heads=32, kv=8, base=5e5, tied=True),
    "llama-7b": dict(vocab=32000, context=4096, width=4096, ffn=11008, layers=32, heads=32, kv=32, base=1e4, tied=False),
    "gpt2": dict(arch="gpt2", vocab=50257, context=1024, width=768, ffn=3072, layers=12, heads=12, kv=12, tied=True),
    "qwen3-0.6b": dict(arch="qwen3", vocab=151936, context=40960, width=1024, ffn=3072, layers=28, heads=16, kv=8, head=128, base=1e6,
                       tied=True),
    "gemma2-third": dict(arch="gemma2", vocab=256000, context=8192, width=2304, ffn=9216, layers=8, heads=8, kv=4, head=256, base=1e4,
                         window=4096, tied=True),
    "gemma3-1b": dict(arch="gemma3", vocab=262144, context=32768, width=1152, ffn=6912, layers=26, heads=4, kv=1, head=256, base=1e6,
                      window=512, tied=True),
    "mixtral-small": dict(vocab=32000, context=32768, width=1024, ffn=3584, layers=8, heads=8, kv=2, head=128, base=1e6, tied=False,
                          experts=8, used=2, ffn_expert=3584),
    "qwen3moe-small": dict(arch="qwen3moe", vocab=151936, context=40960, width=1024, ffn=3072, layers=8, heads=16, kv=4, head=128,
                           base=1e6, tied=False, experts=32, used=8, ffn_expert=768),
}
# What the layers of a family have beside those of a llama.
FAMILIES = {
    "gpt2": dict(norms="attn_norm ffn_norm", biases=True),
    "qwen3": dict(norms="attn_norm ffn_norm", head_norms=True),
    "qwen3moe": dict(norms="attn_norm ffn_norm", head_norms=True),
    "llama": dict(norms="attn_norm ffn_norm"),
    "gemma2": dict(norms="attn_norm post_attention_norm ffn_norm post_ffw_norm"),
    "gemma3": dict(norms="attn_norm post_attention_norm ffn_norm post_ffw_norm", head_norms=True),
}
NORM, BIAS = 0, -1  # rows of a vector
# name: (number in GGUF, values a block, bytes a block)
FORMATS = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q6_K": (14, 256, 210)}
FILE_TYPES = {"f16": 1, "q4_0": 2, "q8_0": 7, "q4_k_m": 15}
U32, F32, BOOL, TEXT, LIST = 4, 6, 7, 8, 9  # of values in the header
I32 = 5


# ---- what a model is made of ----

def family_of(s):
    return FAMILIES[s.get("arch", "llama")]


def head_of(s):
    return s.get("head", s["width"] // s["heads"])


def attention(s):
    width, q, kv = s["width"], head_of(s) * s["heads"], head_of(s) * s["kv"]
    if s.get("arch") == "gpt2":
        return [("attn_qkv", width, 3 * width), ("attn_output", width, width)]
    return [("attn_q", width, q), ("attn_k", width, kv), ("attn_v", width, kv), ("attn_output", q, width)]


def network(s):
    width, experts, wide = s["width"], s.get("experts", 0), s.get("ffn_expert", s["ffn"])
    gate = [] if s.get("arch") == "gpt2" else [("ffn_gate", width, wide)]
    three = gate + [("ffn_up", width, wide), ("ffn_down", wide, width)]
    if not experts:
        return three
    router = ("ffn_gate_inp", width, experts)
    if s.get("apart"):  # as the first mixtures were written: a tensor for each expert
        return [router] + [("%s.%d" % (name, e), cols, rows) for name, cols, rows in three for e in range(experts)]
    return [router] + [(name + "_exps", cols, rows, experts) for name, cols, rows in three]


def layer(s):
    f, matrices = family_of(s), attention(s) + network(s)
    out = [(n, s["width"], NORM) for n in f["norms"].split()]
    out += [(n, head_of(s), NORM) for n in ("attn_q_norm", "attn_k_norm") if f.get("head_norms")]
    if f.get("biases"):
        matrices += [(m[0] + ".bias", m[2], BIAS) for m in matrices] + [(n + ".bias", s["width"], BIAS) for n in f["norms"].split()]
    return out + matrices


def tensors(s):
    """[(name, columns, rows, experts)] in file order; rows NORM or BIAS: a vector; experts 0: a matrix."""
    width, out = s["width"], [("token_embd", s["width"], s["vocab"])]
    if s.get("arch") == "gpt2":
        out += [("position_embd", width, s["context"]), ("output_norm.bias", width, BIAS)]
    for i in range(s["layers"]):
        out += [("blk.%d.%s" % (i, t[0]),) + t[1:] for t in layer(s)]
    out.append(("output_norm", width, NORM))
    out += [] if s["tied"] else [("output", width, s["vocab"])]
    return [t + (0,) * (4 - len(t)) for t in out]


def format_of(name, cols, rows, s, kind):
    if rows <= 0 or name.endswith("ffn_gate_inp"):
        return "F32"
    if name == "position_embd":
        return "F16"
    form = mixture(name, s, kind)
    fits = cols % FORMATS[form][1] == 0
    return form if fits else "Q8_0" if form == "Q6_K" else "Q4_0"


def mixture(name, s, kind):
    if kind in ("f16", "q8_0"):
        return kind.upper()
    if name == ("token_embd" if s["tied"] else "output"):
        return "Q6_K"
    if kind == "q4_0":
        return "Q4_0"
    layers = s["layers"]
    if name.endswith(("attn_v", "ffn_down", "ffn_down_exps")):
        i = int(name.split(".")[1])
        if i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2:
            return "Q6_K"
    return "Q4_K"


# ---- blocks whose values have mean 0 and the wanted deviation ----

def half(x):
    return struct.pack("<e", x)


def blocks_f16(rng, deviation, n):
    return struct.pack("<%de" % n, *(rng.gauss(0, deviation) for _ in range(n)))


def blocks_f32(rng, deviation, n):
    return struct.pack("<%df" % n, *(rng.gauss(0, deviation) for _ in range(n)))


def blocks_q4_0(rng, deviation, n):
    """Scale, 32 codes of 4 bits: d * (code - 8). The sign of d changes, so that the codes' own mean of -1/2 averages out."""
    d = [half(sign * deviation / 4.61 * (0.8 + 0.4 * rng.random())) for sign in (1, -1) for _ in range(64)]
    return b"".join(rng.choice(d) + rng.randbytes(16) for _ in range(n))


def blocks_q8_0(rng, deviation, n):
    d = [half(sign * deviation / 73.9 * (0.8 + 0.4 * rng.random())) for sign in (1, -1) for _ in range(64)]
    return b"".join(rng.choice(d) + rng.randbytes(32) for _ in range(n))


def pack_6bit(scales, mins):
    """Q4_K's 12 bytes: 8 scales and 8 minimums of 6 bits; the last four of each lie in two pieces."""
    low = [scales[j] | (scales[j + 4] >> 4) << 6 for j in range(4)] + [mins[j] | (mins[j + 4] >> 4) << 6 for j in range(4)]
    return bytes(low + [scales[j + 4] & 15 | (mins[j + 4] & 15) << 4 for j in range(4)])


def blocks_q4_k(rng, deviation, n):
    """d, dmin, scales, 256 codes: d * scale * code - dmin * min. With min = scale and dmin = 7.5 d the mean is 0."""
    d = deviation / (4.61 * 32)
    head = half(d) + half(7.5 * d)
    scales = [[rng.randrange(20, 45) for _ in range(8)] for _ in range(64)]
    packed = [head + pack_6bit(s, s) for s in scales]
    return b"".join(rng.choice(packed) + rng.randbytes(128) for _ in range(n))


def blocks_q6_k(rng, deviation, n):
    """256 codes of 6 bits in two pieces, 16 signed scales, d: d * scale * (code - 32)."""
    tails = [struct.pack("<16b", *(rng.choice((1, -1)) * rng.randrange(20, 45) for _ in range(16))) + half(deviation / (18.5 * 32))
             for _ in range(64)]
    return b"".join(rng.randbytes(192) + rng.choice(tails) for _ in range(n))


DRAW = {"F32": blocks_f32, "F16": blocks_f16, "Q4_0": blocks_q4_0, "Q8_0": blocks_q8_0, "Q4_K": blocks_q4_k, "Q6_K": blocks_q6_k}


class Source:
    """Stretches of blocks, drawn once for each format and width."""

    def __init__(self, seed):
        self.rng, self.drawn = random.Random(seed), {}

    def pieces(self, kind, cols, rows):
        number, values, size = FORMATS[kind]
        left, key = cols * rows // values, (kind, cols)
        if key not in self.drawn:
            self.drawn[key] = memoryview(DRAW[kind](self.rng, 1 / math.sqrt(cols), (1 << 20) // values))
        stretch = self.drawn[key]
        have = len(stretch) // size
        while left:
            at = self.rng.randrange(have)
            n = min(left, have - at)
            yield stretch[at * size:(at + n) * size]
            left -= n


# ---- the header ----

def text(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key, kind, value):
    form = {U32: "<I", F32: "<f", BOOL: "<?"}
    return text(key) + struct.pack("<I", kind) + (text(value) if kind == TEXT else struct.pack(form[kind], value))


def pairs_list(key, kind, values):
    body = b"".join(map(text, values)) if kind == TEXT else array.array({I32: "i", F32: "f"}[kind], values).tobytes()
    return text(key) + struct.pack("<IIQ", LIST, kind, len(values)) + body


def vocabulary(n):
    """A SentencePiece vocabulary: three marks, all bytes, then words of one letter, of two, of three..., each with and
    without a space before it; earlier is likelier."""
    names = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + ["\u2581"]
    kinds = [2, 3, 3] + [6] * 256 + [1]  # unknown, control, byte, normal
    words = ("".join(w) for size in itertools.count(1) for w in itertools.product("etaoinshrdlcumwfgypbvkjxqz", repeat=size))
    both = (space + w for w in words for space in ("", "\u2581"))
    names += itertools.islice(both, n - len(names))
    kinds += [1] * (n - len(kinds))
    return names, kinds, [0.0] * 259 + [-float(i) for i in range(n - 259)]


def family_pairs(s, a):
    """What the header says of an architecture beyond sizes that all have."""
    dim = head_of(s)
    if a == "gpt2":
        return [pair("gpt2.attention.layer_norm_epsilon", F32, 1e-5)]
    out = [pair(a + ".attention.head_count_kv", U32, s["kv"]), pair(a + ".attention.key_length", U32, dim),
           pair(a + ".attention.value_length", U32, dim), pair(a + ".rope.dimension_count", U32, dim),
           pair(a + ".rope.freq_base", F32, s["base"]), pair(a + ".attention.layer_norm_rms_epsilon", F32, 1e-5)]
    if "window" in s:
        out.append(pair(a + ".attention.sliding_window", U32, s["window"]))
    if a == "gemma2":
        out += [pair(a + ".attn_logit_softcapping", F32, 50.0), pair(a + ".final_logit_softcapping", F32, 30.0)]
    if "experts" in s:
        out += [pair(a + ".expert_count", U32, s["experts"]), pair(a + ".expert_used_count", U32, s["used"]),
                pair(a + ".expert_feed_forward_length", U32, s["ffn_expert"])]
    return out


def header(s, shape, kind):
    names, kinds, scores = vocabulary(s["vocab"])
    a = s.get("arch", "llama")
    return [pair("general.architecture", TEXT, a), pair("general.name", TEXT, "synthetic " + shape),
            pair("general.alignment", U32, ALIGN), pair("general.file_type", U32, FILE_TYPES[kind]),
            pair("general.quantization_version", U32, 2), pair(a + ".vocab_size", U32, s["vocab"]),
            pair(a + ".context_length", U32, s["context"]), pair(a + ".embedding_length", U32, s["width"]),
            pair(a + ".block_count", U32, s["layers"]), pair(a + ".feed_forward_length", U32, s["ffn"]),
            pair(a + ".attention.head_count", U32, s["heads"])] + family_pairs(s, a) + [
            pair("tokenizer.ggml.model", TEXT, "llama"),
            pairs_list("tokenizer.ggml.tokens", TEXT, names), pairs_list("tokenizer.ggml.scores", F32, scores),
            pairs_list("tokenizer.ggml.token_type", I32, kinds), pair("tokenizer.ggml.bos_token_id", U32, 1),
            pair("tokenizer.ggml.eos_token_id", U32, 2), pair("tokenizer.ggml.unknown_token_id", U32, 0),
            pair("tokenizer.ggml.add_bos_token", BOOL, True)]


# ---- the file ----

def padded(n):
    return (n + ALIGN - 1) // ALIGN * ALIGN


def layout(s, kind):
    """[(name, columns, rows, experts, format, offset)]"""
    out, at = [], 0
    for name, cols, rows, experts in tensors(s):
        form = format_of(name, cols, rows, s, kind)
        out.append((name if name.endswith(".bias") else name + ".weight", cols, rows, experts, form, at))
        number, values, size = FORMATS[form]
        at += padded(cols * max(rows, 1) * max(experts, 1) // values * size)
    return out


def pieces(source, cols, rows, experts, form):
    if rows > 0:
        return source.pieces(form, cols, rows * max(experts, 1))
    return [struct.pack("<f", 1.0 if rows == NORM else 0.0) * cols]


def write(f, shape, kind):
    s, source = SHAPES[shape], Source(shape + kind)
    places, pairs = layout(s, kind), header(SHAPES[shape], shape, kind)
    f.write(b"GGUF" + struct.pack("<IQQ", 3, len(places), len(pairs)) + b"".join(pairs))
    for name, cols, rows, experts, form, at in places:
        dims = [n for n in (cols, rows, experts) if n > 0]
        f.write(text(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, FORMATS[form][0], at))
    f.write(bytes(-f.tell() % ALIGN))
    for name, cols, rows, experts, form, at in places:
        for piece in pieces(source, cols, rows, experts, form):
            f.write(piece)
        f.write(bytes(-f.tell() % ALIGN))


def make(shape, kind, path):
    """Written beside its name and renamed at the end: a file that is there is whole."""
    part = path + ".part"
    with open(part, "wb", buffering=1 << 20) as f:
        write(f, shape, kind)
    os.replace(part, path)


def main(args):
    if len(args) != 3 or args[0] not in SHAPES or args[1] not in FILE_TYPES:
        sys.exit("usage: synth.py %s %s FILE.gguf" % ("|".join(SHAPES), "|".join(FILE_TYPES)))
    make(*args)


if __name__ == "__main__":
    main(sys.argv[1:])
