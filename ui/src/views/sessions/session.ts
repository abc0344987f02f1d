// What lists and pages of sessions share.
import { post } from "../../lib/api/client.ts";
import { ask } from "../../lib/ui/dialogs.svelte.ts";
import { personOf } from "../../lib/words.ts";

/** Stands among the statuses: what waits for a person runs, too. */
const HANDOFF = "handoff";

export const STATUS_OPTIONS = [
  ["", "Any status"],
  [HANDOFF, "waiting for a person"],
  ...["running", "completed", "expired", "failed", "cancelled"].map((name) => [name, name] as const),
] as const satisfies (readonly [string, string])[];

/** The query for what is chosen among the statuses. */
export const wanted = (state: string): { status?: string; waiting_for?: string } =>
  state === HANDOFF ? { waiting_for: HANDOFF } : { status: state };

/** What a session waits for, in words. */
export function waitsFor(kind: string | null | undefined): string {
  return kind === HANDOFF ? "a person" : kind === "http" ? "an HTTP call" : (kind ?? "–");
}

/** Gives a conversation back to its flow, if that is meant. */
export async function giveBack(session: {
  id: string;
  flow_name?: string | null;
  contact?: { name?: string | null; phone?: string | null } | null;
}): Promise<boolean> {
  const done = await ask({
    title: "Give back to the flow?",
    text: `The flow ${session.flow_name ?? ""} goes on with ${personOf(session.contact)}, and answers them by itself `
      + "again.",
    confirm: "Give back",
    kind: "primary",
    testid: "session-resume-confirm",
    action: () => post("/sessions/{id}/resume", { path: { id: session.id } }),
  });
  return done !== undefined;
}
