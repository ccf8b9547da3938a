"""report.py - a table for people, JSON for programs, and a picture of decoding against the floor that memory sets."""
import html


def number(x):
    return "%.0f" % x if abs(x) >= 100 else "%.3g" % x if abs(x) < 10 else "%.1f" % x


def spread(s):
    return "%s (%s..%s)" % tuple(number(s[k]) for k in ("median", "min", "max")) if s else ""


def verdict(line):
    return {True: "yes", False: "**no**", None: "not measured"}[line["holds"]]


def ratio_text(line):
    if line["ratio"] is None:
        return ""
    if line["bar"].startswith("within"):
        return "%+.3f %%" % (100 * (line["ratio"]["median"] - 1))
    return "%.2fx (%.2f..%.2f)" % tuple(line["ratio"][k] for k in ("median", "min", "max"))


def markdown(lines, about):
    out = ["# Against peers", ""]
    out += ["- %s: %s" % (k, v) for k, v in about.items()]
    out += ["", "Medians (least..most) of rounds in which every program ran once after the other; the ratio is taken round by round. For limits it is the share of the limit. What other work took of the machine meanwhile is in the notes.",
            "", "| row | what | bar | ours | best peer | ratio | share of bandwidth | holds | note |", "|---|---|---|---|---|---|---|---|---|"]
    for x in lines:
        peer = "%s %s" % (x["peer"]["name"], spread(x["peer"])) if x["peer"] else ""
        share = "%.0f %%" % (100 * x["share"]) if x.get("share") else ""
        if x.get("aim") and x.get("share"):
            share += " (aim %.0f %%)" % (100 * x["aim"])
        others = x.get("others")
        crowd = "other work took %.1f cores (up to %.1f)" % (others["median"], others["max"]) if others and others["max"] > 0.1 else ""
        note = "; ".join(filter(None, [x["note"], crowd] + ["%s %s" % (n, spread(s)) for n, s in x.get("info", {}).items()]))
        out.append("| %s | %s | %s | %s | %s | %s | %s | %s | %s |" % (
            x["name"], x["what"], x["bar"], (spread(x["ours"]) + " " + x["unit"]).strip() if x["ours"] else "", peer, ratio_text(x), share, verdict(x), note))
    held = [x["holds"] for x in lines]
    out += ["", "%d hold, %d do not, %d were not measured." % (held.count(True), held.count(False), held.count(None)), ""]
    return "\n".join(out)


# ---- the picture ----

WIDTH, LEFT, BAR, GAP = 860, 150, 15, 14
COLOURS = ("#1f6f8b", "#b9773a", "#8a8a8a", "#6c8f4e", "#9b5f8f")


def plot(groups, bandwidth):
    """groups: [(name, floor tokens a second, [(engine, median)])]. One bar an engine, as a share of what reading every weight once
    a token allows; the line at 100 % is that floor."""
    engines = list(dict.fromkeys(name for _, _, bars in groups for name, _ in bars))
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(engines)}
    scale = (WIDTH - LEFT - 130) / max([1.1] + [v / floor for _, floor, bars in groups for _, v in bars])
    body, y = [], 70
    for name, floor, bars in groups:
        body.append(words(LEFT - 10, y + BAR * len(bars) / 2 + 4, name, "end"))
        for engine, v in bars:
            w = v / floor * scale
            body.append('<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>' % (LEFT, y, w, BAR - 2, colour[engine]))
            body.append(words(LEFT + w + 5, y + BAR - 4, "%s tok/s, %.0f %%" % (number(v), 100 * v / floor), size=11))
            y += BAR
        y += GAP
    x = LEFT + scale
    head = [words(LEFT, 22, "Decoding, as a share of what %.1f GB/s of read bandwidth allow" % bandwidth, size=15),
            '<line x1="%.1f" y1="60" x2="%.1f" y2="%d" stroke="#c03030" stroke-dasharray="4 3"/>' % (x, x, y),
            words(x, 56, "100 %", "middle", 11)]
    for i, name in enumerate(engines):
        head.append('<rect x="%d" y="34" width="11" height="11" fill="%s"/>' % (LEFT + 140 * i, colour[name]))
        head.append(words(LEFT + 140 * i + 16, 44, name, size=12))
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif">\n<rect width="100%%" height="100%%" fill="white"/>\n%s\n</svg>\n'
            % (WIDTH, y + 10, "\n".join(head + body)))


def words(x, y, text, anchor="start", size=13):
    return '<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s">%s</text>' % (x, y, size, anchor, html.escape(text))
