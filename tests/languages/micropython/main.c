/*
 * MicroPython as a command: it runs the file that its first argument names, or its standard input.
 *
 * `procbox snapshot micropython-stdin.wasm -o warm.wasm -- --snapshot` makes an image of it that has
 * started, and, with a file, in which that has run: each process of the image then runs its standard
 * input. docs/c.md tells of both.
 */
#include "procbox.h"
#include "py/compile.h"
#include "py/gc.h"
#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stackctrl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HEAP = 64 * 1024,       /* the first part of the heap, of which it has more when that is full */
    STACK = 192 * 1024,     /* of the stack, 256 KiB, what Python code may take */
    MOST_SOURCE = 16 << 20, /* of a script */
};

static char heap[HEAP];
static const char *bottom;

/* Bytes of a file, or of the standard input, that end with 0; NULL if they cannot be had. */
static char *source_of(const char *file, size_t *length) {
    FILE *in = file ? fopen(file, "rb") : stdin;
    char *bytes = NULL, *more;
    size_t room = 0, n = 0, got;
    if (!in) return NULL;
    do {
        if (room - n < 2) {
            room = room ? 2 * room : 4096;
            if (room > MOST_SOURCE || !(more = realloc(bytes, room))) return NULL;
            bytes = more;
        }
        n += got = fread(bytes + n, 1, room - n - 1, in);
    } while (got);
    if (ferror(in)) return NULL;
    bytes[n] = 0;
    *length = n;
    if (file) fclose(in);
    return bytes;
}

static void to_stderr(void *env, const char *text, size_t length) {
    (void)env;
    fwrite(text, 1, length, stderr);
}

static const mp_print_t standard_error = {NULL, to_stderr};

/* The status that `sys.exit(VALUE)` asks for. */
static int status_of(mp_obj_t value) {
    mp_int_t status;
    if (value == mp_const_none) return 0;
    if (mp_obj_get_int_maybe(value, &status)) return (int)status & 0xff;
    mp_obj_print_helper(&standard_error, value, PRINT_STR);
    mp_print_str(&standard_error, "\n");
    return 1;
}

/* Runs a script; the status to exit with. */
static int run(const char *file) {
    size_t length;
    char *source = source_of(file, &length);
    nlr_buf_t nlr;
    if (!source) {
        fprintf(stderr, "micropython: %s cannot be read\n", file ? file : "the standard input");
        return 2;
    }
    if (nlr_push(&nlr) == 0) {
        mp_lexer_t *lexer = mp_lexer_new_from_str_len(
            file ? qstr_from_str(file) : MP_QSTR__lt_stdin_gt_, source, length, 0);
        qstr name = lexer->source_name;
        mp_parse_tree_t tree = mp_parse(lexer, MP_PARSE_FILE_INPUT);
        mp_call_function_0(mp_compile(&tree, name, false));
        nlr_pop();
        free(source);
        return 0;
    }
    mp_obj_t error = MP_OBJ_FROM_PTR(nlr.ret_val);
    if (mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(mp_obj_get_type(error)), MP_OBJ_FROM_PTR(&mp_type_SystemExit)))
        return status_of(mp_obj_exception_get_value(error));
    mp_obj_print_exception(&standard_error, error);
    return 1;
}

/* Says where the stack is that Python code runs on, which is another in each process. */
static void stand_on(const char *here) {
    bottom = here;
    mp_stack_set_top((void *)here);
    mp_stack_set_limit(STACK);
}

int main(int argc, char **argv) {
    char here;
    stand_on(&here);
    gc_init(heap, heap + HEAP);
    mp_init();
    if (argc > 1 && strcmp(argv[1], "--snapshot") == 0) {
        if (argc > 2 && run(argv[2])) return 1;
        fflush(stdout);
        procbox_snapshot();
        return 0;
    }
    return run(argc > 1 ? argv[1] : NULL);
}

/* Has `random` begin anew, if the image has it. */
static void reseed(void) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        mp_obj_t random = mp_import_name(MP_QSTR_random, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
        mp_call_function_0(mp_load_attr(random, MP_QSTR_seed));
        nlr_pop();
    }
}

/* Where a process of an image begins: as `main` ends, so does it. */
PROCBOX_EXPORT(PROCBOX_RESUME) void procbox_resume(void);
void procbox_resume(void) {
    char here;
    stand_on(&here);
    reseed();
    exit(run(NULL));
}

/* What `random` begins with. */
uint32_t micropython_seed(void) {
    uint32_t seed;
    if (getentropy(&seed, sizeof seed)) abort();
    return seed;
}

/* Keeps whatever the stack has an address of: binaryen has put there each local that may be one. */
void gc_collect(void) {
    char here;
    gc_collect_start();
    void **top = (void **)((uintptr_t)&here & ~(sizeof(void *) - 1));
    gc_collect_root(top, (size_t)((void **)bottom - top));
    gc_collect_end();
}

/* The most by which the heap may grow at once: memory is bounded by who runs this. */
size_t gc_get_max_new_split(void) { return SIZE_MAX / 2; }

void mp_hal_stdout_tx_strn_cooked(const char *text, size_t length) { fwrite(text, 1, length, stdout); }

/* There are no files here: a script has its standard input and output. */
static mp_obj_t no_files(size_t n, const mp_obj_t *positional, mp_map_t *named) {
    (void)n, (void)positional, (void)named;
    mp_raise_OSError(MP_ENOENT);
}
MP_DEFINE_CONST_FUN_OBJ_KW(mp_builtin_open_obj, 1, no_files);

void nlr_jump_fail(void *value) {
    (void)value;
    abort();
}

/* The tag of longjmp as an exception, which the C library refers to. */
__asm__(".tagtype __c_longjmp i32\n.globl __c_longjmp\n__c_longjmp:\n");
