/* SPDX-License-Identifier: MIT */
/*
 * What: ratings and caps over time, as a picture: a panel for each band, and one for caps.
 * Why: whether learning came to rest, and when, is seen at once.
 * Invariants: every text in it is the tool's own, so nothing needs to be escaped.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy.h"

enum { WIDTH = 760, LEFT = 60, RIGHT = 150, HEIGHT = 150, GAP = 50, LINES_MOST = CLASSES };

struct panel {
    const char *title;
    unsigned lines, top;
    char name[LINES_MOST][SHOW_BYTES];
    uint64_t value[LINES_MOST][POINTS];
};

static double x_of(const struct policy *p, uint64_t window)
{
    return LEFT + (double)window / (double)p->point[p->points - 1].window * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct panel *n, double v, double low, double high)
{
    return n->top + HEIGHT - (v - low) / (high - low) * HEIGHT;
}

static void bounds(const struct panel *n, unsigned points, double *low, double *high)
{
    *low = *high = (double)n->value[0][0];
    for (unsigned l = 0; l < n->lines; l++) {
        for (unsigned i = 0; i < points; i++) {
            double v = (double)n->value[l][i];
            if (v < *low) *low = v;
            if (v > *high) *high = v;
        }
    }
    *high += *high - *low < 1;
}

/* What became of learning, as far as decisions tell. */
static void draw_orders(FILE *f, const struct policy *p, unsigned top)
{
    static const char *const names[ORDERS] = {"trial", "kept", "reverted", "relearn"};
    for (unsigned i = 0; i < p->decisions; i++) {
        const struct decision *d = &p->decision[i];
        if (d->about != ABOUT_STATE || d->window > p->point[p->points - 1].window) continue;
        double x = x_of(p, d->window);
        fprintf(f,
                "<line x1=\"%.1f\" y1=\"%u\" x2=\"%.1f\" y2=\"%u\" stroke=\"#999\" "
                "stroke-dasharray=\"3 3\"><title>window %" PRIu64 ": %s</title></line>\n",
                x, top, x, top + HEIGHT, d->window, names[d->order]);
    }
}

static void draw(FILE *f, const struct policy *p, const struct panel *n)
{
    /* Okabe and Ito: told apart by everyone. */
    static const char *const colours[LINES_MOST] = {"#0072b2", "#e69f00", "#009e73",
                                                    "#d55e00", "#cc79a7", "#56b4e9"};
    double low, high;
    unsigned bottom = n->top + HEIGHT, right = WIDTH - RIGHT;
    bounds(n, p->points, &low, &high);
    fprintf(f, "<text x=\"%d\" y=\"%u\" font-weight=\"bold\">%s</text>\n", LEFT, n->top - 8,
            n->title);
    fprintf(f, "<path d=\"M%d %u V%u H%u\" fill=\"none\" stroke=\"#333\"/>\n", LEFT, n->top, bottom,
            right);
    fprintf(f, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">%.0f</text>\n", LEFT - 6, n->top + 8,
            high);
    fprintf(f, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">%.0f</text>\n", LEFT - 6, bottom, low);
    fprintf(f, "<text x=\"%u\" y=\"%u\" text-anchor=\"end\">window %" PRIu64 "</text>\n", right,
            bottom + 16, p->point[p->points - 1].window);
    draw_orders(f, p, n->top);
    /* Thinner and thinner: lines that are in one place are all seen. */
    for (unsigned l = 0; l < n->lines; l++) {
        fprintf(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%u\" points=\"",
                colours[l], 1 + n->lines - l);
        for (unsigned i = 0; i < p->points; i++)
            fprintf(f, "%s%.1f,%.1f", i ? " " : "", x_of(p, p->point[i].window),
                    y_of(n, (double)n->value[l][i], low, high));
        fprintf(f, "\"/>\n<text x=\"%u\" y=\"%u\" fill=\"%s\">%s</text>\n", right + 12,
                n->top + 14 + 20 * l, colours[l], n->name[l]);
    }
}

static void draw_ratings(FILE *f, const struct policy *p, unsigned band)
{
    static const char *const titles[BANDS] = {"Ratings: freed blocks up to 256 KiB",
                                              "Ratings: freed blocks up to 2 MiB",
                                              "Ratings: freed blocks above 2 MiB"};
    struct panel n = {.title = titles[band], .lines = ACTIONS, .top = 30 + band * (HEIGHT + GAP)};
    for (unsigned a = 0; a < ACTIONS; a++) {
        action_name(a, n.name[a]);
        if (a == p->in_force.action[band]) strcat(n.name[a], ", in force");
        for (unsigned i = 0; i < p->points; i++)
            n.value[a][i] = p->point[i].rating[band * ACTIONS + a];
    }
    draw(f, p, &n);
}

static void draw_caps(FILE *f, const struct policy *p)
{
    struct panel n = {.title = "Caps: freed blocks that a thread holds, by length",
                      .lines = CLASSES,
                      .top = 30 + BANDS * (HEIGHT + GAP)};
    for (unsigned c = 0; c < CLASSES; c++) {
        snprintf(n.name[c], SHOW_BYTES, "to %.0f KiB", (double)p->cap[c].units * 64);
        for (unsigned i = 0; i < p->points; i++) n.value[c][i] = p->point[i].cap[c];
    }
    draw(f, p, &n);
}

enum status chart_write(const struct policy *p, const char *path)
{
    if (!p->points) return complain(WRONG, "no chart: the process has no history yet");
    FILE *f = fopen(path, "we");
    if (!f) return complain(WRONG, "cannot write %s: %s", path, strerror(errno));
    int height = 30 + (BANDS + 1) * (HEIGHT + GAP);
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
            "%d\" font-family=\"sans-serif\" font-size=\"12\">\n"
            "<title>What hakmem learned in %" PRIu64 " windows</title>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            WIDTH, height, WIDTH, height, p->windows);
    for (unsigned b = 0; b < BANDS; b++) draw_ratings(f, p, b);
    draw_caps(f, p);
    fputs("</svg>\n", f);
    bool bad = ferror(f);
    if (fclose(f) != 0 || bad) return complain(WRONG, "cannot write %s", path);
    return GOOD;
}
