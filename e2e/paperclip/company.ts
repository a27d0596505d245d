/** A company of our own in Paperclip, with its agents and their issues. */
import type { Options } from "../options.js";
import { opencodeConfig } from "../provider/provider.js";
import { until } from "../wait.js";
import type { Api } from "./api.js";
import type { Run } from "./run.js";

const TYPE = "opencode_k8s";

/** An agent with the issue it works on. */
export interface Worker {
  agentId: string;
  issueId: string;
  /** The run that the assignment started. */
  runId: string;
}

/** A decision that a person has to make about an issue's last run. */
interface Blocker {
  recoveryActionId: string | null;
  runId: string | null;
}

/** Everything of this end-to-end run in Paperclip. */
export class Company {
  private constructor(
    readonly api: Api,
    readonly id: string,
    private readonly options: Options,
  ) {}

  static async create(api: Api, options: Options): Promise<Company> {
    const { id } = await api.post<{ id: string }>("/api/companies", { name: `End to end ${new Date().toISOString()}` });
    return new Company(api, id, options);
  }

  /** The configuration of an agent that uses a scripted model. Small requests, so that many fit on a small node. */
  agentConfig(model: string, more: Record<string, unknown> = {}): Record<string, unknown> {
    const { image, podHost, port } = this.options;
    return {
      model: `scripted/${model}`,
      image,
      imagePullPolicy: "IfNotPresent",
      "resources.requests.cpu": "50m",
      "resources.requests.memory": "64Mi",
      ...more,
      env: {
        OPENCODE_CONFIG_CONTENT: JSON.stringify(opencodeConfig(`http://${podHost}:${port}`)),
        ...(more["env"] ?? {}),
      },
    };
  }

  /** Hires an agent and gives it an issue, which starts its first run. */
  async putToWork(name: string, model: string, more: Record<string, unknown> = {}): Promise<Worker> {
    return this.assign(name, await this.hire(name, model, more));
  }

  /** Gives the id of a new agent that has nothing to do. */
  async hire(name: string, model: string, more: Record<string, unknown> = {}): Promise<string> {
    const agent = await this.api.post<{ id: string }>(`/api/companies/${this.id}/agents`, {
      name,
      role: "engineer",
      adapterType: TYPE,
      adapterConfig: this.agentConfig(model, more),
      runtimeConfig: { heartbeat: { enabled: false, wakeOnDemand: true } },
    });
    return agent.id;
  }

  /** Gives an agent an issue, which starts a run. `more`: further fields of the issue. */
  async assign(name: string, agentId: string, more: Record<string, unknown> = {}): Promise<Worker> {
    const issue = await this.api.post<{ id: string }>(`/api/companies/${this.id}/issues`, {
      title: `Work of ${name}`,
      description: "Look around, close this issue, report.",
      status: "todo",
      priority: "medium",
      assigneeAgentId: agentId,
      ...more,
    });
    const run = await until(`the run of ${name}`, 30, async () => (await this.runsOf(agentId)).at(0));
    return { agentId, issueId: issue.id, runId: run.id };
  }

  /** A person wakes the agent for its issue again; gives the new run. */
  async wake({ agentId, issueId }: Worker): Promise<string> {
    const known = new Set((await this.runsOf(agentId)).map(({ id }) => id));
    const ask = { source: "on_demand", triggerDetail: "manual", reason: "e2e", payload: { issueId, taskId: issueId } };
    const answers = new Set<string>();
    const wakeUntilRun = async (): Promise<Run | undefined> => {
      try {
        await this.restore(issueId);
        await this.api.patch(`/api/issues/${issueId}`, { status: "todo", assigneeAgentId: agentId });
        const { reason } = await this.api.post<{ reason?: string }>(`/api/agents/${agentId}/wakeup`, ask);
        if (reason) answers.add(reason);
      } catch (error) {
        // The server is still settling what became of the last run.
        answers.add(String(error));
      }
      return (await this.runsOf(agentId)).find(({ id }) => !known.has(id));
    };
    const run = await until(`a new run of agent ${agentId}`, 90, wakeUntilRun, 3000).catch((error: unknown) => {
      throw new Error(`${String(error)}; the server's answers: ${[...answers].join("; ")}`);
    });
    return run.id;
  }

  /**
   * After a lost run Paperclip lets nobody go on with the issue before a person has said what became of the work. The
   * answer here is what an operator of this adapter may say: its next run finds the agent's Job again.
   */
  private async restore(issueId: string): Promise<void> {
    const { recoveryActionId, runId } = (await this.blockerOf({ issueId })) ?? {};
    if (!recoveryActionId || !runId) return;
    await this.api.post(`/api/issues/${issueId}/recovery-actions/resolve`, {
      actionId: recoveryActionId,
      outcome: "restored",
      sourceIssueStatus: "todo",
      executionReconciliation: {
        runId,
        providerStopped: true,
        actionOutcome: "mixed",
        outcomeEvidence: "The agent's Job and its log outlive the server; the adapter's next run reads them.",
      },
    });
  }

  /** What keeps Paperclip from going on with an issue. */
  async blockerOf({ issueId }: Pick<Worker, "issueId">): Promise<Blocker | null> {
    const issue = await this.api.get<{ executionBlocker?: Blocker | null }>(`/api/issues/${issueId}`);
    return issue.executionBlocker ?? null;
  }

  /** The agent's runs, the newest first. */
  runsOf(agentId: string): Promise<Run[]> {
    return this.api.get(`/api/companies/${this.id}/heartbeat-runs?agentId=${agentId}&limit=20`);
  }

  /** Runs that have not ended. */
  async liveRuns(): Promise<Run[]> {
    return this.api.get(`/api/companies/${this.id}/live-runs`);
  }

  testEnvironment(more: Record<string, unknown> = {}): Promise<{
    status: string;
    checks: { code: string; level: string; message: string }[];
  }> {
    return this.api.post(`/api/companies/${this.id}/adapters/${TYPE}/test-environment`, {
      adapterConfig: this.agentConfig("works", more),
    });
  }

  /** What the page of costs shows of this adapter's quotas. */
  async quotas(): Promise<
    { ok: boolean; error?: string; windows: { label: string; valueLabel: string }[] } | undefined
  > {
    const all = await this.api.get<
      { provider: string; ok: boolean; windows: { label: string; valueLabel: string }[] }[]
    >(`/api/companies/${this.id}/costs/quota-windows`);
    return all.find(({ provider }) => provider === TYPE);
  }

  /** Puts the company away. */
  async archive(): Promise<void> {
    await this.api.post(`/api/companies/${this.id}/archive`);
  }

  /** Keeps an agent from being woken again by the server itself. */
  async dismiss({ agentId }: Pick<Worker, "agentId">): Promise<void> {
    await this.api.post(`/api/agents/${agentId}/pause`);
  }
}
