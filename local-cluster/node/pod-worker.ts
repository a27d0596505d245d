/**
 * The life of one pod on the node: volumes, init containers one after the other, main containers together, and the end,
 * by itself or by a stop from outside.
 */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Container, ContainerState, Pod } from "../objects.js";
import { timestamp } from "../objects.js";
import { ContainerProcess, type ProcessEnd } from "./container-process.js";
import { prepare, type Prepared } from "./container-setup.js";
import { ConfigError } from "./env.js";
import type { Node } from "./node.js";
import type { PodFacts } from "./pod-status.js";
import { terminationMessage } from "./termination-message.js";
import { MountError, setUpVolumes } from "./volumes.js";

interface Running {
  process: ContainerProcess;
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
  readonly #running = new Map<string, Running>();
  #stopping = false;
  #stopListeners = new Set<() => void>();
  #killTimer: NodeJS.Timeout | undefined;
  #killAt = Infinity;

  constructor(node: Node, pod: Pod) {
    this.#node = node;
    this.pod = pod;
    this.#dir = join(node.podsDir, pod.metadata.uid);
    const initial = pod.spec.initContainers?.length ? "PodInitializing" : "ContainerCreating";
    this.facts = {
      init: new Map(
        (pod.spec.initContainers ?? []).map(({ name }) => [name, { waiting: { reason: "PodInitializing" } }]),
      ),
      main: new Map(pod.spec.containers.map(({ name }) => [name, { waiting: { reason: initial } }])),
      startedAt: timestamp(),
    };
  }

  /** Resolves when nothing of the pod runs any more. */
  async run(): Promise<void> {
    mkdirSync(this.#dir, { recursive: true });
    this.#publish();
    const { initContainers = [], containers } = this.pod.spec;
    const folders = await this.#retry(
      () => setUpVolumes(this.#node.store, this.pod, this.#dir, this.#node.claimDir),
      () => {},
    );
    let proceed = folders !== undefined;
    for (const container of initContainers) {
      if (!proceed) break;
      const end = await this.#runContainer(container, this.facts.init, folders!);
      proceed = end?.exitCode === 0;
    }
    if (proceed)
      await Promise.all(containers.map((container) => this.#runContainer(container, this.facts.main, folders!)));
    clearTimeout(this.#killTimer);
    await this.#finish();
    this.#removeFolders();
  }

  /** Ends the pod: TERM now, KILL after the grace period. A later call can only make it shorter. */
  stop(graceSeconds: number): void {
    const first = !this.#stopping;
    this.#stopping = true;
    if (first) {
      for (const listener of this.#stopListeners) listener();
      for (const { process } of this.#running.values()) process.terminate();
    }
    const killAt = Date.now() + graceSeconds * 1000;
    if (killAt >= this.#killAt) return;
    this.#killAt = killAt;
    clearTimeout(this.#killTimer);
    if (graceSeconds === 0) this.kill();
    else this.#killTimer = setTimeout(() => this.kill(), graceSeconds * 1000);
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

  async #runContainer(
    container: Container,
    states: Map<string, ContainerState>,
    folders: Map<string, string>,
  ): Promise<{ exitCode: number } | undefined> {
    const init = states === this.facts.init;
    const set = (state: ContainerState): void => {
      states.set(container.name, state);
      this.#publish();
    };
    await this.#heldBack(container, init, set);
    if (this.#stopping) return this.#neverStarted(states, container.name);
    const failure = init ? this.#node.faults.forPod("init-failure", this.pod.metadata.name, container.name) : undefined;
    if (failure) {
      const exitCode = failure.exitCode ?? 1;
      set(terminated({ exitCode }, timestamp(), failure.message ?? "", false));
      return { exitCode };
    }
    const output = this.#node.outputFile(this.pod, container.name);
    const dir = join(this.#dir, "containers", container.name);
    mkdirSync(dir, { recursive: true });
    const launch = await this.#retry(
      () => prepare(this.pod, container, { ...this.#node.setup(container.image), folders, dir, output }),
      (error) => set({ waiting: { reason: "CreateContainerConfigError", message: error.message } }),
    );
    if (!launch) return this.#neverStarted(states, container.name);
    return this.#execute(container, launch, set, init);
  }

  async #execute(
    container: Container,
    launch: Prepared,
    set: (state: ContainerState) => void,
    init: boolean,
  ): Promise<ProcessEnd> {
    const startedAt = timestamp();
    const process = await ContainerProcess.start(launch, this.#node.reaper);
    const running: Running = { process, oomKilled: false };
    this.#running.set(container.name, running);
    // A stop that came while the process was being made has not reached it.
    if (this.#stopping) process.kill();
    else if (process.pid !== undefined) set({ running: { startedAt } });
    if (!init && !this.mainStarted) {
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
    if (init || this.#running.size > 0) set(state);
    else this.facts.main.set(container.name, state);
    return end;
  }

  /** Waits as long as a fault holds the container back, showing why. */
  async #heldBack(container: Container, init: boolean, set: (state: ContainerState) => void): Promise<void> {
    const { faults } = this.#node;
    const first = this.pod.spec.containers[0]!.name;
    const hits = (kind: "image-pull" | "waiting") => {
      const fault = faults.forPod(kind, this.pod.metadata.name, container.name);
      // Without a container's name a fault means the first main container.
      return fault && (fault.container !== undefined || (!init && container.name === first)) ? fault : undefined;
    };
    let tried = false;
    for (;;) {
      const fault = hits("image-pull") ?? hits("waiting");
      if (!fault || this.#stopping) return;
      if (fault.kind === "waiting") set(waiting(fault.reason, fault.message));
      else if (!tried) {
        const { image } = container;
        const message = `failed to pull and unpack image "${image}": failed to resolve reference "${image}": not found`;
        set(waiting("ErrImagePull", fault.message ?? message));
        tried = true;
        await this.#pause(200);
        continue;
      } else set(waiting("ImagePullBackOff", `Back-off pulling image "${container.image}"`));
      await this.#change();
    }
  }

  /** Tries again at every change in the cluster, as long as the pod is not stopped. */
  async #retry<T>(attempt: () => T, failed: (error: Error) => void): Promise<T | undefined> {
    while (!this.#stopping) {
      try {
        return attempt();
      } catch (error) {
        if (!(error instanceof ConfigError) && !(error instanceof MountError)) {
          this.fail("NodeError", String(error));
          return undefined;
        }
        failed(error);
      }
      await this.#change();
    }
    return undefined;
  }

  /** The next change of an object or a fault, or the stop. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const own = this.pod.metadata.uid;
      const undo = [
        this.#node.store.onChange(({ object }) => void (object.metadata.uid !== own && done())),
        this.#node.faults.onChange(() => done()),
      ];
      const done = (): void => {
        for (const remove of undo) remove();
        this.#stopListeners.delete(done);
        // After the change is complete.
        setImmediate(resolve);
      };
      this.#stopListeners.add(done);
      if (this.#stopping) done();
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#stopListeners.add(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** A container of a stopped pod that never ran: the kubelet reports it as killed. */
  #neverStarted(states: Map<string, ContainerState>, name: string): undefined {
    const message = "The container could not be located when the pod was terminated";
    states.set(name, {
      terminated: { exitCode: 137, reason: "ContainerStatusUnknown", message, startedAt: null, finishedAt: null },
    });
    return undefined;
  }

  async #finish(): Promise<void> {
    if (this.#stopping) {
      for (const states of [this.facts.init, this.facts.main]) {
        for (const [name, state] of states) if (!state.terminated) this.#neverStarted(states, name);
      }
    }
    this.finished = true;
    const lag = this.#node.faults.forPod("lag-status", this.pod.metadata.name);
    if (!lag && this.#node.order === "current") {
      this.hide = "phase";
      this.#publish();
      await this.#pause(PHASE_LAG_MS);
      this.hide = "nothing";
    }
    if (lag && !this.#stopping) {
      this.hide = lag.first === "state" ? "phase" : "state";
      this.#publish();
      const over = this.#node.faults.cleared(lag);
      await (lag.ms === undefined ? over : Promise.race([over, this.#pause(lag.ms)]));
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

const waiting = (reason: string, message?: string): ContainerState => ({
  waiting: { reason, ...(message ? { message } : {}) },
});

function terminated(end: ProcessEnd, startedAt: string, message: string, oomKilled: boolean): ContainerState {
  const reason = oomKilled ? "OOMKilled" : end.startError ? "StartError" : end.exitCode === 0 ? "Completed" : "Error";
  return {
    terminated: {
      exitCode: end.exitCode,
      // The runtime reports a death by signal as 128+n only; the field `signal` stays empty.
      reason,
      ...(message ? { message } : {}),
      startedAt: end.startError ? "1970-01-01T00:00:00Z" : startedAt,
      finishedAt: timestamp(),
    },
  };
}
