/* cmd_pack.c - kwaai pack: makes the packed weights of a model ahead of its first use, and clears out those that nobody uses. */
#include "cli/cli.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int pack_model(cli *c)
{
    double start = cli_now_ms();
    c->model.pack = "file";
    int code = cli_open_model(c);
    if (code) return code;
    double seconds = (cli_now_ms() - start) / 1e3;
    kw_model_info m = kw_model_describe(c->open_model);
    if (c->json) {
        printf("{\"path\":");
        out_json_string(m.pack_path, strlen(m.pack_path));
        printf(",\"bytes\":%llu,\"seconds\":%.3f}\n", (unsigned long long)m.pack_bytes, seconds);
    } else if (m.pack_path[0]) {
        printf("%s\n%.1f MB, %.2f s\n", m.pack_path, (double)m.pack_bytes / 1e6, seconds);
    } else {
        printf("nothing to pack: the kernels in use take these weights as they are\n");
    }
    return EXIT_OK;
}

/* ---- --prune ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

/* Half a pack, whose writer is gone: the lock is free. */
static bool is_abandoned(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool is_free = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0) close(fd);
    return is_free;
}

/* Would the model that this pack was made of still ask for it? */
static bool is_wanted(cli *c, const char *path, const kw_pack_info *info)
{
    kw_model *m = NULL;
    char now[4096] = "";
    if (!info->is_current || !info->source[0] || access(info->source, R_OK)) return false;
    c->model.pack = "off";
    bool known = kw_model_load(c->open_engine, info->source, &c->model, &m) == KW_OK &&
                 kw_model_pack_path(m, c->model.pack_dir, now, sizeof now) == KW_OK;
    kw_model_release(m);
    return known && (!now[0] || !strcmp(now, path));
}

static bool must_go(cli *c, const char *path)
{
    kw_pack_info info;
    if (ends_with(path, ".pack.tmp")) return is_abandoned(path);
    if (!ends_with(path, ".pack")) return false;
    kw_status st = kw_pack_describe(path, &info);
    return st == KW_EFORMAT || (st == KW_OK && !is_wanted(c, path, &info));
}

static int prune(cli *c)
{
    char path[4096];
    int removed = 0, kept = 0, code = cli_use_packs(c);
    if (!code) code = cli_open_engine(c);
    if (code) return code;
    DIR *folder = opendir(c->model.pack_dir);
    for (struct dirent *e; folder && (e = readdir(folder));) {
        snprintf(path, sizeof path, "%s/%s", c->model.pack_dir, e->d_name);
        if (!ends_with(path, ".pack") && !ends_with(path, ".pack.tmp")) continue;
        bool gone = must_go(c, path) && unlink(path) == 0;
        removed += gone;
        kept += !gone;
        if (gone && !c->json) printf("removed %s\n", path);
    }
    if (folder) closedir(folder);
    if (c->json) printf("{\"removed\":%d,\"kept\":%d}\n", removed, kept);
    else printf("%d removed, %d kept in %s\n", removed, kept, c->model.pack_dir);
    return EXIT_OK;
}

int cmd_pack(cli *c) { return c->prune ? prune(c) : pack_model(c); }
