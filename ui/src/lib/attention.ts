// Messages that need a look: what failed, what is unknown, and what nothing took. They are sent again, or marked as
// seen, one by one or all that have their reason in common.
import { post, send } from "./api/client.ts";
import { problems } from "./problems.svelte.ts";
import { ask } from "./ui/dialogs.svelte.ts";
import { toast } from "./ui/toasts.svelte.ts";
import { counted, number } from "./words.ts";

export interface AttentionGroup {
  /** `failed`, `unknown` or `unrouted`. */
  status: string;
  reason?: string | undefined;
}

interface Retried {
  queued: number;
  skipped: { reason: string; count: number; hint?: string | null }[];
  next_cursor: string | null;
}

/** Sends again all that failed for a reason, until the moment of the list that the reader has seen. */
export async function sendAllAgain(reason: string, count: number, until: string | null): Promise<void> {
  const done = await ask<Retried>({
    title: "Send all again?",
    text: `${count > 0 ? counted(count, "message", "messages") : "All messages"} that failed for this reason are `
      + "queued again, as far as each may still go out: none to people who have opted out, or whose conversation was "
      + "cancelled.",
    confirm: "Send all again",
    kind: "primary",
    testid: "retry-all",
    action: async () => {
      const all: Retried = { queued: 0, skipped: [], next_cursor: null };
      do {
        const body = { reason, ...(until && { until }), ...(all.next_cursor && { cursor: all.next_cursor }) };
        const answer = JSON.parse((await send("POST", "/messages/retry", { body })).text) as Retried;
        all.queued += answer.queued;
        all.skipped.push(...answer.skipped);
        all.next_cursor = answer.next_cursor;
      } while (all.next_cursor);
      return all;
    },
  });
  if (!done) return;
  const skipped = done.skipped.reduce((sum, one) => sum + one.count, 0);
  const why = done.skipped[0]?.hint;
  toast(`${counted(done.queued, "message is", "messages are")} queued again.${
    skipped > 0 ? ` ${number(skipped)} stay as they are.${why ? ` ${why}` : ""}` : ""}`);
  await problems.look();
}

/** Marks all messages of a group as seen, until the moment of the list that the reader has seen. */
export async function markSeen({ status, reason }: AttentionGroup, until: string | null): Promise<void> {
  const isIn = status === "unrouted";
  const body = {
    direction: isIn ? "in" : "out", ...(!isIn && { status }), ...(reason && { reason }), ...(until && { until }),
  };
  const { text } = await send("POST", "/messages/seen", { body });
  const { seen } = JSON.parse(text) as { seen: number };
  toast(`${counted(seen, "message is", "messages are")} marked as seen.`);
  await problems.look();
}

/** Marks one message as seen. */
export async function markOneSeen(id: string): Promise<void> {
  await send("POST", "/messages/seen", { body: { ids: [id] } });
  await problems.look();
}

/** As much of a message as sending it again asks for. */
interface Retryable {
  id: string;
  direction: string;
  status: string;
  channel?: string | null;
}

/** Whether a message of ours may be sent again. */
export const mayRetry = (message: Retryable): boolean =>
  message.direction === "out" && ["failed", "unknown"].includes(message.status) && message.channel !== "simulator";

/** Sends a message again. Gives whether it is queued. */
export async function retry(message: Retryable): Promise<boolean> {
  const again = () => post("/messages/{id}/retry", { path: { id: message.id } });
  if (message.status === "unknown") {
    const sent = await ask({
      title: "Send it again?",
      text: "It is not known whether it arrived: the person may read it twice.",
      confirm: "Send again",
      testid: "message-retry-confirm",
      action: again,
    });
    if (!sent) return false;
  } else {
    await again();
  }
  toast("It is queued again.");
  return true;
}
