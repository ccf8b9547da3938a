/* treemap.c - a picture of where a model's bytes are: a rectangle for each tensor, as large as it is, coloured by its type.
 *
 * Squarified (Bruls, Huizing, van Wijk 2000): tensors in order of size are laid in rows along the shorter side of what is left;
 * a row takes one more as long as that makes its rectangles squarer. */
#include "cli/cli.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WIDTH = 1280, HEIGHT = 800, LEGEND = 44, MARGIN = 8, MAX_TYPES = 12 };
enum { LETTER = 7, LINE = 14 }; /* of a label, in pixels */

typedef struct item {
    kw_tensor_info t;
    double area;
} item;

typedef struct box {
    double x, y, w, h;
} box;

typedef struct picture {
    FILE *f;
    const char *types[MAX_TYPES];
    uint64_t bytes[MAX_TYPES];
    int n_types;
} picture;

static const char *const colours[MAX_TYPES] = { "#4e79a7", "#c8640a", "#59a14f", "#b07aa1",
                                                "#e15759", "#2f8580", "#9c755f", "#a07810",
                                                "#c4556b", "#3f7f78", "#3e8a3e", "#79706e" };

static void put_text(FILE *f, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '<') fputs("&lt;", f);
        else if (c == '&') fputs("&amp;", f);
        else fputc(c < 0x20 || c > 0x7e ? '?' : c, f);
    }
}

static int type_of(picture *p, const kw_tensor_info *t)
{
    int i = 0;
    while (i < p->n_types && strcmp(p->types[i], t->dtype)) i++;
    if (i == MAX_TYPES) i--;
    if (i == p->n_types) p->types[p->n_types++] = t->dtype;
    p->bytes[i] += t->bytes;
    return i;
}

/* As much of the end of a name as there is room for. */
static void put_line(FILE *f, const box *b, int line, const char *text, int n, int room)
{
    int from = n > room ? n - room : 0;
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\">", b->x + 4, b->y + LINE * line);
    put_text(f, text + from, (size_t)(n - from));
    fprintf(f, "</text>\n");
}

/* On one line, or its last part below the others: "blk.7" and "ffn_gate". */
static void put_label(const picture *p, const kw_tensor_info *t, const box *b)
{
    int room = ((int)b->w - 6) / LETTER, n = (int)t->name_len, lines = ((int)b->h - 4) / LINE;
    if (n > 7 && !memcmp(t->name + n - 7, ".weight", 7)) n -= 7;
    if (room < 5 || lines < 1) return;
    int dot = n, line = 1;
    while (dot > 0 && t->name[dot - 1] != '.') dot--;
    bool is_split = n > room && dot > 1 && lines > 1;
    if (is_split) put_line(p->f, b, line++, t->name, dot - 1, room);
    put_line(p->f, b, line++, t->name + (is_split ? dot : 0), is_split ? n - dot : n, room);
    char size[32];
    int len = snprintf(size, sizeof size, "%.1f MB", (double)t->bytes / 1e6);
    if (line <= lines && len <= room) put_line(p->f, b, line, size, len, room);
}

static void put_box(picture *p, const item *it, const box *b)
{
    const kw_tensor_info *t = &it->t;
    fprintf(p->f, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"><title>",
            b->x, b->y, b->w, b->h, colours[type_of(p, t)]);
    put_text(p->f, t->name, t->name_len);
    fprintf(p->f, " %s [", t->dtype);
    for (int i = 0; i < t->rank; i++) fprintf(p->f, "%s%lld", i ? "," : "", (long long)t->shape[i]);
    fprintf(p->f, "] %llu bytes</title></rect>\n", (unsigned long long)t->bytes);
    put_label(p, t, b);
}

/* ---- squarified ---- */

/* The worst ratio of sides in a row of these areas along a side of this length. */
static double worst(const item *row, size_t n, double side)
{
    double sum = 0, most = 0;
    for (size_t i = 0; i < n; i++) sum += row[i].area;
    for (size_t i = 0; i < n; i++) {
        double a = side * side * row[i].area / (sum * sum), r = a > 1 ? a : 1 / a;
        most = r > most ? r : most;
    }
    return most;
}

/* Lays a row along the shorter side and cuts it off what is left. */
static void lay_row(picture *p, const item *row, size_t n, box *left)
{
    bool is_tall = left->w >= left->h; /* the row is a column at the left */
    double sum = 0, side = is_tall ? left->h : left->w, at = 0;
    for (size_t i = 0; i < n; i++) sum += row[i].area;
    double thick = sum / side;
    for (size_t i = 0; i < n; i++) {
        double length = row[i].area / thick;
        box b = is_tall ? (box){ left->x, left->y + at, thick, length }
                        : (box){ left->x + at, left->y, length, thick };
        put_box(p, &row[i], &b);
        at += length;
    }
    if (is_tall) *left = (box){ left->x + thick, left->y, left->w - thick, left->h };
    else *left = (box){ left->x, left->y + thick, left->w, left->h - thick };
}

static void lay_out(picture *p, const item *items, size_t n, box left)
{
    for (size_t from = 0; from < n;) {
        double side = left.w < left.h ? left.w : left.h;
        size_t k = 1;
        if (side <= 0) return;
        while (from + k < n && worst(items + from, k + 1, side) <= worst(items + from, k, side))
            k++;
        lay_row(p, items + from, k, &left);
        from += k;
    }
}

/* ---- the file ---- */

static int by_area(const void *a_, const void *b_)
{
    const item *a = a_, *b = b_;
    return (a->area < b->area) - (a->area > b->area);
}

static void draw(picture *p, const kw_model *m, item *items, size_t n, double bytes)
{
    kw_model_info info = kw_model_describe(m);
    box all = { MARGIN, MARGIN, WIDTH - 2 * MARGIN, HEIGHT - LEGEND - MARGIN };
    for (size_t i = 0; i < n; i++) items[i].area *= all.w * all.h / bytes;
    fprintf(p->f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
            "font-family=\"DejaVu Sans Mono,monospace\" font-size=\"11\" fill=\"#fff\">\n<rect "
            "width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n<g stroke=\"#fff\" "
            "stroke-width=\".7\" paint-order=\"fill\">\n<style>text{stroke:none}</style>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    lay_out(p, items, n, all);
    fprintf(p->f, "</g>\n<g fill=\"#222\" font-size=\"13\">\n");
    double x = MARGIN;
    for (int i = 0; i < p->n_types; i++, x += 170)
        fprintf(
            p->f,
            "<rect x=\"%.0f\" y=\"%d\" width=\"14\" height=\"14\" fill=\"%s\"/><text x=\"%.0f\" "
            "y=\"%d\">%s %.1f MB</text>\n",
            x, HEIGHT - 34, colours[i], x + 20, HEIGHT - 22, p->types[i],
            (double)p->bytes[i] / 1e6);
    fprintf(p->f, "<text x=\"%d\" y=\"%d\">", MARGIN, HEIGHT - 5);
    put_text(p->f, info.name, strlen(info.name));
    fprintf(p->f, ", %s, %zu tensor%s, %.1f MB</text>\n</g>\n</svg>\n", info.format, info.n_tensors,
            cli_s(info.n_tensors), bytes / 1e6);
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* What is there may be replaced when it is a picture too: a model's file would be lost. */
static bool is_free(const char *path)
{
    char head[5] = "";
    FILE *f = is_file(path) ? fopen(path, "r") : NULL;
    bool is_free = !f || fread(head, 1, 4, f) == 0 || !strcmp(head, "<svg");
    if (f) fclose(f);
    return is_free;
}

int treemap_write(const kw_model *m, const char *path)
{
    if (!is_free(path))
        return out_fail(EXIT_USAGE, "%s is there and is no SVG file\ntry: another name", path);
    size_t n_all = kw_model_describe(m).n_tensors, n = 0;
    item *items = calloc(n_all + 1, sizeof *items);
    picture p = { .f = items ? fopen(path, "w") : NULL };
    double bytes = 0;
    if (!p.f) {
        free(items);
        return out_fail(EXIT_CANNOT_WRITE, "cannot write %s\nwhy: %s", path, strerror(errno));
    }
    for (size_t i = 0; i < n_all; i++) {
        if (!kw_model_tensor(m, i, &items[n].t) || !items[n].t.bytes) continue;
        items[n].area = (double)items[n].t.bytes;
        bytes += items[n++].area;
    }
    qsort(items, n, sizeof *items, by_area);
    draw(&p, m, items, n, bytes > 0 ? bytes : 1);
    free(items);
    bool ok = !ferror(p.f);
    if (!fclose(p.f) && ok) return EXIT_OK;
    int code = out_fail(EXIT_CANNOT_WRITE, "cannot write %s\nwhy: %s", path, strerror(errno));
    struct stat info;
    if (!lstat(path, &info) && S_ISREG(info.st_mode)) remove(path); /* half a picture, no link */
    return code;
}
