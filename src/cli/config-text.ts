// Configurations as people read them.
import type { ConfigInfo } from "../sdk/index.ts";
import { plain } from "./plain.ts";
import { table } from "./table.ts";

type Overrides = Readonly<Record<string, string | number>>;

/** Describes the values that are set. */
export function configText(overrides: Overrides): string {
  const set = listOf(overrides);
  return set === "" ? "Nothing is set: the defaults apply." : `Set: ${set}`;
}

/** Shows every key with the value in effect, and says which were set. */
export function configTable({ config, overrides }: ConfigInfo, heading: string): string {
  const rows = Object.entries(config).map(([key, value]) => [
    key,
    value,
    Object.hasOwn(overrides, key) ? "set" : "",
  ]);
  return table(["KEY", heading, ""], rows);
}

export function listOf(overrides: Overrides): string {
  return Object.entries(overrides)
    .map(([key, value]) => plain(`${key}=${value}`))
    .join(", ");
}
