// The lesson in progress in this page: its state as signals, and the actions of the reader's buttons.
import { signal } from "@preact/signals";
import type { GroupInfo, ResetResult } from "../../core/group-info.ts";
import { groupPath, TOPICS_PATH, topicPath } from "../../protocol/paths.ts";
import { announce } from "../announce.ts";
import { credential, get, ProblemError, request } from "../api.ts";
import { focusPage } from "../focus.ts";
import { watchGroup } from "../live.ts";
import { OWN_CITY, PARTITIONS } from "./cities.ts";
import type { Flight, Members } from "./members.ts";
import { type Met, meet, NOTHING_MET } from "./progress.ts";
import { PREFIX } from "./rights.ts";
import {
  BEGINNING,
  GROUPS,
  type GroupName,
  type Lesson,
  type LessonEvent,
  replay,
} from "./state.ts";
import { type ActionName, owner, STEPS } from "./steps.ts";

export const lesson = signal<Lesson>(BEGINNING);
/** The goals that have been met, by step. They stay met. */
export const met = signal<Met>(NOTHING_MET);
/** The index of the step that is shown. The summary comes after the last one. */
export const stepIndex = signal(0);
/** The action in progress. */
export const doing = signal<ActionName | "clean up" | null>(null);
/** The error of the reader's last action. */
export const problem = signal<unknown>(null);
/** An error in the background. It disappears once all is well again. */
export const trouble = signal<unknown>(null);
/** True once the topic and the groups have been deleted. */
export const isCleanedUp = signal(false);

/** Shows a record in flight. The picture sets this. */
export const flights: { show: (flight: Flight) => void } = { show: () => {} };

/** The name of this tab's lesson. The next lesson removes what a reload has left behind. */
const KEPT = "rivulet.lesson";
/** Events within this time are shown together. */
const SHOW_MS = 80;
const ASK_MS = 1_000;
/** A group whose member has died can be deleted once the member's session is over. */
const RETRY_MS = 500;
const MAX_TRIES = 40;

let current = BEGINNING;
let members: Members | null = null;
let isShowing = false;
let unfollow: (() => void)[] = [];

function happen(event: LessonEvent): void {
  current = replay(current, event);
  if (event.type === "assigned") followGroups();
  // The broker's state should arrive with the member's, and not up to a second later.
  if (event.type === "assigned" || event.type === "revoked")
    for (const ask of asks.values()) void ask();
  if (event.type === (asks.size === 0 ? "sent" : "told")) trouble.value = null;
  if (isShowing) return;
  isShowing = true;
  setTimeout(() => {
    isShowing = false;
    show();
  }, SHOW_MS);
}

function show(): void {
  lesson.value = current;
  const before = met.value;
  met.value = meet(before, stepIndex.value, current);
  const step = stepIndex.value;
  if (met.value !== before && met.value.isDone(step)) announce(`Step ${step + 1} is done.`);
}

export function goTo(index: number): void {
  stepIndex.value = index;
  problem.value = null;
  show();
}

/** Runs the action of a button, unless another one is in progress. */
export async function act(name: ActionName | "clean up"): Promise<void> {
  if (doing.value !== null) return;
  doing.value = name;
  problem.value = null;
  try {
    await ACTIONS[name]();
  } catch (error) {
    problem.value = error;
  }
  doing.value = null;
}

const ACTIONS: Readonly<Record<ActionName | "clean up", () => Promise<void> | void>> = {
  create,
  send: () => members?.send(OWN_CITY, true),
  join: () => join("billing"),
  unplug: () => members?.unplug(owner(current)?.memberId ?? ""),
  close: async () => {
    const memberId = owner(current)?.memberId ?? "";
    happen({ type: "closing", memberId, atMs: Date.now() });
    await members?.close(memberId);
  },
  audit: () => join("audit"),
  slow: () => members?.pace(true),
  fast: () => members?.pace(false),
  rewind,
  "clean up": cleanUp,
};

async function create(): Promise<void> {
  const left = kept();
  if (left !== null) void remove(left).catch(() => {}); // Somebody has removed it already, or it can stay.
  const topic = `${PREFIX}${crypto.randomUUID().slice(0, 6)}`;
  // A topic that a closed tab leaves behind is empty in an hour. A deleted one is gone at once.
  const config = { "retention.ms": 3_600_000, "topic.delete.delay.ms": 0 };
  await request("POST", TOPICS_PATH, { body: { name: topic, partitions: PARTITIONS, config } });
  keep(topic);
  const { Members } = await import("./members.ts"); // This loads the SDK too.
  // Events of stopped members do not belong to a later lesson.
  const whileCurrent =
    <T>(hook: (value: T) => void) =>
    (value: T) => {
      if (members === created) hook(value);
    };
  const created: Members = new Members(topic, credential.value, {
    onEvent: whileCurrent(happen),
    onFlight: whileCurrent((flight) => flights.show(flight)),
    onProblem: whileCurrent((error) => {
      trouble.value = error;
    }),
  });
  members = created;
  isCleanedUp.value = false;
  happen({ type: "created", topic });
  members.startSending();
}

function join(group: GroupName): void {
  const numbers = current.members
    .filter((each) => each.group === group)
    .map(({ number }) => number);
  members?.join(group, Math.max(lastNumber[group], ...numbers) + 1);
  lastNumber[group]++;
}

const lastNumber: Record<GroupName, number> = { billing: 0, audit: 0 };

async function rewind(): Promise<void> {
  const groupId = members?.groupId("audit") ?? "";
  const readers = current.members.filter(({ group }) => group === "audit");
  await Promise.all(readers.map(({ memberId }) => members?.close(memberId)));
  const { offsets } = await whenEmpty(() =>
    request<ResetResult>("POST", `${groupPath(groupId)}/offsets`, { body: { to: "earliest" } }),
  );
  happen({ type: "rewound", to: new Map(offsets.map((each) => [each.partition, each.offset])) });
  join("audit");
}

/** Asks each group for its state once it exists: when it reports a change, and every second for its lag. */
function followGroups(): void {
  for (const group of GROUPS) {
    if (asks.has(group) || current.members.every((each) => each.group !== group)) continue;
    const path = `${groupPath(members?.groupId(group) ?? "")}?lag=exact`;
    let isAsking = false;
    let isStale = false;
    const ask = async () => {
      if (document.hidden) return;
      isStale = isAsking;
      if (isAsking) return;
      isAsking = true;
      try {
        const info = await get<GroupInfo>(path);
        if (asks.get(group) === ask) happen({ type: "told", group, info, atMs: Date.now() });
      } catch (error) {
        if (asks.get(group) === ask) trouble.value = error;
      }
      isAsking = false;
      if (isStale && asks.get(group) === ask) void ask();
    };
    asks.set(group, ask);
    const timer = setInterval(() => void ask(), ASK_MS);
    const unwatch = watchGroup(members?.groupId(group) ?? "", () => void ask());
    unfollow.push(unwatch, () => clearInterval(timer));
  }
}

/** The questions to the groups that exist. */
const asks = new Map<GroupName, () => Promise<void>>();

/** Stops the members, and all questions. */
export async function stop(): Promise<void> {
  for (const end of unfollow) end();
  unfollow = [];
  asks.clear();
  const stopping = members;
  members = null;
  await stopping?.stop();
}

/** Stops the members and forgets the lesson. The next one deletes its topic. */
export async function abandon(): Promise<void> {
  forget();
  isCleanedUp.value = false;
  met.value = NOTHING_MET;
  goTo(0);
  await stop();
}

function forget(): void {
  current = BEGINNING;
  lastNumber.billing = lastNumber.audit = 0;
  trouble.value = null;
  show();
}

/** Deletes everything that the lesson has created. */
async function cleanUp(): Promise<void> {
  const { topic } = current;
  await stop();
  if (topic !== null) await remove(topic);
  keep(null);
  forget();
  isCleanedUp.value = true;
  announce("The topic and the groups have been deleted.");
}

async function remove(topic: string): Promise<void> {
  for (const path of [...GROUPS.map((group) => groupPath(`${topic}-${group}`)), topicPath(topic)])
    await whenEmpty(() => request("DELETE", path)).catch((error: unknown) => {
      if (!(error instanceof ProblemError && error.status === 404)) throw error;
    });
}

/** Retries while the group has members that will be gone soon. */
async function whenEmpty<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      const isTooEarly = error instanceof ProblemError && error.code === "NON_EMPTY_GROUP";
      if (!isTooEarly || tries === MAX_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** Cleans up and starts again. */
export async function restart(): Promise<void> {
  if (!isCleanedUp.value) await act("clean up");
  if (problem.value !== null) return;
  isCleanedUp.value = false;
  met.value = NOTHING_MET;
  goTo(0);
  focusPage();
  scrollTo(0, 0);
}

/** True if the reader may continue: the step is done, or was done before. */
export function mayGoOn(index: number): boolean {
  return index < STEPS.length && met.value.isDone(index);
}

function kept(): string | null {
  try {
    const name = sessionStorage.getItem(KEPT);
    return name?.startsWith(PREFIX) ? name : null;
  } catch {
    return null; // The browser stores nothing for this page.
  }
}

function keep(topic: string | null): void {
  try {
    if (topic === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, topic);
  } catch {
    // The browser stores nothing for this page.
  }
}
