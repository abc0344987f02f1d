// Sending again what failed.

import * as api from "./api.js";
import { button, confirmDialog, toast } from "./ui.js";

/** A button for a message of ours that failed, or of which nobody knows whether it arrived; else null. */
export function retryButton(message, done) {
  if (message.direction !== "out" || !["failed", "unknown"].includes(message.status) || message.channel === "simulator") return null;
  return button("Send again", async () => {
    const send = () => api.post(`/messages/${message.id}/retry`);
    if (message.status === "unknown") {
      const sent = await confirmDialog("Send it again?", "Nobody knows whether it arrived: the person may read it twice.", {
        confirm: "Send again", testid: "message-retry-confirm", action: send,
      });
      if (!sent) return;
    } else {
      await send();
    }
    toast("It is queued again.");
    done();
  }, { kind: "small", testid: "message-retry" });
}
