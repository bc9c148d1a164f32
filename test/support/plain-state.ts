// A group's state to compare with another. Loaded state reads its rows only on request: see
// durable-objects/shared/stored-map.ts.
import type { GroupState } from "../../src/core/group/state.ts";

/** Returns the state with all its rows, in plain maps. */
export function plain(state: GroupState): GroupState {
  return {
    ...state,
    members: new Map(state.members),
    targets: new Map(state.targets),
    topics: new Map(state.topics),
    offsets: new Map(state.offsets),
    owners: new Map(state.owners),
  };
}
