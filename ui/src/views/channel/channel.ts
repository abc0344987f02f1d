// What a channel and its states are called.
import type { Schema } from "../../lib/api/types.ts";
import { inWords } from "../../lib/lists.ts";

export const CHANNELS: Record<string, string> = {
  whatsapp: "WhatsApp",
  webhook: "Generic webhook",
  simulator: "Simulator",
};
export const STATES: Record<string, string> = {
  running: "running",
  paused: "paused",
  backing_off: "waiting to try again",
  off: "not in use",
};

/** Why a channel does not run, in words. */
export function whyStopped({ reason, explanation }: Schema<"Channel">): string {
  // Says by itself what is missing and what to do.
  if (reason === "configured_in_part") return explanation ?? "";
  const words = inWords(reason);
  if (reason === "operator") return explanation ? `${words} They say: “${explanation}”.` : words;
  if (!explanation) return words;
  return words ? `${words} The channel says: ${explanation}` : explanation;
}
