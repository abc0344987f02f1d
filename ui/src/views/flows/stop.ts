// Stopping a flow: nothing begins it any more, and what runs of it ends.
import { get, post } from "../../lib/api/client.ts";
import { ask } from "../../lib/ui/dialogs.svelte.ts";
import { toast } from "../../lib/ui/toasts.svelte.ts";
import { counted } from "../../lib/words.ts";

/** Sessions from which on the flow's name has to be typed. */
const MANY = 100;

/** Asks, says how much it affects, and stops the flow. Gives whether it was stopped. */
export async function stopFlow({ id, name }: { id: string; name: string }): Promise<boolean> {
  const path = { id };
  const { running_sessions: running, queued_messages: queued } = await get("/flows/{id}/stop", { path });
  const messages = queued > 0 ? ` ${counted(queued, "queued message is", "queued messages are")} dropped.` : "";
  const done = await ask<{ cancelled: number }>({
    title: `Stop “${name}”?`,
    text: `It is unpublished, and ${counted(running, "running session is", "running sessions are")} cancelled.${
      messages} This cannot be undone.`,
    confirm: "Stop the flow",
    testid: "stop-confirm",
    typed: running > MANY ? name : undefined,
    action: () => post("/flows/{id}/stop", { path }),
  });
  if (!done) return false;
  toast(`Stopped “${name}”: ${counted(done.cancelled, "session was", "sessions were")} cancelled.`);
  return true;
}
