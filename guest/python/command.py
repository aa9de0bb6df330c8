"""Python as a command: a program for `procbox run` and `procbox map`, one for every script.

    python.wasm -c CODE [ARG]...    runs the code
    python.wasm FILE [ARG]...       runs a file, of a directory that was granted
    python.wasm                     runs what it reads from standard input

The interpreter is in it as it was after its start, with what is imported below: each process begins
there. What a script prints is the process's output, and its status is what it passes to `sys.exit`, or 1
after an exception that nothing catches.
"""

import gc
import os
import random
import sys
import traceback

# What scripts ask for most is there already: an import that is in the image costs a process nothing.
import collections  # noqa: F401
import datetime  # noqa: F401
import functools  # noqa: F401
import itertools  # noqa: F401
import json  # noqa: F401
import math  # noqa: F401
import re  # noqa: F401
import string  # noqa: F401

from wit_world.exports import Run as Exported
from wit_world.imports import environment, exit as process


def _code(words: list[str]) -> tuple[str, str, list[str]]:
    """The code to run, its name, and its arguments."""
    if words[:1] == ["-c"]:
        if len(words) < 2:
            raise SystemExit("python.wasm: -c is followed by code")
        return words[1], "<string>", ["-c", *words[2:]]
    if words and words[0] != "-":
        with open(words[0], encoding="utf-8") as file:
            return file.read(), words[0], words
    return sys.stdin.read(), "<stdin>", words or [""]


def _run(words: list[str]) -> int:
    try:
        code, name, sys.argv = _code(words)
        exec(compile(code, name, "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
    except SystemExit as end:
        if end.code is None:
            return 0
        if isinstance(end.code, int):
            return end.code & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        # Only what the script itself did.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(error)
        return 1
    return 0


class Run(Exported):
    def run(self) -> None:
        # The image is the same for all: two processes must not draw the same numbers.
        random.seed(os.urandom(32))
        status = _run(environment.get_arguments()[1:])
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                status = status or 1
        process.exit_with_code(status)


# What is in the image is not looked at by the collector again: it would write to all of it, and each process
# would have its own copy of pages that all of them share.
gc.collect()
gc.freeze()
