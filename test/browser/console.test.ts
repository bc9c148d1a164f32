// The console in a real browser: what it shows, for whom, and that no displayed data runs.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isTooWide, violationsIn } from "./axe.ts";
import { launchChromium } from "./chromium.ts";
import { ConsoleWorld, openWindow, SCREENSHOTS, signIn } from "./console-world.ts";

let world: ConsoleWorld;
let browser: Browser;
beforeAll(async () => {
  world = await ConsoleWorld.start();
  await world.fill();
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await world?.stop();
});

interface Shown {
  readonly name: string;
  readonly path: string;
  /** An element that is there once the page is. */
  readonly ready: string;
  /** The API's responses without data, by the end of the path. */
  readonly empty?: readonly (readonly [RegExp, object])[];
}

const NOTHING_COSTS = {
  ...{ pricesOf: "2026-11", atMs: 0, lines: [] },
  total: { perHour: 0, today: 0, month: 0, projected: 0 },
  rates: { recordsIn: 0, bytesIn: 0, bytesOut: 0 },
  elsewhere: { k2: 0, queues: 0 },
};

const NO_GROUP = {
  groupId: "idle",
  state: "EMPTY",
  epoch: 1,
  assignor: "uniform",
  members: [],
  offsets: [],
  trend: [],
};

const PAGES: readonly Shown[] = [
  {
    name: "overview",
    path: "",
    ready: "h1",
    empty: [
      [/\/v1\/audit/, { events: [] }],
      [/\/v1\/(topics|groups|group-lags)\?/, { topics: [], groups: [] }],
      [/\/v1\/alerts/, { alerts: [], budgets: [] }],
    ],
  },
  {
    name: "costs",
    path: "/costs",
    ready: "text=Total cost",
    empty: [[/\/v1\/costs/, NOTHING_COSTS]],
  },
  {
    name: "alerts",
    path: "/alerts",
    ready: "text=Firing:",
    empty: [[/\/v1\/alerts/, { alerts: [], budgets: [] }]],
  },
  {
    name: "lags",
    path: "/lags",
    ready: "td:has-text('shipping'), th:has-text('shipping')",
    empty: [[/\/v1\/group-lags/, { groups: [] }]],
  },
  {
    name: "groups",
    path: "/groups",
    ready: "text=RECONCILING",
    empty: [[/\/v1\/groups\?/, { groups: [] }]],
  },
  {
    name: "group",
    path: "/groups/shipping",
    ready: "svg .member",
    empty: [[/\/v1\/groups\/shipping(\/lag)?(\?|$)/, NO_GROUP]],
  },
  {
    name: "group-offsets",
    path: "/groups/billing/offsets",
    ready: "text=Reset offsets",
    empty: [[/\/v1\/groups\/billing(\/lag)?(\?|$)/, NO_GROUP]],
  },
  {
    name: "group-history",
    path: "/groups/shipping/history",
    ready: ".timeline li",
    empty: [[/\/v1\/.*\/history/, { history: [] }]],
  },
  { name: "group-config", path: "/groups/billing/config", ready: "text=group.max.size" },
  {
    name: "topics",
    path: "/topics",
    ready: "text=payments",
    empty: [[/\/v1\/topics\?/, { topics: [] }]],
  },
  {
    name: "records",
    path: "/topics/orders",
    ready: "table.records",
    empty: [[/\/state$/, { logStartOffset: 0, highWatermark: 0, hasConfig: true }]],
  },
  { name: "record", path: "/topics/orders/records/0/1", ready: ".record-detail" },
  {
    name: "topic-partitions",
    path: "/topics/orders/partitions",
    ready: "text=has the topic's config",
  },
  { name: "topic-groups", path: "/topics/orders/groups", ready: "text=Search all groups" },
  {
    name: "topic-costs",
    path: "/topics/payments/costs",
    ready: "text=Usage by kind",
    empty: [[/\/v1\/costs/, NOTHING_COSTS]],
  },
  {
    name: "group-costs",
    path: "/groups/billing/costs",
    ready: "text=Usage by kind",
    empty: [[/\/v1\/costs/, NOTHING_COSTS]],
  },
  { name: "topic-config", path: "/topics/orders/config", ready: "text=retention.ms" },
  {
    name: "deleted-topics",
    path: "/deleted-topics",
    ready: "text=Restore",
    empty: [[/\/v1\/deleted-topics/, { topics: [] }]],
  },
  {
    name: "access",
    path: "/access",
    ready: "td:has-text('User:shop')",
    empty: [[/\/v1\/keys/, { keys: [] }]],
  },
  {
    name: "audit",
    path: "/audit",
    ready: "text=createTopic",
    empty: [[/\/v1\/audit/, { events: [] }]],
  },
  {
    name: "health",
    path: "/health",
    ready: "text=Release",
  },
  { name: "not-found", path: "/nowhere", ready: "text=There is no such page" },
];

const PROBLEM = {
  type: "about:blank",
  title: "The disk failed.",
  status: 503,
  detail: "the storage of the object fails: disk I/O error",
  code: "KAFKA_STORAGE_ERROR",
  errorCode: 56,
  retriable: true,
};

/** The parts that open on a page: the buttons to press, in order. */
const OPENED: readonly { name: string; path: string; press: readonly (string | RegExp)[] }[] = [
  { name: "create-topic", path: "/topics", press: ["Create a topic…"] },
  { name: "open-record", path: "/topics/payments", press: [/^Open record 0 /] },
  {
    name: "delete-records",
    path: "/topics/orders/partitions",
    press: [/^Delete records of partition 1/],
  },
  { name: "edit-config", path: "/topics/orders/config", press: ["Edit retention.ms"] },
  { name: "delete-topic", path: "/topics/orders/config", press: ["Delete the topic…"] },
  { name: "who-reads", path: "/topics/orders/groups", press: ["Search all groups"] },
  { name: "choose-partitions", path: "/groups/billing/offsets", press: [/^Choose partitions/] },
  { name: "create-key", path: "/access", press: ["Create a key…"] },
  { name: "create-alert", path: "/alerts", press: ["Create an alert…"] },
  { name: "remove-alert", path: "/alerts", press: [/^Remove/] },
  { name: "revoke-key", path: "/access", press: [/^Revoke/] },
];

describe.each([
  { theme: "light", width: 1280 },
  { theme: "dark", width: 1280 },
  { theme: "light", width: 360 },
  { theme: "dark", width: 360 },
] as const)("$theme, $width pixels", ({ theme, width }) => {
  test("[CON-5] every page is accessible: full, empty, and when the broker fails", async () => {
    const { url } = world.broker;
    const { context, page, faults } = await openWindow(browser, url, { theme, width });
    await page.goto(`${url}/console`);
    await page.getByLabel("API key or token").waitFor();
    const wrong = await violationsIn(page);
    await page.screenshot({ path: `${SCREENSHOTS}/sign-in-${theme}-${width}.png` });
    await signIn(page, url);
    for (const { name, path, ready, empty } of PAGES) {
      const look = async (state: string) => {
        await page.screenshot({
          path: `${SCREENSHOTS}/${name}-${state}-${theme}-${width}.png`,
          fullPage: true,
        });
        const found = await violationsIn(page);
        if (await isTooWide(page)) found.push("wider than the window");
        wrong.push(...found.map((each) => `${name}, ${state}: ${each}`));
      };
      await page.goto(`${url}/console${path}`);
      await page.locator(ready).first().waitFor();
      await look("full");
      if (empty !== undefined) {
        for (const [pattern, json] of empty)
          await page.route(pattern, (route) => route.fulfill({ json }));
        await page.goto(`${url}/console${path}`);
        await page.locator(".empty, .figure").first().waitFor();
        await look("empty");
        await page.unrouteAll();
      }
      if (name === "not-found") continue; // It requests nothing.
      await page.route(/\/v1\/(?!me)|\d\/health$/, (route) =>
        route.fulfill({ status: 503, json: PROBLEM, contentType: "application/problem+json" }),
      );
      await page.goto(`${url}/console${path}`);
      await page.locator(".danger-text, .note.danger").first().waitFor();
      await look("error");
      await page.unrouteAll();
    }
    expect(wrong).toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-5] everything that opens on a page is accessible", async () => {
    const { url } = world.broker;
    const { context, page, faults } = await openWindow(browser, url, { theme, width });
    await signIn(page, url);
    const wrong: string[] = [];
    const look = async (name: string) => {
      await page.screenshot({
        path: `${SCREENSHOTS}/${name}-${theme}-${width}.png`,
        fullPage: true,
      });
      wrong.push(...(await violationsIn(page)).map((each) => `${name}: ${each}`));
    };
    for (const { name, path, press } of OPENED) {
      await page.goto(`${url}/console${path}`);
      for (const button of press) await page.getByRole("button", { name: button }).first().click();
      await look(name);
    }
    await page.goto(`${url}/console/groups/billing/offsets`);
    await page.getByRole("checkbox", { name: /^orders/ }).check();
    await page.getByRole("button", { name: "Preview" }).click();
    await page.getByText("This is the plan").waitFor();
    await look("plan");
    await page.getByRole("button", { name: /^Set 6 offsets/ }).click();
    await look("confirm");
    await page.goto(`${url}/console/groups/shipping/history`);
    await page.locator(".timeline summary").first().waitFor();
    for (const steps of await page.locator(".timeline summary").all()) await steps.click();
    await look("history-steps");
    expect(wrong).toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
  });
});
