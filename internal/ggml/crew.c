#define _GNU_SOURCE // affinity
#include "crew.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "kernels.h"

// room is memory of one thread, for floats; grown as needed but for a caller's.
struct room {
    float * floats;
    int     n;
};

typedef void (*piece_t)(void * args, int i, struct room * room);

// job is what one caller has to do. It lives on the caller's stack.
struct job {
    piece_t      piece;
    void *       args;
    int          n;
    atomic_int   next;   // piece to begin
    atomic_int   inside; // threads at work on it; changed with the lock held
    int          cpu;    // where its caller was
    struct job * after;  // in the list of open jobs
};

// seat is one thread's place.
struct seat {
    struct ms_crew * crew;
    int              cpu;    // the processor it keeps to; -1: any
    int              asleep; // with the lock held
    pthread_cond_t   called;
};

struct ms_crew {
    int             threads; // wanted
    pthread_mutex_t lock;
    pthread_cond_t  done; // callers wait for threads to leave their jobs
    atomic_uint     jobs; // posted so far

    // With the lock held.
    struct job * open; // oldest first
    int          started, ended, asleep, waiting, stop;
    int          luck;  // how often spinning was worth it lately, or would have been: 0 to LUCK
    int64_t      slept; // when a thread went to sleep last

    struct seat seats[];
};

// SPIN is for how many nanoseconds one looks for what is to come before one sleeps: about what waking takes.
// CALLED is how many threads one wakes at once; who comes wakes the next.
enum { SPIN = 15000, LUCK = 8, CALLED = 2 };

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    for (int k = 0; k < 8; k++) __builtin_ia32_pause();
#elif defined(__aarch64__)
    for (int k = 0; k < 8; k++) __asm__ __volatile__("yield");
#endif
}

// processors lists those this process may use, and gives their number; 0 where that is not known.
static int processors(int * list, int most) {
    int n = 0;
#ifdef __linux__
    cpu_set_t mine;
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) return 0;
    for (int k = 0; k < CPU_SETSIZE; k++)
        if (CPU_ISSET(k, &mine) && n++ < most) list[n - 1] = k;
#else
    (void) list, (void) most;
#endif
    return n;
}

static int here(void) {
#ifdef __linux__
    return sched_getcpu();
#else
    return -2;
#endif
}

static void keep_to(pthread_t t, struct seat * seat) {
#ifdef __linux__
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(seat->cpu, &one);
    if (seat->cpu >= 0 && pthread_setaffinity_np(t, sizeof one, &one) == 0) return;
#else
    (void) t;
#endif
    seat->cpu = -1;
}

static void work(struct job * j, struct room * room) {
    for (;;) {
        const int i = atomic_fetch_add(&j->next, 1);
        if (i >= j->n) return;
        j->piece(j->args, i, room);
    }
}

// with_work is the oldest job with pieces to begin, or NULL.
static struct job * with_work(struct ms_crew * c) {
    for (struct job * j = c->open; j; j = j->after)
        if (atomic_load(&j->next) < j->n) return j;
    return NULL;
}

// call wakes some threads for a job, with the lock held, but not the one that keeps to the processor of its caller.
static void call(struct ms_crew * c, const struct job * j) {
    int wanted = j->n - atomic_load(&j->next) - 1;
    if (wanted > CALLED) wanted = CALLED;
    for (int k = 0; k < c->started && c->asleep > 0 && wanted > 0; k++) {
        struct seat * s = &c->seats[k];
        if (!s->asleep || s->cpu == j->cpu) continue;
        s->asleep = 0;
        c->asleep--;
        wanted--;
        pthread_cond_signal(&s->called);
    }
}

// doze waits for the next job, first with open eyes where that was worth it lately. The lock is held, but meanwhile.
static void doze(struct seat * s, unsigned seen) {
    struct ms_crew * c = s->crew;
    if (c->luck > LUCK / 2) {
        pthread_mutex_unlock(&c->lock);
        for (const int64_t end = now() + SPIN; atomic_load_explicit(&c->jobs, memory_order_relaxed) == seen && now() < end;) pause_briefly();
        pthread_mutex_lock(&c->lock);
        if (atomic_load(&c->jobs) == seen) c->luck--;
        else if (c->luck < LUCK) c->luck++;
    }
    if (atomic_load(&c->jobs) != seen || c->stop) return;
    c->asleep++;
    s->asleep = 1;
    c->slept = now();
    while (s->asleep && !c->stop) pthread_cond_wait(&s->called, &c->lock);
}

static void * thread(void * arg) {
    struct seat * s = arg;
    struct ms_crew * c = s->crew;
    struct room room = {NULL, 0};
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        const unsigned seen = atomic_load(&c->jobs);
        struct job * j = with_work(c);
        if (!j) {
            doze(s, seen);
            continue;
        }
        atomic_fetch_add(&j->inside, 1);
        call(c, j);
        pthread_mutex_unlock(&c->lock);
        work(j, &room);
        pthread_mutex_lock(&c->lock);
        if (atomic_fetch_sub(&j->inside, 1) == 1 && c->waiting) pthread_cond_broadcast(&c->done); // j may be gone
    }
    free(room.floats);
    c->ended++;
    pthread_cond_broadcast(&c->done);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct ms_crew * ms_crew_new(int workers) {
    // Where there is a worker for each processor, each keeps to its own, and the caller takes the place of the one whose
    // processor it is on. Where the processors have other work as well, the system would else leave several workers
    // on one of them and another idle, for longer than such work takes.
    int cpus[1024];
    const int pinned = workers <= 1024 && processors(cpus, 1024) == workers;
    const int threads = pinned ? workers : workers - 1;
    struct ms_crew * c = calloc(1, sizeof *c + threads * sizeof(struct seat));
    if (!c) return NULL;
    c->threads = threads;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->done, NULL);
    for (int k = 0; k < threads; k++) {
        c->seats[k].crew = c;
        c->seats[k].cpu = pinned ? cpus[k] : -1;
        pthread_cond_init(&c->seats[k].called, NULL);
    }
    return c;
}

void ms_crew_free(struct ms_crew * c) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->stop = 1;
    for (int k = 0; k < c->started; k++) pthread_cond_signal(&c->seats[k].called);
    while (c->ended < c->started) pthread_cond_wait(&c->done, &c->lock);
    pthread_mutex_unlock(&c->lock);
    for (int k = 0; k < c->threads; k++) pthread_cond_destroy(&c->seats[k].called);
    pthread_cond_destroy(&c->done);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

// start starts the threads, with the lock held. Signals are for Go's threads, but the profiler's. Fewer threads than
// wanted are enough.
static void start(struct ms_crew * c) {
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; c->started < c->threads; c->started++) {
        struct seat * s = &c->seats[c->started];
        pthread_t t;
        if (pthread_create(&t, NULL, thread, s) != 0) {
            c->threads = c->started;
            break;
        }
        keep_to(t, s);
        pthread_detach(t);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

// run does n pieces of work, with the crew if there is more than one.
static void run(struct ms_crew * c, piece_t piece, void * args, int n, struct room * room) {
    struct job j = {.piece = piece, .args = args, .n = n, .cpu = -2};
    if (!c || n <= 1) {
        work(&j, room);
        return;
    }
    j.cpu = here();
    pthread_mutex_lock(&c->lock);
    if (c->started < c->threads) start(c);
    if (c->asleep > 0 && now() - c->slept >= SPIN) c->luck -= c->luck > 0;
    else if (c->asleep > 0) c->luck += c->luck < LUCK;
    struct job ** end = &c->open;
    while (*end) end = &(*end)->after;
    *end = &j;
    atomic_fetch_add(&c->jobs, 1);
    call(c, &j);
    pthread_mutex_unlock(&c->lock);

    work(&j, room);

    pthread_mutex_lock(&c->lock);
    struct job ** at = &c->open;
    while (*at != &j) at = &(*at)->after;
    *at = j.after;
    if (atomic_load(&j.inside) > 0) { // nobody comes in any more
        pthread_mutex_unlock(&c->lock);
        for (const int64_t end = now() + SPIN; atomic_load(&j.inside) > 0 && now() < end;) pause_briefly();
        pthread_mutex_lock(&c->lock);
        c->waiting++;
        while (atomic_load(&j.inside) > 0) pthread_cond_wait(&c->done, &c->lock);
        c->waiting--;
    }
    pthread_mutex_unlock(&c->lock);
}

// part gives piece i of so many of n values, in whole multiples of 16; Parts in Go.
static void part(int n, int pieces, int i, int * first, int * last) {
    const long units = (n + 15) / 16;
    const long a = units * i / pieces * 16, b = units * (i + 1) / pieces * 16;
    *first = a < n ? (int) a : n;
    *last = b < n ? (int) b : n;
}

struct multiplying {
    const struct ms_product * p;
    int                       pieces, n;
    const void *              x;
};

static void multiply_piece(void * args, int i, struct room * room) {
    (void) room;
    const struct multiplying * m = args;
    const struct ms_product * p = &m->p[i / m->pieces];
    int first, last;
    part(p->out, m->pieces, i % m->pieces, &first, &last);
    if (first < last)
        ms_multiply((const void *) p->w, p->row_bytes, p->type, p->cols, first, last, m->x, m->n, (float *) p->y, p->out);
}

void ms_crew_multiply(struct ms_crew * c, const struct ms_product * p, int count, int pieces, const void * x, int n) {
    struct multiplying m = {p, pieces, n, x};
    run(c, multiply_piece, &m, count * pieces, NULL);
}

struct feeding {
    struct ms_network * w;
    int                 count, pieces;
    pthread_mutex_t     lock;
    pthread_cond_t      ready; // a network's inner values are
};

static atomic_int * left_of(struct ms_network * w) { return (atomic_int *) &w->left; }

static void inner_piece(struct feeding * f, struct ms_network * w, int i) {
    int first, last;
    part(w->ff, f->pieces, i, &first, &last);
    if (first < last)
        ms_feed_inner((const void *) w->w1, w->type1, (const void *) w->w3, w->type3, w->dim, w->ff, first, last,
                      (const void *) w->x, (const int32_t *) w->rows, w->n, (float *) w->a, (float *) w->b, w->act,
                      (const float *) w->b1, (const float *) w->b3);
    if (atomic_fetch_sub(left_of(w), 1) != 2) return; // 1: only what follows is left
    ms_quantize(ms_activation_type(w->type2), (const float *) w->a, (void *) w->q, w->ff, w->n);
    pthread_mutex_lock(&f->lock);
    atomic_store(left_of(w), 0);
    pthread_cond_broadcast(&f->ready);
    pthread_mutex_unlock(&f->lock);
}

static void outer_piece(struct feeding * f, struct ms_network * w, int i) {
    if (atomic_load(left_of(w)) != 0)
        for (const int64_t end = now() + SPIN; atomic_load(left_of(w)) != 0 && now() < end;) pause_briefly();
    if (atomic_load(left_of(w)) != 0) { // whoever has the rest of it was interrupted
        pthread_mutex_lock(&f->lock);
        while (atomic_load(left_of(w)) != 0) pthread_cond_wait(&f->ready, &f->lock);
        pthread_mutex_unlock(&f->lock);
    }
    int first, last;
    part(w->dim, f->pieces, i, &first, &last);
    if (first >= last) return;
    float * y = (float *) w->y;
    ms_multiply((const void *) w->w2, ms_row_bytes(w->type2, w->ff), w->type2, w->ff, first, last, (const void *) w->q, w->n, y, w->dim);
    const float * b2 = (const float *) w->b2;
    for (int t = 0; b2 && t < w->n; t++) ms_axpy(1, b2 + first, y + (size_t) t * w->dim + first, last - first);
}

// The inner half of a network comes before the outer half of the one before, which is ready by then.
static void feed_piece(void * args, int i, struct room * room) {
    (void) room;
    struct feeding * f = args;
    const int turn = i / f->pieces, part = i % f->pieces, end = 2 * f->count - 1; // I0 I1 O0 I2 O1 ... In On-1 On
    if (turn == 0 || turn % 2 == 1 && turn < end)
        inner_piece(f, &f->w[(turn + 1) / 2], part);
    else
        outer_piece(f, &f->w[turn == end ? f->count - 1 : turn / 2 - 1], part);
}

void ms_crew_feed(struct ms_crew * c, struct ms_network * w, int count, int pieces) {
    struct feeding f = {.w = w, .count = count, .pieces = pieces, .lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};
    for (int k = 0; k < count; k++) atomic_store(left_of(&w[k]), pieces + 1);
    run(c, feed_piece, &f, 2 * count * pieces, NULL);
    pthread_cond_destroy(&f.ready);
    pthread_mutex_destroy(&f.lock);
}

struct attending {
    const struct ms_head * h;
    int                    count, pieces;
};

static void attend_piece(void * args, int i, struct room * room) {
    const struct attending * a = args;
    const int last = (long) a->count * (i + 1) / a->pieces;
    for (int k = (long) a->count * i / a->pieces; k < last; k++) {
        const struct ms_head * h = &a->h[k];
        if (room->n < h->n) {
            float * more = realloc(room->floats, sizeof(float) * 2 * h->n);
            if (!more) abort();
            room->floats = more;
            room->n = 2 * h->n;
        }
        ms_attend((const float *) h->q, (const float *) h->k, (const float *) h->v, h->n, h->kstride, h->vstride, h->kd, h->vd,
                  h->scale, h->sink, room->floats, (float *) h->out);
    }
}

void ms_crew_attend(struct ms_crew * c, const struct ms_head * h, int count, int pieces, float * scores) {
    struct attending a = {h, count, pieces};
    struct room room = {scores, INT_MAX};
    run(c, attend_piece, &a, pieces, &room);
}

struct rows {
    int           type, cols, rows, pieces;
    const float * x, * w;
    void *        y;
    float         eps;
};

static void quantize_piece(void * args, int i, struct room * room) {
    (void) room;
    const struct rows * r = args;
    const long first = (long) r->rows * i / r->pieces, last = (long) r->rows * (i + 1) / r->pieces;
    ms_quantize(r->type, r->x + first * r->cols, (char *) r->y + first * ms_row_bytes(r->type, r->cols), r->cols, last - first);
}

void ms_crew_quantize(struct ms_crew * c, int type, const float * x, void * y, int cols, int rows, int pieces) {
    struct rows r = {.type = type, .cols = cols, .rows = rows, .pieces = pieces, .x = x, .y = y};
    run(c, quantize_piece, &r, pieces, NULL);
}

static void norm_piece(void * args, int i, struct room * room) {
    (void) room;
    const struct rows * r = args;
    const long last = (long) r->rows * (i + 1) / r->pieces;
    for (long t = (long) r->rows * i / r->pieces; t < last; t++)
        ms_rms_norm(r->x + t * r->cols, r->w, (float *) r->y + t * r->cols, r->cols, r->eps);
}

void ms_crew_norm(struct ms_crew * c, const float * x, const float * w, float * y, int n, float eps, int rows, int pieces) {
    struct rows r = {.cols = n, .rows = rows, .pieces = pieces, .x = x, .w = w, .y = y, .eps = eps};
    run(c, norm_piece, &r, pieces, NULL);
}
