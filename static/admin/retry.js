// Sending again what failed.

import * as api from "./api.js";
import { button, toast } from "./ui.js";

/** A button for a message of ours that failed, or of which nobody knows whether it arrived; else null. */
export function retryButton(message, done) {
  if (message.direction !== "out" || !["failed", "unknown"].includes(message.status) || message.channel === "simulator") return null;
  return button("Send again", async () => {
    await api.post(`/messages/${message.id}/retry`);
    toast("It is queued again.");
    done();
  }, { kind: "small", testid: "message-retry" });
}
