#!/usr/bin/env python3
"""Writes files as PyTorch writes them, each beside a safetensors file of the same tensors in plain order.

    pip install torch
    tools/gen/torch_files.py FOLDER [SEED] [COUNT]

Without a seed: the small set that is kept in tests/data/torch. With one: COUNT files made at random, for a comparison by the
thousand: dtypes, views of shared storages, strides, scalars, empty tensors, parameters, wrappers, protocols, both containers.
"""
import collections, json, os, random, struct, sys
import torch

NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64", torch.int32: "I32",
         torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2"}


def raw(t):
    t = t.detach().clone(memory_format=torch.contiguous_format).contiguous()
    return bytes(t.reshape(-1).view(torch.uint8).tolist()) if t.numel() else b""


def write_twin(path, tensors):
    head, blobs, at = {}, [], 0
    for name, t in tensors.items():
        blob = raw(t)
        head[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(head).encode()
    with open(path, "wb") as f: f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def bytes_as(rng, dtype, n):
    size = torch.empty(0, dtype=dtype).element_size()
    data = [rng.randrange(2) if dtype == torch.bool else rng.randrange(256) for _ in range(n * size)]
    return torch.tensor(data, dtype=torch.uint8).view(dtype) if n else torch.empty(0, dtype=dtype)


def view_of(rng, flat):
    """Some view of a storage."""
    n, kind = flat.numel(), rng.choice(["all", "part", "matrix", "turned", "skipping", "scalar", "empty", "spread", "cube", "bent"])
    if kind == "part": return flat[rng.randrange(n):]
    if kind == "scalar": return flat[rng.randrange(n)]
    if kind == "empty": return flat[:0].reshape(rng.choice([(0,), (3, 0), (0, 2, 5)]))
    if kind == "spread": return flat[:1].expand(rng.randrange(1, 5), rng.randrange(1, 4))
    if kind == "skipping": return flat[rng.randrange(n)::rng.randrange(1, 4)]
    rows = rng.randrange(1, 6)
    cols = n // rows
    if kind in ("matrix", "turned") and cols:
        m = flat[n - rows * cols:].reshape(rows, cols)
        return m.t() if kind == "turned" else m
    if kind in ("cube", "bent") and n >= 24:
        c = flat[:24].reshape(2, 3, 4, 1)
        return c.permute(rng.sample(range(4), 4)) if kind == "bent" else c[:, 1:, ::2]
    return flat


def random_tensors(rng):
    flats = [bytes_as(rng, rng.choice(list(NAMES)), rng.randrange(1, 60)) for _ in range(rng.randrange(1, 4))]
    out = collections.OrderedDict()
    for i in range(rng.randrange(1, 9)):
        t = view_of(rng, rng.choice(flats))
        if t.dtype.is_floating_point and t.element_size() > 1 and rng.random() < 0.2: t = torch.nn.Parameter(t, requires_grad=rng.random() < 0.5)
        out["layers.%d.%s" % (i, rng.choice(["weight", "bias", "größe"]))] = t
    return out


EXTRAS = {"epoch": 3, "lr": 0.25, "note": "text", "none": None, "flags": [True, False, (1, 2, 3, 4)], "size": torch.Size([2, 3]),
          "big": 1 << 80, "minus": -5, "far": 1 << 40, "dtype": torch.float16, "bytes": b"\x00\xff", "nested": {"a": {"b": []}}}


def wrapped(rng, tensors):
    """(what is saved, the tensors that a reader should find)"""
    tensors = tensors if rng.random() < 0.5 else dict(tensors)
    kind = rng.choice(["plain", "plain", "wrapped", "twice", "nested", "extras"])
    if kind == "wrapped": return dict(EXTRAS, **{rng.choice(["state_dict", "model_state_dict", "model", "module"]): tensors}), tensors
    if kind == "twice": return {"model": {"state_dict": tensors}, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}}, tensors
    if kind == "nested": return {"encoder": tensors, "rest": [1, {"x": 2}]}, {"encoder." + k: t for k, t in tensors.items()}
    if kind == "extras": return dict(EXTRAS, **tensors), tensors
    return tensors, tensors


def save(folder, name, what, tensors, protocol, is_zip):
    torch.save(what, os.path.join(folder, name + ".pt"), pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    write_twin(os.path.join(folder, name + ".safetensors"), tensors)


def write_random(folder, seed, count):
    for i in range(count):
        rng = random.Random(seed * 1000003 + i)
        what, tensors = wrapped(rng, random_tensors(rng))
        save(folder, "%06d" % i, what, tensors, rng.choice([2, 2, 3, 4, 5]), rng.random() < 0.6)


def write_fixed(folder):
    rng = random.Random(7)
    flat = bytes_as(rng, torch.float32, 30)
    views = collections.OrderedDict([("first", flat[:10]), ("turned", flat.reshape(5, 6).t()), ("scalar", flat[29]), ("empty", flat[:0].reshape(0, 4)),
                                     ("same", flat[:10]), ("parameter", torch.nn.Parameter(flat[10:20]))])
    each = {NAMES[d]: bytes_as(rng, d, 6).reshape(2, 3) for d in NAMES}
    for is_zip in (True, False):
        kind = "zip" if is_zip else "legacy"
        for protocol in (2, 4):
            save(folder, "views-%s-%d" % (kind, protocol), views, views, protocol, is_zip)
        save(folder, "dtypes-%s" % kind, each, each, 2, is_zip)
        save(folder, "wrapped-%s" % kind, dict(EXTRAS, state_dict=views), views, 3, is_zip)


if len(sys.argv) > 2: write_random(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
else: write_fixed(sys.argv[1])
