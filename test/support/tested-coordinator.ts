// The native members of a group, with what tests need besides: their events, the history, the committed offsets.
import { whyNotJoin } from "../../src/core/group/admission.ts";
import { Changes, type Handled } from "../../src/core/group/changes.ts";
import { type GroupConfig, resolveGroupConfig } from "../../src/core/group/config.ts";
import { Coordinator } from "../../src/core/group/coordinator.ts";
import { describeGroup } from "../../src/core/group/describe.ts";
import { GroupOffsets } from "../../src/core/group/offsets.ts";
import type { JoinRequest } from "../../src/core/group/requests.ts";
import type { Sight } from "../../src/core/group/session.ts";
import {
  exists,
  type GroupEvent,
  type GroupState,
  hasMembers,
} from "../../src/core/group/state.ts";

export class TestedCoordinator extends Coordinator {
  readonly state: GroupState;
  readonly changes: Changes;
  readonly offsets: GroupOffsets;
  #untaken: Pick<Handled, "events" | "history"> = { events: [], history: [] };

  constructor(state: GroupState) {
    const changes = new Changes(state);
    changes.newIncarnation = 1; // As the cluster tells it.
    const offsets = new GroupOffsets(changes);
    super(changes, offsets);
    this.state = state;
    this.changes = changes;
    this.offsets = offsets;
  }

  get exists(): boolean {
    return exists(this.state);
  }

  get config(): GroupConfig {
    return resolveGroupConfig(this.state.overrides);
  }

  get stateName(): string {
    return describeGroup(this.state).state;
  }

  whyNotJoin(request: JoinRequest) {
    return whyNotJoin(this.state, this.config, request);
  }

  /** The next expiry, of the members or of an empty group's committed offsets. */
  nextMs(sight: Sight): number | null {
    const nextMs = hasMembers(this.state) ? this.nextDeadlineMs(sight) : this.offsets.nextExpiryMs;
    return nextMs === Number.POSITIVE_INFINITY ? null : nextMs;
  }

  takeEvents(): readonly GroupEvent[] {
    this.#take();
    const { events } = this.#untaken;
    this.#untaken = { ...this.#untaken, events: [] };
    return events;
  }

  takeHistory(): Handled["history"] {
    this.#take();
    const { history } = this.#untaken;
    this.#untaken = { ...this.#untaken, history: [] };
    return history;
  }

  #take(): void {
    const { events, history } = this.changes.take();
    this.#untaken = {
      events: [...this.#untaken.events, ...events],
      history: [...this.#untaken.history, ...history],
    };
  }
}
