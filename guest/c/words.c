/*
 * Workers in C: `count` is what `procbox map` calls for each file or line; the others have what else a
 * worker may take, give and use. docs/c.md says how it is built.
 */
#include "procbox_serve.h"

/* Words, lines and bytes, as wc counts them. */
static int count(procbox_reader_t *in, procbox_writer_t *out) {
    uint32_t len, i, words = 0, lines = 0;
    const uint8_t *bytes = procbox_read_bytes(in, &len);
    char text[64];
    int inside = 0, n;
    for (i = 0; i < len; i++) {
        int is_space = bytes[i] == ' ' || (bytes[i] >= '\t' && bytes[i] <= '\r');
        words += !is_space && !inside;
        inside = !is_space;
        lines += bytes[i] == '\n';
    }
    n = snprintf(text, sizeof text, "%u %u %u\n", (unsigned)words, (unsigned)lines, (unsigned)len);
    procbox_write_bytes(out, text, (uint32_t)n);
    return 0;
}

PROCBOX_SIGNATURE(count, "count(text: Bytes) -> Bytes")
PROCBOX_WORKER(count) { return procbox_serve(mode, count); }

/* The same bytes again, unless they ask for something worse. */
static int judge(procbox_reader_t *in, procbox_writer_t *out) {
    uint32_t len;
    const char *bytes = (const char *)procbox_read_bytes(in, &len);
    if (len >= 4 && !memcmp(bytes, "fail", 4)) return procbox_fail(out, "it was told to fail");
    if (len >= 5 && !memcmp(bytes, "crash", 5)) __builtin_trap();
    if (len >= 5 && !memcmp(bytes, "abort", 5)) abort();
    if (len >= 4 && !memcmp(bytes, "exit", 4)) exit(9);
    if (len >= 4 && !memcmp(bytes, "loop", 4)) {
        volatile int forever = 1;
        while (forever) {
        }
    }
    if (len >= 4 && !memcmp(bytes, "bomb", 4)) {
        for (;;) {
            /* Kept, or the compiler would not ask for what nobody uses. */
            static char *volatile kept;
            kept = (char *)malloc(1 << 20);
            if (!kept) return procbox_fail(out, "there is no more memory");
            memset(kept, 1, 1 << 20);
        }
    }
    procbox_write_bytes(out, bytes, len);
    return 0;
}

PROCBOX_SIGNATURE(judge, "judge(text: Bytes) -> Bytes")
PROCBOX_WORKER(judge) { return procbox_serve(mode, judge); }

/* A value of each kind, there and back. */
static int mirror(procbox_reader_t *in, procbox_writer_t *out) {
    uint64_t large = procbox_read_u64(in);
    int64_t small = procbox_read_i64(in);
    int flag = procbox_read_bool(in);
    float single = procbox_read_f32(in);
    double twice = procbox_read_f64(in);
    uint32_t n, i, len;
    const uint8_t *text;
    procbox_write_u64(out, large);
    procbox_write_i64(out, small);
    procbox_write_bool(out, flag);
    procbox_write_f32(out, single);
    procbox_write_f64(out, twice);
    n = procbox_read_len(in);
    procbox_write_u64(out, n);
    for (i = 0; i < n && !in->is_bad; i++) procbox_write_i64(out, procbox_read_i64(in));
    text = procbox_read_bytes(in, &len);
    procbox_write_bytes(out, text, len);
    return 0;
}

PROCBOX_SIGNATURE(mirror,
                  "mirror(large: u64, small: i64, flag: bool, single: f32, twice: f64, "
                  "list: Vec<i32>, text: String) -> (u64, i64, bool, f32, f64, Vec<i32>, String)")
PROCBOX_WORKER(mirror) { return procbox_serve(mode, mirror); }

/* Adds to what lies in a queue, under a lock. */
static int add(procbox_reader_t *in, procbox_writer_t *out) {
    int32_t lock = procbox_read_handle(in, PROCBOX_KIND_LOCK);
    int32_t queue = procbox_read_handle(in, PROCBOX_KIND_QUEUE);
    uint64_t more = procbox_read_u64(in), sum;
    uint8_t bytes[16];
    procbox_sizes_t sizes;
    procbox_reader_t held = {bytes, bytes + sizeof bytes, 0, 0, 0};
    procbox_writer_t total = {0, 0, 0, 0, 0, 0, 0};
    if (in->is_bad) return procbox_fail(out, "a lock, a queue and a number");
    if (procbox_lock_acquire(lock, -1) < 0) return procbox_fail(out, "the lock cannot be had");
    if (procbox_message_get(queue, bytes, sizeof bytes, &sizes, -1) != PROCBOX_OK)
        return procbox_fail(out, "there is no sum in the queue");
    sum = procbox_read_u64(&held) + more;
    procbox_write_u64(&total, sum);
    procbox_message_put(queue, total.bytes, total.len, 0, 0, -1);
    procbox_lock_release(lock);
    free(total.bytes);
    procbox_write_u64(out, sum);
    return 0;
}

PROCBOX_WORKER(add) { return procbox_serve(mode, add); }

/* A queue of this process's own, with a text in it, as a result. */
static int gift(procbox_reader_t *in, procbox_writer_t *out) {
    int32_t queue = procbox_queue_new(-1, -1);
    procbox_writer_t text = {0, 0, 0, 0, 0, 0, 0};
    (void)in;
    if (queue < 0) return procbox_fail(out, "there is no room for a queue");
    procbox_write_text(&text, "from C");
    procbox_message_put(queue, text.bytes, text.len, 0, 0, -1);
    free(text.bytes);
    procbox_write_handle(out, queue);
    return 0;
}

PROCBOX_WORKER(gift) { return procbox_serve(mode, gift); }

/* As a program without a pool: what it is told, on standard output. */
int main(int argc, char **argv) {
    int i;
    for (i = 1; i < argc; i++) printf("%s\n", argv[i]);
    return 0;
}
