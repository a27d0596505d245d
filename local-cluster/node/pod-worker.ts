/**
 * The life of one pod on the node: volumes, init containers one after the other (of which native sidecars stay), main
 * containers together, and the end, by itself or by a stop from outside.
 */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Container, Pod } from "../objects.js";
import { timestamp } from "../objects.js";
import { ContainerProcess, type ProcessEnd } from "./container-process.js";
import { prepare, type Prepared } from "./container-setup.js";
import { isSidecar, terminated, unfound, waiting } from "./container-state.js";
import type { Node } from "./node.js";
import type { PodFacts } from "./pod-status.js";
import { PodWaits, type Show } from "./pod-waits.js";
import { Sidecars } from "./sidecars.js";
import { terminationMessage } from "./termination-message.js";
import { setUpVolumes } from "./volumes.js";

type Kind = "init" | "sidecar" | "main";

interface Running {
  process: ContainerProcess;
  kind: Kind;
  oomKilled: boolean;
}

/** How much later a current kubelet tells a pod's phase than its containers' end: its next look at the runtime. */
const PHASE_LAG_MS = 300;

export class PodWorker {
  readonly pod: Pod;
  readonly facts: PodFacts;
  /** How much of the end the status may show yet; see the fault `lag-status`. */
  hide: "nothing" | "phase" | "state" = "nothing";
  finished = false;
  mainStarted = false;
  readonly #node: Node;
  readonly #dir: string;
  readonly #waits: PodWaits;
  readonly #sidecars: Sidecars;
  readonly #running = new Map<string, Running>();
  /** Containers that were removed before their end was reported. */
  readonly #forgotten = new Set<string>();
  /** Behind the pod's volumes, by name. */
  #folders = new Map<string, string>();
  /** The main containers have ended, and so the others must. */
  #isEnding = false;
  #killTimer: NodeJS.Timeout | undefined;
  #killAt = Infinity;

  constructor(node: Node, pod: Pod) {
    this.#node = node;
    this.pod = pod;
    this.#dir = join(node.podsDir, pod.metadata.uid);
    this.#waits = new PodWaits(node, pod);
    const { initContainers = [], containers } = pod.spec;
    this.facts = {
      init: new Map(initContainers.map(({ name }) => [name, waiting("PodInitializing")])),
      main: new Map(containers.map(({ name }) => [name, waiting(firstReason(pod))])),
      before: new Map(),
      startedAt: timestamp(),
    };
    this.#sidecars = new Sidecars({
      runOnce: async (container, onStart) => (await this.#runContainer(container, "sidecar", onStart)) !== undefined,
      willRunAgain: (name, restarts, backOffMs) => this.#willRunAgain(name, restarts, backOffMs),
      terminate: (name) => this.#running.get(name)?.process.terminate(),
    });
  }

  /** Resolves when nothing of the pod runs any more. */
  async run(): Promise<void> {
    mkdirSync(this.#dir, { recursive: true });
    this.#publish();
    if (await this.#initialize())
      await Promise.all(this.pod.spec.containers.map((container) => this.#runContainer(container, "main")));
    await this.#endSidecars();
    clearTimeout(this.#killTimer);
    await this.#finish();
    this.#removeFolders();
  }

  /** Ends the pod: TERM now, to sidecars after the others have ended, KILL after the grace period. */
  stop(graceSeconds: number): void {
    if (!this.#waits.isStopped) {
      this.#waits.stop();
      this.#sidecars.restartNone();
      for (const { process, kind } of this.#running.values()) if (kind !== "sidecar") process.terminate();
    }
    this.#killWithin(graceSeconds);
  }

  /** The kubelet's own end of the pod: the verdict is the phase's reason. */
  fail(reason: string, message: string): void {
    if (this.finished) return;
    this.facts.verdict = { reason, message };
    this.stop(0);
  }

  kill(): void {
    for (const { process } of this.#running.values()) process.kill();
  }

  /** Kills a container for memory; `spareMain` only marks it, for a child that was killed. */
  oom(name: string, spareMain: boolean): void {
    const running = this.#running.get(name);
    if (!running) return;
    running.oomKilled = true;
    if (!spareMain) running.process.kill();
  }

  /** Volumes and init containers; whether the main containers are to start. */
  async #initialize(): Promise<boolean> {
    const folders = await this.#retry(
      () => setUpVolumes(this.#node.store, this.pod, this.#dir, this.#node.claimDir),
      () => {},
    );
    if (!folders) return false;
    this.#folders = folders;
    for (const container of this.pod.spec.initContainers ?? []) {
      const isDone = isSidecar(container)
        ? await this.#sidecars.start(container)
        : (await this.#runContainer(container, "init"))?.exitCode === 0;
      if (!isDone) return false;
    }
    return true;
  }

  /** A later call can only make it shorter. */
  #killWithin(seconds: number): void {
    const killAt = Date.now() + seconds * 1000;
    if (killAt >= this.#killAt) return;
    this.#killAt = killAt;
    clearTimeout(this.#killTimer);
    if (seconds === 0) this.kill();
    else this.#killTimer = setTimeout(() => this.kill(), seconds * 1000);
  }

  async #endSidecars(): Promise<void> {
    this.#isEnding = true;
    this.#killWithin(this.pod.spec.terminationGracePeriodSeconds ?? 30);
    await this.#sidecars.end();
  }

  #willRunAgain(name: string, restartCount: number, backOffMs: number): void {
    const { before, init } = this.facts;
    before.set(name, { lastState: init.get(name)!, restartCount });
    if (backOffMs === 0) return;
    const why = `back-off ${backOffMs / 1000}s restarting failed container=${name} pod=${this.pod.metadata.name}`;
    init.set(name, waiting("CrashLoopBackOff", why));
    this.#publish();
  }

  /** Runs a container to its end; nothing where the pod was stopped before it ran. */
  async #runContainer(
    container: Container,
    kind: Kind,
    onStart: () => void = () => {},
  ): Promise<{ exitCode: number } | undefined> {
    const states = kind === "main" ? this.facts.main : this.facts.init;
    const show: Show = (state) => {
      states.set(container.name, state);
      this.#publish();
      if (state.running) onStart();
    };
    const neverStarted = (): undefined => void states.set(container.name, unfound("terminated"));
    await this.#waits.heldBack(container, kind === "main", show);
    if (this.#waits.isStopped) return neverStarted();
    const failure =
      kind === "init" ? this.#node.faults.forPod("init-failure", this.pod.metadata.name, container.name) : undefined;
    if (failure) {
      const exitCode = failure.exitCode ?? 1;
      show(terminated({ exitCode }, timestamp(), failure.message ?? "", false));
      return { exitCode };
    }
    const output = this.#node.outputFile(this.pod, container.name);
    const dir = join(this.#dir, "containers", container.name);
    mkdirSync(dir, { recursive: true });
    const folders = this.#folders;
    const launch = await this.#retry(
      () => prepare(this.pod, container, { ...this.#node.setup(container.image), folders, dir, output }),
      (error) => show(waiting("CreateContainerConfigError", error.message)),
    );
    if (!launch) return neverStarted();
    return this.#execute(container, launch, kind, show);
  }

  async #execute(container: Container, launch: Prepared, kind: Kind, show: Show): Promise<ProcessEnd> {
    const startedAt = timestamp();
    const process = await ContainerProcess.start(launch, this.#node.reaper);
    const running: Running = { process, kind, oomKilled: false };
    this.#running.set(container.name, running);
    // An end that came while the process was being made has not reached it.
    if (this.#waits.isStopped || this.#isEnding) process.kill();
    else if (process.pid !== undefined) show({ running: { startedAt } });
    if (kind === "main" && !this.mainStarted) {
      this.mainStarted = true;
      this.#node.mainStarted(this);
    }
    const end = await process.ended;
    this.#running.delete(container.name);
    const file = launch.terminationFile;
    const message =
      end.startError ??
      terminationMessage({
        file,
        output: launch.output,
        policy: container.terminationMessagePolicy,
        exitCode: end.exitCode,
      });
    const state = terminated(end, startedAt, message, running.oomKilled);
    // The last state of the last container belongs to the pod's end, which `finish` reports in one piece.
    const isLast = this.#running.size === 0 && (kind === "main" || this.#isEnding);
    const isForgotten =
      kind === "main" && this.#node.faults.forPod("forget-end", this.pod.metadata.name, container.name);
    if (isForgotten) this.#forgotten.add(container.name);
    else if (!isLast) show(state);
    else (kind === "main" ? this.facts.main : this.facts.init).set(container.name, state);
    return end;
  }

  /** What was removed before its end was reported waits again, as if it had never been. */
  #forget(): void {
    for (const name of this.#forgotten) {
      this.facts.main.set(name, waiting(firstReason(this.pod)));
      this.facts.before.set(name, { lastState: unfound("deleted"), restartCount: 0 });
      this.facts.verdict ??= {};
    }
  }

  /** What does not run when the pod ends: all of a pod that was stopped, and a sidecar between two starts. */
  #unfound(): void {
    const { init, main, before } = this.facts;
    for (const states of [init, main]) {
      for (const [name, state] of states)
        if (!state.terminated && (this.#waits.isStopped || before.has(name))) states.set(name, unfound("terminated"));
    }
  }

  /** As {@link PodWaits.retry}; what can never succeed fails the pod. */
  async #retry<T>(attempt: () => T, failed: (error: Error) => void): Promise<T | undefined> {
    try {
      return await this.#waits.retry(attempt, failed);
    } catch (error) {
      this.fail("NodeError", String(error));
      return undefined;
    }
  }

  async #finish(): Promise<void> {
    this.#unfound();
    this.#forget();
    this.finished = true;
    const lag = this.#node.faults.forPod("lag-status", this.pod.metadata.name);
    if (!lag && this.#node.order === "current") {
      this.hide = "phase";
      this.#publish();
      await this.#waits.pause(PHASE_LAG_MS);
      this.hide = "nothing";
    }
    if (lag && !this.#waits.isStopped) {
      this.hide = lag.first === "state" ? "phase" : "state";
      this.#publish();
      const over = this.#node.faults.cleared(lag);
      await (lag.ms === undefined ? over : Promise.race([over, this.#waits.pause(lag.ms)]));
      this.hide = "nothing";
    }
    this.#publish();
  }

  #publish(): void {
    this.#node.publish(this);
  }

  #removeFolders(): void {
    try {
      rmSync(this.#dir, { recursive: true, force: true });
    } catch {
      // A process that left its group may still write there; the whole root goes at the end.
    }
  }
}

/** Why a main container waits that has never been started. */
const firstReason = ({ spec }: Pod): string => (spec.initContainers?.length ? "PodInitializing" : "ContainerCreating");
