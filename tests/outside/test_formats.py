"""Files in formats that other programs write: weights of 8-bit floats."""
import array, json, math, os, shutil, struct, tempfile
from harness import *


def f8_values(exponent_bits, bias, has_infinity):
    """What the 256 codes of an 8-bit float mean, from its definition."""
    fraction_bits, out = 7 - exponent_bits, []
    for code in range(256):
        e, f = code >> fraction_bits & (1 << exponent_bits) - 1, code & (1 << fraction_bits) - 1
        x = (f if e == 0 else f + (1 << fraction_bits)) * 2.0 ** (max(e, 1) - bias - fraction_bits)
        if has_infinity and e == (1 << exponent_bits) - 1: x = math.nan if f else math.inf
        if not has_infinity and code & 127 == 127: x = math.nan
        out.append(-x if code & 128 else x)
    return out


def write_f8(path, tensors, dtype, values):
    """The matrices of `tensors` in the nearest 8-bit floats to path/f8, and what those mean in f32 to path/f32."""
    order = sorted((v, c) for c, v in enumerate(values) if v == v and abs(v) < 1e9)
    cache, twin, head, blobs, at = {}, {}, {}, [], 0
    for name, (shape, x) in tensors.items():
        is_matrix = len(shape) == 2
        codes = [cache.get(v) if v in cache else cache.setdefault(v, min(order, key=lambda o: abs(o[0] - v))[1]) for v in x] if is_matrix else None
        blob = bytes(codes) if is_matrix else x.tobytes()
        head[name] = {"dtype": dtype if is_matrix else "F32", "shape": shape, "data_offsets": [at, at + len(blob)]}
        twin[name] = ("F32", shape, [values[c] for c in codes] if is_matrix else x)
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(head).encode()
    with open(os.path.join(path, "f8", "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    write_tensors(os.path.join(path, "f32", "model.safetensors"), twin)


def test_weights_of_8_bit_floats_compute_what_their_values_do():
    source, ids = local("golden/llama2-mha"), [(i * 37 + 11) % 90 for i in range(20)]
    tensors = {n: (s, array.array("f", [round(v, 2) for v in x])) for n, (s, x) in
               read_tensors(os.path.join(source, "model.safetensors")).items()}
    for dtype, values in (("F8_E4M3", f8_values(4, 7, False)), ("F8_E5M2", f8_values(5, 15, True))):
        with tempfile.TemporaryDirectory() as d:
            for part in ("f8", "f32"):
                os.mkdir(os.path.join(d, part))
                shutil.copy(os.path.join(source, "config.json"), os.path.join(d, part))
            write_f8(d, tensors, dtype, values)
            write_tensors(os.path.join(d, "in"), {"input_ids": ("I64", [1, len(ids)], ids)})
            for part in ("f8", "f32"):
                ok("infer", os.path.join(d, part), os.path.join(d, "in"), os.path.join(d, part, "out"), "--exact")
            got, want = (open(os.path.join(d, p, "out"), "rb").read() for p in ("f8", "f32"))
            assert got == want, dtype
            ok("infer", os.path.join(d, "f8"), os.path.join(d, "in"), os.path.join(d, "fast"))


def test_a_scale_beside_a_tensor_is_refused_by_name():
    source = local("golden/llama2-mha")
    tensors = {n: ("F32", s, x) for n, (s, x) in read_tensors(os.path.join(source, "model.safetensors")).items()}
    tensors["model.layers.0.mlp.up_proj.weight_scale_inv"] = ("F32", [1], [0.5])
    with tempfile.TemporaryDirectory() as d:
        shutil.copy(os.path.join(source, "config.json"), d)
        write_tensors(os.path.join(d, "model.safetensors"), tensors)
        code, _, err = run("show", d)
        assert code and b"weight_scale_inv" in err, err




if __name__ == "__main__": main(globals())
