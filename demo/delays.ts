/** Time from the write of a line in the pod to its delivery to the host. */
import { existsSync, readFileSync } from "node:fs";

/** Matches the replayer's notes with what was delivered, by counting bytes. */
export class Delays {
  private delivered = 0;
  private readonly arrivals: { bytes: number; at: number }[] = [];

  /** `file`: the replayer's notes. */
  constructor(private readonly file: string) {}

  /** A chunk of the agent's own output. */
  arrived(chunk: string): void {
    const own = chunk.split(/(?<=\n)/).filter((line) => !line.startsWith("[paperclip] "));
    this.delivered += Buffer.byteLength(own.join(""));
    this.arrivals.push({ bytes: this.delivered, at: Date.now() });
  }

  describe(): string {
    const delays = this.delays().sort((a, b) => a - b);
    if (delays.length === 0) return "not measured";
    const at = (part: number): number => delays[Math.min(delays.length - 1, Math.floor(delays.length * part))] ?? 0;
    return `${delays.length} lines, ${at(0.5)} ms median, ${at(1)} ms at most from write to delivery`;
  }

  private delays(): number[] {
    if (!existsSync(this.file)) return [];
    const notes = readFileSync(this.file, "utf8").trim().split("\n").filter(Boolean);
    return notes.flatMap((note) => {
      const [bytes = 0, written = 0] = note.split(" ").map(Number);
      const arrival = this.arrivals.find((candidate) => candidate.bytes >= bytes);
      return arrival === undefined ? [] : [Math.max(0, arrival.at - written)];
    });
  }
}
