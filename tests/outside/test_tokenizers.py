"""Random Unicode strings, and hostile ones, through kwaai and through the library each file was made for.

Needs Python's `tokenizers` (`sentencepiece` for .model files, `tiktoken` for its own): scripts/oracles fetches them, and
each test is skipped by name without. KWAAI_RANDOM_STRINGS says how
many strings a tokenizer gets; ids and decoded text must be equal in all of them."""
import json, os, random, resource, struct, subprocess, tempfile, unicodedata
from harness import *

oracles()
try: import tokenizers as hf
except ImportError: hf = None
try: import sentencepiece
except ImportError: sentencepiece = None
try: import tiktoken
except ImportError: tiktoken = None
N = int(os.environ.get("KWAAI_RANDOM_STRINGS", "1000"))
TOKENS = os.path.join(os.environ.get("BUILD", "build"), "tests", "tokens")
RANGES = [(0x20, 0x7f), (0xa0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xe00), (0xe00, 0x1000),
          (0x10a0, 0x1200), (0x1e00, 0x2000), (0x2000, 0x2070), (0x2100, 0x2800), (0x3000, 0x3130), (0x4e00, 0x9fff),
          (0xac00, 0xd7a4), (0xf900, 0xfb00), (0xfe00, 0xfe70), (0xff00, 0xfff0), (0x1d400, 0x1d800), (0x1f300, 0x1faff),
          (0, 0xd800), (0xe000, 0x110000)]
PARTS = ["the", "Hello", " world", "don't", "it'S", "I'LL", "1234567", "3.14", "\n", "\r\n", "\n\n\n", "  ", "    ", "\t", "\u00a0", "\u3000",
         "é", "e\u0301", "E\u030f\u034a", "İ", "ß", "ﬁ", "½", "①", "Ａ", "中文", "日本語", "한국어", "👍🏽", "👩‍👩‍👧", "🇫🇷", "❤️", "naïve", "...", "!?", "//",
         "<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_end|>", "[CLS]", "[MASK]", "##ing", "▁", "</w>", "<0x0A>", "<extra_id_0>", "_", "-", "'", "\u200d",
         "\ufe0f", "\u0000", "\u001f", "\u0085", "\u2028", "ſ", "K", "Σ", "ǅ", "ª", "Ⅷ", "٣", "$", "€", "\u00ad", "\ufffd", "camelCase", "ABCdef"]


def random_text(r):
    out = []
    for _ in range(r.choice([1, 2, 3, 5, 8, 13, 30])):
        what = r.random()
        if what < 0.5: out.append(r.choice(PARTS))
        elif what < 0.6: out.append(r.choice(PARTS) * r.randrange(2, 7))
        elif what < 0.75: out.append(" ")
        else:
            low, high = r.choice(RANGES)
            out.append("".join(chr(r.randrange(low, high)) for _ in range(r.randrange(1, 6))))
    return "".join(out)


def texts(n=N, seed=5):
    r = random.Random(seed)
    return [random_text(r) for _ in range(n)]


def ours(path, strings):
    """[(ids, decoded bytes)]"""
    raw = b"".join(struct.pack("<I", len(b)) + b for b in (s if isinstance(s, bytes) else s.encode() for s in strings))
    p = subprocess.run([TOKENS, path], input=raw, capture_output=True)
    assert p.returncode == 0, p.stderr.decode(errors="replace")
    out, at = [], 0
    for _ in strings:
        n, = struct.unpack_from("<I", p.stdout, at)
        ids = struct.unpack_from("<%di" % n, p.stdout, at + 4)
        m, = struct.unpack_from("<I", p.stdout, at + 4 + 4 * n)
        at += 8 + 4 * n
        out.append((list(ids), p.stdout[at:at + m]))
        at += m
    return out


def longer(strings):
    """Some of them in a row, twice: texts of a few kilobytes, in which words and pairs are met again."""
    return [2 * "".join(strings[i:i + 40]) for i in range(0, len(strings) // 10, 40)]


HOSTILE = ["a", " ", "\n", "\r\n", "\u200d", "👩\u200d", "\u0301", "\u0301\u0316", "e\u0316\u0301", "中文字", "1234567890", "1", "<|", "[", "'", "\u3000", "Aa", "!", "▁", "🇫", "##",
           "\u1100\u1161\u11a8", "don't "]


def hostile(size=2048):
    """One thing again and again."""
    return [u * (size // len(u.encode())) + "x" for u in HOSTILE]


def compare(path, encode, decode, strings=None):
    strings = strings or texts() + hostile()
    strings = strings + longer(strings)
    bad, bad_text = [], []
    for s, (ids, back) in zip(strings, ours(path, strings)):
        want = encode(s)
        if ids != want: bad.append((s, ids, want))
        elif decode and back.decode(errors="replace") != decode(ids): bad_text.append((s, back, decode(ids)))
    for s, got, want in (bad + bad_text)[:8]: print(ascii(s)[:200], "\n   ", ascii(got)[:300], "\n   not", ascii(want)[:300])
    assert not bad and not bad_text, "%d of %d strings differ, %d decoded texts" % (len(bad), len(strings), len(bad_text))
    return "%d strings" % len(strings)


def library():
    if hf is None: raise Skip("Python's tokenizers is not installed")


def with_hf(path, strings=None, decodes=True):
    t = hf.Tokenizer.from_file(path)
    return compare(path, lambda s: t.encode(s).ids, decodes and (lambda ids: t.decode(ids, skip_special_tokens=False)), strings)


def check(name):
    library()
    return with_hf(data("tokenizers/" + name))


def test_qwen3(): return check("qwen3-tokenizer.json")
def test_llama3(): return check("llama3-tokenizer.json")
def test_gpt_neox(): return check("gpt-neox-20B_tokenizer.json")
def test_gemma3(): return check("gemma3-tokenizer.json")
def test_mistral1(): return check("mistral1-tokenizer.json")
def test_t5_small(): return check("t5-small-tokenizer.json")
def test_t5_v1_1(): return check("t5v1_1-tokenizer.json")


def made(t, strings=None):
    """The file that the library writes of a tokenizer, read by both. Scores become multiples of 1/1024: the library reads
    decimals with errors in the last bit, which would decide between cuts of equal scores."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "tokenizer.json")
        t.save(path)
        root = json.load(open(path))
        if root["model"]["type"] == "Unigram":
            root["model"]["vocab"] = [[p, round(s * 1024) / 1024] for p, s in root["model"]["vocab"]]
            with open(path, "w") as f: json.dump(root, f)
        return with_hf(path, strings)


def gguf_strings(path, key):
    """An array of strings in a GGUF file's metadata, found by its name."""
    raw = open(path, "rb").read()
    at = raw.index(struct.pack("<Q", len(key)) + key.encode()) + 8 + len(key)
    kind, item, n = struct.unpack_from("<IIQ", raw, at)
    assert (kind, item) == (9, 8)
    at, out = at + 16, []
    for _ in range(n):
        size, = struct.unpack_from("<Q", raw, at)
        out.append(raw[at + 8:at + 8 + size].decode())
        at += 8 + size
    return out


def bert_vocabulary():
    pieces = gguf_strings(data("tokenizers/llama.cpp-vocab/ggml-vocab-bert-bge.gguf"), "tokenizer.ggml.tokens")
    return [p if p[0] == "[" and p[-1] == "]" and len(p) > 1 else p[1:] if p[0] == "▁" else "##" + p for p in pieces]


def bert(**normal):
    library()
    from tokenizers import models, normalizers, pre_tokenizers, processors, decoders
    vocab = {p: i for i, p in enumerate(bert_vocabulary())}
    t = hf.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(**normal)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    t.decoder = decoders.WordPiece()
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return t


def test_bert_uncased(): return made(bert(lowercase=True))
def test_bert_cased(): return made(bert(lowercase=False))
def test_bert_accents_kept(): return made(bert(lowercase=True, strip_accents=False, clean_text=False, handle_chinese_chars=False))


def test_bert_vocab_txt():
    t = bert(lowercase=True)
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "vocab.txt")
        with open(path, "w", newline="\n") as f: f.write("\n".join(bert_vocabulary()) + "\n")
        return compare(path, lambda s: t.encode(s).ids, lambda ids: t.decode(ids, skip_special_tokens=False))


def clip():
    library()
    from tokenizers import models, normalizers, pre_tokenizers, processors, decoders
    lines = open(data("tokenizers/clip-merges.txt"), encoding="utf-8").read().split("\n")[1:]
    merges = [tuple(l.split()) for l in lines if l.strip()]
    names = sorted(pre_tokenizers.ByteLevel.alphabet(), key=lambda c: (not ("!" <= c <= "~" or "¡" <= c <= "¬" or "®" <= c <= "ÿ"), c))
    pieces = names + [n + "</w>" for n in names] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    t = hf.Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, merges, unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(hf.Regex(r"\s+"), " "), normalizers.Lowercase()])
    pattern = hf.Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(pattern, "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    end, start = len(pieces) - 1, len(pieces) - 2
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", end), ("<|startoftext|>", start), add_prefix_space=False, trim_offsets=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([hf.AddedToken("<|startoftext|>", normalized=True, special=True), hf.AddedToken("<|endoftext|>", special=True)])
    return t


def test_clip(): return made(clip())


def test_clip_corpus():
    t = clip()
    lines = [json.loads(l) for l in open(data("golden/tokenizers/clip.jsonl"))]
    strings = {e["i"]: e["s"] for e in map(json.loads, open(data("golden/tokenizers/corpus.jsonl")))}
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "tokenizer.json")
        t.save(path)
        got = ours(path, [strings[l["i"]] for l in lines])
    bad = [l["i"] for l, (ids, _) in zip(lines, got) if ids != l.get("ids_special", l["ids"])]
    assert not bad, "%d of %d differ: %s" % (len(bad), len(lines), bad[:9])
    return "%d strings" % len(lines)


def small(model, normalizer=None, pre=None, decoder=None, added=(), strings=None):
    """A tokenizer of a few hundred pieces, trained on the test's own parts."""
    library()
    from tokenizers import models, trainers, pre_tokenizers
    special = ["<unk>", "<s>", "</s>"]
    made_of = {"bpe": (models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)),
               "wordpiece": (models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False)),
               "unigram": (models.Unigram(), trainers.UnigramTrainer(vocab_size=4000, special_tokens=special, unk_token="<unk>", show_progress=False))}
    m, trainer = made_of[model]
    t = hf.Tokenizer(m)
    if normalizer: t.normalizer = normalizer
    t.pre_tokenizer = pre or pre_tokenizers.Whitespace()
    if decoder: t.decoder = decoder
    t.train_from_iterator(texts(300, 9), trainer)
    t.add_tokens(list(added))
    return made(t, strings)


def test_normalizers():
    library()
    from tokenizers import normalizers as n, pre_tokenizers as p, decoders as d
    for one in (n.NFD(), n.NFKD(), n.NFKC(), n.Lowercase(), n.StripAccents(), n.Strip(), n.Sequence([n.NFKD(), n.StripAccents(), n.Lowercase()]),
                n.Prepend("▁"), n.Replace("e", "EE"), n.Replace(hf.Regex(" {2,}"), "_")):
        small("bpe", one, p.Whitespace(), d.WordPiece())
    return "10 normalizers"


def test_pretokenizers():
    library()
    from tokenizers import pre_tokenizers as p, decoders as d
    r = hf.Regex
    all_of = [p.Whitespace(), p.WhitespaceSplit(), p.BertPreTokenizer(), p.Punctuation(), p.Punctuation("removed"), p.Punctuation("contiguous"),
              p.Punctuation("merged_with_next"), p.Digits(True), p.Digits(False), p.Split(" ", "merged_with_previous"), p.Split(" ", "merged_with_next"),
              p.Split(" ", "removed"), p.Split("e", "contiguous"), p.Split(r(r"\s+"), "isolated"), p.Split(r(r"\p{N}{1,3}"), "isolated"),
              p.Split(r(r"\s+"), "removed", invert=True), p.Metaspace(), p.Metaspace(prepend_scheme="first"), p.Metaspace(prepend_scheme="never", split=False),
              p.Sequence([p.WhitespaceSplit(), p.Metaspace()])]
    for one in all_of: small("bpe", None, one, d.WordPiece())
    for one in (p.ByteLevel(), p.ByteLevel(add_prefix_space=False), p.Sequence([p.Digits(True), p.ByteLevel(use_regex=False)])):
        small("bpe", None, one, d.ByteLevel())
    return "%d pre-tokenizers" % (len(all_of) + 3)


CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s|%s| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TAIL = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERNS = [CASED % ("", "", r"\p{N}"), CASED % (TAIL, TAIL, r"\p{N}{1,3}"),
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
            r"\s?\p{L}+", r"\s?\p{P}+", r"\s+$", "[一-龥ࠀ-一가-퟿]+", "[一-龥぀-ゟ゠-ヿ]+", r"[0-9][0-9][0-9]", r"[\r\n]"]


def test_patterns():
    library()
    from tokenizers import pre_tokenizers as p, decoders as d
    for one in PATTERNS:
        small("bpe", None, p.Sequence([p.Split(hf.Regex(one), "isolated"), p.ByteLevel(add_prefix_space=False, use_regex=False)]), d.ByteLevel())
    return "%d patterns" % len(PATTERNS)


# No matcher was written for these: they run through PCRE2, and must find what the library's own engine finds.
UNKNOWN = [r"\w+|[^\w\s]", r"\d{1,3}(?=(?:\d{3})*\b)", r"(?=(\d{3})+(?!\d))", r" ?[^(\s|[.,!?…。，、।۔،])]+", r"(?i:the|don't)|\p{Lu}\p{Ll}*|.",
           r"(?<=[a-z])(?=[A-Z])", r"[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*", r"\p{Han}+|\p{Hiragana}+|\p{Katakana}+|\p{Hangul}",
           r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+", r"^\s+|\s+$", r"[[:punct:]]|[[:upper:]]+|[^[:space:][:digit:]]", r"\h+", r"\S+", r"(?m:.{2})", r"\b", r"\B",
           r"[\u4e00-\u9fa5]+|\x41|\x{42}", r"(\S)\1", r"\R|\v", r"e{,2}l", r"{", r"\s{2}(?!\S)|\s{1,2}", r"[\p{^L}]+", "é|ß|\\é"]
BEHAVIORS = ["isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"]


def has_pcre2():
    out = ok("doctor").decode()
    if "PCRE2" not in out: raise Skip("this kwaai is built without PCRE2")


def test_patterns_without_a_matcher():
    library()
    has_pcre2()
    from tokenizers import pre_tokenizers as p, decoders as d, normalizers as n
    # PCRE2 may know an older Unicode than the library: characters that were new to both are left out
    strings = ["".join(c for c in s if unicodedata.category(c) != "Cn") for s in texts(min(N, 20000) // 4, 11)]
    count = 0
    for i, one in enumerate(UNKNOWN):
        for j in range(2):
            behavior, invert = BEHAVIORS[(i + j * 3) % 5], (i // 5 + j) % 2 == 1
            split = p.Split(hf.Regex(one), behavior, invert=invert)
            try: small("bpe", None, p.Sequence([split, p.ByteLevel(add_prefix_space=False, use_regex=False)]), d.ByteLevel(), (), strings)
            except AssertionError as e: raise AssertionError("%s %s invert=%s: %s" % (one, behavior, invert, e))
            count += 1
        # (before ByteLevel the library doubles what is put in front of a text)
        try: small("bpe", n.Replace(hf.Regex(one), "<>"), p.WhitespaceSplit(), d.WordPiece(), (), strings)
        except AssertionError as e: raise AssertionError("replace %s: %s" % (one, e))
    return "%d patterns to split at, %d to replace" % (count, len(UNKNOWN))


def test_small_models():
    library()
    from tokenizers import pre_tokenizers as p, decoders as d, normalizers as n
    small("unigram", n.NFKC(), p.Metaspace(), d.Metaspace())
    small("unigram", n.NFKC(), p.Metaspace(prepend_scheme="never"), d.Metaspace(prepend_scheme="never"))
    small("wordpiece", n.BertNormalizer(), p.BertPreTokenizer(), d.WordPiece(cleanup=False))
    return "3 models"


def test_added_tokens():
    library()
    from tokenizers import AddedToken as A, pre_tokenizers as p, normalizers as n, decoders as d
    added = [A("the", single_word=True), A("Hello", lstrip=True), A("...", rstrip=True), A("é", normalized=True), A("ABC", normalized=False),
             A("don't", lstrip=True, rstrip=True, single_word=True), A("  ", normalized=True)]
    small("bpe", n.Lowercase(), p.Whitespace(), d.WordPiece(), added)
    return small("bpe", None, p.ByteLevel(add_prefix_space=False), d.ByteLevel(), added)


def test_added_tokens_that_overlap():
    """The leftmost counts, and of those the longest; behind it the search goes on."""
    library()
    from tokenizers import AddedToken as A, pre_tokenizers as p, decoders as d
    r = random.Random(3)
    strings = ["".join(r.choice("abcd  é") for _ in range(r.randrange(1, 24))) for _ in range(min(N, 5000))]
    added = [A("ab"), A("abc"), A("bcd", lstrip=True), A("cd"), A("d a", rstrip=True), A("aab", single_word=True), A("bb", normalized=False), A("bbb")]
    return small("bpe", None, p.ByteLevel(add_prefix_space=False), d.ByteLevel(), added, strings)


def plain_text(s):
    """Without the names of special tokens, which the library takes for text, and the zero that ends it there."""
    return s.replace("\u0000", "").replace("<", "(")


def with_sentencepiece(name, before, after):
    if sentencepiece is None: raise Skip("Python's sentencepiece is not installed")
    path = data("tokenizers/" + name)
    t = sentencepiece.SentencePieceProcessor(model_file=path)
    plain = [plain_text(s) for s in texts() + hostile()]
    before, after = list(map(t.piece_to_id, before)), list(map(t.piece_to_id, after))
    named = lambda ids: "".join(map(t.id_to_piece, ids))
    back = lambda ids: named(before) + t.decode(ids[len(before):len(ids) - len(after)]) + named(after)
    return compare(path, lambda s: before + t.encode(s) + after, back, plain)


def test_llama2_sentencepiece(): return with_sentencepiece("llama2-tokenizer.model", ["<s>"], [])
def test_t5_sentencepiece(): return with_sentencepiece("t5-spiece.model", [], ["</s>"])


def gpt2_pair():
    library()
    from tokenizers import models, pre_tokenizers, decoders
    t = hf.Tokenizer(models.BPE.from_file(data("tokenizers/gpt2-vocab.json"), data("tokenizers/gpt2-merges.txt")))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens(["<|endoftext|>"])
    return t


def test_gpt2_pair():
    t = gpt2_pair()
    return compare(data("tokenizers/gpt2-vocab.json"), lambda s: t.encode(s).ids, lambda ids: t.decode(ids, skip_special_tokens=False))


def pair_folder(d, **config):
    """GPT-2's pair, with a configuration beside it."""
    import shutil
    for name in ("vocab.json", "merges.txt"): shutil.copy(data("tokenizers/gpt2-" + name), os.path.join(d, name))
    json.dump(config, open(os.path.join(d, "tokenizer_config.json"), "w"))


def test_gpt2_pair_begins_with_bos_where_it_says_so():
    t = gpt2_pair()
    with tempfile.TemporaryDirectory() as d:
        pair_folder(d, tokenizer_class="GPT2Tokenizer", add_bos_token=True)
        return compare(d, lambda s: [50256] + t.encode(s).ids, None)


def test_roberta_pair():
    """<s> and </s> around a text, and a <mask> that swallows the blanks before it."""
    library()
    from tokenizers import models, pre_tokenizers, decoders, processors, AddedToken
    with tempfile.TemporaryDirectory() as d:
        pair_folder(d, tokenizer_class="RobertaTokenizer", add_prefix_space=True)
        vocab = json.load(open(os.path.join(d, "vocab.json")))
        specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        for s in specials: vocab[s] = len(vocab)
        json.dump(vocab, open(os.path.join(d, "vocab.json"), "w"))
        t = hf.Tokenizer(models.BPE.from_file(os.path.join(d, "vocab.json"), os.path.join(d, "merges.txt")))
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        t.decoder = decoders.ByteLevel()
        t.post_processor = processors.RobertaProcessing(("</s>", vocab["</s>"]), ("<s>", vocab["<s>"]), add_prefix_space=True)
        t.add_special_tokens(specials[:4] + [AddedToken("<mask>", lstrip=True, special=True)])
        strings = [s.replace("[MASK]", " <mask> ") for s in texts()]
        return compare(d, lambda s: t.encode(s).ids, lambda ids: t.decode(ids, skip_special_tokens=False), strings)


def test_roberta_pair_without_a_class():
    """The model's type says what reads it, and special_tokens_map.json what the special tokens are called."""
    library()
    from tokenizers import models, pre_tokenizers, decoders, processors
    names = dict(bos_token="<begin>", eos_token="<end>", cls_token="<cls>", sep_token={"content": "<sep>", "lstrip": False}, unk_token="<unk>", pad_token="<pad>",
                 mask_token={"content": "<hole>", "lstrip": False, "rstrip": False, "single_word": False, "normalized": False})
    with tempfile.TemporaryDirectory() as d:
        pair_folder(d)
        os.remove(os.path.join(d, "tokenizer_config.json"))
        vocab = json.load(open(os.path.join(d, "vocab.json")))
        specials = [n if isinstance(n, str) else n["content"] for n in names.values()]
        for s in specials: vocab[s] = len(vocab)
        for file, what in (("vocab", vocab), ("special_tokens_map", names), ("config", {"model_type": "roberta"})):
            with open(os.path.join(d, file + ".json"), "w") as f: json.dump(what, f)
        t = hf.Tokenizer(models.BPE.from_file(os.path.join(d, "vocab.json"), os.path.join(d, "merges.txt")))
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        t.decoder = decoders.ByteLevel()
        t.post_processor = processors.RobertaProcessing(("<sep>", vocab["<sep>"]), ("<cls>", vocab["<cls>"]), add_prefix_space=False)
        t.add_special_tokens(specials)
        strings = [s.replace("[MASK]", " <hole> ").replace("<s>", "<cls>") for s in texts(min(N, 300))]
        note = compare(d, lambda s: t.encode(s).ids, lambda ids: t.decode(ids, skip_special_tokens=False), strings)
        with open(os.path.join(d, "config.json"), "w") as f: json.dump({"model_type": "blenderbot"}, f)
        code, _, err = run("tokenize", d, "a")
        assert code and b"the model type blenderbot" in err, err
        return note


def test_qwen2_pair():
    """Its own cuts, form C, and the tokens that the configuration adds."""
    library()
    whole = hf.Tokenizer.from_file(data("tokenizers/qwen3-tokenizer.json"))
    root = json.load(open(data("tokenizers/qwen3-tokenizer.json")))
    with tempfile.TemporaryDirectory() as d:
        json.dump(root["model"]["vocab"], open(os.path.join(d, "vocab.json"), "w"))
        merges = [m if isinstance(m, str) else " ".join(m) for m in root["model"]["merges"]]
        open(os.path.join(d, "merges.txt"), "w").write("#version: 0.2\n" + "\n".join(merges) + "\n")
        added = {str(a["id"]): {k: v for k, v in a.items() if k != "id"} for a in root["added_tokens"]}
        json.dump({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added}, open(os.path.join(d, "tokenizer_config.json"), "w"))
        return compare(d, lambda s: whole.encode(s).ids, lambda ids: whole.decode(ids, skip_special_tokens=False))


def test_xlm_roberta_folder():
    """sentencepiece.bpe.model: fairseq's four tokens in front, everything else one further."""
    if sentencepiece is None: raise Skip("Python's sentencepiece is not installed")
    with tempfile.TemporaryDirectory() as d:
        open(os.path.join(d, "text"), "w", encoding="utf-8").write("\n".join(s.replace("\0", "").replace("\n", " ") for s in texts(400, 3)))
        sentencepiece.SentencePieceTrainer.train(input=os.path.join(d, "text"), model_prefix=os.path.join(d, "m"), vocab_size=3000, character_coverage=0.98,
                                                 hard_vocab_limit=False, minloglevel=2)
        path = os.path.join(d, "sentencepiece.bpe.model")
        os.rename(os.path.join(d, "m.model"), path)
        t = sentencepiece.SentencePieceProcessor(model_file=path)
        code, _, err = run("tokenize", path, "a")
        assert code and b"files of this name count ids in several ways" in err, err
        json.dump({"tokenizer_class": "XLMRobertaTokenizer"}, open(os.path.join(d, "tokenizer_config.json"), "w"))
        plain = [plain_text(s) for s in texts()]
        note = compare(d, lambda s: [0] + [i + 1 if i else 3 for i in t.encode(s)] + [2], None, plain)
        assert ours(d, [" a <mask>"])[0][0][-2:] == [len(t) + 1, 2]
        return note


BYT5 = {"tokenizer_class": "ByT5Tokenizer"}
STRIPS = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
KEEPS = {k: {"content": v, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "__type": "AddedToken"} for k, v in STRIPS.items()}


def byt5_folder(d, **config):
    with open(os.path.join(d, "tokenizer_config.json"), "w") as f: json.dump(dict(BYT5, **config), f)


def byt5_texts():
    """With what is special there. (U+001C to U+001F are blanks to Python's strip alone.)"""
    out = [s.replace("[MASK]", " <pad> ").replace("##ing", "<extra_id_7>") for s in texts()]
    return ["".join(c for c in s if not "\x1c" <= c <= "\x1f") for s in out] + ["", "a", "a</s>", " </s> <unk> </s> b "]


def test_byt5():
    """A byte is an id, and three more; 0, 1, 2 are special and swallow blanks; what follows the bytes is named by numbers."""
    import re
    names = {**{n: i for i, n in enumerate(["<pad>", "</s>", "<unk>"])}, **{"<extra_id_%d>" % i: 259 + i for i in range(125)}}
    one = re.compile(r"(\s*(?:<pad>|</s>|<unk>)\s*|<extra_id_(?:\d|[1-9]\d|1[01]\d|12[0-4])>)")

    def encode(s):
        ids = []
        for part in one.split(s): ids += [names[part.strip()]] if part.strip() in names else [b + 3 for b in part.encode()]
        return ids + [1] * (ids[-1:] != [1])
    back = {i: n.encode() for n, i in names.items()}
    decode = lambda ids: b"".join(back.get(i) or bytes([i - 3]) for i in ids).decode(errors="replace")
    with tempfile.TemporaryDirectory() as d:
        byt5_folder(d)
        compare(d, encode, decode, byt5_texts())
        os.remove(os.path.join(d, "tokenizer_config.json"))
        json.dump(dict(BYT5, model_type="t5"), open(os.path.join(d, "config.json"), "w"))
        return compare(d, encode, decode, byt5_texts())


def test_byt5_library():
    """Three ways to write the configuration: the class alone, as the published models have it, and as transformers 5 saves it."""
    try: from transformers import ByT5Tokenizer
    except ImportError: raise Skip("Python's transformers is not installed")
    extra = ["<extra_id_%d>" % i for i in range(125)]
    for config in ({}, STRIPS, dict(KEEPS, extra_ids=125, additional_special_tokens=extra), None, dict(extra_ids=3), dict(STRIPS, eos_token="<end>")):
        with tempfile.TemporaryDirectory() as d:
            if config is None: ByT5Tokenizer().save_pretrained(d)
            else: byt5_folder(d, **config)
            t = ByT5Tokenizer.from_pretrained(d)
            note = compare(d, lambda s: t(s).input_ids, lambda ids: t.decode(ids, skip_special_tokens=False), byt5_texts()[-150:])
    return note + ", 6 configurations"


def test_byt5_counts_that_lie():
    for count in (-1, 1 << 16, 2 ** 63 - 1):
        with tempfile.TemporaryDirectory() as d:
            byt5_folder(d, extra_ids=count)
            p = subprocess.run([TOKENS, d], input=b"", capture_output=True, timeout=60)
            assert p.returncode == 1 and b"extra_ids is %d, expected 0 to" % count in p.stderr, p.stderr


GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def with_tiktoken(name):
    """Ranks alone: the names of Whisper's special tokens are taken out of the strings."""
    if tiktoken is None: raise Skip("Python's tiktoken is not installed")
    import base64
    path = data("tokenizers/" + name)
    ranks = {base64.b64decode(a): int(b) for a, b in (l.split() for l in open(path) if l.strip())}
    t = tiktoken.Encoding(name, pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})
    strings = [s.replace("<|", "< |") for s in texts()]
    return compare(path, lambda s: t.encode(s, disallowed_special=()), lambda ids: t.decode(ids), strings)


def test_tiktoken_gpt2(): return with_tiktoken("whisper-gpt2.tiktoken")
def test_tiktoken_multilingual(): return with_tiktoken("whisper-multilingual.tiktoken")


def bpe_json(vocab='{"a":0,"b":1,"ab":2}', merges='["a b"]', more="", root=""):
    return '{"model":{"type":"BPE","vocab":%s,"merges":%s%s}%s}' % (vocab, merges, more, root)


def charsmap_json(blob):
    import base64
    text = base64.b64encode(blob).decode()
    return '{"normalizer":{"type":"Precompiled","precompiled_charsmap":"%s"},"model":{"type":"Unigram","vocab":[["<unk>",0],["a",-1]],"unk_id":0}}' % text


added = lambda *tokens: ',"added_tokens":[%s]' % ",".join('{"id":%s,"content":%s}' % t for t in tokens)
SENTENCEPIECE_MAP = "\n\x07\n\x05<unk>\n\x03\n\x01a\x1a\x08\x12\x06"
BAD = [("t.json", "[" * 100000, "expected an object"), ("t.json", '{"model":' * 100000, "nested"), ("t.json", '{"a":' + "[" * 100000, "nested"),
       ("t.json", bpe_json(root=',"normalizer":' + '{"type":"Sequence","normalizers":[' * 100000), "nested"),
       ("t.json", bpe_json(merges='["a b","ab zz"]'), 'merge 1: "ab" + "zz" is not made of tokens'),
       ("t.json", bpe_json(merges='["b a"]'), 'merge 0: "b" + "a" is not made of tokens'),
       ("t.json", bpe_json(merges='["ab"]'), "merge 0 is not two halves"), ("t.json", bpe_json(merges='[["a","b","c"]]'), "merge 0 is not two halves"),
       ("t.json", bpe_json(merges='[["%s","b"]]' % ("a" * 600)), "merge 0 is not two halves of at most 512 bytes"),
       ("t.json", bpe_json("{}"), "no model.vocab"), ("t.json", '{"model":{}}', "no model.vocab"), ("t.json", "{}", "no model.vocab"),
       ("t.json", bpe_json('{"a":0,"b":4000000000}'), 'token "b" has id 4000000000'), ("t.json", bpe_json('{"a":-1}'), 'token "a" has id -1'),
       ("t.json", bpe_json('{"a":0,"b":134217727}'), "the largest id is 134217727 with 2 tokens"),
       ("t.json", bpe_json('{"a":0,"b":1,"c":1}'), 'tokens "b" and "c" have the same id 1'),
       ("t.json", bpe_json(root=added(("3", '"x"'), ("3", '"y"'))), 'tokens "x" and "y" have the same id 3'),
       ("t.json", bpe_json('{"a":99999999999999999999}'), "does not fit 64 bits"),
       ("t.json", bpe_json(root=added(("9000000000", '"x"'))), "the largest id is 9000000000"),
       ("t.json", bpe_json(root=added(("-3", '"x"'))), 'added token "x" has id -3'), ("t.json", bpe_json(root=added(("1", "7"))), "an added token without id or content"),
       ("t.json", bpe_json(root=added(("3", '"%s"' % ("x" * 2000)))), "added token 3 has 2000 bytes"),
       ("t.json", bpe_json(more=',"continuing_subword_prefix":"##"'), "##"), ("t.json", bpe_json().replace("BPE", "Magic"), "type Magic"),
       ("t.json", '{"model":{"type":"Unigram","vocab":[["a",-1]],"unk_id":5}}', "unk_id is 5, the largest id is 0"),
       ("t.json", '{"model":{"type":"Unigram","vocab":[["a","x"]]}}', "number"), ("t.json", '{"model":{"type":"Unigram","vocab":{"a":0}}}', "no list"),
       ("t.json", charsmap_json(b"\x40\0\0\0abcd"), "character map"), ("t.json", charsmap_json(b"\x05\0\0\0abcdefgh"), "not a number of units"),
       ("t.json", charsmap_json(b"\x05"), "character map"), ("t.json", charsmap_json(b"abcd").replace("YWJj", "Y*Jj"), "is not base64"),
       ("t.model", SENTENCEPIECE_MAP + "\x40\0\0\0ab", "character map"), ("t.model", SENTENCEPIECE_MAP, "SentencePiece model"),
       ("vocab.json", '{"a":-5}', "id -5"), ("vocab.json", '{"a":99999999}', "id 99999999"), ("vocab.json", '{"a":900000}', "the largest id is 900000"),
       ("vocab.json", "{}", "a vocabulary of 0 tokens"), ("vocab.json", '{"a":0,"b":1}', 'merge 0: "a" + "b"'), ("vocab.json", '{"a":{' * 100000, "expected"),
       ("vocab.txt", "", "a vocabulary of 0 tokens"), ("t.tiktoken", "", "0 ranks"), ("t.tiktoken", "YQ== 7\n", "8 ranks")]


def test_bad_files_are_refused_with_what_is_wrong():
    """A message each, in no time, whatever a file claims."""
    for name, text, want in BAD:
        with tempfile.TemporaryDirectory() as d:
            with open(os.path.join(d, name), "wb") as f: f.write(text.encode("latin-1"))
            with open(os.path.join(d, "merges.txt"), "w") as f: f.write("a b\n")
            p = subprocess.run([TOKENS, os.path.join(d, name)], input=b"", capture_output=True, timeout=60)
            err = p.stderr.decode(errors="replace")
            assert p.returncode == 1 and want in err and name in err, "%s %s: exit %d, %s" % (name, text[:100], p.returncode, err)
    return "%d files" % len(BAD)


def test_hostile_texts_take_linear_time():
    """KWAAI_HOSTILE_BYTES of one thing, thirty of them: at most 40 s of processor time for a megabyte each, where one of quadratic
    time takes hours."""
    size = int(os.environ.get("KWAAI_HOSTILE_BYTES", str(1 << 17)))
    raw = [b"\xff\xc3", b"\x80", b"\xf0\x9f\x91", b"a\xe2\x80", b"\0", b"<", b"</s"]
    strings = hostile(size) + [u * (size // len(u)) + b"x" for u in raw]
    files = ["qwen3-tokenizer.json", "llama3-tokenizer.json", "gemma3-tokenizer.json", "mistral1-tokenizer.json", "t5-small-tokenizer.json", "gpt-neox-20B_tokenizer.json",
             "t5-spiece.model", "llama2-tokenizer.model", "gpt2-vocab.json", "whisper-gpt2.tiktoken", "llama2-tokenizer.bin"]
    files += ["llama.cpp-vocab/ggml-vocab-%s.gguf" % n for n in ("bert-bge", "falcon", "deepseek-llm", "deepseek-coder", "starcoder")]
    worst = (0, "")
    for f in files:
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours(data("tokenizers/" + f), strings)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
        worst = max(worst, (spent, f))
        assert spent < 2 + 40 * size / (1 << 20), "%s: %.1f s" % (f, spent)
    return "%d tokenizers, slowest %.2f s (%s)" % (len(files), *worst)


if __name__ == "__main__": main(globals())
