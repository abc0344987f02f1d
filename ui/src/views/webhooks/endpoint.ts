// What the list of endpoints and the page of one share.
import type { Schema } from "../../lib/api/types.ts";

export type Endpoint = Schema<"WebhookEndpoint">;

/** How an endpoint does, in one word. */
export const stateOf = ({ is_active: isActive, failing_since: failing }: Endpoint): string =>
  !isActive ? "paused" : failing ? "failing" : "active";

/** The events of an endpoint, in words. */
export const eventsOf = ({ events }: Endpoint): string => (events.length > 0 ? events.join(", ") : "all events");
