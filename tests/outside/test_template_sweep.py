"""Generated chat templates against Python's Jinja2 with the settings of transformers; runs where jinja2 is installed.

A template is drawn from a grammar of statements and of expressions by type, so that most of them render; one expression in
forty is of a random type, so that errors are met too. SWEEP_SEED and SWEEP_COUNT choose others, SWEEP_SHOW prints each."""
import concurrent.futures, json, os, random, re, tempfile
from harness import *

COUNT, SEED = int(os.environ.get("SWEEP_COUNT", 400)), int(os.environ.get("SWEEP_SEED", 1))

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Get \"the\" weather of Zürich & <more>",
          "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Zürich", "a\nb"]},
                                                          "n": {"type": "integer", "default": 1.5}}, "required": ["city"]}}}]
MESSAGES = [{"role": "system", "content": "Be brief.\n  And kind. "},
            {"role": "user", "content": "  What is 2+2, é?\n\nlines\n"},
            {"role": "assistant", "content": "<think>\nhm, 4\n</think>\n\nIt's 4.", "tool_calls": [
                {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "n": 2}}}]},
            {"role": "tool", "name": "get_weather", "content": "{\"t\": 11}"},
            {"role": "user", "content": [{"type": "text", "text": "Second é"}, {"type": "image"}]},
            {"role": "assistant", "content": None, "refusal": True, "score": 0.25}]
EXTRA = {"words": ["pear", "Apple", "fig", "äpfel", "Fig", "x y"], "numbers": [3, 1, 2, 10, -4, 7], "enable_thinking": False,
         "table": {"b": 2, "a": [1, None, True], "C": {"k": "v"}}, "text": "The quick\tBrown fox,  jumps\nover 13 'lazy' \"dogs\" ",
         "pi": 3.14159, "nothing": None, "bos_token": "<s>", "eos_token": "</s>"}


class Writer:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.names = {"int": ["numbers[0]", "3"], "str": ["text", "bos_token"], "list": ["words", "numbers"], "dict": ["table"]}
        self.macros, self.loops, self.fresh = [], 0, 0

    def pick(self, *choices): return self.r.choice(choices)()
    def of(self, *texts): return self.r.choice(texts)

    def fresh_name(self, kind):
        self.fresh += 1
        name = "v%d" % self.fresh
        self.names[kind] = self.names[kind] + [name]
        return name

    # ---- expressions ----
    def any(self, d=2): return self.pick(lambda: self.int(d), lambda: self.str(d), lambda: self.list(d), lambda: self.dict(d),
                                         lambda: self.bool(d), lambda: self.of("none", "pi", "missing", "nothing", "1.5", "-2", "()", "(1,)"))

    def wild(self, kind, d):
        return self.any(d - 1) if self.r.random() < 1 / 40 and d > 0 else getattr(self, kind)(d)

    def int(self, d=2):
        if d <= 0: return self.of(*self.names["int"], "0", "1", "2", "7", "-3", "loop.index" if self.loops else "5", "0x1f", "1_000")
        i = lambda: self.wild("int", d - 1)
        return self.pick(lambda: "(%s %s %s)" % (i(), self.of("+", "-", "*"), i()), lambda: "%s %s %s" % (i(), self.of("//", "%"), self.of("2", "3", "-4", "7")),
                         lambda: "(%s) ** 2" % self.of("2", "3", "-5"), lambda: "%s | length" % self.list(d - 1), lambda: "%s|length" % self.str(d - 1),
                         lambda: "-%s | abs" % self.of("3", "4"), lambda: "'%s' | int" % self.of("12", "x", "-7", "0x", " 5 ", "1.9"),
                         lambda: "numbers | %s" % self.of("max", "min", "sum", "first", "last"), lambda: "(%s).count(%s)" % (self.str(d - 1), self.of("'e'", "'a'")),
                         lambda: "(%s).find(%s)" % (self.str(d - 1), self.of("'o'", "'é'", "'zz'")), lambda: "words.index('fig')",
                         lambda: "(%s if %s else %s)" % (i(), self.bool(d - 1), i()), lambda: self.int(0))

    def str(self, d=2):
        if d <= 0: return self.of(*self.names["str"], "'a'", '"it\'s"', "'é\\n'", "''", "'x-Y z'", "messages[0].content", "messages[1]['role']", "words[2]")
        s = lambda: self.wild("str", d - 1)
        return self.pick(lambda: "(%s + %s)" % (s(), s()), lambda: "(%s ~ %s)" % (s(), self.any(d - 1)), lambda: "%s | %s" % (s(), self.of(
            "upper", "lower", "trim", "capitalize", "title", "string", "reverse", "urlencode", "center(9)", "replace('a', 'oo')", "replace('e', '', 1)",
            "indent", "indent(2, true)", "indent(3, blank=true)", "indent('>', first=true)", "truncate(9)", "truncate(9, true, '..')", "default('dd')", "trim('T ')")),
            lambda: "(%s).%s" % (s(), self.of("strip()", "lstrip('T ')", "rstrip()", "upper()", "title()", "capitalize()", "swapcase()", "replace('o', '0')", "zfill(5)",
                "split()[0]", "split(' ')[-1]", "split('e', 1) | last", "rsplit(None, 1)[0]", "partition(' ')[2]", "center(8, '*')", "ljust(6)", "rjust(7, '.')",
                "removeprefix('T')", "removesuffix('x')", "splitlines() | first", "join(words)", "lower().split('o')|join('0')")),
            lambda: "%s[%s]" % (self.of("text", "words[0]", "words[3]", "'abcdef'"), self.slice()), lambda: "%s | join(%s)" % (self.list(d - 1), self.of("', '", "''", "'\\n'")),
            lambda: "%s | tojson%s" % (self.any(d - 1) if self.r.random() < .3 else self.of("tools", "messages", "table", "words", "messages[2].tool_calls", "pi", "text"),
                self.of("", "", "(indent=2)", "(indent=4)", "(separators=(',', ':'))", "(sort_keys=true)", "(ensure_ascii=true)", "(indent=1, sort_keys=true)")),
            lambda: "'%s' %% %s" % self.of(("%s|%r", "(text, words)"), ("%05d", "7"), ("%.2f", "pi"), ("%-6s|", "'é'"), ("%x %X %o", "(255, 255, 8)"), ("%(b)s", "table"),
                ("%+d", "numbers[0]"), ("%e", "pi"), ("%g", "1e10"), ("%5.1f%%", "pi"), ("%c", "'z'")),
            lambda: self.of("'{} {}'.format(1, 'a')", "'{0}{1}{0}'.format('x', 2)", "'{:>6}|{:<4}|{:^5}'.format('a', 1, 'b')", "'{:,} {:.3f} {:05d}'.format(1234567, pi, 42)",
                "'{a[b]} {w}'.format(a=table, w=words[0])", "'{!r}'.format('q')", "'%s and %s' | format('x', 3)", "'{:%}'.format(0.25)", "'{:#x} {:b}'.format(255, 5)"),
            lambda: "(%s if %s else %s)" % (s(), self.bool(d - 1), s()), lambda: "%s or %s" % (s(), s()), lambda: "(%s and %s)" % (s(), s()),
            lambda: "%s | %s" % (s(), self.of("first", "last")), lambda: self.macro_call(d - 1), lambda: "('a' * %s)" % self.of("3", "0", "numbers[2]"), lambda: self.str(0))

    def slice(self):
        part = lambda: self.of("", "", "1", "-1", "3", "-3", "0", "9", "-9")
        return self.of(lambda: "%s:%s" % (part(), part()), lambda: "%s:%s:%s" % (part(), part(), self.of("1", "-1", "2", "-2", "")))()

    def list(self, d=2):
        if d <= 0: return self.of(*self.names["list"], "[1, 2.5, 'b']", "[]", "messages", "('t', 1)", "range(4)", "[none, true]")
        l = lambda: self.wild("list", d - 1)
        return self.pick(lambda: "%s[%s]" % (self.of("words", "numbers", "messages", "(1, 2, 3)", "[1, 'a', none]"), self.slice()),
            lambda: "(%s | list + %s | list)" % (l(), l()), lambda: "%s | %s | list" % (self.of("words", "numbers", "['b', 'A', 'a']"), self.of("reverse", "unique", "sort",
                "sort(reverse=true)", "sort(case_sensitive=true)", "batch(2)", "batch(4, 'f')", "slice(3)", "slice(4, none)", "map('string')", "select", "unique(true)")),
            lambda: "words | %s | list" % self.of("map('upper')", "map('length')", "map('replace', 'a', 'b')", "select('in', ['fig', 'pear'])", "reject('equalto', 'fig')", "map('first')"),
            lambda: "numbers | %s | list" % self.of("select('odd')", "reject('gt', 2)", "select('divisibleby', 2)", "map('abs')", "select('ge', 3) | map('string')"),
            lambda: "messages | %s" % self.of("map(attribute='role') | list", "selectattr('role', 'equalto', 'user') | map(attribute='role') | list", "rejectattr('content') | list | length",
                "selectattr('tool_calls', 'defined') | map(attribute='tool_calls.0.function.name') | list", "map(attribute='score', default=0) | list", "sort(attribute='role') | map(attribute='role') | list",
                "groupby('role') | map('first') | list", "selectattr('name') | list", "map(attribute='role') | unique | list", "rejectattr('role', 'in', ['user', 'tool']) | map(attribute='role') | join(',')"),
            lambda: "table.%s | list" % self.of("keys()", "values()", "items()"), lambda: "table | %s" % self.of("dictsort", "dictsort(true)", "dictsort(reverse=true)", "items | list", "list"),
            lambda: "range(%s) | list" % self.of("3", "1, 5", "0, 9, 3", "5, 0, -2", "0"), lambda: "[%s, %s]" % (self.any(d - 1), self.any(d - 1)),
            lambda: "(%s).%s" % (self.str(d - 1), self.of("split()", "split('e')", "splitlines()", "rsplit(' ', 1)", "splitlines(true)")), lambda: "%s | list" % self.str(d - 1), lambda: self.list(0))

    def dict(self, d=2):
        if d <= 0: return self.of(*self.names["dict"], "{}", "messages[0]", "{'k': 1}")
        return self.pick(lambda: "{'a': %s, %s: %s}" % (self.any(d - 1), self.of("'é'", "1", "'b'"), self.any(d - 1)), lambda: "dict(x=%s, y=%s)" % (self.int(d - 1), self.str(d - 1)),
                         lambda: "dict(table, z=1)", lambda: "table.C", lambda: self.dict(0))

    def bool(self, d=2):
        if d <= 0: return self.of("true", "false", "enable_thinking", "1 == 1.0", "add_generation_prompt", "loop.first" if self.loops else "none", "loop.last" if self.loops else "missing")
        i, s = (lambda: self.wild("int", d - 1)), (lambda: self.wild("str", d - 1))
        return self.pick(lambda: "%s %s %s" % (i(), self.of("<", "<=", ">", ">=", "==", "!="), i()), lambda: "%s %s %s" % (s(), self.of("<", "==", "!=", "in", "not in"), s()),
            lambda: "1 < %s <= 9" % i(), lambda: "%s %s %s" % (self.any(d - 1), self.of("in", "not in"), self.list(d - 1)), lambda: "not %s" % self.any(d - 1),
            lambda: "%s %s %s" % (self.bool(d - 1), self.of("and", "or"), self.bool(d - 1)),
            lambda: "%s is %s%s" % (self.any(d - 1), self.of("", "not "), self.of("defined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean", "undefined",
                "true", "callable", "sameas none", "in [1, 'a']", "eq 1")), lambda: "%s is %s" % (i(), self.of("odd", "even", "divisibleby 3", "gt 2", "lt(3)")),
            lambda: "(%s).%s" % (s(), self.of("startswith('T')", "endswith(' ')", "isdigit()", "isupper()", "islower()", "startswith(('a', 'T'))", "isalpha()", "isspace()")),
            lambda: "%s == %s" % (self.any(d - 1), self.any(d - 1)), lambda: self.bool(0))

    def macro_call(self, d):
        if not self.macros: return "'m'"
        name, n = self.r.choice(self.macros)
        args = [self.any(d) for _ in range(self.r.randint(0, n))]
        if self.r.random() < .2 and len(args) < n: args.append("b=%s" % self.any(d))
        return "%s(%s)" % (name, ", ".join(args))

    # ---- statements ----
    def gap(self): return self.of("", "", "\n", " ", "\n  ", "  \n", "\n\n", "\t", "\n  \t ", " text ", "line\n", "é\n  ")

    def tag(self, inner):
        return "{%" + self.of("", "", "-", "-", "+") + " " + inner + " " + self.of("", "", "-", "-", "+") + "%}"

    def out(self):
        value = "(%s) | e" % self.any(2) if self.r.random() < .03 else self.any(3)  # what e gives is of a type of its own there
        return "{{" + self.of("", "", "-") + " " + value + " " + self.of("", "", "-") + "}}"

    def scoped(self, d, make):
        saved = {k: list(v) for k, v in self.names.items()}
        body = make(d)
        self.names = saved
        return body

    def loop(self, d):
        self.loops += 1
        saved = {k: list(v) for k, v in self.names.items()}
        head, extra = self.pick(
            lambda: ("for %s in %s" % (self.fresh_name("str"), "words"), []), lambda: ("for %s in numbers" % self.fresh_name("int"), []),
            lambda: ("for m in messages", ["m.role", "m['content'] if m.content is string else m.content | tojson"]),
            lambda: ("for k, x in table.items()", ["k", "x"]), lambda: ("for m in messages[::-1]", ["m.role"]), lambda: ("for m in messages if m.role != 'tool'", ["m.role"]),
            lambda: ("for a, b in [(1, 'x'), (2, 'y')]", ["a", "b"]), lambda: ("for (a, b) in table | dictsort", ["a"]), lambda: ("for c in 'héy'", ["c"]),
            lambda: ("for x in %s" % self.list(1), ["x"]), lambda: ("for x in numbers if x is odd", ["x"]), lambda: ("for g, l in messages | groupby('role')", ["g", "l | length"]))
        body = "".join(self.gap() + "{{ %s }}" % e for e in extra)
        body += self.of("", "{{ loop.%s }}" % self.of("index0", "revindex", "revindex0", "length", "first", "last", "depth", "previtem is defined", "nextitem is defined", "cycle('o', 'e')", "changed(loop.index0 // 2)"))
        body += self.block(d - 1)
        if self.r.random() < .3: body += self.tag("if loop.index == %d" % self.r.randint(1, 3)) + self.tag(self.of("break", "continue")) + self.tag("endif") + self.out()
        self.loops -= 1
        self.names = saved
        other = self.tag("else") + "none" if self.r.random() < .2 else ""
        return self.tag(head) + body + other + self.tag("endfor")

    def recursive(self, d):
        return self.tag("for x in [1, [2, [3, 4]], 5] recursive") + "{{ x if x is number else '(' ~ loop(x) ~ ')' }}:{{ loop.depth }}" + self.gap() + self.tag("endfor")

    def branch(self, d):
        text = self.tag("if " + self.bool(2)) + self.scoped(d - 1, self.block)
        if self.r.random() < .4: text += self.tag("elif " + self.bool(2)) + self.scoped(d - 1, self.block)
        if self.r.random() < .5: text += self.tag("else") + self.scoped(d - 1, self.block)
        return text + self.tag("endif")

    def assign(self, d):
        kind = self.of("int", "str", "list", "dict")
        value = getattr(self, kind)(2)
        return self.tag("set %s = %s" % (self.fresh_name(kind), value))

    def capture(self, d):
        body = self.scoped(d - 1, self.block)
        return self.tag("set %s%s" % (self.fresh_name("str"), self.of("", " | upper", " | trim | indent(1)"))) + body + self.tag("endset")

    def namespace(self, d):
        name = "ns%d" % self.fresh
        self.fresh += 1
        return (self.tag("set %s = namespace(n=%s, s='')" % (name, self.int(1))) + self.tag("for x in %s" % self.list(1)) +
                self.tag("set %s.n = %s.n + loop.index" % (name, name)) + self.tag("set %s.s = %s.s ~ x" % (name, name)) + self.tag("endfor") + "{{ %s.n }} {{ %s.s }}" % (name, name))

    def macro(self, d):
        name = "mac%d" % self.fresh
        self.fresh += 1
        saved, loops = {k: list(v) for k, v in self.names.items()}, self.loops
        self.loops = 0
        use = self.of("", "", "{{ varargs | length }}", "{{ kwargs | tojson }}", "{{ caller() if caller is defined else '' }}")
        body = "{{ a }}|{{ b }}" + use + self.block(d - 1)
        self.names, self.loops = saved, loops
        text = self.tag("macro %s(a, b=%s)" % (name, self.of("1", "a", "'d'", "words[0]"))) + body + self.tag("endmacro")
        self.macros.append((name, 2))
        return text

    def call(self, d):
        name = "cal%d" % self.fresh
        self.fresh += 1
        return (self.tag("macro %s(t)" % name) + "<{{ t }}>{{ caller(%s) }}</>" % self.of("1", "t") + self.tag("endmacro") + self.tag("call(z) %s(%s)" % (name, self.str(1))) +
                "[{{ z }}]" + self.gap() + self.tag("endcall"))

    def simple(self, d):
        return self.pick(lambda: "{#%s note %s#}" % (self.of("", "-"), self.of("", "-")), lambda: self.of("{% raw %}", "{%- raw -%}", "{% raw -%}", "{%+ raw %}", self.tag("raw")) + " {{ x }} " + self.gap() + self.tag("endraw"),
            lambda: self.tag("with q = %s, w = 2" % self.any(1)) + "{{ q }}{{ w }}" + self.tag("endwith"), lambda: self.tag("filter " + self.of("upper", "trim", "indent(2)", "replace('e', 'E') | trim")) + self.scoped(d - 1, self.block) + self.tag("endfilter"),
            lambda: self.tag("generation") + self.scoped(d - 1, self.block) + self.tag("endgeneration"), lambda: self.tag("set a, b = %s, %s" % (self.int(1), self.str(1))) + "{{ a }}{{ b }}",
            lambda: "{{ raise_exception('no ' ~ %s) }}" % self.str(0) if self.r.random() < .1 else "{{ cycler('a', 'b').next() }}")

    def block(self, d):
        text = self.gap()
        for _ in range(self.r.randint(1, 3 if d > 0 else 1)):
            kinds = [lambda d: self.out(), lambda d: self.out(), self.assign] + ([self.loop, self.branch, self.capture, self.namespace, self.simple, self.recursive] if d > 0 else [])
            text += self.r.choice(kinds)(d) + self.gap()
        return text

    def template(self):
        text = ""
        for _ in range(self.r.randint(2, 4)):
            text += self.r.choice([self.block, self.loop, self.branch, self.macro, self.macro, self.call, self.capture, self.namespace, self.simple])(2) + self.gap()
        return text + "{{ %s }}" % self.macro_call(1)


def environment():
    try: import jinja2
    except ImportError: raise Skip("jinja2 is not installed")
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("write"), [], [], body).set_lineno(line)

        def write(self, caller): return caller()

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message): raise jinja2.exceptions.TemplateError(message)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


def expected(env, template):
    """("text", text), ("error", message), or None where the answer has addresses or numbers of more than 64 bits."""
    try: text = env.from_string(template).render(messages=MESSAGES, tools=TOOLS, documents=None, add_generation_prompt=True, **EXTRA)
    except Exception as e: return "error", str(e)
    if " at 0x" in text or re.search(r"\d{19}", text): return None
    return "text", text


def got(template, folder):
    path = os.path.join(folder, "template.jinja")
    open(path, "w", encoding="utf-8", newline="").write(template)
    code, out, err = run("template", path, os.path.join(folder, "messages.json"))
    return ("text", out.decode()) if code == 0 else ("error", err.decode(errors="replace"))


def same_error(want, have):
    """The same text, but for how the program prints control characters and lines, what Jinja adds to its own complaints of
    grammar, and how Python words a call with arguments that do not fit."""
    if re.search(r"\(\) (takes|missing|got|expected) |expected (at most|at least) ", want): return "argument" in have
    want = re.sub(r" found\.$", ".", want.split(" Jinja was looking for")[0].split(" You probably made a nesting mistake.")[0])
    return " ".join(want.replace("\t", "?").split()) in " ".join(have.split())


def compare(env, template, folder):
    want, have = expected(env, template), got(template, folder)
    return want is None or want == have or (want[0] == have[0] == "error" and same_error(want[1], have[1])), want, have


def test_generated_templates_render_as_jinja2_renders_them():
    env, bad, seed, done, errors = environment(), [], SEED * 100000, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        json.dump(dict(EXTRA, messages=MESSAGES, tools=TOOLS, add_generation_prompt=True), open(os.path.join(folder, "messages.json"), "w"))
        while done < COUNT:
            seed += 1
            template = Writer(seed).template()
            good, want, have = compare(env, template, folder)
            if want is None: continue
            done += 1
            errors += want[0] == "error"
            if not good: bad.append((len(template), seed, template, want, have))
    for size, seed, template, want, have in sorted(bad)[:int(os.environ.get("SWEEP_SHOW", 3))]:
        print("seed %d, %d characters\n%s\n--- jinja2: %s\n%r\n--- kwaai: %s\n%r\n" % (seed, size, template, *want, *have))
    assert not bad, "%d of %d templates differ" % (len(bad), COUNT)
    return "%d templates, %d of them errors, 0 differ" % (COUNT, errors)


if __name__ == "__main__": main(globals())
