#!/usr/bin/env python3
"""Vectors of 256 English sentences by all-MiniLM-L6-v2: `kwaai embed` beside PyTorch, in turns.

    bench/embed_speed.py [MODEL] [SENTENCES]     a folder with the model's files (fetched by pip where none is named); a file of lines

The sentences are prose of the licences that every Debian has, evenly taken from those of 4 to 40 words. PyTorch computes as
sentence-transformers does: sorted by length, batches of 32 padded to the longest of each, f32, scaled_dot_product_attention,
no gradients; written here out of its own operations, so that transformers need not be there, and nothing but them is timed: no
tokenizing, no reading of files. kwaai is the whole command, less the same command with one sentence, which is how long a start
takes; its texts are tokenized and its vectors written. What counts is processor time, which other work disturbs little; wall time
stands beside it. THREADS="1 2", ROUNDS, BATCH=32, KWAAI (the binary)."""
import functools, glob, json, os, re, resource, statistics, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(ROOT, "tests", "outside"))
KWAAI = os.environ.get("KWAAI", os.path.join(ROOT, "build", "kwaai"))
ROUNDS, BATCH = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("BATCH", "32"))
COUNT = 256


def sentences():
    found, seen = [], set()
    for path in sorted({os.path.realpath(p) for p in glob.glob("/usr/share/common-licenses/*")}):
        text = open(path, encoding="utf-8", errors="replace").read()
        for paragraph in re.split(r"\n\s*\n", text):
            for s in re.split(r"(?<=[.;:?!])\s+", " ".join(paragraph.split())):
                if 4 <= len(s.split()) <= 40 and s not in seen and re.match(r'["A-Za-z]', s):
                    seen.add(s)
                    found.append(s)
    if len(found) < COUNT: sys.exit("only %d sentences in /usr/share/common-licenses: name a file of lines" % len(found))
    return [found[i * len(found) // COUNT] for i in range(COUNT)]


# ---- kwaai ----

class Ours:
    name = "kwaai"

    def __init__(self, model, lines, threads):
        self.model, self.threads, self.folder = model, threads, tempfile.TemporaryDirectory()
        self.all, self.one = self.file("all", lines), self.file("one", lines[:1])

    def file(self, name, lines):
        path = os.path.join(self.folder.name, name)
        open(path, "w", encoding="utf-8").write("\n".join(lines) + "\n")
        return path

    def run(self, path):
        """(vectors as npy, processor seconds, seconds)"""
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        out = subprocess.run([KWAAI, "embed", self.model, "-f", path, "--format", "npy", "-t", str(self.threads)],
                             stdout=subprocess.PIPE, check=True).stdout
        wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        return out, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall

    def measure(self):
        import numpy
        _, cpu_start, wall_start = self.run(self.one)
        out, cpu, wall = self.run(self.all)
        size = int.from_bytes(out[8:10], "little") + 10
        vectors = numpy.frombuffer(out[size:], numpy.float32).reshape(COUNT, -1)
        return vectors, cpu - cpu_start, wall - wall_start


# ---- PyTorch ----

class Theirs:
    name = "PyTorch"

    def __init__(self, model, lines, threads):
        import torch
        from harness import read_tensors
        self.torch, self.threads, self.heads = torch, threads, 12
        self.w = {n: torch.frombuffer(v, dtype=torch.float32).reshape(shape)
                  for n, (shape, v) in read_tensors(os.path.join(model, "model.safetensors")).items() if "position_ids" not in n}
        ids = [kwaai_ids(model, s) for s in lines]
        order = sorted(range(COUNT), key=lambda i: -len(ids[i]))
        self.batches = [(some, *self.padded([ids[i] for i in some])) for some in (order[i:i + BATCH] for i in range(0, COUNT, BATCH))]
        self.tokens, self.padding = sum(map(len, ids)), sum(b[1].numel() for b in self.batches)
        self.lengths = sorted(map(len, ids))

    def padded(self, ids):
        most = max(map(len, ids))
        table = self.torch.tensor([i + [0] * (most - len(i)) for i in ids])
        mask = self.torch.tensor([[True] * len(i) + [False] * (most - len(i)) for i in ids])
        return table, mask

    def linear(self, x, name):
        return self.torch.nn.functional.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def norm(self, x, name):
        return self.torch.nn.functional.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"], 1e-12)

    def layer(self, x, seen, at):
        f, (n, rows, dim) = self.torch.nn.functional, x.shape
        q, k, v = (self.linear(x, at + "attention.self." + part).view(n, rows, self.heads, -1).transpose(1, 2) for part in ("query", "key", "value"))
        o = f.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).reshape(n, rows, dim)
        x = self.norm(self.linear(o, at + "attention.output.dense") + x, at + "attention.output.LayerNorm")
        h = self.linear(f.gelu(self.linear(x, at + "intermediate.dense")), at + "output.dense")
        return self.norm(h + x, at + "output.LayerNorm")

    def vectors(self, ids, mask):
        w, at = self.w, "embeddings."
        x = w[at + "word_embeddings.weight"][ids] + w[at + "token_type_embeddings.weight"][0] + w[at + "position_embeddings.weight"][:ids.shape[1]]
        x = self.norm(x, at + "LayerNorm")
        seen = None if bool(mask.all()) else mask[:, None, None, :]
        for i in range(sum(n.endswith("output.dense.weight") and ".attention." not in n for n in w)):
            x = self.layer(x, seen, "encoder.layer.%d." % i)
        x = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return self.torch.nn.functional.normalize(x)

    def measure(self):
        torch = self.torch
        torch.set_num_threads(self.threads)
        out = torch.empty(COUNT, 384)
        with torch.inference_mode():
            cpu, start = time.process_time(), time.monotonic()
            for some, ids, mask in self.batches: out[some] = self.vectors(ids, mask)
            return out.numpy(), time.process_time() - cpu, time.monotonic() - start


@functools.cache
def kwaai_ids(model, text):
    out = subprocess.run([KWAAI, "tokenize", model, "-f", "-", "--json"], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)


# ---- both ----

def spread(values): return "%.2f s (%.2f to %.2f)" % (statistics.median(values), min(values), max(values))


def compare(model, lines, threads):
    import numpy
    sides = [Ours(model, lines, threads), Theirs(model, lines, threads)]
    if threads == 1 or not compare.told: tell(sides[1])
    cpu, wall, worst = ([], []), ([], []), 1.0
    for i in range(ROUNDS + 1):
        results = [s.measure() for s in sides]
        a, b = (r[0].astype(numpy.float64) for r in results)
        worst = min(worst, float(((a * b).sum(1) / numpy.sqrt((a * a).sum(1) * (b * b).sum(1))).min()))
        for side, r in enumerate(results):
            if i: cpu[side].append(r[1]), wall[side].append(r[2]) # the first round warms
    for what, times in ("processor", cpu), ("wall", wall):
        ratios = sorted(b / a for a, b in zip(*times))
        print("%d thread%s  %-9s  kwaai %s  PyTorch %s  ratio %.2f (%.2f to %.2f)" % (threads, "s"[threads < 2:], what, spread(times[0]),
              spread(times[1]), statistics.median(ratios), ratios[0], ratios[-1]), flush=True)
    print("worst cosine between both: %.8f" % worst, flush=True)


def tell(torch_side):
    t, compare.told = torch_side, True
    print("%d sentences, %d tokens (%d to %d, median %d), %d with padding in batches of %d; PyTorch %s; %d rounds" % (
        COUNT, t.tokens, t.lengths[0], t.lengths[-1], t.lengths[COUNT // 2], t.padding, BATCH, t.torch.__version__, ROUNDS), flush=True)


def main():
    compare.told = False
    try: import numpy, torch
    except ImportError as e: sys.exit("this bench needs numpy and torch (%s): bench/peers/get torch" % e)
    if len(sys.argv) > 1: model = sys.argv[1]
    else:
        from test_embed import minilm
        model = minilm()
    lines = open(sys.argv[2], encoding="utf-8").read().splitlines()[:COUNT] if len(sys.argv) > 2 else sentences()
    if len(lines) < COUNT: sys.exit("%d sentences are needed" % COUNT)
    for threads in map(int, os.environ.get("THREADS", "1 2").split()): compare(model, lines, threads)


if __name__ == "__main__": main()
