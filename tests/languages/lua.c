/*
 * Stock Lua as a command: it runs the file that its first argument names, or its standard input.
 *
 * `procbox snapshot lua.wasm -o warm.wasm` makes an image of it whose libraries are open, and, with a
 * file, in which that has run: each process of the image then runs its standard input. docs/c.md
 * tells of both.
 */
#include "procbox.h"
#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lua_State *lua;

/* Runs a file, or the standard input; the status to exit with. */
static int run(const char *file) {
    if (luaL_loadfile(lua, file) == LUA_OK && lua_pcall(lua, 0, 0, 0) == LUA_OK) return 0;
    fflush(stdout);
    fprintf(stderr, "lua: %s\n", lua_tostring(lua, -1));
    return 1;
}

int main(int argc, char **argv) {
    int failed;
    lua = luaL_newstate();
    if (!lua) return 1;
    luaL_openlibs(lua);
    if (argc > 1 && strcmp(argv[1], "--snapshot") == 0) {
        if (argc > 2 && run(argv[2])) return 1;
        lua_gc(lua, LUA_GCCOLLECT);
        fflush(stdout);
        procbox_snapshot();
        return 0;
    }
    failed = run(argc > 1 ? argv[1] : NULL);
    lua_close(lua);
    return failed;
}

/* Where a process of an image begins: as `main` ends, so does it. */
PROCBOX_EXPORT(PROCBOX_RESUME) void procbox_resume(void);
void procbox_resume(void) { exit(run(NULL)); }

/* What wasi-libc has not, and Lua's libraries ask for. */
int system(const char *command) {
    (void)command;
    return -1;
}

FILE *tmpfile(void) { return NULL; }

/* The tag of longjmp as an exception, which the C library refers to. */
__asm__(".tagtype __c_longjmp i32\n.globl __c_longjmp\n__c_longjmp:\n");
