// The server's answers, by their names in its description.
import type { components } from "./schema.gen.ts";

type Schemas = components["schemas"];

export type Schema<Name extends keyof Schemas> = Schemas[Name];

/** A list that goes on at its cursor. */
export interface Listing<Item> {
  data: Item[];
  next_cursor: string | null;
}
