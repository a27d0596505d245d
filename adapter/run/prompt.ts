/** The prompt of a run: which sections it has and in which order. Rendering itself belongs to adapter-utils. */
import {
  asString,
  joinPromptSections,
  renderPaperclipWakePrompt,
  renderTemplate,
} from "@paperclipai/adapter-utils/server-utils";

import { isRecoveryWake, taskMarkdown } from "../host/adapter-utils.js";
import type { RunRequest } from "./request.js";

const DEFAULT_PROMPT_TEMPLATE = "You are agent {{agent.id}} ({{agent.name}}). Continue your Paperclip work.";

/** What goes in front of the host's own sections. */
export interface PromptInputs {
  /** The agent's instructions file. */
  instructionsContent?: string | undefined;
  /** The text of the agent's skills. */
  skillsBundleContent?: string | undefined;
}

/** A prompt and how long each section of it is, in characters. */
export interface RenderedPrompt {
  prompt: string;
  promptMetrics: Record<string, number>;
}

/** The prompt of a fresh session, and that of a resumed one where it differs. */
export type RenderedPrompts = ReturnType<typeof renderPrompts>;

/** Renders both prompts that a run may need: whether it resumes a session is the addon's decision. */
export function renderPrompts(
  request: Parameters<typeof renderPrompt>[0],
  inputs: PromptInputs,
  agentRow: object = request.agent,
) {
  const fresh = renderPrompt(request, inputs, false, agentRow);
  const resumed = renderPrompt(request, inputs, true, agentRow);
  return { fresh, resumed: resumed.prompt === fresh.prompt ? undefined : resumed };
}

/**
 * Renders the prompt. A resumed session already knows the bootstrap text, and with a wake message it needs no
 * heartbeat text either; `resuming` must be the same decision that gives opencode its `--session`.
 */
export function renderPrompt(
  request: Pick<RunRequest, "runId" | "agent" | "config" | "context">,
  inputs: PromptInputs,
  resuming: boolean,
  agentRow: object = request.agent,
): RenderedPrompt {
  const { runId, agent, config, context } = request;
  const data = {
    agentId: agent.id,
    companyId: agent.companyId,
    runId,
    company: { id: agent.companyId },
    agent: agentRow,
    run: { id: runId, source: "on_demand" },
    context,
  };
  const task = taskMarkdown(context, resuming);
  const wake = renderPaperclipWakePrompt(context["paperclipWake"], {
    resumedSession: resuming,
    // The task brief already holds the description; say it once.
    suppressIssueDescription: task.length > 0,
  });
  const template = asString(config["promptTemplate"], "");
  const bootstrapTemplate = asString(config["bootstrapPromptTemplate"], "");
  const wakeSaysItAll = (resuming && wake.length > 0) || isRecoveryWake(context["paperclipWake"]);
  const sections = {
    instructions: inputs.instructionsContent?.trim() ?? "",
    skillsBundle: inputs.skillsBundleContent?.trim() ?? "",
    bootstrapPrompt: resuming || !bootstrapTemplate.trim() ? "" : renderTemplate(bootstrapTemplate, data).trim(),
    wakePrompt: wake,
    taskMarkdown: task,
    sessionHandoff: asString(context["paperclipSessionHandoffMarkdown"], "").trim(),
    heartbeatPrompt: wakeSaysItAll ? "" : renderTemplate(template.trim() ? template : DEFAULT_PROMPT_TEMPLATE, data),
  };
  const prompt = joinPromptSections(Object.values(sections));
  return { prompt, promptMetrics: measure(prompt, sections) };
}

function measure(prompt: string, sections: Record<string, string>): Record<string, number> {
  const metrics: Record<string, number> = { promptChars: prompt.length };
  for (const [name, text] of Object.entries(sections)) {
    // Hosts that send no task brief know no such metric.
    if (name === "taskMarkdown" && text.length === 0) continue;
    metrics[`${name}Chars`] = text.length;
  }
  return metrics;
}
