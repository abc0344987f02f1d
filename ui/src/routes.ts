// The views by their addresses. A view that is not here yet is shown by the page before this one.
import type { Component } from "svelte";

import { match } from "./lib/router.ts";
import type { IconName } from "./lib/ui/Icon.svelte";

/** A view; it takes the parameters of its address as `params`, or nothing. */
export type View = Component<any>;

interface Route {
  /** As `match` takes it. */
  pattern: string;
  load: () => Promise<{ default: View }>;
}

export const ROUTES: Route[] = [
  { pattern: "/problems", load: () => import("./views/problems/Problems.svelte") },
  { pattern: "/flows", load: () => import("./views/flows/Flows.svelte") },
  { pattern: "/flows/:id/trigger", load: () => import("./views/flow/Trigger.svelte") },
  { pattern: "/sessions", load: () => import("./views/sessions/Sessions.svelte") },
  { pattern: "/sessions/:id", load: () => import("./views/session/Session.svelte") },
  { pattern: "/contacts", load: () => import("./views/contacts/Contacts.svelte") },
  { pattern: "/contacts/:id", load: () => import("./views/contact/Contact.svelte") },
  { pattern: "/messages", load: () => import("./views/messages/Messages.svelte") },
  { pattern: "/channel", load: () => import("./views/channel/Channel.svelte") },
  { pattern: "/templates", load: () => import("./views/templates/Templates.svelte") },
  { pattern: "/webhooks", load: () => import("./views/webhooks/Webhooks.svelte") },
  { pattern: "/webhooks/:id", load: () => import("./views/webhook/Webhook.svelte") },
  { pattern: "/tokens", load: () => import("./views/tokens/Tokens.svelte") },
  { pattern: "/settings", load: () => import("./views/settings/Settings.svelte") },
];

/** The view of a path, with the parameters that the path has. */
export function routeOf(path: string): (Route & { params: Record<string, string> }) | null {
  for (const route of ROUTES) {
    const params = match(route.pattern, path);
    if (params) return { ...route, params };
  }
  return null;
}

/** Addresses of the page before this one that go on to be shown there. */
export const OLD = /^\/flows\/[^/]+(\/|$)/;

interface Section {
  name: string;
  label: string;
  icon: IconName;
}

/** The menu: what people work with, and below what is set up. */
export const SECTIONS: Section[][] = [
  [
    { name: "problems", label: "Problems", icon: "problems" },
    { name: "flows", label: "Flows", icon: "flows" },
    { name: "sessions", label: "Sessions", icon: "sessions" },
    { name: "contacts", label: "Contacts", icon: "contacts" },
    { name: "messages", label: "Messages", icon: "messages" },
  ],
  [
    { name: "channel", label: "Channel", icon: "channel" },
    { name: "templates", label: "Templates", icon: "templates" },
    { name: "webhooks", label: "Webhooks", icon: "webhooks" },
    { name: "tokens", label: "Tokens", icon: "tokens" },
    { name: "settings", label: "Settings", icon: "settings" },
  ],
];

/** Those that stand at the bottom of a telephone. */
export const ON_BAR = ["problems", "flows", "sessions", "contacts"];
