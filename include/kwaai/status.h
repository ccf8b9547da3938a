/* status.h - how every function of Kwaai says what happened.
 *
 * A function that can fail returns a kw_status; the reason, with the values in it, is kept for the
 * calling thread and read with kw_error_message(). Zero is success, positive values are progress,
 * negative values are failures.
 *
 * Thread word: the message is thread-local; it stays valid until this thread's next failure. */
#ifndef KWAAI_STATUS_H
#define KWAAI_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KW_API __attribute__((visibility("default")))
#else
#define KW_API
#endif

typedef enum kw_status {
    KW_OK = 0,
    KW_PENDING = 1,       /* waiting for something outside: poll again, or answer the request */
    KW_DONE = 2,          /* nothing more will come: the end of a text, of a stream */
    KW_ENOMEM = -1,       /* an allocation failed or a memory limit was reached */
    KW_EINVAL = -2,       /* the caller's argument is wrong */
    KW_EFORMAT = -3,      /* a file or message is malformed */
    KW_ESHAPE = -4,       /* tensors do not fit each other */
    KW_EUNSUPPORTED = -5, /* well-formed, but this build cannot do it */
    KW_EIO = -6,          /* the operating system said no */
    KW_ENET = -7,         /* a peer or server could not be reached */
    KW_ETIMEOUT = -8,
    KW_EVERIFY = -9, /* a hash or signature does not match */
    KW_ELIMIT = -10, /* a stated limit (context, size, depth) would be exceeded */
    KW_ECANCELED = -11,
    KW_ENOTFOUND = -12, /* no such file, model, tensor or name */
    KW_EWRITE = -13,    /* a file could not be written */
} kw_status;

/* The last failure of this thread as one or more lines: what went wrong, then, where known,
 * "why: ..." and "try: ..." lines. Never NULL; "" when nothing failed yet. */
KW_API const char *kw_error_message(void);

/* A short constant name: "ok", "out of memory", "malformed file"... */
KW_API const char *kw_status_name(kw_status st);

#ifdef __cplusplus
}
#endif
#endif
