"""A sample program: workers in Python."""

import random
import re
import sys
from collections import Counter

from procbox_worker import Empty, Event, Lock, Pipe, Queue, Semaphore, WitWorld, handles, log, pid, worker


@worker(form="json", name="total")
def total_of_prices(order):
    return sum(line["price"] * line.get("number", 1) for line in order)


@worker
def words(text: str) -> str:
    """The words of a text, and how often each is there."""
    counts = Counter(re.findall(r"\w+", text.lower()))
    return "\n".join(f"{word} {n}" for word, n in counts.most_common())


@worker(form="bytes")
def reverse(data: bytes) -> bytes:
    return data[::-1]


@worker
def fail(text: str):
    raise LookupError(f"no {text}")


@worker
def loop(_):
    while True:
        pass


@worker
def bomb(_):
    everything = []
    while True:
        everything.append(b"x" * (1 << 20))


@worker
def flood(text: str):
    while True:
        print(text)


@worker
def crash(_):
    sys.setrecursionlimit(10**9)

    def deeper(n):
        return deeper(n + 1) + 1

    return deeper(0)


@worker(name="random")
def random_number(_):
    return random.random()


@worker
def say(text: str):
    print(text)
    log(text, "warn")


@worker
def pieces(text: str) -> int:
    """Sends the text to the queue that it is handed, in pieces, and says how many."""
    (queue,) = handles()
    parts = text.split()
    for part in parts:
        queue.put(part.encode())
    return len(parts)


@worker
def locked(_):
    """Takes the lock that it is handed, and says whether one who held it died."""
    (lock,) = handles()
    with lock as owner_died:
        return f"{pid() > 0} {owner_died}"


@worker
def wait(_):
    """Waits for the event that it is handed, once it has said so in the queue."""
    event, told = handles()
    told.put(b"here")
    event.wait()


@worker
def own(_):
    """Each primitive, made here."""
    lock, permits, event, queue = Lock(), Semaphore(2), Event(), Queue()
    with lock, permits:
        assert permits.available() == 1
    event.set()
    event.wait()
    queue.put(b"with a lock", [lock])
    data, (same,) = queue.get_with_handles()
    same.acquire()
    lock.release()
    try:
        queue.get(timeout=0.001)
    except Empty:
        ours, theirs = Pipe.pair()
        theirs.send(data)
        return ours.recv().decode()
