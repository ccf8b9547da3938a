"""rows.py - the bars, one row each, and how a row is judged from its samples.

A row compares `ours` with one or more bars. A call is what gives one sample: an engine's name, one of its methods, a task, and
the method's further arguments. Rows of one group are measured together, call after call and round after round, so that
their samples are neighbours in time; a call that several rows share is made once a round.

    at least   median of the rounds' ratios ours / peer, against the fastest of the bar's peers
    at most    the same ratio, of times
    limit      our own figure under a number
    near       our own two figures within a share of each other
"""
import collections
import statistics

from engines import Task
from synth import SHAPES

Call = collections.namedtuple("Call", "engine method task args", defaults=((),))
Bar = collections.namedtuple("Bar", "kind value peers")
Row = collections.namedtuple("Row", "name group what ours field bars info aim", defaults=((), None))

UNITS = {"pp": "tok/s", "tg": "tok/s", "us": "us", "over": "s", "peak": "MB", "gflop_s": "GFLOP/s", "perplexity": ""}
LLAMAS = ("llama.cpp", "ik_llama.cpp")


def speed(engine, model, **more):
    field = more.pop("field")
    counts = {"pp": more.pop("pp", 512)} if field == "pp" else {"tg": more.pop("tg", 128)}
    return Call(engine, "speed", Task(model=model, **counts, **more))


def versus(name, group, what, model, field, bars, info=(), **more):
    """A speed of ours against peers: bars are (ratio, names of peers)."""
    call = lambda engine: speed(engine, model, field=field, **more)
    return Row(name, group, what, call("kwaai"), field, [Bar("at least", x, [call(p) for p in peers]) for x, peers in bars],
               [call(p) for p in info], 0.85 if field == "tg" and not more else None)


def prefill_rows():
    for model, title in (("llama-1b", "Llama-3.2-1B"), ("llama-7b", "Llama-2-7B")):
        for kind in ("q4_0", "q4_k_m", "q8_0", "f16") if model == "llama-1b" else ("q4_0",):
            short = model[6:] + "-" + kind
            yield versus("prefill-" + short, short, "prefill 512, %s %s" % (title, kind.upper()), model + "-" + kind, "pp",
                         [(1.5, LLAMAS)])
            yield Row("pytorch-" + short, model[6:] + "-pytorch", "prefill 512, %s %s against bf16 of that shape" % (title, kind.upper()),
                      speed("kwaai", model + "-" + kind, field="pp"), "pp",
                      [Bar("at least", 1.2, [speed("PyTorch bf16", model + "-any", field="pp")])],
                      [speed("PyTorch f32", model + "-any", field="pp")] if model == "llama-1b" else [])


def decode_rows():
    bars = {"llama-1b": {"q4_0": 1.2, "q4_k_m": 1.2, "q8_0": 1.05, "f16": 1.05}, "llama-7b": {"q4_0": 1.1, "q4_k_m": 1.3}}
    titles = {"llama-1b": "Llama-3.2-1B", "llama-7b": "Llama-2-7B"}
    for model, kinds in bars.items():
        for kind, ratio in kinds.items():
            short = model[6:] + "-" + kind
            yield versus("decode-" + short, short, "decode 128, %s %s" % (titles[model], kind.upper()), model + "-" + kind, "tg",
                         [(ratio, LLAMAS)])
    yield versus("deep-1b-q8_0", "deep", "decode at depth 4,096, 1B Q8_0", "llama-1b-q8_0", "tg",
                 [(2.0, ("llama.cpp fa on", "llama.cpp fa off")), (1.4, ("ik_llama.cpp",))], depth=4096, tg=32)
    yield versus("batch8-1b-q4_0", "batch", "8 sequences at once, 1B Q4_0, tokens of all", "llama-1b-q4_0", "tg",
                 [(2.0, ("llama.cpp",))], batch=8, depth=16, tg=64)
    t = Task(tg=1)
    op = lambda rows: Call("kwaai", "op", t, ("--op", "LINEAR", "--dtype", "Q4_0", "--rows", rows))
    yield Row("rows4-q4_0", "rows4", "time of 4 rows against 1, LINEAR Q4_0 8192x2048", op("4"), "us", [Bar("at most", 1.35, [op("1")])])


def small_rows():
    for name, field, ratio in (("prefill", "pp", 1.5), ("decode", "tg", 1.2)):
        yield versus("smollm2-" + name, "smollm2", "SmolLM2-135M Q4_1, %s" % name, "smollm2", field, [(ratio, ("llama.cpp",))],
                     ("ik_llama.cpp", "candle", "PyTorch bf16") if field == "pp" else ("ik_llama.cpp", "candle"))


def family_rows():
    shapes = (("gpt2", "GPT-2", ("q4_0", "q8_0", "f16")), ("qwen3-0.6b", "Qwen3-0.6B", ("q4_0", "q4_k_m")),
              ("gemma2-third", "Gemma-2-2B, 8 layers", ("q4_0", "q4_k_m")), ("gemma3-1b", "Gemma-3-1B", ("q4_0",)),
              ("mixtral-small", "small Mixtral", ("q4_0", "q4_k_m", "q8_0")), ("qwen3moe-small", "small Qwen3-MoE", ("q4_0", "q4_k_m")))
    for shape, title, kinds in shapes:
        for kind in kinds:
            model = shape + "-" + kind
            for name, field in (("prefill", "pp"), ("decode", "tg")):
                yield versus("%s-%s" % (name, model), model, "%s, %s %s" % (name, title, kind.upper()), model, field,
                             [(1.0, ("llama.cpp",))])


def capped_rows():
    for cap, isa in (("avx2", "avx2"), ("avx512", "avx512vnni")):
        for kind in ("q4_0", "q8_0"):
            for name, field in (("prefill", "pp"), ("decode", "tg")):
                yield versus("%s-%s-1b-%s" % (cap, name, kind), "1b-" + kind, "capped at %s: %s, 1B %s" % (cap, name, kind.upper()),
                             "llama-1b-" + kind, field, [(1.2, ("llama.cpp " + cap,))], isa=isa)


def process_rows():
    for short, limit in (("1b", 0.10), ("7b", 0.30)):
        t = Task(model="llama-%s-q4_0" % short, pp=1)
        yield Row("start-" + short, "start-" + short, "start to first token and exit, %s Q4_0, beyond the prompt's compute" % short.upper(),
                  Call("kwaai", "start", t), "over", [Bar("limit", limit, "s")], [Call("llama.cpp", "start", t)])
        yield Row("peak-" + short, "start-" + short, "peak resident, %s Q4_0, context 512" % short.upper(),
                  Call("kwaai", "peak", t), "peak", [Bar("limit", None, "MB")], [Call("llama.cpp", "peak", t)])
    for name, field in (("prefill", "pp"), ("decode", "tg")):
        call = lambda n: speed("kwaai", "llama-1b-q4_0", field=field, threads=n, cores=2)
        yield Row("crowded-" + name, "crowded", "4 threads on 2 cores against 2, 1B Q4_0, %s" % name, call(4), field,
                  [Bar("at least", 0.85, [call(2)])])
    for dtype in ("bf16", "f32"):
        t = Task(pp=1)
        yield Row("gemm-" + dtype, "gemm", "%s GEMM, 4096 x 2048 x 512" % dtype,
                  Call("kwaai", "op", t, ("--op", "LINEAR", "--dtype", dtype.upper(), "--rows", "512", "--shape", "4096x2048")), "gflop_s",
                  [Bar("at least", 1.0, [Call("oneDNN", "gemm", t, (dtype, 512, 4096, 2048))])])


def quality_rows(tokens):
    ask = lambda chunk, mode: Call("kwaai", "perplexity", Task(model="smollm2"), (chunk, mode, tokens))
    for chunk in (1, 4, 8, 512):
        yield Row("quality-%d" % chunk, "quality", "perplexity of fast mode against exact, SmolLM2, chunks of %d" % chunk, ask(chunk, "fast"),
                  "perplexity", [Bar("near", 0.003, [ask(512, "exact")])])
    yield Row("quality-int8", "quality", "perplexity with an int8 cache against fast mode's, SmolLM2, chunks of 512", ask(512, "int8"),
              "perplexity", [Bar("near", 0.003, [ask(512, "fast")])])


def model_of(name):
    """decode-1b-q4_0 is a row of the model llama-1b-q4_0, decode-gpt2-q8_0 one of gpt2-q8_0."""
    model = name.split("-", 1)[1]
    return model if model.rsplit("-", 1)[0] in SHAPES else "llama-" + model


def all_rows(tokens=2048):
    rows = []
    for make in (prefill_rows, decode_rows, small_rows, family_rows, capped_rows, process_rows):
        rows += make()
    return rows + list(quality_rows(tokens))


# ---- judging ----

def stats(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def key(call):
    """Calls that differ only in their counts of tokens are one call with both."""
    return (call.engine, call.method, call.task._replace(pp=0, tg=0), call.args)


class Samples:
    """{key: [sample, ...]} of one group, and why a call gave none."""

    def __init__(self):
        self.got, self.why = collections.defaultdict(list), {}

    def values(self, call, field):
        return [s[field] for s in self.got.get(key(call), ()) if field in s]


def judge(row, bar, samples, limit_of):
    """One line of the table: what was measured and whether the bar holds (None: not measurable here, with the reason)."""
    line = {"name": row.name, "what": row.what, "bar": bar_text(bar, limit_of(row, bar)), "unit": UNITS[row.field], "ours": None,
            "peer": None, "ratio": None, "holds": None, "note": ""}
    ours = samples.values(row.ours, row.field)
    if not ours:
        return dict(line, note=samples.why.get(key(row.ours), "nothing was measured"))
    line["ours"] = stats(ours)
    if bar.kind == "limit":
        limit = limit_of(row, bar)
        return dict(line, ratio=stats([x / limit for x in ours]), holds=line["ours"]["median"] <= limit)
    here = [c for c in bar.peers if samples.values(c, row.field)]
    absent = [samples.why.get(key(c), "%s gave nothing" % c.engine) for c in bar.peers if c not in here]
    if not here:
        return dict(line, note="; ".join(absent))
    best = (min if bar.kind == "at most" else max)(here, key=lambda c: statistics.median(samples.values(c, row.field)))
    theirs = samples.values(best, row.field)
    ratio = stats([a / b for a, b in zip(ours, theirs)])
    middle = ratio["median"]
    holds = {"at least": middle >= bar.value, "at most": middle <= bar.value, "near": abs(middle - 1) <= bar.value}[bar.kind]
    return dict(line, peer=dict(stats(theirs), name=label(best, row)), ratio=ratio, holds=holds,
                note="; ".join("without: " + a for a in absent))


def label(call, row):
    if call.engine != "kwaai":
        return call.engine
    differs = [str(b) for a, b in zip(row.ours.args, call.args) if a != b]
    return "kwaai, " + (" ".join(differs) if differs else "%d threads" % call.task.threads)


def bar_text(bar, limit):
    if bar.kind == "limit":
        return "≤ %.2f s" % limit if bar.peers == "s" else "≤ %.0f MB" % limit
    if bar.kind == "near":
        return "within %.1f %%" % (100 * bar.value)
    return ("≥ %.2fx " if bar.kind == "at least" else "≤ %.2fx ") % bar.value + ", ".join(c.engine if c.engine != "kwaai" else "itself" for c in bar.peers)
