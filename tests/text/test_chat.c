/* test_chat.c - the template language against what Jinja2 itself rendered (trim_blocks and lstrip_blocks on), and its limits. */
#include "test.h"
#include "text/text.h"

static const char messages[] =
    "[{\"role\":\"system\",\"content\":\"Be brief.\"},"
    "{\"role\":\"user\",\"content\":\" a b \"},"
    "{\"role\":\"assistant\",\"content\":\"é\",\"n\":2,\"tags\":[\"x\",\"y\"]}]";

/* clang-format off */
static const struct { const char *text, *want; } cases[] = {
    { "{{ 1 + 2 * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 * 2.5 }}",
      "7 3 -4 2 3.5 5.0" },
    { "{{ 'a' ~ 1 ~ true ~ none }}",
      "a1TrueNone" },
    { "{{ 'a' + 'b' }} {{ (['a'] + ['b']) | join('-') }}",
      "ab a-b" },
    { "{{ 'yes' if messages | length > 2 else 'no' }}",
      "yes" },
    { "{{ 'x' if false }}|",
      "|" },
    { "{{ not false and 1 or 0 }} {{ 1 == 1.0 }} {{ 'a' < 'b' }} {{ 'b' in 'abc' }} {{ 'q' not in ['a'] }}",
      "1 True True True True" },
    { "{{ messages[0].role }} {{ messages[-1]['tags'][1] }} {{ messages[1:] | length }} {{ 'abcdef'[1:3] }}"
      " {{ 'héé'[1] }}",
      "system y 2 bc é" },
    { "{{ messages[2].missing is defined }} {{ nothing is defined }} {{ none is none }} {{ 'a' is string }}"
      " {{ messages[0] is mapping }}",
      "False False True True True" },
    { "{% for m in messages %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.revindex0 }};{% endfor %}",
      "1TrueFalse2;2FalseFalse1;3FalseTrue0;" },
    { "{% for m in messages if m.role != 'system' %}{{ loop.index0 }}{{ m.role }} {% else %}none{% endfor %}",
      "0user 1assistant " },
    { "{% for m in [] %}x{% else %}none{% endfor %}",
      "none" },
    { "{% set n = namespace(c=0) %}{% for m in messages %}{% set n.c = n.c + 1 %}{% set q = 5 %}{% endfor"
      " %}{{ n.c }}{{ q is defined }}",
      "3False" },
    { "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif"
      " %}{{ i }}{% endfor %}",
      "0134" },
    { "{% for k, v in {'a': 1, 'b': 'z'}.items() %}{{ k }}={{ v }},{% endfor %}",
      "a=1,b=z," },
    { "{{ messages[1].content.strip() }}|{{ '  x '.lstrip() }}|{{ ' x '.rstrip() }}|{{ ' T '|trim|lower }}|{{"
      " 'e'|upper }}",
      "a b|x | x|t|E" },
    { "{{ 'a,b,c'.split(',')[1] }} {{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('x') }} {{"
      " 'a-b'.replace('-', '+') }}",
      "b True False a+b" },
    { "{{ messages | tojson }}",
      "[{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"content\": \" a b \"},"
      " {\"role\": \"assistant\", \"content\": \"é\", \"n\": 2, \"tags\": [\"x\", \"y\"]}]" },
    { "{{ {'a': [1, 2.5, none, true]} | tojson }}",
      "{\"a\": [1, 2.5, null, true]}" },
    { "{{ messages[2].get('n') }} {{ messages[2].get('q', 'dflt') }} {{ nothing | default('d') }} {{ '' |"
      " default('d', true) }}",
      "2 dflt d d" },
    { "a\n  {% if true %}\n  b\n  {% endif %}\nc",
      "a\n  b\nc" },
    { "a {%- if true -%}  b  {%- endif -%} c",
      "abc" },
    { "x {# note #} y\n{# line #}\nz",
      "x  y\nz" },
    { "{{- ' k ' -}} \n z",
      " k z" },
    { "{% set x %}block {{ 1 }}{% endset %}{{ x }}!",
      "block 1!" },
    { "{% if 0 %}a{% elif '' %}b{% else %}c{% endif %}",
      "c" },
    { "{{ [1, 2] | length }}",
      "2" },
    { "{{ \"it's\" }}",
      "it's" },
    { "{{ 'line\\n\\ttab' }}",
      "line\n\ttab" },
    { "{{ (messages | first).role }} {{ (messages | last).n }}",
      "system 2" },
    { "{{ [3, 1][::-1] | join(',') }}",
      "1,3" },
    { "{{ true }} {{ none }} {{ 1.0 }} {{ [1, 'a'] | length }}",
      "True None 1.0 2" },
    { "{{ '{:.3n} {:n} {:n}'.format(1.5, 2.5, 7) }} {{ '{:{}.{}f}|{:>{w}}'.format(1.25, 7, 1, 'a', w=3) }}",
      "1.5 2.5 7     1.2|  a" },
    { "{{ '{:%} {:.1%}'.format(1e308 * 1e308, 0.5) }} {{ '{:%}'.format(1.7e308) }} {{ ('%.100f' % 1e308) | length }}"
      " {{ ('{:.100%}'.format(1e306)) | length }}",
      "inf% 50.0% inf% 410 411" },
    { "{{ ('%.100d' % 7) | length }} {{ '%.3d' % -7 }} {{ '%.*f' % (-1, 2.5) }}",
      "100 -007 2" },
    { "{{ 5 | round(-400) }} {{ 15 | round(-1) }} {{ 25 | round(-1) }} {{ -26 | round(-1) }}"
      " {{ 9223372036854775807 | round(-18) }} {{ 5000000000000000000 | round(-19) }}",
      "0 20 20 -30 9000000000000000000 0" },
    { "{{ 5.5 | round(-400) }} {{ 5 | round(400, 'ceil') }} {{ 9223372036854775807 | round }}",
      "0.0 5.0 9223372036854775807" },
    { "{{ 'x'.center(-9223372036854775807 - 1) }}{{ 'x'.zfill(-9223372036854775807 - 1) }}"
      "{{ 'x' | truncate(9223372036854775807, leeway=9223372036854775807) }}",
      "xxx" },
    { "{% set t = namespace(t=()) %}{% for i in range(500) %}{% set t.t = (t.t,) %}{% endfor %}"
      "{{ {t.t: 1}[t.t] }}",
      "1" },
};

static const char deep_tuple[] =
    "{% set ns = namespace(t=(), u=()) %}{% for i in range(60000) %}{% set ns.t = (ns.t,) %}"
    "{% set ns.u = (ns.u,) %}{% endfor %}";
/* clang-format on */

static kw_status render(const char *text, char out[4096])
{
    size_t len = 0;
    kw_template_args args = { .template_text = text,
                              .messages_json = messages,
                              .messages_len = sizeof messages - 1 };
    kw_status st = kw_template_render(&args, out, 4095, &len);
    out[st ? 0 : len] = 0;
    return st;
}

TEST(templates_render_as_jinja2_renders_them)
{
    char out[4096];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (render(cases[i].text, out)) fail_msg("%s: %s", cases[i].text, kw_error_message());
        if (strcmp(out, cases[i].want))
            fail_msg("%s:\n  %s\n  not\n  %s", cases[i].text, out, cases[i].want);
    }
}

static const struct {
    const char *text;
    kw_status status;
    const char *part;
} refused[] = {
    { "{{ raise_exception('only this') }}", KW_EINVAL, "only this" },
    { "{{ messages[0].a.b }}", KW_EINVAL, "line 1: 'dict object' has no attribute 'a'" },
    { "a\n\n{{ nothing.b }}", KW_EINVAL, "line 3: 'nothing' is undefined" },
    { "{{ 1 / 0 }}", KW_EINVAL, "division by zero" },
    { "{{ 'a' + 1 }}", KW_EINVAL, "can only concatenate str (not \"int\") to str" },
    { "{{ 1 + 'a' }}", KW_EINVAL, "unsupported operand type(s) for +: 'int' and 'str'" },
    { "{{ [] < 1 }}", KW_EINVAL, "'<' not supported between instances of 'list' and 'int'" },
    { "{{ [].append(1) }}", KW_EINVAL, "access to attribute 'append' of 'list' object is unsafe." },
    { "{% for x in 5 %}{% endfor %}", KW_EINVAL, "'int' object is not iterable" },
    { "{% set a, b = [1] %}", KW_EINVAL, "not enough values to unpack (expected 2, got 1)" },
    { "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", KW_EINVAL, "takes not more than 1 argument" },
    { "{{ messages | tojson(indent=2) | frob }}", KW_EUNSUPPORTED, "No filter named 'frob'." },
    { "{{ 1 is frob }}", KW_EUNSUPPORTED, "No test named 'frob'." },
    { "{% if true %}a", KW_EFORMAT, "endif" },
    { "{% endfor %}", KW_EFORMAT, "endfor" },
    { "{% break %}", KW_EFORMAT, "outside loop" },
    { "{{ 'open }}", KW_EFORMAT, "not closed" },
    { "{{ 1 ", KW_EFORMAT, "not closed" },
    { "{# 1 ", KW_EFORMAT, "not closed" },
    { "{% raw %} ", KW_EFORMAT, "not closed" },
    { "{% frobnicate %}", KW_EFORMAT, "unknown tag 'frobnicate'" },
    { "{% include 'a' %}", KW_EUNSUPPORTED, "include" },
    { "{{ 9223372036854775807 + 1 }}", KW_ELIMIT, "64 bits" },
    { "{{ 2 ** 64 }}", KW_ELIMIT, "64 bits" },
    { "{{ range(100000000) }}", KW_EINVAL, "Range too big" },
    { "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", KW_ELIMIT,
      "steps" },
    { "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", KW_ELIMIT, "nested deeper" },
    { "{% for x in [[]] recursive %}{{ loop([x]) }}{% endfor %}", KW_ELIMIT, "nested deeper" },
    { "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", KW_ELIMIT, "nested deeper" },
    { "{{ 'a' * 10 ** 9 }}", KW_ELIMIT, "MB" },
    { "{{ [1] * 10 ** 12 }}", KW_ELIMIT, "MB" },
    { "{{ 'a' | center(10 ** 9) }}", KW_ELIMIT, "MB" },
    { "{{ '%1000000000d' % 1 }}", KW_ELIMIT, "MB" },
    { "{% set ns = namespace(s='0123456789abcdef') %}{% for i in range(60) %}{% set ns.s = ns.s ~ "
      "ns.s %}{% endfor %}",
      KW_ELIMIT, "MB of values" },
    { "{% for i in range(100000) %}{{ 'a' * 10000 }}{% endfor %}", KW_ELIMIT, "MB" },
    { "{{ 'x' | truncate(9, leeway=-9223372036854775807 - 1) }}", KW_EINVAL,
      "expected leeway >= 0" },
    { "{{ '%n' % 1.5 }}", KW_EINVAL, "unsupported format character 'n'" },
    { "{{ '%.101d' % 1 }}", KW_ELIMIT, "more than 100 digits" },
    { "{{ '%.101f' % 1 }}", KW_ELIMIT, "more than 100 digits" },
    { "{{ '%d' % 1e300 }}", KW_ELIMIT, "64 bits" },
    { "{{ '{:.3d}'.format(1) }}", KW_EINVAL, "Precision not allowed in integer format specifier" },
    { "{{ '{:{:{}}}'.format(1, 2, 3) }}", KW_EINVAL, "Max string recursion exceeded" },
    { "{{ ('{:' * 100000 ~ '}' * 100000).format(1) }}", KW_EINVAL, "Replacement index 1" },
    { "{{ ('{0:' * 100000 ~ '}' * 100000).format(1) }}", KW_EINVAL, "Max string recursion" },
    { "{{ 9223372036854775807 | round(-1) }}", KW_ELIMIT, "64 bits" },
    { "{{ 9223372036854775807 | round(-19) }}", KW_ELIMIT, "64 bits" },
    { "{{ 1.7e308 | round(-308) }}", KW_EINVAL, "rounded value too large" },
    { "{{ 5 | round(-400, 'floor') }}", KW_EINVAL, "division by zero" },
    { "{{ range(2 ** 62, 2 ** 62 + 3) | list }}", KW_ELIMIT, "61 bits" },
};

TEST(what_cannot_be_rendered_says_why_and_ends)
{
    char out[4096];
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        kw_status st = render(refused[i].text, out);
        if (st != refused[i].status || !strstr(kw_error_message(), refused[i].part))
            fail_msg("%s: %d %s", refused[i].text, st, kw_error_message());
    }
}

static char *many(char *to, const char *unit, int times)
{
    for (int i = 0; i < times; i++) to += snprintf(to, 16, "%s", unit);
    return to;
}

TEST(expressions_nested_too_deep_are_refused)
{
    static const struct {
        const char *open, *close;
    } units[] = { { "(", ")" },           { "[", "]" },   { "-", "" },
                  { "not ", "" },         { "{1:", "}" }, { "1 + ", "" },
                  { "1 if 1 else ", "" }, { "a(", ")" },  { "a[", "]" },
                  { "1 if ", " else 2" } };
    enum { DEEP = 100000 };
    char out[4096], *text = kw_malloc(DEEP * 32, KW_PAY_MISC);
    for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
        char *end = many(text, "{{ ", 1);
        end = many(end, units[k].open, DEEP);
        end = many(end, "1", 1);
        end = many(end, units[k].close, DEEP);
        many(end, " }}", 1);
        if (render(text, out) != KW_ELIMIT) fail_msg("%s: %s", units[k].open, kw_error_message());
    }
    kw_free(text);
}

TEST(values_nested_too_deep_are_refused)
{
    static const char *const uses[] = { "{% set d = {ns.t: 1} %}",
                                        "{{ {}[ns.t] }}",
                                        "{{ {}.get(ns.t) }}",
                                        "{{ ns.t == ns.u }}",
                                        "{{ ns.t < ns.u }}",
                                        "{{ [ns.t, ns.u] | sort }}",
                                        "{{ [ns.t, ns.u] | max }}",
                                        "{{ ns.t in [ns.u] }}",
                                        "{{ [ns.t, ns.u] | unique | list }}",
                                        "{{ ns.t }}",
                                        "{{ ns.t | tojson }}",
                                        "{{ '%s' % (ns.t,) }}",
                                        "{{ '%r' % (ns.t,) }}" };
    char out[4096], text[512];
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        snprintf(text, sizeof text, "%s%s", deep_tuple, uses[i]);
        kw_status st = render(text, out);
        if (st != KW_ELIMIT || !strstr(kw_error_message(), "nested deeper than"))
            fail_msg("%s: %d %s", uses[i], st, kw_error_message());
    }
}

TEST(an_if_may_have_many_branches)
{
    enum { MANY = 200000 };
    char out[4096], *text = kw_malloc(MANY * 16, KW_PAY_MISC);
    char *end = many(text, "{% if 0 %}", 1);
    end = many(end, "{% elif 0 %}", MANY);
    end = many(end, "{% else %}x", 1);
    many(end, "{% endif %}", 1);
    if (render(text, out)) fail_msg("%s", kw_error_message());
    assert_string_equal(out, "x");
    kw_free(text);
}

/* Each would walk a long string a hundred thousand times. */
TEST(strings_are_charged_by_their_length)
{
    static const char *const uses[] = { "s.isascii()",      "s.isdigit()",
                                        "s.partition('b')", "s.split('b')",
                                        "s.startswith(u)",  "s.endswith((u, u))",
                                        "s == t",           "s < t",
                                        "s in [t]",         "s is eq(t)",
                                        "s | int",          "s | length",
                                        "s.count('b')",     "s.replace('b', '')",
                                        "'a'.strip(s)",     "'ab' | truncate(2000000, end=s)" };
    char out[4096], text[512];
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        snprintf(text, sizeof text,
                 "{%% set s, t, u, w = 'a' * 1000000, 'a' * 1000000, 'a' * 999999, ' ' * 1000000 "
                 "%%}{%% for i in range(100000) %%}{%% if %s %%}{%% endif %%}{%% endfor %%}",
                 uses[i]);
        kw_status st = render(text, out);
        if (st != KW_ELIMIT) fail_msg("%s: %d %s", uses[i], st, kw_error_message());
    }
}

/* None may take long: their limits are found in a second or two, or there is nothing to limit. */
TEST(hostile_strings_take_linear_time)
{
    static const struct {
        const char *text, *want;
    } hostile[] = {
        { "{{ ('a' * 1000000).count('a' * 500000 ~ 'b') }}", "0" },
        { "{{ ('a' * 1000000).split('a' * 500000 ~ 'b') | length }}", "1" },
        { "{{ ('a' * 1000000).rsplit('b' ~ 'a' * 500000) | length }}", "1" },
        { "{{ ('a' * 1000000).rfind('a' * 500000) }}", "500000" },
        { "{{ 'a' * 500000 ~ 'b' in 'a' * 1000000 }}", "False" },
        { "{{ ('x' ~ 'a' * 40 ~ 'y' ~ 'a' * 40).rfind('a' * 40) }}", "42" },
        { "{{ ('x' ~ 'a' * 40 ~ 'y' ~ 'a' * 40).find('y' ~ 'a' * 40) }}", "41" },
        { "{% set ns = namespace(s='') %}{% for i in range(100000) %}{% set ns.s = ns.s ~ 'abcde' "
          "%}{% endfor %}"
          "{{ ns.s | length }}",
          "500000" },
    };
    char out[4096];
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        if (render(hostile[i].text, out)) fail_msg("%s: %s", hostile[i].text, kw_error_message());
        assert_string_equal(out, hostile[i].want);
    }
}

TEST(blocks_nested_too_deep_are_refused)
{
    char out[4096], *text = kw_malloc(20 * 10000, KW_PAY_MISC);
    size_t n = 0;
    for (int i = 0; i < 10000; i++) n += (size_t)snprintf(text + n, 20, "{%% if 1 %%}");
    assert_int_equal(render(text, out), KW_ELIMIT);
    assert_non_null(strstr(kw_error_message(), "nested deeper than"));
    kw_free(text);
}

TEST(messages_that_are_no_list_are_refused)
{
    char out[64];
    size_t len;
    kw_template_args args = { .messages_json = "{\"a\": 1}", .messages_len = 8 };
    assert_int_equal(kw_template_render(&args, out, sizeof out, &len), KW_EFORMAT);
    args.messages_json = "[1";
    args.messages_len = 2;
    assert_int_equal(kw_template_render(&args, out, sizeof out, &len), KW_EFORMAT);
}
