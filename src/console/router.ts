// The addresses of the console's pages: the page of a path, and the path of a page. Nothing here touches the
// browser's history; navigation.ts does.

/** A page, with the names in its path and its query. */
export type Route =
  | { readonly page: "overview" }
  | { readonly page: "groups"; readonly prefix: string; readonly after: string }
  | { readonly page: "group"; readonly group: string; readonly tab: GroupTab }
  | { readonly page: "topics"; readonly prefix: string; readonly after: string }
  | { readonly page: "topic"; readonly topic: string; readonly tab: TopicTab }
  | {
      readonly page: "record";
      readonly topic: string;
      readonly partition: number;
      readonly offset: string;
    }
  | { readonly page: "deleted-topics" }
  | { readonly page: "access" }
  | { readonly page: "audit" }
  | { readonly page: "costs" }
  | { readonly page: "alerts" }
  | { readonly page: "lags" }
  | { readonly page: "health" }
  | { readonly page: "unknown"; readonly path: string };

export const GROUP_TABS = ["assignment", "offsets", "history", "config", "costs"] as const;
export type GroupTab = (typeof GROUP_TABS)[number];
export const TOPIC_TABS = ["records", "partitions", "groups", "config", "costs"] as const;
export type TopicTab = (typeof TOPIC_TABS)[number];

const BASE = "/console";

/** Returns the page of an address. */
export function parseRoute(pathname: string, search = ""): Route {
  const unknown: Route = { page: "unknown", path: pathname };
  const parts = partsOf(pathname);
  if (parts === null) return unknown;
  const [first, name, third, fourth, fifth, ...rest] = parts;
  if (rest.length > 0) return unknown;
  const query = new URLSearchParams(search);
  const list = { prefix: query.get("prefix") ?? "", after: query.get("after") ?? "" };
  switch (first) {
    case undefined:
      return { page: "overview" };
    case "groups": {
      if (name === undefined) return { page: "groups", ...list };
      const tab = fourth === undefined ? tabIn(GROUP_TABS, third) : null;
      return tab === null ? unknown : { page: "group", group: name, tab };
    }
    case "topics": {
      if (name === undefined) return { page: "topics", ...list };
      if (third === "records" && fourth !== undefined)
        return isWhole(fourth) && isWhole(fifth)
          ? { page: "record", topic: name, partition: Number(fourth), offset: fifth }
          : unknown;
      const tab = fourth === undefined ? tabIn(TOPIC_TABS, third) : null;
      return tab === null ? unknown : { page: "topic", topic: name, tab };
    }
    case "deleted-topics":
    case "access":
    case "audit":
    case "costs":
    case "alerts":
    case "lags":
    case "health":
      return name === undefined ? { page: first } : unknown;
    default:
      return unknown;
  }
}

/** Returns the decoded parts of a path below /console, or null if it is not one or is not percent-encoded UTF-8. */
function partsOf(pathname: string): string[] | null {
  if (pathname !== BASE && !pathname.startsWith(`${BASE}/`)) return null;
  const rest = pathname.slice(BASE.length + 1).replace(/\/$/, "");
  if (rest === "") return [];
  try {
    return rest.split("/").map(decodeURIComponent);
  } catch {
    return null;
  }
}

/** Returns the tab with this name, or the first one if none is named. */
function tabIn<Tab extends string>(
  tabs: readonly [Tab, ...Tab[]],
  name: string | undefined,
): Tab | null {
  return name === undefined ? tabs[0] : (tabs.find((tab) => tab === name) ?? null);
}

function isWhole(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,16}$/.test(text);
}

function pathOf(...parts: readonly (string | number)[]): string {
  return [BASE, ...parts.map((part) => encodeURIComponent(part))].join("/");
}

function listPath(base: string, list: { prefix?: string; after?: string }): string {
  const query = new URLSearchParams(Object.entries(list).filter(([, value]) => value !== ""));
  const text = query.toString();
  return text === "" ? pathOf(base) : `${pathOf(base)}?${text}`;
}

export const paths = {
  overview: BASE,
  deletedTopics: pathOf("deleted-topics"),
  access: pathOf("access"),
  audit: pathOf("audit"),
  costs: pathOf("costs"),
  alerts: pathOf("alerts"),
  lags: pathOf("lags"),
  health: pathOf("health"),
  /** A separate page, with a script of its own. */
  learn: pathOf("learn"),
  /** The documentation of the release. */
  docs: "/docs",
  groups: (list: { prefix?: string; after?: string } = {}) => listPath("groups", list),
  group: (group: string, tab: GroupTab = "assignment") =>
    tab === "assignment" ? pathOf("groups", group) : pathOf("groups", group, tab),
  topics: (list: { prefix?: string; after?: string } = {}) => listPath("topics", list),
  topic: (topic: string, tab: TopicTab = "records") =>
    tab === "records" ? pathOf("topics", topic) : pathOf("topics", topic, tab),
  record: (topic: string, partition: number, offset: number) =>
    pathOf("topics", topic, "records", partition, offset),
};
