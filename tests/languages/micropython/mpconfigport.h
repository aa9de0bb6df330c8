/*
 * MicroPython as a program of WASI: the whole language, its core modules and json, re, random, heapq and
 * binascii, on a heap that grows. No files, no signals, no threads.
 */
#include <port/mpconfigport_common.h>
#include <stdlib.h>

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)
#define MICROPY_ENABLE_COMPILER (1)
#define MICROPY_ENABLE_SOURCE_LINE (1)
#define MICROPY_LONGINT_IMPL (MICROPY_LONGINT_IMPL_MPZ)
#define MICROPY_FLOAT_IMPL (MICROPY_FLOAT_IMPL_DOUBLE)
#define MICROPY_NLR_SETJMP (1)
#define MICROPY_STACK_CHECK (1)

/* More of the heap is had by malloc when it is full of what is in use. */
#define MICROPY_ENABLE_GC (1)
#define MICROPY_GC_SPLIT_HEAP (1)
#define MICROPY_GC_SPLIT_HEAP_AUTO (1)

#define MICROPY_PY_ASYNC_AWAIT (1)
#define MICROPY_PY_BINASCII (1)
#define MICROPY_PY_HEAPQ (1)
#define MICROPY_PY_IO (1)
#define MICROPY_PY_JSON (1)
#define MICROPY_PY_RANDOM (1)
#define MICROPY_PY_RANDOM_EXTRA_FUNCS (1)
#define MICROPY_PY_RE (1)
#define MICROPY_PY_SYS_EXIT (1)
#define MICROPY_PY_SYS_PLATFORM "wasi"

/* Needs sources that are not compiled here, or what a sandboxed process has not. */
#define MICROPY_ENABLE_EXTERNAL_IMPORT (0)
#define MICROPY_ENABLE_SCHEDULER (0)
#define MICROPY_HELPER_REPL (0)
#define MICROPY_KBD_EXCEPTION (0)
#define MICROPY_PY_BINASCII_CRC32 (0)
#define MICROPY_PY_BUILTINS_EXECFILE (0)
#define MICROPY_PY_BUILTINS_HELP (0)
#define MICROPY_PY_BUILTINS_INPUT (0)
#define MICROPY_PY_PLATFORM (0)
#define MICROPY_PY_SYS_STDFILES (0)
#define MICROPY_PY_UCTYPES (0)

extern unsigned int micropython_seed(void);
#define MICROPY_PY_RANDOM_SEED_INIT_FUNC (micropython_seed())
