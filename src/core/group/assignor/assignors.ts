// The assignors that a group can have, by name.
import type { Assignor } from "./assignor.ts";
import { range } from "./range.ts";
import { uniform } from "./uniform.ts";

export const ASSIGNORS = { uniform, range } as const satisfies Record<string, Assignor>;

export type AssignorName = keyof typeof ASSIGNORS;
