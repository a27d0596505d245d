/** What ends leaves nothing behind, and nothing holds the process that should not: seen from outside, in processes. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { afterAll, beforeAll, expect, it } from "vitest";

let dir: string;
let count = 0;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "tail-leaks-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

function log(content = ""): string {
  const path = join(dir, `${count++}.pod.ndjson`);
  writeFileSync(path, content);
  return path;
}

/** Runs a script in a process of its own; gives what it printed. It must end by itself. */
async function script(body: string, args: string[] = [], flags: string[] = []): Promise<string> {
  const entry = new URL("../../dist/index.js", import.meta.url).href;
  const text = `
    import { appendFileSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
    import { Worker } from "node:worker_threads";
    const entry = ${JSON.stringify(entry)};
    const args = process.argv.slice(1);
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const opened = (dir) => readdirSync("/proc/self/fd").filter((fd) => {
      try { return readlinkSync("/proc/self/fd/" + fd).startsWith(dir); } catch { return false; }
    }).length;
    const threads = () => readdirSync("/proc/self/task").length;
    const until = async (what) => {
      for (let round = 0; round < 20_000 && !what(); round++) await sleep(10);
      return what();
    };
    const { tailPodLogFile } = await import(entry);
    ${body}`;
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const all = [...flags, "--input-type=module", "-e", text, ...args];
  const { stdout } = await promisify(execFile)(process.execPath, all, { cwd, timeout: 300_000 });
  return stdout;
}

const linux = it.skipIf(process.platform !== "linux");

linux("10,000 tails leave no file, thread, timer or listener", async () => {
  const printed = await script(
    `
    const [dir] = args;
    const { getEventListeners } = await import("node:events");
    const controller = new AbortController();
    const round = async (size) => {
      const tails = [];
      for (let index = 0; index < size; index++) {
        const file = dir + "/many-" + index;
        writeFileSync(file, "one\\ntwo");
        const stopSignal = { stopped: false };
        const onLog = async () => { stopSignal.stopped = true; };
        tails.push(tailPodLogFile(file, { onLog, stopSignal, signal: controller.signal, pollMs: 5 }));
      }
      const texts = await Promise.all(tails);
      if (texts.some((text) => text !== "one\\ntwo\\n")) throw new Error("lines were lost");
    };
    await round(100);
    await until(() => opened(dir) === 0);
    const before = threads();
    for (let index = 0; index < 100; index++) await round(100);
    await until(() => opened(dir) === 0);
    await until(() => threads() < before + 2);
    await until(() => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length <= 1);
    console.log(JSON.stringify({
      files: opened(dir), threads: threads() - before, listeners: getEventListeners(controller.signal, "abort").length,
    }));`,
    [dir],
  );
  // It ended by itself: no timer held it.
  const { files, threads, listeners } = JSON.parse(printed) as Record<string, number>;
  expect({ files, listeners }).toEqual({ files: 0, listeners: 0 });
  expect(threads).toBeLessThanOrEqual(2);
});

linux("worker threads that die take their tails with them", async () => {
  const path = log("one\n");
  const printed = await script(
    `
    const [path] = args;
    // The main thread has the addon too, so that it outlives the workers.
    const mine = { stopped: false };
    const held = tailPodLogFile(path, { onLog: () => {}, stopSignal: mine, pollMs: 5 });
    await until(() => opened(path) === 1);
    const source = \`
      const { parentPort, workerData } = require("node:worker_threads");
      import(workerData.entry).then(({ tailPodLogFile }) => {
        for (let index = 0; index < 20; index++) {
          tailPodLogFile(workerData.path, { onLog: () => parentPort.postMessage("line"), pollMs: 5 }).catch(() => {});
        }
      });\`;
    for (const end of ["terminate", "exit"]) {
      const exits = 'postMessage("line") && process.exit()';
      const body = end === "exit" ? source.replace('postMessage("line")', exits) : source;
      const options = { eval: true, execArgv: [], workerData: { entry, path } };
      const workers = Array.from({ length: 4 }, () => new Worker(body, options));
      await Promise.all(workers.map(async (worker) => {
        const gone = new Promise((resolve) => worker.once("exit", resolve));
        // The message of a worker that exits at once may get lost.
        await Promise.race([gone, new Promise((resolve) => worker.once("message", resolve))]);
        if (end === "terminate") await worker.terminate();
        await gone;
      }));
    }
    const left = await until(() => opened(path) === 1);
    mine.stopped = true;
    console.log(left, JSON.stringify(await held));`,
    [path],
  );
  expect(printed).toBe('true "one\\n"\n');
});

it("a pending tail holds the process, and with ref: false it does not", async () => {
  const path = log("one\n");
  const free = await script(
    `const hold = setInterval(() => {}, 1_000);
     const onLog = (stream, line) => { process.stdout.write(line); clearInterval(hold); };
     void tailPodLogFile(args[0], { onLog, ref: false, pollMs: 5 });`,
    [path],
  );
  expect(free).toBe("one\n");
  const holds = await script(
    `const stopSignal = { stopped: false };
     tailPodLogFile(args[0], { onLog: () => {}, stopSignal, pollMs: 5 }).then((text) => process.stdout.write(text));
     setTimeout(() => { stopSignal.stopped = true; }, 300).unref();`,
    [path],
  );
  expect(holds).toBe("one\n");
});

it("a sink that throws, rejects or returns nothing does not end the process", async () => {
  const path = log("one\ntwo\n");
  const printed = await script(
    `const seen = [];
     for (const fail of [() => { throw new Error("thrown"); }, () => Promise.reject(new Error("rejected")), () => {}]) {
       const stopSignal = { stopped: false };
       const onLog = (stream, line) => {
         seen.push(line);
         if (line === "two\\n") stopSignal.stopped = true;
         return fail();
       };
       seen.push(await tailPodLogFile(args[0], { onLog, stopSignal, pollMs: 5 }));
     }
     console.log(seen.filter((line) => !line.startsWith("[paperclip]")).length);`,
    [path],
  );
  expect(printed).toBe("9\n");
});

it("a tail that nobody refers to any more still gives its lines", async () => {
  const path = log("one\n");
  const printed = await script(
    `let lines = 0;
     (() => void tailPodLogFile(args[0], { onLog: () => void lines++, ref: false, pollMs: 5 }))();
     await until(() => lines === 1);
     for (let round = 0; round < 5; round++) { globalThis.gc(); await sleep(20); }
     appendFileSync(args[0], "two\\n");
     await until(() => lines === 2);
     console.log(lines);`,
    [path],
    ["--expose-gc"],
  );
  expect(printed).toBe("2\n");
});

it("process.exit in the middle of many lines is clean", async () => {
  const path = log("x".repeat(99).concat("\n").repeat(50_000));
  const printed = await script(
    `let lines = 0;
     const exit = () => { console.log(lines); process.exit(0); };
     void tailPodLogFile(args[0], { onLog: async () => { if (++lines === 1_000) exit(); } });`,
    [path],
  );
  expect(printed).toBe("1000\n");
});

it("a log that grows while nobody looks is not read ahead", async () => {
  const path = log("");
  const printed = await script(
    `let lines = 0;
     let go;
     const wait = new Promise((resolve) => { go = resolve; });
     const stopSignal = { stopped: false };
     const onLog = () => { lines++; if (lines === 1) return wait; };
     const tail = tailPodLogFile(args[0], { onLog, stopSignal, collect: false, pollMs: 5 });
     await sleep(100);
     const before = process.memoryUsage().rss;
     const block = ("x".repeat(199) + "\\n").repeat(5_000);
     for (let index = 0; index < 100; index++) appendFileSync(args[0], block);
     await until(() => lines === 1);
     await sleep(300);
     const grown = (process.memoryUsage().rss - before) / 1024 / 1024;
     go();
     stopSignal.stopped = true;
     await tail;
     console.log(lines, grown < 32);`,
    [path],
  );
  expect(printed).toBe("500000 true\n");
});

it("lines that somebody keeps stay what they were", async () => {
  const numbered = Array.from({ length: 50_000 }, (_, index) => `{"line":${index},"text":"${"x".repeat(90)}"}\n`);
  // Text that is all ASCII and text that is not go different ways.
  numbered[40_000] = '{"text":"日本 🎉"}\n';
  const path = log(numbered.join(""));
  const printed = await script(
    `const { createHash } = await import("node:crypto");
     const kept = [];
     const stopSignal = { stopped: false };
     const onLog = async (stream, line) => { if (kept.push(line) === 50_000) stopSignal.stopped = true; };
     let text = await tailPodLogFile(args[0], { onLog, stopSignal, pollMs: 5 });
     const same = text === kept.join("");
     text = null;
     for (let round = 0; round < 5; round++) { globalThis.gc(); await sleep(5); }
     console.log(same, createHash("sha256").update(kept.join("")).digest("hex"));`,
    [path],
    ["--expose-gc"],
  );
  const { createHash } = await import("node:crypto");
  expect(printed).toBe(`true ${createHash("sha256").update(numbered.join("")).digest("hex")}\n`);
});

it("a worker thread that alone has the addon may die with its lines", async () => {
  const path = log("x".repeat(99).concat("\n").repeat(20_000));
  const printed = await script(
    `const source = \`
       const { parentPort, workerData } = require("node:worker_threads");
       const kept = [];
       import(workerData.entry).then(({ tailPodLogFile }) => {
         const onLog = (stream, line) => { if (kept.push(line) === 20_000) parentPort.postMessage("all"); };
         tailPodLogFile(workerData.path, { onLog, pollMs: 5 }).catch(() => {});
       });\`;
     for (let round = 0; round < 5; round++) {
       const worker = new Worker(source, { eval: true, execArgv: [], workerData: { entry, path: args[0] } });
       await new Promise((resolve) => worker.once("message", resolve));
       await worker.terminate();
     }
     await sleep(200);
     console.log("alive");`,
    [path],
  );
  expect(printed).toBe("alive\n");
});
