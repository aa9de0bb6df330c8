// A sample program: workers in JavaScript.

import { Queue, handles, workers } from './procbox.js';

export const run = workers({
  /// The words of a text, and how often each is there.
  words(text) {
    const counts = {};
    for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) {
      counts[word] = (counts[word] ?? 0) + 1;
    }
    return JSON.stringify(counts, Object.keys(counts).sort());
  },

  fail(text) {
    throw new RangeError(`no ${text}`);
  },

  loop() {
    for (;;);
  },

  bomb() {
    const all = [];
    for (;;) all.push(new Uint8Array(1 << 20).fill(1));
  },

  crash() {
    const deeper = (n) => deeper(n + 1) + 1;
    return deeper(0);
  },

  random: () => Math.random(),

  /// Sends the text to the queue that it is handed, in pieces, and says how many.
  pieces(text) {
    const { val: queue } = handles()[0];
    const pieces = text.split(' ');
    for (const piece of pieces) queue.put(Uint8Array.from(piece, (c) => c.charCodeAt(0)), [], null);
    return pieces.length;
  },

  /// Takes the lock that it is handed, and says whether one who held it died.
  locked() {
    const { val: lock } = handles()[0];
    const died = lock.acquire(null);
    lock.release();
    return died ? 'its holder died' : 'locked';
  },

  /// Waits for the event that it is handed, once it has said so in the queue.
  wait() {
    const [event, told] = handles().map((handle) => handle.val);
    told.put(new Uint8Array(), [], null);
    event.wait(null);
  },

  own() {
    const queue = Queue['new'](1, null);
    queue.put(new Uint8Array([1, 2, 3]), [], null);
    return [...queue.get(null).bytes].join(' ');
  },
});
