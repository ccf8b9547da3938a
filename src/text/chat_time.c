/* chat_time.c - strftime_now: the time of the rendering as text, in UTC and English.
 *
 * The library asks neither the environment nor the system for a time zone, so that a prompt depends on nothing that is
 * not given to it but the clock. */
#include "text/chat.h"
#include <string.h>

typedef struct moment {
    int64_t year, days; /* days since 1970 */
    int month, day, hour, minute, second, weekday, yearday;
} moment;

/* The civil date of a day count: eras of 400 years that begin in March. */
static moment moment_of(int64_t s)
{
    int64_t days = s / 86400, left = s % 86400;
    if (left < 0) left += 86400, days--;
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    moment m = { .days = days,
                 .day = (int)(doy - (153 * mp + 2) / 5 + 1),
                 .month = (int)(mp < 10 ? mp + 3 : mp - 9) };
    m.year = yoe + era * 400 + (m.month <= 2);
    m.hour = (int)(left / 3600);
    m.minute = (int)(left / 60 % 60);
    m.second = (int)(left % 60);
    m.weekday = (int)(((days + 4) % 7 + 7) % 7);
    bool leap = (m.year % 4 == 0 && m.year % 100 != 0) || m.year % 400 == 0;
    m.yearday = (int)(doy >= 306 ? doy - 306 : doy + 59 + leap) + 1;
    return m;
}

static const char *const months[] = { "January",   "February", "March",    "April",
                                      "May",       "June",     "July",     "August",
                                      "September", "October",  "November", "December" };
static const char *const weekdays[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday" };

static void put_number(kw_buf *out, int64_t v, int width, char pad)
{
    if (pad == '-') kw_buf_printf(out, "%lld", (long long)v);
    else if (pad == '_') kw_buf_printf(out, "%*lld", width, (long long)v);
    else kw_buf_printf(out, "%0*lld", width, (long long)v);
}

/* What stands for several others. */
static const char *longhand(char ch)
{
    switch (ch) {
    case 'D':
    case 'x': return "%m/%d/%y";
    case 'F': return "%Y-%m-%d";
    case 'T':
    case 'X': return "%H:%M:%S";
    case 'R': return "%H:%M";
    case 'r': return "%I:%M:%S %p";
    case 'c': return "%a %b %e %H:%M:%S %Y";
    default: return NULL;
    }
}

static void put_one(kw_buf *out, const moment *m, char ch, char pad)
{
    int hour = m->hour % 12 ? m->hour % 12 : 12;
    switch (ch) {
    case 'a': kw_buf_printf(out, "%.3s", weekdays[m->weekday]); return;
    case 'A': kw_buf_str(out, weekdays[m->weekday]); return;
    case 'b':
    case 'h': kw_buf_printf(out, "%.3s", months[m->month - 1]); return;
    case 'B': kw_buf_str(out, months[m->month - 1]); return;
    case 'd': put_number(out, m->day, 2, pad); return;
    case 'e': put_number(out, m->day, 2, pad ? pad : '_'); return;
    case 'f': kw_buf_str(out, "000000"); return;
    case 'H': put_number(out, m->hour, 2, pad); return;
    case 'I': put_number(out, hour, 2, pad); return;
    case 'j': put_number(out, m->yearday, 3, pad); return;
    case 'm': put_number(out, m->month, 2, pad); return;
    case 'M': put_number(out, m->minute, 2, pad); return;
    case 'p': kw_buf_str(out, m->hour < 12 ? "AM" : "PM"); return;
    case 's':
        put_number(out, m->days * 86400 + m->hour * 3600 + m->minute * 60 + m->second, 1, '-');
        return;
    case 'S': put_number(out, m->second, 2, pad); return;
    case 'u': put_number(out, m->weekday ? m->weekday : 7, 1, pad); return;
    case 'U': put_number(out, (m->yearday + 6 - m->weekday) / 7, 2, pad); return;
    case 'w': put_number(out, m->weekday, 1, pad); return;
    case 'W': put_number(out, (m->yearday + 6 - (m->weekday + 6) % 7) / 7, 2, pad); return;
    case 'y': put_number(out, m->year % 100, 2, pad); return;
    case 'Y': put_number(out, m->year, 1, pad); return;
    case 'n': kw_buf_byte(out, '\n'); return;
    case 't': kw_buf_byte(out, '\t'); return;
    case 'z':
    case 'Z': return; /* a time without a zone, as Python's */
    default:
        if (ch != '%') kw_buf_byte(out, '%');
        kw_buf_byte(out, ch);
    }
}

static void put(kw_buf *out, const moment *m, kw_str format)
{
    for (size_t i = 0; i < format.n; i++) {
        if (format.p[i] != '%' || i + 1 == format.n) {
            kw_buf_byte(out, format.p[i]);
            continue;
        }
        char pad = format.p[++i];
        bool padded = (pad == '-' || pad == '_' || pad == '0') && i + 1 < format.n;
        char ch = padded ? format.p[++i] : pad;
        const char *several = longhand(ch);
        if (several) put(out, m, kw_str_of(several));
        else put_one(out, m, ch, padded ? pad : 0);
    }
}

kw_obj *kw_chat_strftime(kw_chat *c, const kw_call *call)
{
    kw_buf out = KW_BUF(KW_CHAT_PRINTED, KW_PAY_TEXT);
    moment m = moment_of(c->now_s);
    put(&out, &m, kw_chat_string(c, call, 0, ""));
    return kw_chat_kept(c, &out);
}
