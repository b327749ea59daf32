/* SPDX-License-Identifier: MIT */
/*
 * What: see crew.h: a semaphore each way.
 */
#include "crew.h"

#include <pthread.h>
#include <semaphore.h>

#include "fuzz.h"

static struct member {
    pthread_t thread;
    sem_t go, done;
    bool there;
    void (*f)(void *); /* NULL: end */
    void *arg;
} crew[CREW];

static void take(sem_t *s)
{
    while (sem_wait(s) != 0) continue; /* a signal */
}

static void *work(void *arg)
{
    struct member *m = arg;
    for (;;) {
        take(&m->go);
        if (!m->f) return NULL;
        m->f(m->arg);
        sem_post(&m->done);
    }
}

void crew_do(unsigned who, void (*f)(void *), void *arg)
{
    struct member *m = &crew[who];
    if (who == 0) {
        f(arg);
        return;
    }
    if (!m->there) {
        sem_init(&m->go, 0, 0);
        sem_init(&m->done, 0, 0);
        if (pthread_create(&m->thread, NULL, work, m) != 0) abort();
        m->there = true;
    }
    m->f = f;
    m->arg = arg;
    sem_post(&m->go);
    take(&m->done);
}

void crew_end(unsigned who)
{
    struct member *m = &crew[who];
    if (!m->there) return;
    m->f = NULL;
    sem_post(&m->go);
    pthread_join(m->thread, NULL);
    m->there = false;
}
