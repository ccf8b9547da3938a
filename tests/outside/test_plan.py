"""The printed plan of a tiny model is kept as text, so that a change to a family is a readable diff; --eager finds NaN."""
import os, shutil, struct, tempfile
from harness import *

FOLDER = local("golden/llama2-mha")


def test_the_plan_is_the_recorded_one():
    got, path = ok("plan", FOLDER).decode(), local("plans/llama2-mha.txt")
    if os.environ.get("KWAAI_RECORD"): open(path, "w").write(got)
    assert got == open(path).read(), "the plan changed: KWAAI_RECORD=1 records it"


def test_eager_names_the_operation_that_first_gives_nan():
    with tempfile.TemporaryDirectory() as d:
        copy = os.path.join(d, "model")
        shutil.copytree(FOLDER, copy)
        path = os.path.join(copy, "model.safetensors")
        raw = bytearray(open(path, "rb").read())
        n = struct.unpack("<Q", raw[:8])[0]
        head = __import__("json").loads(raw[8:8 + n])
        at = 8 + n + head["model.layers.1.mlp.up_proj.weight"]["data_offsets"][0]
        raw[at:at + 4] = struct.pack("<f", float("nan"))
        open(path, "wb").write(raw)
        code, _, err = run("generate", copy, "--ids", "1,2,3", "-n", "1", "--eager", "--exact")
        assert code == 65, (code, err)
        assert b"LINEAR" in err and b"up_proj" in err, err


if __name__ == "__main__": main(globals())
