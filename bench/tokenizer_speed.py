#!/usr/bin/env python3
"""Megabytes of English a second on one core: kwaai's tokenizers beside the libraries they were made for.

    bench/tokenizer_speed.py [FOLDER]      a folder of tokenizer files; without it the one below KWAAI_TEST_DATA

Texts are pieces of 16 KB of the licences that every Debian has, no piece twice. Both sides run in this process, turn by turn, on one
thread; what counts is that thread's processor time, so other work on the machine disturbs little. The table gives medians over the
rounds, and the median of the ratios within a round. Libraries that are not there (scripts/oracles) leave their column empty."""
import ctypes, glob, os, statistics, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("KWAAI_BUILD", os.path.join(ROOT, "build"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
sys.path.append(os.path.join(ROOT, "tests", "outside"))
from harness import oracles
oracles()
try: import tokenizers
except ImportError: tokenizers = None
try: import sentencepiece
except ImportError: sentencepiece = None

lib = ctypes.CDLL(os.path.join(BUILD, "libkwaai.so"))
lib.kw_error_message.restype = ctypes.c_char_p
lib.kw_tokenizer_kind.restype = ctypes.c_char_p
lib.kw_tokenizer_kind.argtypes = [ctypes.c_void_p]
lib.kw_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]


def texts():
    """Pieces of 16 KB."""
    out, seen = [], set()
    for path in sorted(glob.glob("/usr/share/common-licenses/*")):
        path = os.path.realpath(path)
        if path in seen: continue
        seen.add(path)
        text = open(path, encoding="utf-8", errors="replace").read()
        out += [text[i:i + 16384] for i in range(0, len(text), 16384)]
    return out


class Ours:
    def __init__(self, path):
        self.t, self.n = ctypes.c_void_p(), ctypes.c_size_t()
        if lib.kw_tokenizer_open(path.encode(), ctypes.byref(self.t)): raise Exception(lib.kw_error_message().decode())
        self.ids = (ctypes.c_int32 * (1 << 17))()

    def encode(self, raw):
        if lib.kw_tokenize(self.t, raw, len(raw), 0, self.ids, len(self.ids), ctypes.byref(self.n)): raise Exception(lib.kw_error_message().decode())

    def kind(self): return lib.kw_tokenizer_kind(self.t).decode()


def theirs(path):
    """(name, a function of one text), or None where no library reads such a file."""
    if path.endswith(".json") and tokenizers and "vocab" not in path:
        t = tokenizers.Tokenizer.from_file(path)
        return "tokenizers", lambda s: t.encode(s, add_special_tokens=False)
    if path.endswith("vocab.json") and tokenizers:
        t = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(path, path.replace("vocab.json", "merges.txt")))
        t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        return "tokenizers", t.encode
    if path.endswith(".model") and sentencepiece:
        t = sentencepiece.SentencePieceProcessor(model_file=path)
        return "sentencepiece", t.encode
    return None


def seconds(encode, list_of):
    start = time.thread_time()
    for s in list_of: encode(s)
    return time.thread_time() - start


def measure(path, strings):
    raw = [s.encode() for s in strings]
    mb = sum(map(len, raw)) / 1e6
    us, them = Ours(path), theirs(path)
    us_s, them_s = [], []
    for i in range(ROUNDS + 1):
        a = seconds(us.encode, raw)
        b = seconds(them[1], strings) if them else None
        if i == 0: continue # warms up
        us_s.append(mb / a)
        if them: them_s.append(mb / b)
    name = os.path.basename(path)
    if not them: return "| %s | %s | %.1f | | |" % (name, us.kind(), statistics.median(us_s))
    ratio = statistics.median(a / b for a, b in zip(us_s, them_s))
    return "| %s | %s | %.1f | %.2f (%s) | %.1fx |" % (name, us.kind(), statistics.median(us_s), statistics.median(them_s), them[0], ratio)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.environ.get("KWAAI_TEST_DATA", ""), "tokenizers")
    files = [f for p in ("*tokenizer.json", "*vocab.json", "*.model", "*.tiktoken", "llama.cpp-vocab/*bert*.gguf") for f in sorted(glob.glob(os.path.join(folder, p)))]
    strings = texts()
    print("%.2f MB of English, %d texts, %d rounds" % (sum(len(s.encode()) for s in strings) / 1e6, len(strings), ROUNDS))
    print("| file | kind | kwaai MB/s | library MB/s | ratio |\n|---|---|---|---|---|")
    for f in files:
        try: print(measure(f, strings), flush=True)
        except Exception as e: print("| %s | %s | | | |" % (os.path.basename(f), str(e).split("\n")[0]), flush=True)


if __name__ == "__main__": main()
