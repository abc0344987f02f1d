// What happens to a text that is not saved: when its author leaves, and when another person has saved meanwhile.
import { send } from "../api/client.ts";
import { dialogs } from "../ui/dialogs.svelte.ts";
import ConflictDialog, { type Choice } from "./ConflictDialog.svelte";
import type { FlowDraft, Theirs } from "./draft.svelte.ts";
import { format } from "./format.ts";
import { entry, scan } from "./jsonmap.ts";
import LeaveDialog from "./LeaveDialog.svelte";

/** Asks before a view with a text that is not saved is left. Gives whether it may be. */
export async function askToLeave(name: string): Promise<boolean> {
  return (await dialogs.open(LeaveDialog, { name })) === true;
}

/** Another person saved meanwhile: nothing is lost, and the author decides. Gives whether the text is saved. */
export async function settleConflict(draft: FlowDraft, theirs: Theirs): Promise<boolean> {
  const choice = await dialogs.open(ConflictDialog, { theirs, base: draft.baseRevision });
  if (choice !== "see") return settle(draft, theirs, choice);
  const { text } = await send("GET", draft.path);
  const answer = JSON.parse(text) as Theirs;
  const node = entry(scan(text).tree, "document")?.node;
  const texts = { theirs: node ? format(text, node) : "", mine: draft.text };
  const second = await dialogs.open(ConflictDialog, { theirs: answer, base: draft.baseRevision, texts });
  if (second !== "take") return settle(draft, answer, second);
  draft.discard();
  draft.take(text);
  return false;
}

function settle(draft: FlowDraft, theirs: Theirs, choice: Choice | undefined): Promise<boolean> {
  return choice === "overwrite" ? draft.overwrite(theirs) : Promise.resolve(false);
}
