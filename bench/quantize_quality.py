#!/usr/bin/env python3
"""Perplexity of a model quantized by kwaai beside the same model quantized by llama.cpp, at every type, with importances and without.

    LLAMA_QUANTIZE=PROGRAM bench/quantize_quality.py [MODEL.gguf] [--types Q4_0,Q2_K] [--tokens 4096] [--work FOLDER] [--table]

MODEL is brought to F16 first where it is quantized (without MODEL: SmolLM2 of the catalogue); both programs start from that file and are
given the same importances. kwaai scores both files, so that nothing differs but the weights. Files whose weights are the same to the
byte are scored once. What is scored lies in FOLDER/scores.json and is not done again; --table only prints. The bar: a perplexity at
most 1 % above the peer's, at each type, over both texts together.
"""
import argparse, hashlib, json, math, os, struct, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KWAAI = os.environ.get("KWAAI", os.path.join(os.environ.get("KWAAI_BUILD", os.path.join(ROOT, "build")), "kwaai"))
PEER = os.environ.get("LLAMA_QUANTIZE", os.path.join(ROOT, "build", "bench", "peers", "bin", "llama-quantize"))
TYPES = "F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 IQ4_NL IQ4_XS Q3_K_L Q3_K_M Q3_K_S Q2_K".split()
LICENCES = "/usr/share/common-licenses/"
TEXTS, LEARN = ("GPL-3", "MPL-1.1"), "LGPL-2.1"
THREADS = os.environ.get("THREADS", "1")


def run(*args):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True)
    if p.returncode: sys.exit("%s\n%s" % (" ".join(map(str, args)), p.stderr[-2000:]))
    return p.stdout


def small():
    folder = json.loads(run(KWAAI, "doctor", "--json"))["models"]
    return os.path.join(folder, [f for f in os.listdir(folder) if f.startswith("SmolLM2-135M")][0])


def prepare(args):
    """The F16 file and its importances, made once."""
    source, im = os.path.join(args.work, "f16.gguf"), os.path.join(args.work, "im.gguf")
    os.makedirs(args.work, exist_ok=True)
    if not os.path.exists(source): run(KWAAI, "quantize", args.model or small(), source, "F16", "--requantize", "-t", THREADS)
    if not os.path.exists(im): run(KWAAI, "imatrix", source, "-f", LICENCES + LEARN, "-o", im, "-c", 512, "-t", THREADS)
    return source, im


def tensors(path):
    """A hash of all tensors of a GGUF file: names, types and bytes, in the order of their names."""
    b = open(path, "rb").read()
    (n, n_keys), at, infos = struct.unpack_from("<QQ", b, 8), 24, []
    skip = lambda at: at + 8 + struct.unpack_from("<Q", b, at)[0]  # a string

    def value(kind, at):
        if kind == 8: return skip(at)
        if kind != 9: return at + {0: 1, 1: 1, 2: 2, 3: 2, 7: 1, 10: 8, 11: 8, 12: 8}.get(kind, 4)
        item, count = struct.unpack_from("<IQ", b, at)
        at += 12
        for _ in range(count): at = value(item, at)
        return at
    for _ in range(n_keys):
        at = skip(at)
        at = value(struct.unpack_from("<I", b, at)[0], at + 4)
    for _ in range(n):
        name, at = b[at + 8:skip(at)], skip(at)
        rank, = struct.unpack_from("<I", b, at)
        dims, at = b[at:at + 4 + 8 * rank], at + 4 + 8 * rank
        infos.append((struct.unpack_from("<Q", b, at + 4)[0], name, dims + b[at:at + 4]))
        at += 12
    start, h = (at + 31) // 32 * 32, hashlib.sha256()
    ends = dict(zip(sorted(i[0] for i in infos), sorted(i[0] for i in infos)[1:] + [len(b) - start]))
    for from_, name, kind in sorted(infos, key=lambda i: i[1]): h.update(name + kind + b[start + from_:start + ends[from_]])
    return h.hexdigest()


def score(path, tokens):
    return [json.loads(run(KWAAI, "perplexity", path, LICENCES + t, "-c", 512, "--tokens", tokens, "--pack", "off", "-t", THREADS, "--json"))
            for t in TEXTS]


def measure(args, kind, im, scores):
    source, known = prepare(args)
    for program in ("kwaai", "peer"):
        key, out = "%s %s %s" % (kind, "imatrix" if im else "plain", program), os.path.join(args.work, "q.gguf")
        if key in scores: continue
        with_im = ["--imatrix", known] if im else []
        if os.path.exists(out): os.unlink(out)
        if program == "peer": run(PEER, *with_im, source, out, kind, THREADS)
        else: run(KWAAI, "quantize", source, out, kind, "-t", THREADS, *with_im)
        name = tensors(out)
        if name not in scores["files"]: scores["files"][name] = [r["perplexity"] for r in score(out, args.tokens)]
        scores[key] = {"bytes": os.path.getsize(out), "perplexity": scores["files"][name], "weights": name}
        with open(os.path.join(args.work, "scores.json"), "w") as f: json.dump(scores, f, indent=1)
        os.unlink(out)


def show(scores, types):
    """The table, and how many types miss the bar."""
    missed = 0
    print("| | importance | MB: kwaai | peer | %s: kwaai | peer | | %s: kwaai | peer | | both |\n|%s" % (TEXTS + ("---|" * 11,)))
    for kind in types:
        for im in ("plain", "imatrix"):
            ours, theirs = (scores.get("%s %s %s" % (kind, im, p)) for p in ("kwaai", "peer"))
            if not ours or not theirs: continue
            cells, logs = [], 0
            for a, b in zip(ours["perplexity"], theirs["perplexity"]):
                cells += ["%.3f" % a, "%.3f" % b, "%+.2f %%" % (100 * (a / b - 1))]
                logs += math.log(a / b) / len(TEXTS)
            missed += logs > math.log(1.01)
            both = "the same bytes" if ours["weights"] == theirs["weights"] else "%+.2f %%" % (100 * (math.exp(logs) - 1))
            print("| %s | %s | %.1f | %.1f | %s | %s |" % (kind, "yes" if im == "imatrix" else "", ours["bytes"] / 1e6, theirs["bytes"] / 1e6, " | ".join(cells), both))
    return missed


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", nargs="?")
    p.add_argument("--types", default=",".join(TYPES))
    p.add_argument("--tokens", type=int, default=4096)
    p.add_argument("--work", default=os.path.join(ROOT, "build", "bench", "quality"))
    p.add_argument("--table", action="store_true")
    args = p.parse_args()
    path, types = os.path.join(args.work, "scores.json"), args.types.split(",")
    scores = json.load(open(path)) if os.path.exists(path) else {"files": {}}
    for kind in types if not args.table else ():
        for im in (False, True):
            if im and kind in ("F16", "BF16"): continue
            measure(args, kind, im, scores)
    sys.exit(1 if show(scores, types) else 0)


if __name__ == "__main__":
    main()
