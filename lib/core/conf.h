/* SPDX-License-Identifier: MIT */
/*
 * What: the files of settings: /etc/hakmem.conf, and the one that HAKMEM_CONF names.
 * Why: they are read at the first malloc, not at the start: a program that never mallocs does not
 *   pay for them.
 * Threads: the caller reads them once.
 */
#ifndef HK_CORE_CONF_H
#define HK_CORE_CONF_H

#include <stddef.h>

#define HK_CONF_SYSTEM "/etc/hakmem.conf"
#define HK_CONF_MOST   ((size_t)65536) /* bytes of a file; what is beyond is not read */

/* Read both, after the environment; wrong lines are reported and counted. */
unsigned hk_conf_read(void);

#endif
