/* SPDX-License-Identifier: MIT */
/*
 * What: the text builder of report.h.
 * Why: it writes the last words of a dying program; it must neither overflow nor lie.
 */
#include <string.h>

#include "hktest.h"
#include "os/report.h"

static bool is(struct hk_text *t, const char *want)
{
    bool same = t->len == strlen(want) && memcmp(t->buf, want, t->len) == 0;
    t->len = 0;
    return same;
}

int main(void)
{
    char buf[40];
    struct hk_text t = {buf, sizeof buf, 0};
    hk_text_dec(&t, 0);
    HKTEST(is(&t, "0"));
    hk_text_dec(&t, UINT64_MAX);
    HKTEST(is(&t, "18446744073709551615"));
    hk_text_hex(&t, 0xdeadbeef12345678u);
    HKTEST(is(&t, "0xdeadbeef12345678"));
    hk_text_pad(&t, 42, 6);
    HKTEST(is(&t, "    42"));
    hk_text_pad(&t, 1234567, 3);
    HKTEST(is(&t, "1234567"));
    struct hk_text small = {buf, 4, 0};
    memset(buf, '#', sizeof buf);
    hk_text_str(&small, "overlong");
    hk_text_dec(&small, 99);
    hktest_ok(is(&small, "over") && buf[4] == '#', "what does not fit is cut");
    return hktest_done();
}
