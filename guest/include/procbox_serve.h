/*
 * procbox_serve.h - workers of pools in C: procbox_serve(mode, task), and the values that pools send.
 *
 * Header only, for wasm32-wasip1 with the C library. docs/guest-abi.md says byte by byte what is sent;
 * docs/c.md shows how it is built and run.
 *
 *     static int count(procbox_reader_t *in, procbox_writer_t *out) {
 *         uint32_t len;
 *         const uint8_t *bytes = procbox_read_bytes(in, &len);
 *         procbox_write_u64(out, how_many(bytes, len));
 *         return 0;
 *     }
 *     PROCBOX_SIGNATURE(count, "count(file: Bytes) -> u64")
 *     PROCBOX_WORKER(count) { return procbox_serve(mode, count); }
 *
 * A task reads its arguments in order and writes its result. It returns 0, or what procbox_fail returns
 * once it has said why: that fails the task, and the worker goes on. The values are encoded as Rust's
 * postcard does it, which is what pools of Rust programs and `procbox map` send and expect.
 */
#ifndef PROCBOX_SERVE_H
#define PROCBOX_SERVE_H

#include "procbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PROCBOX_UNUSED __attribute__((__unused__))

/* ---- reading arguments ---- */

/* Bytes that are read from the front, and the handles that they refer to. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    const procbox_received_t *handles;
    uint32_t handle_count;
    int is_bad; /* 1 once something was read that was not there: what is read then is 0 */
} procbox_reader_t;

PROCBOX_UNUSED static uint8_t procbox_read_u8(procbox_reader_t *in) {
    if (in->at < in->end) return *in->at++;
    in->is_bad = 1;
    return 0;
}

/* A u16, u32, u64 or usize: seven bits in a byte, the lowest first, the eighth bit says that more follow. */
PROCBOX_UNUSED static uint64_t procbox_read_u64(procbox_reader_t *in) {
    uint64_t value = 0;
    int shift;
    for (shift = 0; shift < 64; shift += 7) {
        uint8_t byte = procbox_read_u8(in);
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
    in->is_bad = 1;
    return 0;
}

/* An i16, i32, i64 or isize: 0, -1, 1, -2 ... as 0, 1, 2, 3 ... */
PROCBOX_UNUSED static int64_t procbox_read_i64(procbox_reader_t *in) {
    uint64_t value = procbox_read_u64(in);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

PROCBOX_UNUSED static int procbox_read_bool(procbox_reader_t *in) {
    uint8_t value = procbox_read_u8(in);
    if (value > 1) in->is_bad = 1;
    return value == 1;
}

/* So many bytes, as they are in memory. */
PROCBOX_UNUSED static void procbox_read_raw(procbox_reader_t *in, void *to, uint32_t len) {
    if ((uint32_t)(in->end - in->at) < len) {
        in->is_bad = 1;
        return;
    }
    memcpy(to, in->at, len);
    in->at += len;
}

PROCBOX_UNUSED static float procbox_read_f32(procbox_reader_t *in) {
    float value = 0;
    procbox_read_raw(in, &value, 4);
    return value;
}

PROCBOX_UNUSED static double procbox_read_f64(procbox_reader_t *in) {
    double value = 0;
    procbox_read_raw(in, &value, 8);
    return value;
}

/* How many elements of a list follow, or entries of a map. */
PROCBOX_UNUSED static uint32_t procbox_read_len(procbox_reader_t *in) {
    uint64_t len = procbox_read_u64(in);
    if (len <= UINT32_MAX) return (uint32_t)len;
    in->is_bad = 1;
    return 0;
}

/* Bytes or a text, which ends with no 0: they are in the task's message, until the task returns. */
PROCBOX_UNUSED static const uint8_t *procbox_read_bytes(procbox_reader_t *in, uint32_t *len) {
    const uint8_t *bytes;
    *len = procbox_read_len(in);
    bytes = in->at;
    if ((uint32_t)(in->end - in->at) < *len) {
        in->is_bad = 1;
        *len = 0;
        return bytes;
    }
    in->at += *len;
    return bytes;
}

/* A handle, of the kind that is expected (enum procbox_kind); 0 if there is none. It is closed when the task
 * returns. */
PROCBOX_UNUSED static int32_t procbox_read_handle(procbox_reader_t *in, uint32_t kind) {
    uint32_t index = procbox_read_len(in);
    if (index < in->handle_count && in->handles[index].kind == kind) return in->handles[index].handle;
    in->is_bad = 1;
    return 0;
}

/* ---- writing results ---- */

/* Bytes that grow at the end, and handles that go with them. */
typedef struct {
    uint8_t *bytes;
    uint32_t len;
    uint32_t room;
    int32_t *handles;
    uint32_t handle_count; /* of this part */
    uint32_t all_handles;  /* of all parts so far */
    uint32_t handle_room;
} procbox_writer_t;

/* Room for so many more bytes, whose place it gives. Without memory the process aborts. */
PROCBOX_UNUSED static uint8_t *procbox_write_room(procbox_writer_t *out, uint32_t more) {
    uint8_t *at;
    if (more > UINT32_MAX - out->len) abort();
    if (out->room - out->len < more) {
        uint32_t room = out->room < 128 ? 256 : out->room > UINT32_MAX / 2 ? UINT32_MAX : out->room * 2;
        if (room < out->len + more) room = out->len + more;
        out->bytes = (uint8_t *)realloc(out->bytes, room);
        if (!out->bytes) abort();
        out->room = room;
    }
    at = out->bytes + out->len;
    out->len += more;
    return at;
}

PROCBOX_UNUSED static void procbox_write_raw(procbox_writer_t *out, const void *bytes, uint32_t len) {
    if (len > 0) memcpy(procbox_write_room(out, len), bytes, len);
}

PROCBOX_UNUSED static void procbox_write_u8(procbox_writer_t *out, uint8_t value) {
    *procbox_write_room(out, 1) = value;
}

/* A number, or how many elements of a list follow. */
PROCBOX_UNUSED static void procbox_write_u64(procbox_writer_t *out, uint64_t value) {
    while (value > 127) {
        procbox_write_u8(out, (uint8_t)(value | 128));
        value >>= 7;
    }
    procbox_write_u8(out, (uint8_t)value);
}

PROCBOX_UNUSED static void procbox_write_i64(procbox_writer_t *out, int64_t value) {
    procbox_write_u64(out, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

PROCBOX_UNUSED static void procbox_write_bool(procbox_writer_t *out, int value) {
    procbox_write_u8(out, value != 0);
}

PROCBOX_UNUSED static void procbox_write_f32(procbox_writer_t *out, float value) {
    procbox_write_raw(out, &value, 4);
}

PROCBOX_UNUSED static void procbox_write_f64(procbox_writer_t *out, double value) {
    procbox_write_raw(out, &value, 8);
}

PROCBOX_UNUSED static void procbox_write_bytes(procbox_writer_t *out, const void *bytes, uint32_t len) {
    procbox_write_u64(out, len);
    procbox_write_raw(out, bytes, len);
}

/* A text; it should be UTF-8. */
PROCBOX_UNUSED static void procbox_write_text(procbox_writer_t *out, const char *text) {
    procbox_write_bytes(out, text, (uint32_t)strlen(text));
}

/* A handle, which goes with the result and is closed here when that is sent. */
PROCBOX_UNUSED static void procbox_write_handle(procbox_writer_t *out, int32_t handle) {
    if (out->all_handles == out->handle_room) {
        out->handle_room = out->handle_room ? out->handle_room * 2 : 8;
        out->handles = (int32_t *)realloc(out->handles, out->handle_room * sizeof(int32_t));
        if (!out->handles) abort();
    }
    procbox_write_u64(out, out->handle_count++);
    out->handles[out->all_handles++] = handle;
}

/* ---- tasks ---- */

/* One task: 0, or 1 by procbox_fail. */
typedef int (*procbox_task_t)(procbox_reader_t *in, procbox_writer_t *out);

/* Where the part of the result begins that is being written: whatever was written of it is dropped. */
typedef struct {
    uint32_t len;
    uint32_t handles;
} procbox_mark_t;

PROCBOX_UNUSED static procbox_mark_t procbox_part;

/* Says why the task fails, instead of a result. */
PROCBOX_UNUSED static int procbox_fail(procbox_writer_t *out, const char *why) {
    out->len = procbox_part.len;
    while (out->all_handles > procbox_part.handles) procbox_handle_close(out->handles[--out->all_handles]);
    out->handle_count = 0;
    procbox_write_raw(out, why, (uint32_t)strlen(why));
    return 1;
}

/* Does a task, whose arguments it has; writes its result or its failure behind `out`. */
PROCBOX_UNUSED static int procbox_do(procbox_task_t task, procbox_reader_t *in, procbox_writer_t *out) {
    int failed;
    uint32_t i;
    procbox_part.len = out->len;
    procbox_part.handles = out->all_handles;
    out->handle_count = 0;
    failed = task(in, out) != 0;
    if (!failed && in->is_bad) failed = procbox_fail(out, "its arguments are of other types than it reads");
    if (!failed && in->at != in->end) failed = procbox_fail(out, "it has more arguments than it reads");
    for (i = 0; i < in->handle_count; i++) {
        uint32_t given, all = out->all_handles - procbox_part.handles;
        /* One that goes with the result is needed until that is sent. */
        for (given = 0; given < all; given++)
            if (out->handles[procbox_part.handles + given] == in->handles[i].handle) break;
        if (given == all) procbox_handle_close(in->handles[i].handle);
    }
    return failed;
}

/* A message of this process: its bytes, and its handles behind them. */
typedef struct {
    uint8_t *bytes;
    procbox_received_t *handles;
    procbox_sizes_t sizes;
} procbox_message_t;

/* Fetches the message that the host keeps, of these sizes. */
PROCBOX_UNUSED static int procbox_fetch(procbox_message_t *message) {
    message->bytes = (uint8_t *)malloc(message->sizes.bytes + 1u);
    message->handles = (procbox_received_t *)malloc((message->sizes.handles + 1u) * sizeof(procbox_received_t));
    if (!message->bytes || !message->handles) abort();
    return procbox_message_read(message->bytes, message->handles);
}

PROCBOX_UNUSED static void procbox_drop(procbox_message_t *message) {
    free(message->bytes);
    free(message->handles);
}

PROCBOX_UNUSED static uint64_t procbox_little_endian(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    while (bytes-- > 0) value = value << 8 | at[bytes];
    return value;
}

PROCBOX_UNUSED static void procbox_put_little_endian(uint8_t *at, uint64_t value, int bytes) {
    int i;
    for (i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> 8 * i);
}

/* Does the tasks of a chunk and writes the answer; 0 if the chunk is torn. */
PROCBOX_UNUSED static int procbox_answer(procbox_task_t task, const procbox_message_t *chunk,
                                         procbox_writer_t *out) {
    const uint8_t *at = chunk->bytes + 8, *end = chunk->bytes + chunk->sizes.bytes;
    const procbox_received_t *handles = chunk->handles;
    uint32_t left = chunk->sizes.handles;
    /* The worker whose tasks these are, if that is another one than serves the pool. */
    const uint8_t *name = 0;
    uint32_t name_len = 0;
    procbox_write_raw(out, chunk->bytes, 8);
    if (end - at >= 8 && procbox_little_endian(at + 4, 4) == UINT32_MAX) {
        name_len = (uint32_t)procbox_little_endian(at, 4);
        name = at += 8;
        if ((uint64_t)(end - at) < name_len) return 0;
        at += name_len;
    }
    while (at < end) {
        uint64_t len, own;
        uint32_t header = out->len;
        procbox_reader_t in;
        uint8_t *place;
        int failed;
        if (end - at < 8) return 0;
        len = procbox_little_endian(at, 4);
        own = procbox_little_endian(at + 4, 4);
        at += 8;
        if ((uint64_t)(end - at) < len || own > left) return 0;
        in.at = at;
        in.end = at + len;
        in.handles = handles;
        in.handle_count = (uint32_t)own;
        in.is_bad = 0;
        at += len;
        handles += own;
        left -= (uint32_t)own;
        procbox_write_room(out, 9);
        if (name) {
            /* There is no such worker here. */
            uint32_t i;
            for (i = 0; i < in.handle_count; i++) procbox_handle_close(in.handles[i].handle);
            procbox_write_raw(out, name, name_len);
            out->handle_count = 0;
            failed = 3;
        } else {
            failed = procbox_do(task, &in, out);
        }
        place = out->bytes + header;
        place[0] = (uint8_t)failed;
        procbox_put_little_endian(place + 1, out->len - header - 9, 4);
        procbox_put_little_endian(place + 5, out->handle_count, 4);
    }
    return 1;
}

/* Says on stderr what is wrong; the process's exit code. */
PROCBOX_UNUSED static int32_t procbox_complain(const char *what, int32_t code) {
    fprintf(stderr, "procbox_serve: %s (%d)\n", what, (int)code);
    return 1;
}

/* Serves the pool whose terms are in the arguments. */
PROCBOX_UNUSED static int32_t procbox_serve_pool(procbox_task_t task, const procbox_message_t *terms) {
    procbox_reader_t in = {terms->bytes, terms->bytes + terms->sizes.bytes, terms->handles,
                           terms->sizes.handles, 0};
    uint64_t most = procbox_read_u64(&in);
    int32_t tasks = procbox_read_handle(&in, PROCBOX_KIND_QUEUE);
    int32_t results = procbox_read_handle(&in, PROCBOX_KIND_QUEUE);
    procbox_writer_t out = {0, 0, 0, 0, 0, 0, 0};
    int32_t code = PROCBOX_OK;
    if (in.is_bad) return procbox_complain("these are no terms of a pool", 0);
    while (most > 0) {
        procbox_message_t chunk;
        uint32_t i;
        /* Without room for it the message is kept for us, whatever its size. */
        code = procbox_message_try_get(tasks, 0, 0, &chunk.sizes);
        if (code == PROCBOX_EMPTY) code = procbox_message_get(tasks, 0, 0, &chunk.sizes, -1);
        if (code == PROCBOX_CLOSED) break;
        if (code != PROCBOX_NOTED || procbox_fetch(&chunk) != PROCBOX_OK)
            return procbox_complain("a chunk cannot be taken", code);
        if (chunk.sizes.bytes < 8) return procbox_complain("a chunk is torn", 0);
        if (procbox_little_endian(chunk.bytes, 8) == UINT64_MAX)
            return procbox_complain("the pool has an initializer, which a worker in C cannot call", 0);
        out.len = out.all_handles = 0;
        if (!procbox_answer(task, &chunk, &out)) return procbox_complain("a chunk is torn", 0);
        code = procbox_message_put(results, out.bytes, out.len, out.handles, out.all_handles, -1);
        if (code == PROCBOX_TOO_LARGE) {
            /* All of its tasks fail: none of their results arrives. */
            const uint8_t *at = chunk.bytes + 8;
            const char *why = "the result cannot be sent: it is too large";
            out.len = 8;
            while (at < chunk.bytes + chunk.sizes.bytes) {
                uint8_t *place = procbox_write_room(&out, 9);
                place[0] = 1;
                procbox_put_little_endian(place + 1, strlen(why), 4);
                procbox_put_little_endian(place + 5, 0, 4);
                procbox_write_raw(&out, why, (uint32_t)strlen(why));
                at += 8 + procbox_little_endian(at, 4);
            }
            code = procbox_message_put(results, out.bytes, out.len, 0, 0, -1);
        }
        for (i = 0; i < out.all_handles; i++) procbox_handle_close(out.handles[i]);
        procbox_drop(&chunk);
        if (code == PROCBOX_CLOSED) break;
        if (code != PROCBOX_OK) return procbox_complain("an answer cannot be sent", code);
        most--;
    }
    free(out.bytes);
    free(out.handles);
    return 0;
}

/*
 * What a worker does: the tasks of its pool, one after the other, until that is closed; or the one task
 * whose arguments it was started with, whose result is dropped. What it returns is the worker's exit code.
 */
PROCBOX_UNUSED static int32_t procbox_serve(int32_t mode, procbox_task_t task) {
    procbox_message_t own;
    int32_t code = procbox_self_arguments(&own.sizes);
    if (code != PROCBOX_OK || procbox_fetch(&own) != PROCBOX_OK)
        return procbox_complain("its arguments cannot be read", code);
    if (mode == PROCBOX_MODE_SERVE) {
        code = procbox_serve_pool(task, &own);
    } else {
        procbox_reader_t in = {own.bytes, own.bytes + own.sizes.bytes, own.handles, own.sizes.handles, 0};
        procbox_writer_t out = {0, 0, 0, 0, 0, 0, 0};
        code = procbox_do(task, &in, &out);
        if (code) fprintf(stderr, "%.*s\n", (int)out.len, (const char *)out.bytes);
        free(out.bytes);
        free(out.handles);
    }
    procbox_drop(&own);
    return code;
}

#ifdef __cplusplus
}
#endif

#endif /* PROCBOX_SERVE_H */
