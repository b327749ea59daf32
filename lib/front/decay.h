/* SPDX-License-Identifier: MIT */
/*
 * What: how patient looks for idle memory are, learned from what was given back and taken again.
 * Why: see hk_policy_decay in policy.h.
 * Threads: all; who finds another one learning lets it.
 */
#ifndef HK_FRONT_DECAY_H
#define HK_FRONT_DECAY_H

#include <stddef.h>

/* A look ended that gave so many bytes back. */
void hk_decay_learn(size_t given);
/* Of the idle time, see hk_policy_purge_idle_ms; 0 while the process rests. */
unsigned hk_decay_level(void);
void hk_decay_fork_child(void);

#endif
