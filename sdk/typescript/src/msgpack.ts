/**
 * MessagePack, as far as the streams speak it: nil, booleans, numbers, text, bytes, arrays, and maps with text keys.
 *
 * The decoder trusts nothing: it never reads beyond its input, never allocates more than the input can fill,
 * and refuses what it does not know.
 */

const MAX_DEPTH = 64;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const toUtf8 = new TextEncoder();

/** The bytes are not MessagePack of the kind that the streams speak. */
export class InvalidMessagePack extends Error {
  override name = "InvalidMessagePack";
}

/** Decode one whole value. Integers beyond 2^53 become bigint. Throws InvalidMessagePack. */
export function decode(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (!reader.isAtEnd) throw new InvalidMessagePack("bytes are left over");
  return value;
}

class Reader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  value(depth: number): unknown {
    if (depth > MAX_DEPTH) throw new InvalidMessagePack("nested too deeply");
    const head = this.unsigned(1);
    if (head < 0x80) return head;
    if (head < 0x90) return this.map(head & 0x0f, depth);
    if (head < 0xa0) return this.array(head & 0x0f, depth);
    if (head < 0xc0) return this.text(head & 0x1f);
    if (head >= 0xe0) return head - 0x100;
    return this.long(head, depth);
  }

  private long(head: number, depth: number): unknown {
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.take(this.unsigned(1 << (head - 0xc4))).slice();
      case 0xca:
        return this.view.getFloat32(this.advance(4));
      case 0xcb:
        return this.view.getFloat64(this.advance(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.unsigned(1 << (head - 0xcc));
      case 0xcf:
        return exact(this.view.getBigUint64(this.advance(8)));
      case 0xd0:
        return this.view.getInt8(this.advance(1));
      case 0xd1:
        return this.view.getInt16(this.advance(2));
      case 0xd2:
        return this.view.getInt32(this.advance(4));
      case 0xd3:
        return exact(this.view.getBigInt64(this.advance(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.text(this.unsigned(1 << (head - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.array(this.unsigned(head === 0xdc ? 2 : 4), depth);
      case 0xde:
      case 0xdf:
        return this.map(this.unsigned(head === 0xde ? 2 : 4), depth);
      default:
        throw new InvalidMessagePack(`type 0x${head.toString(16)} is not spoken here`);
    }
  }

  private array(length: number, depth: number): unknown[] {
    this.require(length);
    const items: unknown[] = [];
    for (let index = 0; index < length; index += 1) items.push(this.value(depth + 1));
    return items;
  }

  private map(length: number, depth: number): Record<string, unknown> {
    this.require(length * 2);
    const members: Record<string, unknown> = {};
    for (let index = 0; index < length; index += 1) {
      const key = this.value(depth + 1);
      if (typeof key !== "string") throw new InvalidMessagePack("a key is not text");
      const value = this.value(depth + 1);
      if (key === "__proto__") {
        // A member of its own, as JSON.parse makes it; an assignment would change the prototype.
        Object.defineProperty(members, key, { value, writable: true, enumerable: true, configurable: true });
      } else {
        members[key] = value;
      }
    }
    return members;
  }

  private text(length: number): string {
    const bytes = this.take(length);
    if (length <= 32) {
      let text = "";
      for (const byte of bytes) {
        if (byte >= 0x80) return decodeText(bytes);
        text += String.fromCharCode(byte);
      }
      return text;
    }
    return decodeText(bytes);
  }

  private unsigned(length: number): number {
    const at = this.advance(length);
    if (length === 1) return this.view.getUint8(at);
    return length === 2 ? this.view.getUint16(at) : this.view.getUint32(at);
  }

  private take(length: number): Uint8Array {
    const at = this.advance(length);
    return this.bytes.subarray(at, at + length);
  }

  private advance(length: number): number {
    this.require(length);
    const at = this.at;
    this.at += length;
    return at;
  }

  /** Each value needs one byte at least: a length that the input cannot hold is a lie. */
  private require(length: number): void {
    if (length > this.bytes.length - this.at) throw new InvalidMessagePack("the bytes end too early");
  }
}

function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new InvalidMessagePack("text is not UTF-8");
  }
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Encode null, booleans, numbers, bigint, text, bytes, arrays and plain objects; undefined members are left out. */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  writer.value(value, 0);
  return writer.finish();
}

class Writer {
  private bytes = new Uint8Array(256);
  private at = 0;

  finish(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.at);
  }

  value(value: unknown, depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError("nested too deeply");
    if (value === null || value === undefined) this.put(0xc0);
    else if (typeof value === "boolean") this.put(value ? 0xc3 : 0xc2);
    else if (typeof value === "string") this.text(value);
    else if (typeof value === "bigint") this.big(value);
    else if (typeof value === "number") this.number(value);
    else if (value instanceof Uint8Array) this.binary(value);
    else if (Array.isArray(value)) this.array(value, depth);
    else if (typeof value === "object") this.map(value, depth);
    else throw new TypeError(`${typeof value} cannot be sent`);
  }

  private array(items: readonly unknown[], depth: number): void {
    this.head(items.length, 0x90, 0x0f, [0, 0xdc, 0xdd]);
    for (const item of items) this.value(item, depth + 1);
  }

  private map(members: object, depth: number): void {
    const entries = Object.entries(members).filter(([, member]) => member !== undefined);
    this.head(entries.length, 0x80, 0x0f, [0, 0xde, 0xdf]);
    for (const [key, member] of entries) {
      this.text(key);
      this.value(member, depth + 1);
    }
  }

  private text(text: string): void {
    const bytes = toUtf8.encode(text);
    this.head(bytes.length, 0xa0, 0x1f, [0xd9, 0xda, 0xdb]);
    this.append(bytes);
  }

  private binary(bytes: Uint8Array): void {
    this.head(bytes.length, 0, -1, [0xc4, 0xc5, 0xc6]);
    this.append(bytes);
  }

  private number(value: number): void {
    if (Number.isSafeInteger(value)) this.integer(value);
    else {
      this.put(0xcb);
      this.view(8).setFloat64(0, value);
    }
  }

  private integer(value: number): void {
    if (value >= 0 && value < 0x80) this.put(value);
    else if (value < 0 && value >= -0x20) this.put(0x100 + value);
    else if (value >= 0 && value <= 0xffffffff) this.head(value, 0, -1, [0xcc, 0xcd, 0xce]);
    else this.big(BigInt(value));
  }

  private big(value: bigint): void {
    if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new RangeError("more than 64 bits cannot be sent");
    this.put(value < 0n ? 0xd3 : 0xcf);
    if (value < 0n) this.view(8).setBigInt64(0, value);
    else this.view(8).setBigUint64(0, value);
  }

  /** A length in the shortest form: within the first byte up to `most`, else behind one of three marks. */
  private head(length: number, mark: number, most: number, marks: readonly [number, number, number]): void {
    if (length <= most) this.put(mark | length);
    else if (length < 0x100 && marks[0] !== 0) {
      this.put(marks[0]);
      this.put(length);
    } else if (length < 0x10000) {
      this.put(marks[1]);
      this.view(2).setUint16(0, length);
    } else {
      this.put(marks[2]);
      this.view(4).setUint32(0, length);
    }
  }

  private put(byte: number): void {
    this.view(1).setUint8(0, byte);
  }

  private append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  private view(length: number): DataView {
    this.reserve(length);
    const view = new DataView(this.bytes.buffer, this.at, length);
    this.at += length;
    return view;
  }

  private reserve(length: number): void {
    if (this.at + length <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.at + length));
    larger.set(this.bytes);
    this.bytes = larger;
  }
}
