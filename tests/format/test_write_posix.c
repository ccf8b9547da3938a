/* test_write_posix.c - what the writers of GGUF and safetensors write is read back as it was, whole or split; what fails leaves
 * nothing behind. */
#include "format/format.h"
#include "test.h"
#include <stdio.h>

enum { N = 4 };

typedef struct sample {
    kw_named_tensor tensors[N];
    unsigned char data[N][512];
} sample;

static const char *const names[N] = { "a.weight", "b", "c.q8", "scalar" };

static void make(sample *s)
{
    const kw_tensor shapes[N] = {
        { .dtype = KW_F32, .rank = 2, .shape = { 3, 5, 1, 1 } },
        { .dtype = KW_BF16, .rank = 1, .shape = { 7, 1, 1, 1 } },
        { .dtype = KW_F16, .rank = 3, .shape = { 2, 2, 32, 1 } },
        { .dtype = KW_F32, .rank = 1, .shape = { 1, 1, 1, 1 } },
    };
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < 512; j++) s->data[i][j] = (unsigned char)(i * 31 + j);
        s->tensors[i] = (kw_named_tensor){ kw_str_of(names[i]), shapes[i] };
    }
}

static size_t bytes_of(const kw_tensor *t)
{
    return (size_t)kw_tensor_rows(t) * kw_tensor_row_bytes(t);
}

/* All tensors in pieces of `step` bytes. */
static kw_status append_all(kw_tensor_writer *w, const sample *s, size_t step)
{
    for (int i = 0; i < N; i++)
        for (size_t at = 0, n, all = bytes_of(&s->tensors[i].tensor); at < all; at += n) {
            n = all - at < step ? all - at : step;
            kw_status st = kw_tensors_append(w, s->data[i] + at, n);
            if (st) return st;
        }
    return KW_OK;
}

static void compare(const char *path, const sample *s, int first, int n)
{
    kw_checkpoint *ck = NULL;
    assert_int_equal(kw_checkpoint_open(path, (kw_file_options){ 0 }, &ck), KW_OK);
    assert_int_equal(kw_checkpoint_count(ck), n);
    for (int i = first; i < first + n; i++) {
        const kw_named_tensor *t = kw_checkpoint_find(ck, names[i]);
        assert_non_null(t);
        assert_int_equal(t->tensor.dtype, s->tensors[i].tensor.dtype);
        assert_int_equal(t->tensor.rank, s->tensors[i].tensor.rank);
        assert_memory_equal(t->tensor.shape, s->tensors[i].tensor.shape, sizeof t->tensor.shape);
        assert_memory_equal(t->tensor.data, s->data[i], bytes_of(&t->tensor));
    }
    kw_checkpoint_close(ck);
}

static void put_keys(kw_gguf_keys *k)
{
    kw_gguf_put_string(k, "general.architecture", KW_STR("llama"));
    kw_gguf_put_int(k, "u8", KW_GGUF_U8, 200);
    kw_gguf_put_int(k, "i16", KW_GGUF_I16, -300);
    kw_gguf_put_int(k, "u64", KW_GGUF_U64, INT64_MAX);
    kw_gguf_put_int(k, "flag", KW_GGUF_BOOL, 1);
    kw_gguf_put_float(k, "f32", KW_GGUF_F32, 0.1);
    kw_gguf_put_float(k, "f64", KW_GGUF_F64, 0.1);
    kw_gguf_begin_array(k, "words", KW_GGUF_STRING, 2);
    kw_gguf_item_string(k, KW_STR(""));
    kw_gguf_item_string(k, KW_STR("two"));
    kw_gguf_begin_array(k, "scores", KW_GGUF_F32, 2);
    kw_gguf_item_float(k, KW_GGUF_F32, -1.5);
    kw_gguf_item_float(k, KW_GGUF_F32, 2);
}

static void check_keys(const kw_checkpoint *ck)
{
    kw_meta_walk words = kw_meta_items(kw_checkpoint_meta(ck, "words")),
                 scores = kw_meta_items(kw_checkpoint_meta(ck, "scores"));
    kw_str word;
    double score;
    assert_int_equal(kw_checkpoint_meta(ck, "u8")->integer, 200);
    assert_int_equal(kw_checkpoint_meta(ck, "i16")->integer, -300);
    assert_true(kw_checkpoint_meta(ck, "u64")->integer == INT64_MAX);
    assert_int_equal(kw_checkpoint_meta(ck, "flag")->integer, 1);
    assert_true(kw_checkpoint_meta(ck, "f32")->number == (double)0.1f);
    assert_true(kw_checkpoint_meta(ck, "f64")->number == 0.1);
    assert_true(kw_meta_next_string(&words, &word) && word.n == 0);
    assert_true(kw_meta_next_string(&words, &word) && kw_str_is(word, "two"));
    assert_true(kw_meta_next_number(&scores, &score, NULL) && score == -1.5);
    assert_true(kw_meta_next_number(&scores, &score, NULL) && score == 2);
}

static bool exists(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f;
}

TEST(a_gguf_is_read_as_it_was_written_whatever_the_pieces)
{
    sample s;
    make(&s);
    char path[4096];
    snprintf(path, sizeof path, "%s", test_tmp("w.gguf"));
    for (size_t step = 1; step < 600; step = step * 3 + 1) {
        kw_gguf_keys k = KW_GGUF_KEYS;
        kw_tensor_writer *w = NULL;
        put_keys(&k);
        assert_int_equal(kw_gguf_create(path, &k, s.tensors, N, 0, &w), KW_OK);
        assert_int_equal(append_all(w, &s, step), KW_OK);
        assert_int_equal(kw_tensors_commit(w), KW_OK);
        kw_gguf_keys_free(&k);
        compare(path, &s, 0, N);
    }
}

TEST(keys_are_copied_from_file_to_file)
{
    sample s;
    make(&s);
    char path[2][4096];
    static const char *const except[] = { "f64", NULL };
    kw_gguf_keys k = KW_GGUF_KEYS, copy = KW_GGUF_KEYS;
    kw_tensor_writer *w = NULL;
    kw_checkpoint *ck = NULL;
    snprintf(path[0], sizeof path[0], "%s", test_tmp("a.gguf"));
    snprintf(path[1], sizeof path[1], "%s", test_tmp("b.gguf"));
    put_keys(&k);
    kw_gguf_put_int(&k, "general.alignment", KW_GGUF_U32, 32);
    assert_int_equal(kw_gguf_create(path[0], &k, NULL, 0, 0, &w), KW_OK);
    assert_int_equal(kw_tensors_commit(w), KW_OK);
    assert_int_equal(kw_checkpoint_open(path[0], (kw_file_options){ 0 }, &ck), KW_OK);
    check_keys(ck);
    kw_gguf_copy_keys(&copy, ck, except);
    kw_gguf_put_float(&copy, "f64", KW_GGUF_F64, 0.1);
    kw_checkpoint_close(ck);
    assert_int_equal(kw_gguf_create(path[1], &copy, NULL, 0, 0, &w), KW_OK);
    assert_int_equal(kw_tensors_commit(w), KW_OK);
    assert_int_equal(kw_checkpoint_open(path[1], (kw_file_options){ 0 }, &ck), KW_OK);
    check_keys(ck);
    assert_null(kw_checkpoint_meta(ck, "general.alignment"));
    kw_checkpoint_close(ck);
    kw_gguf_keys_free(&k);
    kw_gguf_keys_free(&copy);
}

TEST(safetensors_are_read_as_they_were_written_whole_and_split)
{
    sample s;
    make(&s);
    char path[4096], index[4200];
    kw_tensor_writer *w = NULL;
    snprintf(path, sizeof path, "%s", test_tmp("m.safetensors"));
    snprintf(index, sizeof index, "%s.index.json", path);
    assert_int_equal(kw_safetensors_create(path, s.tensors, N, 0, &w), KW_OK);
    assert_int_equal(append_all(w, &s, 100), KW_OK);
    assert_int_equal(kw_tensors_commit(w), KW_OK);
    compare(path, &s, 0, N);
    assert_false(exists(index));
    assert_int_equal(kw_safetensors_create(path, s.tensors, N, 80, &w), KW_OK);
    assert_int_equal(append_all(w, &s, 100), KW_OK);
    assert_int_equal(kw_tensors_commit(w), KW_OK);
    compare(index, &s, 0, N);
}

TEST(a_split_gguf_has_its_names_and_numbers)
{
    sample s;
    make(&s);
    char path[4096], part[4096];
    kw_gguf_keys k = KW_GGUF_KEYS;
    kw_tensor_writer *w = NULL;
    snprintf(path, sizeof path, "%s", test_tmp("big.gguf"));
    put_keys(&k);
    assert_int_equal(kw_gguf_create(path, &k, s.tensors, N, 80, &w), KW_OK);
    assert_int_equal(append_all(w, &s, 7), KW_OK);
    assert_int_equal(kw_tensors_commit(w), KW_OK);
    kw_gguf_keys_free(&k);
    assert_false(exists(path));
    for (int i = 1; i <= 3; i++) {
        char head[8] = "";
        snprintf(part, sizeof part, "%.*s-%05d-of-00003.gguf", (int)strlen(path) - 5, path, i);
        FILE *f = fopen(part, "rb");
        assert_non_null(f);
        assert_int_equal(fread(head, 1, 8, f), 8);
        fclose(f);
        assert_memory_equal(head, "GGUF\3\0\0\0", 8);
    }
}

TEST(what_is_not_committed_leaves_nothing)
{
    sample s;
    make(&s);
    char path[4096], temporary[4100];
    kw_gguf_keys k = KW_GGUF_KEYS;
    kw_tensor_writer *w = NULL, *other = NULL;
    snprintf(path, sizeof path, "%s", test_tmp("gone.gguf"));
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    assert_int_equal(kw_gguf_create(path, &k, s.tensors, N, 0, &w), KW_OK);
    assert_true(exists(temporary));
    assert_int_equal(kw_gguf_create(path, &k, s.tensors, N, 0, &other), KW_EWRITE);
    assert_int_equal(kw_tensors_append(w, s.data[0], 512), KW_EINVAL); /* larger than the tensor */
    assert_int_equal(kw_tensors_commit(w), KW_EINVAL);                 /* bytes are missing */
    assert_false(exists(path));
    assert_false(exists(temporary));
    s.tensors[0].tensor.dtype = KW_BOOL;
    assert_int_equal(kw_gguf_create(path, &k, s.tensors, N, 0, &w), KW_EINVAL);
    kw_tensors_abort(NULL);
}
