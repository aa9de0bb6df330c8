// Random numbers of a process's own. The generator of QuickJS has its seed in the image, from which every
// process begins: all would draw the same.

/// Has `Math.random` begin with these 16 bytes: sfc32, of Chris Doty-Humphrey's PractRand.
export function reseed(bytes) {
  const word = (at) => bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
  let [a, b, c, d] = [word(0), word(4), word(8), word(12)];
  const next = () => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum | 0;
    return sum >>> 0;
  };
  for (let n = 0; n < 12; n++) next();
  // 53 bits, as many as a number between 0 and 1 has.
  Math.random = () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}
