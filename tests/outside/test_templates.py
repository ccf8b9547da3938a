"""Chat templates against what transformers rendered, errors included."""
import json, os, tempfile
from harness import *

BUILTIN = ["chatml", "llama2", "llama3", "zephyr", "mistral-v1"]


def check(name, by_name):
    golden = json.load(open(local("golden/chat-templates/golden.json")))
    template, n = golden["templates"][name], 0
    with tempfile.TemporaryDirectory() as d:
        config, messages = os.path.join(d, "tokenizer_config.json"), os.path.join(d, "messages.json")
        json.dump({"chat_template": template["template"], "bos_token": template["bos_token"],
                   "eos_token": template["eos_token"]}, open(config, "w"))
        for r in golden["rendered"]:
            if r["template"] != name: continue
            json.dump(golden["conversations"][r["conversation"]], open(messages, "w"))
            code, out, err = run("template", config, messages, *(["--chat-template", name] if by_name else []))
            if "text" in r: assert (code, out.decode()) == (0, r["text"]), (r["conversation"], out, err, r["text"])
            else: assert code == 65 and r["error"] in err.decode(), (r["conversation"], code, err)
            n += 1
    return "%d conversations" % n


def test_every_template_renders_as_transformers_renders_it():
    names = json.load(open(local("golden/chat-templates/golden.json")))["templates"]
    return ", ".join("%s %s" % (name, check(name, False)) for name in names)


def test_builtin_names_render_the_same():
    return ", ".join(check(name, True) for name in BUILTIN)


if __name__ == "__main__": main(globals())
