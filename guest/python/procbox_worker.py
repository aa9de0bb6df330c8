"""Workers in Python: functions that a process of procbox's sandbox is asked for by name.

    from procbox_worker import WitWorld, worker

    @worker
    def shout(text: str) -> str:
        return text.upper()

    @worker(form="json")
    def total(order):
        return sum(line["price"] for line in order)

A worker takes what the input is: a text, or with `form="bytes"` bytes, or with `form="json"` the value of
that JSON; and returns the same kind of thing. What it raises fails its task, with its message; the process
goes on. A program with one worker has it under every name.

The interpreter is in the component as it was when that was built, with the modules that the program had
imported by then: each process begins there.
"""

import functools
import gc
import json
import os
import random
import sys
import traceback
from contextlib import contextmanager

import wit_world
from componentize_py_types import Err
from wit_world.imports import log as _log
from wit_world.imports import primitives as _raw

_workers = {}

_FORMS = {
    "text": (lambda data: data.decode(), lambda value: str("" if value is None else value).encode()),
    "bytes": (lambda data: data, lambda value: b"" if value is None else bytes(value)),
    "json": (json.loads, lambda value: json.dumps(value, ensure_ascii=False).encode()),
}


def worker(function=None, *, form="text", name=None):
    """Makes a function a worker, under its own name or another."""
    if form not in _FORMS:
        raise ValueError(f"form={form!r}: there are {', '.join(_FORMS)}")
    if function is None:
        return functools.partial(worker, form=form, name=name)
    _workers[name or function.__name__] = (function, *_FORMS[form])
    # What is there by now is not looked at by the collector again: it would write to all of it, and each
    # process would have its own copy of pages that all of them share.
    gc.freeze()
    return function


class WitWorld(wit_world.WitWorld):
    """What the component exports."""

    _seeded = False

    def run(self, name: str, input: bytes) -> bytes:
        if not WitWorld._seeded:
            # The image is the same for all: two processes must not draw the same numbers.
            random.seed(os.urandom(32))
            WitWorld._seeded = True
        found = _workers.get(name)
        if found is None and len(_workers) == 1:
            (found,) = _workers.values()
        if found is None:
            known = ", ".join(_workers) or "none"
            asked = "say which worker" if name == "run" else f"there is no worker {name!r}"
            raise Err(f"{asked}: this program has {known}")
        function, read, write = found
        try:
            return write(function(read(input)))
        except Err:
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(last.filename)}:{last.lineno}"
            raise Err(f"{type(error).__name__}: {error} ({where})") from None
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


class TimedOut(Exception):
    """The timeout passed."""


class Full(Exception):
    """The queue has no room."""


class Empty(Exception):
    """The queue has no message."""


class Closed(Exception):
    """The queue was closed, or nobody has the other end of the pipe."""


class Failed(Exception):
    """Another reason why an operation was not done, which its text says."""


_ERRORS = {"TIMED_OUT": TimedOut, "FULL": Full, "EMPTY": Empty, "CLOSED": Closed}


@contextmanager
def _translated():
    try:
        yield
    except Err as error:
        name = error.value.name
        raise _ERRORS.get(name, Failed)(name.lower().replace("_", " ")) from None


def _nanos(timeout):
    """Seconds, or None for as long as it takes, in what the host counts in."""
    return None if timeout is None else max(0, int(timeout * 1e9))


class Lock:
    """A lock, which belongs to one process at a time; a `with` statement takes it and gives it back."""

    def __init__(self, raw=None):
        with _translated():
            self._raw = raw or _raw.Lock.new()

    def acquire(self, timeout=None) -> bool:
        """Takes it. True if the one who held it before died with it."""
        with _translated():
            return self._raw.acquire(_nanos(timeout))

    def release(self):
        with _translated():
            self._raw.release()

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *_):
        self.release()


class Semaphore:
    """A number of permits; a `with` statement takes one and gives it back."""

    def __init__(self, permits=1, raw=None):
        with _translated():
            self._raw = raw or _raw.Semaphore.new(permits)

    def acquire(self, timeout=None):
        with _translated():
            self._raw.acquire(_nanos(timeout))

    def release(self):
        with _translated():
            self._raw.release()

    def available(self) -> int:
        with _translated():
            return self._raw.available()

    def __enter__(self):
        self.acquire()

    def __exit__(self, *_):
        self.release()


class Event:
    """A flag that processes wait for."""

    def __init__(self, raw=None):
        with _translated():
            self._raw = raw or _raw.Event.new()

    def set(self):
        with _translated():
            self._raw.set()

    def clear(self):
        with _translated():
            self._raw.clear()

    def is_set(self) -> bool:
        with _translated():
            return self._raw.is_set()

    def wait(self, timeout=None):
        with _translated():
            self._raw.wait(_nanos(timeout))


class Queue:
    """Messages for whoever takes them: bytes, and handles beside them."""

    def __init__(self, maxsize=0, raw=None):
        with _translated():
            self._raw = raw or _raw.Queue.new(maxsize or None, None)

    def put(self, data: bytes, handles=(), timeout=None):
        with _translated():
            self._raw.put(bytes(data), [_lent(h) for h in handles], _nanos(timeout))

    def get(self, timeout=None) -> bytes:
        return self.get_with_handles(timeout)[0]

    def get_with_handles(self, timeout=None):
        with _translated():
            message = self._raw.get(_nanos(timeout))
        return message.bytes, [_wrapped(h) for h in message.handles]

    def qsize(self) -> int:
        with _translated():
            return self._raw.len()

    def close(self):
        with _translated():
            self._raw.close()


class Pipe:
    """One end of a pipe."""

    def __init__(self, raw):
        self._raw = raw

    @staticmethod
    def pair(duplex=True):
        """Both ends. If it is not duplex, the first receives and the second sends."""
        with _translated():
            return tuple(Pipe(raw) for raw in _raw.Pipe.new(duplex))

    def send(self, data: bytes, handles=(), timeout=None):
        with _translated():
            self._raw.send(bytes(data), [_lent(h) for h in handles], _nanos(timeout))

    def recv(self, timeout=None) -> bytes:
        return self.recv_with_handles(timeout)[0]

    def recv_with_handles(self, timeout=None):
        with _translated():
            message = self._raw.recv(_nanos(timeout))
        return message.bytes, [_wrapped(h) for h in message.handles]


_KINDS = {"Lock": Lock, "Semaphore": Semaphore, "Event": Event, "Queue": Queue, "Pipe": Pipe}


def _wrapped(handle):
    kind = type(handle).__name__.removeprefix("Handle_")
    return _KINDS[kind](raw=handle.value)


def _lent(handle):
    return getattr(_raw, f"Lent_{type(handle).__name__}")(handle._raw)


def handles():
    """The handles that came with the input of the task that is under way. Each is handed out once."""
    with _translated():
        return [_wrapped(h) for h in _raw.handles()]


def pid() -> int:
    """This process's number."""
    return _raw.pid()


def log(text: str, level: str = "info"):
    """Writes a line to the process's standard error: at trace, debug, info, warn or error."""
    _log.log(_log.Level[level.upper()], text)
