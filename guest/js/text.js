// Texts and their bytes in UTF-8: QuickJS alone has neither TextEncoder nor TextDecoder.

/// The bytes of a text. Half of a surrogate pair is as good as U+FFFD.
export function encode(text) {
  const bytes = [];
  for (const character of text) {
    let point = character.codePointAt(0);
    if (point >= 0xd800 && point < 0xe000) point = 0xfffd;
    if (point < 0x80) bytes.push(point);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 63));
    else if (point < 0x10000) {
      bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
    } else {
      bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 63));
      bytes.push(0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
    }
  }
  return new Uint8Array(bytes);
}

// How many bytes follow the first one of a character, and the least that such a character may be.
const FORMS = [
  [0xe0, 0xc0, 1, 0x80],
  [0xf0, 0xe0, 2, 0x800],
  [0xf8, 0xf0, 3, 0x10000],
];

/// The text that bytes are. What is no UTF-8 becomes U+FFFD.
export function decode(bytes) {
  const parts = [];
  let points = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at++];
    let point = 0xfffd;
    if (first < 0x80) point = first;
    for (const [mask, mark, more, least] of FORMS) {
      if ((first & mask) !== mark) continue;
      let value = first & ~mask;
      let n = 0;
      while (n < more && (bytes[at + n] & 0xc0) === 0x80) value = (value << 6) | (bytes[at + n++] & 63);
      if (n === more && value >= least && value <= 0x10ffff && !(value >= 0xd800 && value < 0xe000)) {
        point = value;
        at += n;
      }
    }
    points.push(point);
    if (points.length === 4096) {
      parts.push(String.fromCodePoint(...points));
      points = [];
    }
  }
  return parts.join('') + String.fromCodePoint(...points);
}
