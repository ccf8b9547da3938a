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
};
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
    { "{{ messages[0].a.b }}", KW_EINVAL, "undefined" },
    { "{{ 1 / 0 }}", KW_EINVAL, "division by zero" },
    { "{{ 'a' + 1 }}", KW_EINVAL, "a string and an integer" },
    { "{% for x in 5 %}{% endfor %}", KW_EINVAL, "looped" },
    { "{% if true %}a", KW_EFORMAT, "endif" },
    { "{% endfor %}", KW_EFORMAT, "endfor" },
    { "{{ 'open }}", KW_EFORMAT, "not closed" },
    { "{{ 1 ", KW_EFORMAT, "not closed" },
    { "{% frobnicate %}", KW_EUNSUPPORTED, "frobnicate" },
    { "{{ 1 | frob }}", KW_EUNSUPPORTED, "frob" },
    { "{{ ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1", KW_EFORMAT, "" },
    { "{% for i in range(100000000) %}{% endfor %}", KW_ELIMIT, "more than" },
    { "{% set ns = namespace(s='0123456789abcdef') %}{% for i in range(60) %}{% set ns.s = ns.s ~ "
      "ns.s %}{% endfor %}",
      KW_ELIMIT, "MB of values" },
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

TEST(expressions_nested_too_deep_are_refused)
{
    char text[4096], out[4096];
    int n = snprintf(text, sizeof text, "{{ ");
    for (int i = 0; i < 1000; i++) text[n++] = '(';
    text[n++] = '1';
    for (int i = 0; i < 1000; i++) text[n++] = ')';
    snprintf(text + n, sizeof text - (size_t)n, " }}");
    assert_int_equal(render(text, out), KW_ELIMIT);
    assert_non_null(strstr(kw_error_message(), "deeper than 64"));
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
