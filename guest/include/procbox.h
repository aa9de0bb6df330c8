/*
 * procbox.h - the guest ABI of procbox, version 1: what a sandboxed program may import.
 *
 * This file is the normative text. docs/guest-abi.md explains it.
 *
 * A guest is a core WebAssembly module with 32-bit memory, exported as "memory". All imports below
 * are of the module "procbox_1". A later version that breaks a program has another module name;
 * within version 1 functions, codes and kinds are only added.
 *
 * Besides these a guest may import wasi_snapshot_preview1.
 *
 * Rules that hold for every function:
 *
 * - A result of 0 and above is success, below 0 a code (enum procbox_code).
 * - A handle is a number of this process alone, 1 and above. A closed handle's number is used again.
 * - A timeout is in nanoseconds: negative waits for ever, 0 does not wait.
 * - Pointers are offsets into the memory. Everything that the host reads or writes must lie inside
 *   it, or the answer is PROCBOX_BAD_POINTER. Numbers are little-endian. The host needs no alignment.
 * - Texts are UTF-8, with a length and without a terminating 0.
 * - A handle that is not there, or is one of another kind, is PROCBOX_BAD_HANDLE.
 * - A "try" form answers at once. Its waiting form suspends the process: try first, then wait.
 *
 * Compile for wasm32-wasip1. Elsewhere this header only declares.
 */
#ifndef PROCBOX_H
#define PROCBOX_H

#include <stdint.h>
#if defined(__wasi__) && !defined(PROCBOX_NO_LIBC)
#include <time.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The module name of all imports. */
#define PROCBOX_MODULE "procbox_1"
/* The prefix of the exports that are workers. */
#define PROCBOX_WORKER_PREFIX "procbox_worker_"
/* The section, of a module or of an ELF file, in which a program says what it offers. */
#define PROCBOX_SECTION ".procbox"
/* The exports that are the memory and the main of a program. */
#define PROCBOX_MEMORY "memory"
#define PROCBOX_MAIN "_start"
/*
 * Exports of programs of which images are made, void (void) both: the main of an image, if it is there; and
 * what is called before an image is made, and first in each process of it, so that seeds are made anew.
 */
#define PROCBOX_RESUME "procbox_resume"
#define PROCBOX_RESEED "procbox_reseed"

/* A pointer in a structure is PROCBOX_POINTER. Elsewhere than in a guest it is the number that it is there. */
#ifdef __wasm__
#define PROCBOX_IMPORT(name) \
    __attribute__((__import_module__(PROCBOX_MODULE), __import_name__(name)))
#define PROCBOX_EXPORT(name) __attribute__((__export_name__(name)))
#define PROCBOX_POINTER(type) type *
#else
#define PROCBOX_IMPORT(name)
#define PROCBOX_EXPORT(name)
#define PROCBOX_POINTER(type) uint32_t
#endif

/*
 * Declares and begins the definition of a worker:
 *
 *     PROCBOX_WORKER(hello) { ... return 0; }
 *
 * The host calls the export procbox_worker_NAME once, in a new instance, with a mode. What it
 * returns is the process's exit code (its low 8 bits). It sees to what is before and behind it in a C
 * program: static constructors have run, once, and at its end stdout is flushed, and what atexit was
 * given is called.
 *
 * The host calls _initialize before it, if the program has that, and nothing else. So the macro has to
 * know who else runs the constructors. The linker has every export run them, unless something refers
 * to __wasm_call_ctors: so wasi-libc of before September 2022 has it (Debian 12), where such a
 * reference would take them, and the flush, from main. Later ones refer to it in _start, and a worker
 * has to call it. Define PROCBOX_LINKER_CONSTRUCTS to 1 or 0 if the macro does not find that out by
 * itself: a worker traps whose constructors nobody has run. Define PROCBOX_NO_LIBC for a program
 * without the C library: then nothing is called.
 */
#if defined(__wasi__) && !defined(PROCBOX_NO_LIBC)
#ifndef PROCBOX_LINKER_CONSTRUCTS
#ifdef CLOCK_PROCESS_CPUTIME_ID /* in wasi-libc's time.h until July 2022 */
#define PROCBOX_LINKER_CONSTRUCTS 1
#else
#define PROCBOX_LINKER_CONSTRUCTS 0
#endif
#endif
#if PROCBOX_LINKER_CONSTRUCTS
#define PROCBOX_CONSTRUCT() __builtin_trap()
#else
void __wasm_call_ctors(void);
#define PROCBOX_CONSTRUCT() __wasm_call_ctors()
#endif
void __wasm_call_dtors(void);
#define PROCBOX_WORKER(worker)                                                        \
    static volatile int procbox_constructed_##worker;                                 \
    __attribute__((__constructor__)) static void procbox_construct_##worker(void) {   \
        procbox_constructed_##worker = 1;                                             \
    }                                                                                 \
    static int32_t procbox_body_##worker(int32_t mode);                               \
    PROCBOX_EXPORT(PROCBOX_WORKER_PREFIX #worker)                                     \
    int32_t procbox_worker_##worker(int32_t mode);                                    \
    int32_t procbox_worker_##worker(int32_t mode) {                                   \
        int32_t code;                                                                 \
        if (!procbox_constructed_##worker) PROCBOX_CONSTRUCT();                       \
        code = procbox_body_##worker(mode);                                           \
        __wasm_call_dtors();                                                          \
        return code;                                                                  \
    }                                                                                 \
    static int32_t procbox_body_##worker(int32_t mode)
#else
#define PROCBOX_WORKER(worker)                                  \
    PROCBOX_EXPORT(PROCBOX_WORKER_PREFIX #worker)               \
    int32_t procbox_worker_##worker(int32_t mode);              \
    int32_t procbox_worker_##worker(int32_t mode)
#endif

/*
 * Says what a worker takes and gives, for `procbox workers` and `--invoke`, outside of any function:
 *
 *     PROCBOX_SIGNATURE(hello, "hello(name: String) -> u32")
 */
#ifdef __wasm__
#define PROCBOX_SIGNATURE(worker, signature)                                                     \
    __asm__(".section .custom_section." PROCBOX_SECTION ",\"\",@\n"                              \
            "\t.ascii \"" #worker "\\t" signature "\\n\"\n"                                      \
            "\t.text\n");
#else
#define PROCBOX_SIGNATURE(worker, signature)
#endif

/* What a worker is called for. */
enum procbox_mode {
    PROCBOX_MODE_CALL = 0, /* once, with the arguments of process_start */
    PROCBOX_MODE_SERVE = 1 /* to serve a pool; the arguments are its terms */
};

/* What a call comes to. */
enum procbox_code {
    PROCBOX_OK = 0,
    /* Lock: acquired from a holder that died. Receive: fetch the message with message_read. */
    PROCBOX_NOTED = 1,
    PROCBOX_TIMED_OUT = -1,       /* the wait ran out (not of a queue), or a try found nothing */
    PROCBOX_FULL = -2,            /* the same, for a put into a queue */
    PROCBOX_EMPTY = -3,           /* the same, for a get from a queue */
    PROCBOX_CLOSED = -4,          /* the queue is closed, or the pipe's other end is gone */
    PROCBOX_INTERRUPTED = -5,     /* Ctrl-C ended the wait of a process that answers it */
    PROCBOX_NOT_HOLDER = -6,      /* released by one that does not hold it */
    PROCBOX_ALREADY_HELD = -7,    /* acquired again by its holder */
    PROCBOX_BAD_HANDLE = -8,      /* no such handle, or of another kind */
    PROCBOX_BAD_POINTER = -9,     /* not inside the memory */
    PROCBOX_NOT_GRANTED = -10,    /* the right to do this was not granted */
    PROCBOX_NO_SUCH_WORKER = -11, /* the program has no export of that name */
    PROCBOX_EXHAUSTED = -12,      /* a limit: handles, processes, or memory of the tree */
    PROCBOX_TOO_LARGE = -13,      /* the message is larger than its queue will ever hold */
    PROCBOX_FOREIGN = -14,        /* reserved: a handle of another sandbox */
    PROCBOX_INVALID = -15,        /* a number out of range, a text that is not UTF-8 */
    PROCBOX_DAEMON_START = -16,   /* a daemon may not start processes */
    PROCBOX_NOT_RUNNABLE = -17,   /* the program has no _start */
    PROCBOX_ADDRESS_IN_USE = -18, /* somebody listens under this name already */
    PROCBOX_REFUSED = -19,        /* nobody listens under this name */
    PROCBOX_AMBIGUOUS_WORKER = -20, /* the program has several workers of that name */
    PROCBOX_DEADLOCK = -21        /* those who could end the wait wait in turn */
};

/* What a received handle is of. */
enum procbox_kind {
    PROCBOX_KIND_LOCK = 1,
    PROCBOX_KIND_SEMAPHORE = 2,
    PROCBOX_KIND_EVENT = 3,
    PROCBOX_KIND_QUEUE = 4,
    PROCBOX_KIND_PIPE = 5,
    PROCBOX_KIND_LEDGER = 6,
    PROCBOX_KIND_REGION = 7
};

/* What region_atomic does to a word. */
enum procbox_atomic {
    PROCBOX_ATOMIC_LOAD = 0,            /* nothing */
    PROCBOX_ATOMIC_STORE = 1,           /* it is the operand from now on */
    PROCBOX_ATOMIC_ADD = 2,             /* the operand is added, around the end */
    PROCBOX_ATOMIC_COMPARE_EXCHANGE = 3 /* it is the operand, if it was what was expected */
};

/* The size of a message: what message_read will write. */
typedef struct {
    uint32_t bytes;
    uint32_t handles;
} procbox_sizes_t;

/* One handle that came with a message. */
typedef struct {
    int32_t handle;
    uint32_t kind; /* enum procbox_kind */
} procbox_received_t;

/* What a queue holds at most. */
typedef struct {
    int64_t messages; /* negative: as many as the bytes allow */
    int64_t bytes;    /* all messages together; no message may be larger */
} procbox_bounds_t;

/*
 * A ledger's page, as this process sees it. What the words mean is for those who share it; what lost
 * means too: when a process dies its line is added to it, lane by lane.
 */
typedef struct {
    uint64_t version; /* the number of changes so far */
    uint64_t word_0;
    uint64_t word_1;
    uint64_t word_2;
    uint64_t word_3;
    uint64_t word_4;
    uint64_t word_5;
    uint64_t word_6;
    uint64_t word_7;
    uint64_t lost_0;
    uint64_t lost_1;
    uint64_t lost_2;
    uint64_t line;   /* this process's: the first lane in 32 bits, then two in 16 bits each */
    uint32_t ring_0; /* read: how often the bell had been rung; written: how many are to look again */
    uint32_t ring_1;
} procbox_ledger_t;

/* How a process ended. */
typedef struct {
    int32_t exitcode; /* 0..255 an exit code, below 0 the negated signal */
    uint32_t limit;   /* enum procbox_limit */
} procbox_status_t;

/* The limit that ended a process. */
enum procbox_limit {
    PROCBOX_LIMIT_NONE = 0,
    PROCBOX_LIMIT_MEMORY = 1,     /* reserved */
    PROCBOX_LIMIT_CPU_TIME = 2,   /* the cpu_time of procbox_start_t */
    PROCBOX_LIMIT_FUEL = 3,       /* the fuel that the sandbox gives each process */
    PROCBOX_LIMIT_WALL_CLOCK = 4, /* the timeout of procbox_start_t */
    PROCBOX_LIMIT_OTHER = 5       /* reserved */
};

/* What a new process executes. */
enum procbox_start_kind {
    PROCBOX_START_MAIN = 0, /* _start; "worker" is its arguments, each ended by a 0 byte */
    PROCBOX_START_CALL = 1, /* a worker, with PROCBOX_MODE_CALL */
    PROCBOX_START_SERVE = 2 /* a worker, with PROCBOX_MODE_SERVE */
};

/* The process ends when the one that started it ends. */
#define PROCBOX_FLAG_DAEMON 1u
/* procbox_start_t has a cpu_time: without this flag the host does not look at it. */
#define PROCBOX_FLAG_CPU_TIME 2u

/* A process to start, at these offsets. */
typedef struct {
    uint32_t kind;                      /*  0: enum procbox_start_kind */
    PROCBOX_POINTER(const char) worker; /*  4: the worker's name, without the prefix */
    uint32_t worker_len;                /*  8 */
    PROCBOX_POINTER(const char) name;   /* 12: the process's name */
    uint32_t name_len;                  /* 16 */
    uint32_t flags;                     /* 20: PROCBOX_FLAG_...; other bits are ignored, write 0 */
    int64_t timeout;  /* 24: ended after this; 0 and below: never */
    int64_t cpu_time; /* 32: ended when it has used this much CPU time; 0 and below: never */
} procbox_start_t;

typedef char procbox_start_t_has_40_bytes[sizeof(procbox_start_t) == 40 ? 1 : -1];

/* Who a process is: what self_identity keeps, before name, parent's name and authkey. */
typedef struct {
    uint32_t pid;
    uint32_t parent; /* its pid, or 0 */
    uint32_t daemon; /* 1 if it is one, else 0 */
    uint32_t name_len;
    uint32_t parent_name_len;
    uint32_t authkey_len;
} procbox_identity_t;

/* What self_interrupt is asked, about Ctrl-C. */
enum procbox_interrupt {
    PROCBOX_INTERRUPT_IGNORE = 0, /* the process does not answer it (the default): it is ended */
    PROCBOX_INTERRUPT_ANSWER = 1, /* its waiting calls end with INTERRUPTED, until it clears that */
    PROCBOX_INTERRUPT_CLEAR = 2,  /* clears it */
    PROCBOX_INTERRUPT_QUERY = 3   /* the answer is 1 if there is one, else 0 */
};

/* The handles that a process may have. */
#define PROCBOX_MAX_HANDLES 1048576u
/* The handles that wait_any takes. */
#define PROCBOX_MAX_WAITED 65536u
/* The bytes of the name of a listener. */
#define PROCBOX_MAX_ADDRESS 255u
/* The bytes that a queue holds: 256 MiB. */
#define PROCBOX_MAX_QUEUE_BYTES 268435456u

/* ---- any handle ---- */

/*
 * Closes a handle. The object lives on while others have handles of it or it is in a message.
 * A lock that the process holds stays held until it releases it through another handle, or ends.
 */
PROCBOX_IMPORT("handle_close")
int32_t procbox_handle_close(int32_t handle);

/* ---- locks ---- */

/* A new lock, held by nobody: its handle. EXHAUSTED. */
PROCBOX_IMPORT("lock_new")
int32_t procbox_lock_new(void);

/* Takes the lock: OK, or NOTED if the holder before died. TIMED_OUT if another has it, ALREADY_HELD. */
PROCBOX_IMPORT("lock_try_acquire")
int32_t procbox_lock_try_acquire(int32_t handle);

/* The same, waiting. */
PROCBOX_IMPORT("lock_acquire")
int32_t procbox_lock_acquire(int32_t handle, int64_t timeout);

/* Gives the lock back. NOT_HOLDER. */
PROCBOX_IMPORT("lock_release")
int32_t procbox_lock_release(int32_t handle);

/* ---- semaphores ---- */

/* A new semaphore: its handle. INVALID if permits is negative, EXHAUSTED. */
PROCBOX_IMPORT("semaphore_new")
int32_t procbox_semaphore_new(int32_t permits);

/* Takes a permit, which comes back by itself when the process ends. TIMED_OUT if there is none. */
PROCBOX_IMPORT("semaphore_try_acquire")
int32_t procbox_semaphore_try_acquire(int32_t handle);

/* The same, waiting. */
PROCBOX_IMPORT("semaphore_acquire")
int32_t procbox_semaphore_acquire(int32_t handle, int64_t timeout);

/* Gives a permit back: one of the process's own, or else a new one. INVALID if the count overflows. */
PROCBOX_IMPORT("semaphore_release")
int32_t procbox_semaphore_release(int32_t handle);

/* Turns a permit of the process into one that does not come back. */
PROCBOX_IMPORT("semaphore_forget")
int32_t procbox_semaphore_forget(int32_t handle);

/* The permits that are free now; at most INT32_MAX is said. */
PROCBOX_IMPORT("semaphore_available")
int32_t procbox_semaphore_available(int32_t handle);

/* ---- events ---- */

/* A new event, clear: its handle. EXHAUSTED. */
PROCBOX_IMPORT("event_new")
int32_t procbox_event_new(void);

/* Sets it; all who wait go on. */
PROCBOX_IMPORT("event_set")
int32_t procbox_event_set(int32_t handle);

/* Clears it. */
PROCBOX_IMPORT("event_clear")
int32_t procbox_event_clear(int32_t handle);

/* 1 if it is set, 0 if not. The try form of event_wait. */
PROCBOX_IMPORT("event_is_set")
int32_t procbox_event_is_set(int32_t handle);

/* Waits until it is set, or has been set since the call began. TIMED_OUT. */
PROCBOX_IMPORT("event_wait")
int32_t procbox_event_wait(int32_t handle, int64_t timeout);

/* ---- queues and pipes ---- */

/*
 * A new queue: its handle. messages: the most messages, negative for no bound of their own. bytes:
 * the most bytes; negative or more than PROCBOX_MAX_QUEUE_BYTES means these. INVALID if one is 0,
 * EXHAUSTED.
 */
PROCBOX_IMPORT("queue_new")
int32_t procbox_queue_new(int64_t messages, int64_t bytes);

/* The messages in it now; at most INT32_MAX is said. */
PROCBOX_IMPORT("queue_len")
int32_t procbox_queue_len(int32_t handle);

/* Writes its bounds to *out. */
PROCBOX_IMPORT("queue_bounds")
int32_t procbox_queue_bounds(int32_t handle, procbox_bounds_t *out);

/* Closes it for all: puts fail at once, gets drain what is there and then fail. */
PROCBOX_IMPORT("queue_close")
int32_t procbox_queue_close(int32_t handle);

/*
 * A new pipe: writes the handles of its two ends to out. When duplex is 0 the first only receives and
 * the second only sends. EXHAUSTED.
 */
PROCBOX_IMPORT("pipe_new")
int32_t procbox_pipe_new(int32_t duplex, int32_t out[2]);

/* ---- ledgers: what conditions, barriers, read-write locks and the like stand on ---- */

/* A new ledger, all zero: its handle. EXHAUSTED. */
PROCBOX_IMPORT("ledger_new")
int32_t procbox_ledger_new(void);

/* Writes its page to *page. */
PROCBOX_IMPORT("ledger_read")
int32_t procbox_ledger_read(int32_t handle, procbox_ledger_t *page);

/*
 * Puts *page in force, with this process's line, if its version is the one that is in force: 1. Else
 * 0: somebody has changed the page since, read it again. Those who wait for a bell look again, at
 * least as many as its ring says. EXHAUSTED if there is no room for the line.
 */
PROCBOX_IMPORT("ledger_write")
int32_t procbox_ledger_write(int32_t handle, const procbox_ledger_t *page);

/*
 * Waits until a bell (0 or 1) has been rung since seen, which a page said of it. It is rung too when a
 * process dies whose line was not 0. INVALID if there is no such bell, TIMED_OUT, DEADLOCK.
 */
PROCBOX_IMPORT("ledger_wait")
int32_t procbox_ledger_wait(int32_t handle, int32_t bell, int32_t seen, int64_t timeout);

/* ---- regions: bytes that processes share, copied in and out ---- */

/* A new region, all zero: its handle. INVALID for 0 or more than 2^30 bytes, EXHAUSTED. */
PROCBOX_IMPORT("region_new")
int32_t procbox_region_new(uint32_t bytes);

/* The number of its bytes. */
PROCBOX_IMPORT("region_len")
int32_t procbox_region_len(int32_t handle);

/* Copies len bytes from an offset out. INVALID if the region has not so many. */
PROCBOX_IMPORT("region_read")
int32_t procbox_region_read(int32_t handle, uint32_t at, void *bytes, uint32_t len);

/* Copies len bytes in at an offset. INVALID if the region has not so many. */
PROCBOX_IMPORT("region_write")
int32_t procbox_region_write(int32_t handle, uint32_t at, const void *bytes, uint32_t len);

/*
 * Does something (enum procbox_atomic) to the word of 8 bytes at an offset, in one step, and writes to
 * *out what it was before. INVALID if the offset is no multiple of 8 or there is no word.
 */
PROCBOX_IMPORT("region_atomic")
int32_t procbox_region_atomic(int32_t handle, uint32_t at, int32_t what, int64_t operand,
                              int64_t expected, int64_t *out);

/*
 * Waits until the word at an offset is another than is; it is looked at now, and at each region_notify.
 * INVALID as above, TIMED_OUT.
 */
PROCBOX_IMPORT("region_wait")
int32_t procbox_region_wait(int32_t handle, uint32_t at, int64_t is, int64_t timeout);

/* All who wait for words of it look again. */
PROCBOX_IMPORT("region_notify")
int32_t procbox_region_notify(int32_t handle);

/* ---- connections: between processes of one context that have no handle of each other ---- */

/*
 * A listener by the name of len bytes (1 to PROCBOX_MAX_ADDRESS). Who comes is received from it with
 * message_try_get or message_get: a message without bytes whose one handle is an end of a pipe.
 * ADDRESS_IN_USE; INVALID if the name is too long or no UTF-8, BAD_POINTER, EXHAUSTED.
 */
PROCBOX_IMPORT("connection_listen")
int32_t procbox_connection_listen(const char *name, uint32_t len);

/*
 * A connection to the listener of this name: an end of a duplex pipe. TIMED_OUT if its backlog is full,
 * REFUSED if nobody listens. Who is at the other end is for the two to find out: the SDK has them
 * prove that they know the authkey.
 */
PROCBOX_IMPORT("connection_try_connect")
int32_t procbox_connection_try_connect(const char *name, uint32_t len);

/* The waiting form: waits at most timeout nanoseconds, for ever if negative, for room in the backlog. */
PROCBOX_IMPORT("connection_connect")
int32_t procbox_connection_connect(const char *name, uint32_t len, int64_t timeout);

/* ---- messages: through a queue, or through an end of a pipe ---- */

/*
 * Sends len bytes and the n handles listed. The process keeps its handles. Everything but process
 * handles may be sent. FULL (queue) or TIMED_OUT (pipe) if there is no room, CLOSED, TOO_LARGE,
 * EXHAUSTED. CLOSED also on an end that only receives.
 */
PROCBOX_IMPORT("message_try_put")
int32_t procbox_message_try_put(int32_t handle, const void *bytes, uint32_t len,
                                const int32_t *handles, uint32_t n);

/* The same, waiting. Bytes and handles are read when the call begins. */
PROCBOX_IMPORT("message_put")
int32_t procbox_message_put(int32_t handle, const void *bytes, uint32_t len,
                            const int32_t *handles, uint32_t n, int64_t timeout);

/*
 * Receives a message and writes its sizes to *sizes. If it has no handles and its bytes fit into cap,
 * they are written to bytes, and the answer is OK. Otherwise the host keeps the message and says
 * NOTED: fetch it with message_read. It keeps one: the next message_*get that takes a message, and
 * the next self_identity or self_workers, puts its own in the place of one that was not fetched.
 * A message is also kept, and not lost, if bytes or sizes is not inside the memory; the answer is
 * then NOTED or BAD_POINTER.
 *
 * EMPTY (queue) or TIMED_OUT (pipe) if there is none; CLOSED if there will be none: the queue is
 * closed and drained, the pipe's other end is gone, or this end only sends.
 */
PROCBOX_IMPORT("message_try_get")
int32_t procbox_message_try_get(int32_t handle, void *bytes, uint32_t cap, procbox_sizes_t *sizes);

/* The same, waiting. */
PROCBOX_IMPORT("message_get")
int32_t procbox_message_get(int32_t handle, void *bytes, uint32_t cap, procbox_sizes_t *sizes,
                            int64_t timeout);

/*
 * Fetches the message that the host keeps: writes its bytes, and for each handle its number and kind.
 * Both buffers must be as large as the sizes said. The handles are now the process's own. If the
 * answer is BAD_POINTER or EXHAUSTED the message is still kept. With nothing kept it is an empty
 * message.
 */
PROCBOX_IMPORT("message_read")
int32_t procbox_message_read(void *bytes, procbox_received_t *handles);

/* ---- processes ---- */

/*
 * Starts a process of this very program, with a message (bytes and handles) as its arguments: its
 * handle. Its stdin is the host's, its stdout goes where this process's goes. NOT_GRANTED,
 * DAEMON_START, NO_SUCH_WORKER, AMBIGUOUS_WORKER, NOT_RUNNABLE, EXHAUSTED, INVALID (kind, or a text not UTF-8),
 * TOO_LARGE (a name above 4 KiB, arguments of a program above 1 MiB or 65,536 of them).
 */
PROCBOX_IMPORT("process_start")
int32_t procbox_process_start(const procbox_start_t *start, const void *bytes, uint32_t len,
                              const int32_t *handles, uint32_t n);

/* Its pid, a number that the sandbox gives. */
PROCBOX_IMPORT("process_pid")
int32_t procbox_process_pid(int32_t handle);

/* Writes how it ended. TIMED_OUT while it runs. The try form of process_join. */
PROCBOX_IMPORT("process_status")
int32_t procbox_process_status(int32_t handle, procbox_status_t *out);

/* Waits until it has ended and writes how. TIMED_OUT. */
PROCBOX_IMPORT("process_join")
int32_t procbox_process_join(int32_t handle, procbox_status_t *out, int64_t timeout);

/* Ends it: exit code -15. OK too if it has ended. */
PROCBOX_IMPORT("process_terminate")
int32_t procbox_process_terminate(int32_t handle);

/* Ends it: exit code -9. OK too if it has ended. */
PROCBOX_IMPORT("process_kill")
int32_t procbox_process_kill(int32_t handle);

/*
 * Does to it what Ctrl-C does: if it answers (see self_interrupt), its waiting calls end with
 * INTERRUPTED; else it ends with exit code -2. OK too if it has ended.
 */
PROCBOX_IMPORT("process_interrupt")
int32_t procbox_process_interrupt(int32_t handle);

/*
 * Waits until at least one of n queues, pipe ends and processes is ready, writes 1 to ready[i] for
 * each that is and 0 for the others, and answers how many are. Ready means that a get, a receive or a
 * join would not wait. TIMED_OUT; BAD_HANDLE also for a lock, a semaphore, an event, or an end that
 * only sends; INVALID if n is more than PROCBOX_MAX_WAITED.
 */
PROCBOX_IMPORT("wait_any")
int32_t procbox_wait_any(const int32_t *handles, uint32_t n, uint8_t *ready, int64_t timeout);

/* ---- the process itself ---- */

/*
 * Writes the sizes of the arguments that this process was started with; message_read fetches them.
 * They are the kept message of a new process: ask before anything else is received.
 */
PROCBOX_IMPORT("self_arguments")
int32_t procbox_self_arguments(procbox_sizes_t *sizes);

/*
 * Keeps, for message_read, who this process is: a procbox_identity_t, then its name, its parent's name
 * and its authkey.
 */
PROCBOX_IMPORT("self_identity")
int32_t procbox_self_identity(procbox_sizes_t *sizes);

/* Keeps, for message_read, the program's workers: a line "name TAB signature LF" for each. */
PROCBOX_IMPORT("self_workers")
int32_t procbox_self_workers(procbox_sizes_t *sizes);

/* Ctrl-C: what is one of enum procbox_interrupt. Other numbers: INVALID. */
PROCBOX_IMPORT("self_interrupt")
int32_t procbox_self_interrupt(int32_t what);

/* How many processes the sandbox runs at once. */
PROCBOX_IMPORT("cpu_count")
int32_t procbox_cpu_count(void);

/*
 * Says that the process is ready for its image. Where one is made of it (`procbox snapshot`) this does not
 * return, and each process of the image begins with the export PROCBOX_RESUME; its frames are still on the
 * stack in memory, under that one. Everywhere else it is OK, and nothing happens.
 */
PROCBOX_IMPORT("snapshot")
int32_t procbox_snapshot(void);

#ifdef __cplusplus
}
#endif

#endif
