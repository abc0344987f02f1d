// Settings in groups that people would look for, and what they are called. A key that is not named here is shown by its
// own words, so that a new setting of the server is never missing.
import type { Schema } from "../../lib/api/types.ts";
import { titled } from "../../lib/words.ts";

export type Setting = Schema<"Setting">;

const GROUPS: Record<string, string> = {
  server: "Address and access",
  admin: "Address and access",
  account: "Account",
  sessions: "Conversations",
  routing: "Conversations",
  limits: "Limits",
  whatsapp: "WhatsApp",
  webhook: "Generic webhook channel",
  channel: "Sending",
  outbox: "Sending",
  http_request: "Calls of flows",
  retention: "How long things are kept",
  backup: "Backups",
  storage: "Database",
  log: "Log",
};
const NAMES: Record<string, string> = {
  "server.public_url": "Public address",
  "whatsapp.access_token": "Access token",
  "sessions.default_ttl": "Silence after which a session expires",
  "limits.requests_per_minute": "Requests per minute and token",
  "limits.rows_per_minute": "Batch rows per minute and token",
  "limits.bytes_per_minute": "Bytes per minute and token",
  "limits.draft_bytes": "Drafts of all flows",
  "limits.draft_bytes_per_token": "Drafts of one token",
  "limits.flows": "Flows",
  "limits.flows_per_token": "Flows of one token",
  "limits.kept_answers": "Kept answers",
  "limits.kept_answers_per_token": "Kept answers of one token",
  "limits.simulation_bytes": "Simulations",
  "limits.test_case_bytes": "Test cases of all flows",
  "limits.test_cases_per_flow": "Test cases of one flow",
  "account.name": "Name",
  "account.email": "E-mail address",
  "account.tenant": "Organisation",
};

export interface SettingGroup {
  title: string;
  editable: Setting[];
  fixed: Setting[];
}

/** What a setting is called. */
export const nameOf = ({ key }: { key: string }): string => NAMES[key] ?? titled(key.split(".").slice(1).join(" "));

/** The settings in their groups: those first in which something can be set here. */
export function groupsOf(settings: Setting[], wanted: string): SettingGroup[] {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = new Map<string, SettingGroup>();
  for (const setting of settings) {
    const title = GROUPS[setting.key.split(".")[0] ?? ""] ?? "Others";
    const text = `${title} ${nameOf(setting)} ${setting.key} ${setting.about}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    const group = groups.get(title) ?? { title, editable: [], fixed: [] };
    groups.set(title, group);
    (setting.is_editable ? group.editable : group.fixed).push(setting);
  }
  return [...groups.values()].sort((a, b) => Number(b.editable.length > 0) - Number(a.editable.length > 0));
}

/** A value as it is written in a field. */
export function written(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** What was typed, as the kind of value that the setting has. Throws a sentence for what is none. */
export function parsed(text: string, setting: Pick<Setting, "key" | "value" | "default">): unknown {
  const model: unknown = setting.default ?? setting.value;
  const trimmed = text.trim();
  if (Array.isArray(model)) return trimmed.split(",").map((part) => part.trim()).filter(Boolean);
  if (typeof model === "number") {
    if (trimmed === "" || Number.isNaN(Number(trimmed))) throw new Error(`${nameOf(setting)} must be a number.`);
    return Number(trimmed);
  }
  if (typeof model === "boolean") {
    if (trimmed !== "true" && trimmed !== "false") throw new Error(`${nameOf(setting)} must be true or false.`);
    return trimmed === "true";
  }
  return trimmed === "" ? null : trimmed;
}
