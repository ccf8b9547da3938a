#!/usr/bin/env python3
"""torch_llama.py - a Llama forward pass in PyTorch, timed at one shape, as one line of JSON.

Random weights in plain modules: what PyTorch itself reaches, without a framework around it. Attention is PyTorch's own
(scaled_dot_product_attention), linears are oneDNN's or MKL's as PyTorch chooses. One pass warms up, the rest are
reported one by one.

    torch_llama.py --shape llama-1b|smollm2 --dtype bf16|f32 --prompt 512 --new 0 --runs 3 --threads 2
"""
import argparse
import json
import math
import time

import torch
import torch.nn.functional as F

SHAPES = {  # vocab, width, ffn, layers, heads, kv heads, rope base, head is the embedding
    "llama-1b": (128256, 2048, 8192, 16, 32, 8, 500000.0, True),
    "llama-7b": (32000, 4096, 11008, 32, 32, 32, 10000.0, False),
    "smollm2": (49152, 576, 1536, 30, 9, 3, 10000.0, True),
}


class Llama:
    def __init__(self, shape, dtype, context):
        self.vocab, width, ffn, layers, self.heads, self.kv, base, tied = SHAPES[shape]
        self.dim = width // self.heads
        new = lambda rows, cols: (torch.randn(rows, cols) / math.sqrt(cols)).to(dtype)
        kv = self.kv * self.dim
        self.table = new(self.vocab, width)
        self.head = self.table if tied else new(self.vocab, width)
        self.norm = torch.ones(width, dtype=dtype)
        self.layers = [dict(q=new(width, width), k=new(kv, width), v=new(kv, width), o=new(width, width),
                            gate=new(ffn, width), up=new(ffn, width), down=new(width, ffn)) for _ in range(layers)]
        angle = torch.outer(torch.arange(context).float(), base ** -(torch.arange(0, self.dim, 2).float() / self.dim))
        self.cos, self.sin = (torch.cat((f(angle),) * 2, -1).to(dtype) for f in (torch.cos, torch.sin))
        self.cache = torch.zeros(layers, 2, 1, self.kv, context, self.dim, dtype=dtype)

    def heads_of(self, x, n, at, rotate):
        x = x.view(1, -1, n, self.dim).transpose(1, 2)
        if not rotate:
            return x
        cos, sin = self.cos[at:at + x.shape[2]], self.sin[at:at + x.shape[2]]
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat((-b, a), -1) * sin

    def attend(self, x, w, cache, at):
        n = x.shape[0]
        q = self.heads_of(F.linear(x, w["q"]), self.heads, at, True)
        cache[0][:, :, at:at + n] = self.heads_of(F.linear(x, w["k"]), self.kv, at, True)
        cache[1][:, :, at:at + n] = self.heads_of(F.linear(x, w["v"]), self.kv, at, False)
        k, v = (c[:, :, :at + n].repeat_interleave(self.heads // self.kv, 1) for c in cache)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=n > 1)
        return F.linear(y.transpose(1, 2).reshape(n, -1), w["o"])

    def forward(self, ids, at):
        x = self.table[ids]
        for w, cache in zip(self.layers, self.cache):
            x = x + self.attend(F.rms_norm(x, x.shape[-1:], self.norm, 1e-5), w, cache, at)
            h = F.rms_norm(x, x.shape[-1:], self.norm, 1e-5)
            x = x + F.linear(F.silu(F.linear(h, w["gate"])) * F.linear(h, w["up"]), w["down"])
        return F.linear(F.rms_norm(x[-1:], x.shape[-1:], self.norm, 1e-5), self.head)


def speeds(model, n, runs, one_by_one):
    """Tokens a second of n tokens, fed at once or one by one."""
    ids = (torch.arange(n) * 7919 + 13) % model.vocab
    out = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        if one_by_one:
            for at in range(n):
                model.forward(ids[at:at + 1], at)
        else:
            model.forward(ids, 0)
        out.append(n / (time.perf_counter() - start))
    return out[1:]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--shape", choices=SHAPES, default="llama-1b")
    a.add_argument("--dtype", choices=("bf16", "f32"), default="bf16")
    a.add_argument("--prompt", type=int, default=512)
    a.add_argument("--new", type=int, default=0)
    a.add_argument("--runs", type=int, default=3)
    a.add_argument("--threads", type=int, default=2)
    o = a.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    with torch.inference_mode():
        model = Llama(o.shape, torch.bfloat16 if o.dtype == "bf16" else torch.float32, max(o.prompt, o.new) + 1)
        pp = speeds(model, o.prompt, o.runs, False) if o.prompt else []
        tg = speeds(model, o.new, o.runs, True) if o.new else []
    print(json.dumps({"peer": "torch " + torch.__version__, "dtype": o.dtype, "pp": pp, "tg": tg}))


if __name__ == "__main__":
    main()
