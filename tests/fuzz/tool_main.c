/* SPDX-License-Identifier: MIT */
/*
 * What: hakmem-config's main under another name.
 * Why: it runs inside of a fuzz target.
 */
#define main tool_main
int tool_main(int argc, char **argv);
#include "tools/config.c"
