/** What a tail returns: all its lines, or the first and the last 128 MiB of them. */

const HALF_BYTES = 128 * 1024 * 1024;

/** Shorter texts are parts of a batch that holds other tails' lines too; kept as they are they would keep all of it. */
const SHORT = 16 * 1024;
/** So many of them are copied into one text at a time. */
const SHORT_TEXTS = 16;

/**
 * Joins batches as they come. The joined string is a rope: nothing is copied until somebody reads it, so that a long
 * log never holds up the event loop here.
 */
export class CollectedText {
  private head = "";
  private headBytes = 0;
  private tail: { text: string; bytes: number }[] = [];
  private first = 0;
  private tailBytes = 0;
  private dropped = 0;
  private readonly shortest: number;
  private short: string[] = [];
  private shortBytes = 0;

  /** `halfBytes`: how much of the beginning and of the end is kept. */
  constructor(private readonly halfBytes: number = HALF_BYTES) {
    this.shortest = Math.min(SHORT, halfBytes / SHORT_TEXTS);
  }

  /** Adds whole lines. */
  add(text: string, bytes: number): void {
    if (bytes < this.shortest) {
      this.shortBytes += bytes;
      if (this.short.push(text) === SHORT_TEXTS) this.addShort();
      return;
    }
    this.addShort();
    this.append(text, bytes);
  }

  private addShort(): void {
    if (this.shortBytes === 0) return;
    this.append(this.short.join(""), this.shortBytes);
    this.short = [];
    this.shortBytes = 0;
  }

  private append(text: string, bytes: number): void {
    if (this.tail.length === 0 && this.headBytes + bytes <= this.halfBytes) {
      this.head += text;
      this.headBytes += bytes;
      return;
    }
    this.tail.push({ text, bytes });
    this.tailBytes += bytes;
    while (this.tailBytes > this.halfBytes && this.first < this.tail.length - 1) this.dropFirst();
  }

  /** The text, with a marker where something is left out. */
  finish(): string {
    this.addShort();
    let text = this.head;
    if (this.dropped > 0) text += `[paperclip] ${this.dropped} bytes left out here\n`;
    for (const part of this.tail.slice(this.first)) text += part.text;
    return text;
  }

  private dropFirst(): void {
    const bytes = this.tail[this.first]?.bytes ?? 0;
    this.tail[this.first] = { text: "", bytes: 0 };
    this.first++;
    this.tailBytes -= bytes;
    this.dropped += bytes;
    if (this.first < 4_096) return;
    this.tail = this.tail.slice(this.first);
    this.first = 0;
  }
}
