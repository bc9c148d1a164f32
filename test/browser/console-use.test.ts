// The console as people use it: with the keyboard, with few rights, with many topics, and with an attacker's bytes.
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { until } from "../support/until.ts";
import { launchChromium } from "./chromium.ts";
import { ATTACKS, ConsoleWorld, LARGE, openWindow, ROOT_KEY, signIn } from "./console-world.ts";
import { FOCUSED, tabTo } from "./keyboard.ts";

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

const url = () => world.broker.url;

async function opened(path: string, key = ROOT_KEY) {
  const window = await openWindow(browser, url());
  await signIn(window.page, url(), key);
  await window.page.goto(`${url()}/console${path}`);
  return window;
}

test("[CON-6] [CON-10] the keyboard alone finds the lagging group, sees why, and resets its offsets", async () => {
  const { context, page, faults } = await openWindow(browser, url());
  await page.goto(`${url()}/console`);
  await page.getByLabel("API key or token").waitFor();
  await tabTo(page, /API key or token/);
  await page.keyboard.type(ROOT_KEY);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await tabTo(page, /^Groups$/);
  await page.keyboard.press("Enter");
  await page.locator("td:has-text('RECONCILING')").waitFor();
  await tabTo(page, /in order of/);
  await page.keyboard.type("lag");
  await until("it is first", async () =>
    (await page.locator("tbody tr").first().textContent())?.startsWith("billing"),
  );
  await tabTo(page, /^billing$/);
  await page.keyboard.press("Enter");
  await page.locator("svg .partition").first().waitFor();
  const lag = await page.locator(".facts").textContent();
  expect(lag).toMatch(/EMPTY/);
  expect(lag).toMatch(/[1-9]\d* records/);
  await tabTo(page, /^History$/);
  await page.keyboard.press("Enter");
  await page.locator(".timeline").waitFor();
  const why = await page.locator(".timeline").textContent();
  expect(why).toContain("billing-worker was removed: it left.");
  expect(why).toContain("The committed offsets of 1 partition (orders 1) were reset.");
  await tabTo(page, /^Offsets$/);
  await page.keyboard.press("Enter");
  await page.locator("fieldset").waitFor();
  await tabTo(page, /6 of 6 partitions/);
  await page.keyboard.press("Space");
  await page.getByText("Choose at least one partition.").waitFor();
  await tabTo(page, /Choose partitions of orders/);
  await page.keyboard.press("Enter");
  await tabTo(page, /^1 \(lag/);
  await page.keyboard.press("Space");
  await tabTo(page, /Reset to/);
  await page.keyboard.type("the end");
  await tabTo(page, /^Preview$/);
  await page.keyboard.press("Enter");
  await page.locator("input.offset").waitFor();
  expect(await page.locator("input.offset").count()).toBe(1);
  const before = await world.rivulet.admin.describeGroup("billing");
  expect(before.offsets[1]).toMatchObject({ partition: 1, committedOffset: 3 });
  await tabTo(page, /New offset of orders 1/);
  const end = Number(await page.locator("input.offset").inputValue());
  await page.keyboard.press("ArrowDown"); // One less than the plan had.
  await tabTo(page, /^Set 1 offset/);
  await page.keyboard.press("Enter");
  await page.locator("dialog[open]").waitFor();
  expect(await page.evaluate<string>(FOCUSED)).toContain("Type billing to confirm");
  await page.keyboard.type("billin");
  expect(await page.locator("dialog button[type=submit]").isDisabled()).toBe(true);
  await page.keyboard.type("g");
  await page.keyboard.press("Enter");
  await page.locator("dialog").waitFor({ state: "detached" });
  const after = await world.rivulet.admin.describeGroup("billing");
  expect(after.offsets[1]).toMatchObject({ committedOffset: end - 1 });
  expect(after.offsets[0]?.committedOffset).toBe(before.offsets[0]?.committedOffset);
  expect(await page.locator("[aria-live]").textContent()).toMatch(/set|billing/);
  expect(faults).toEqual([]);
  await context.close();
});

test("[CON-2] [CON-3] an attacker's bytes are text, and numbers are exact", async () => {
  const { context, page, faults } = await opened("/topics/payments");
  await page.locator("table.records").waitFor();
  await until(
    "all are read",
    async () => (await page.locator("table.records tbody tr").count()) === 10,
  );
  for (const open of await page.getByRole("button", { name: /^Open record/ }).all()) {
    await open.click();
    await page.locator(".record-detail").waitFor();
    await page.getByRole("button", { name: /^Close record/ }).click();
  }
  for (const [i, attack] of ATTACKS.entries()) {
    await page.goto(`${url()}/console/topics/payments/records/0/${i + 2}`);
    await page.locator(".record-detail").waitFor();
    expect(await page.locator(".record-detail").textContent()).toContain(attack);
    for (const base of ["topics", "groups"]) {
      await page.goto(`${url()}/console/${base}/${encodeURIComponent(attack)}`);
      await page.locator(".danger, .tabs").first().waitFor();
      expect(await page.locator("h1").textContent()).toBe(attack);
    }
  }
  for (const path of ["/groups", "/groups/shipping", "/groups/shipping/history", "/audit"]) {
    await page.goto(`${url()}/console${path}`);
    await page.getByText(ATTACKS[0]).first().waitFor({ state: "attached" });
  }
  await page.goto(`${url()}/console/topics/orders/records/0/0`);
  await page.locator(".record-detail").waitFor();
  expect(await page.locator(".json-number").first().textContent()).toBe(LARGE);
  expect(faults).toEqual([]);
  await context.close();
});

test("[CON-3] [CON-13] a record has an address; a long value is shown as far as requested, bytes in hexadecimal", async () => {
  const { context, page, faults } = await opened("/topics/payments/records/0/1");
  await page.getByRole("button", { name: /^Show all/ }).waitFor();
  const shown = async () => (await page.locator(".bytes").last().textContent())?.length ?? 0;
  expect(await shown()).toBeLessThan(70_000);
  await page.getByRole("button", { name: /^Show all/ }).click();
  expect(await shown()).toBeGreaterThan(200_000);
  await page.getByRole("link", { name: "Offset 0" }).click();
  await page.getByText("00 ff fe 41 42").waitFor();
  expect(page.url()).toBe(`${url()}/console/topics/payments/records/0/0`);
  await page.goBack();
  await page.getByRole("button", { name: /^Show all/ }).waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

test("[CON-5] [CON-6] on a phone a page begins with its header, though the focus is in its content", async () => {
  const { context, page, faults } = await openWindow(browser, url(), { width: 390 });
  const focused = () => page.evaluate<string>("document.activeElement.id");
  const scrolled = () => page.evaluate<number>("scrollY");
  await signIn(page, url());
  await page.getByText("Recent changes").first().waitFor();
  await until("the content has the focus", async () => (await focused()) === "main");
  expect(await scrolled()).toBe(0);
  await page.evaluate("scrollTo(0, document.body.scrollHeight)");
  await page.getByRole("link", { name: "The audit log" }).click();
  await page.getByRole("heading", { name: "Audit" }).waitFor();
  expect(await focused()).toBe("main");
  expect(await scrolled()).toBe(0);
  expect(faults).toEqual([]);
  await context.close();
});

test("[CON-23] the header leads to the documentation, and costs are what they are on this machine", async () => {
  const { context, page } = await opened("");
  await page.getByRole("heading", { name: "Would cost on Cloudflare" }).waitFor();
  await page.getByRole("banner").getByRole("link", { name: "Docs" }).click();
  await page.waitForURL(`${url()}/docs`);
  await context.close();
});

describe("what is held of who signs in", () => {
  const heldIn = (page: Page) =>
    page.evaluate<object>(`({
      local: Object.keys(localStorage),
      session: Object.keys(sessionStorage),
      cookie: document.cookie,
    })`);

  test("[CON-4] nothing, unless this tab is to keep it; nothing after signing out", async () => {
    const { context, page } = await openWindow(browser, url());
    await page.goto(`${url()}/console/groups`);
    await page.getByLabel("API key or token").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator(".danger").waitFor();
    await page.getByLabel("API key or token").fill(ROOT_KEY);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Groups" }).waitFor();
    expect(await heldIn(page)).toEqual({ local: [], session: [], cookie: "" });
    await page.reload();
    await page.getByLabel("API key or token").waitFor();
    await signIn(page, url());
    expect(await heldIn(page)).toEqual({ local: [], session: ["rivulet.credential"], cookie: "" });
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("API key or token").waitFor();
    expect(await heldIn(page)).toEqual({ local: [], session: [], cookie: "" });
    await page.getByLabel("Theme").selectOption("dark");
    expect(await heldIn(page)).toEqual({ local: ["rivulet.theme"], session: [], cookie: "" });
    await context.close();
  });

  test("[CON-4] actions that the grants forbid are not offered", async () => {
    const { key } = await world.rivulet.admin.createKey({
      principal: "User:reader",
      grants: [
        { topics: { prefix: "orders" }, operations: ["READ"] },
        { groups: { exact: "billing" }, operations: ["DESCRIBE"] },
      ],
    });
    const { context, page, faults } = await opened("/topics", key);
    await page.getByRole("link", { name: "orders" }).waitFor();
    const buttons = async () => (await page.locator("main button").allTextContents()).join();
    expect(await page.getByText("payments").count()).toBe(0);
    expect(await page.getByRole("link", { name: "Audit" }).count()).toBe(0);
    expect(await buttons()).not.toContain("Create");
    await page.goto(`${url()}/console/topics/orders/config`);
    await page.getByText("retention.ms").first().waitFor();
    expect(await buttons()).not.toMatch(/Edit|Delete/);
    await page.goto(`${url()}/console/topics/orders/partitions`);
    await page.getByText("has the topic's config").first().waitFor();
    expect(await buttons()).not.toMatch(/Add|Delete/);
    await page.goto(`${url()}/console/groups/billing/offsets`);
    await page.getByText("but not reset its offsets").waitFor();
    expect(await buttons()).not.toMatch(/Preview|Delete/);
    await page.goto(`${url()}/console/access`);
    await page.getByText('May read all topics that begin with "orders".').waitFor();
    expect(await buttons()).not.toContain("Create");
    expect(faults).toEqual([]);
    await context.close();
  });
});

test("[CON-11] a group is fetched while it is visible, and not while the page is hidden or paused", async () => {
  const { context, page, faults } = await opened("/groups/billing");
  let asked = 0;
  page.on("request", (request) => {
    if (/\/v1\/groups\/billing(\/lag)?(\?|$)/.test(request.url())) asked++;
  });
  await until("it is asked for again", () => asked >= 2);
  const hide = (isHidden: boolean) =>
    page.evaluate(`
      Object.defineProperty(document, "hidden", { value: ${isHidden}, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    `);
  await page.clock.install();
  await hide(true);
  const whileHidden = asked;
  await page.clock.runFor(30_000);
  await hide(false);
  await until("it is asked for at once", () => asked > whileHidden);
  expect(asked - whileHidden).toBeLessThanOrEqual(2); // One may have been on its way.
  await page.getByRole("button", { name: "Pause" }).click();
  const whilePaused = asked;
  await page.clock.runFor(30_000);
  expect(asked).toBe(whilePaused);
  await page.getByRole("button", { name: "Resume" }).click();
  await until("it goes on", () => asked > whilePaused);
  expect(faults).toEqual([]);
  await context.close();
});

test("[CON-11] [CON-10] what the user has begun stays when an update fails", async () => {
  const { context, page, faults } = await opened("/groups/billing/offsets");
  await page.getByRole("checkbox", { name: /^orders/ }).uncheck();
  await page.route(/\/v1\/groups\/billing(\/lag)?(\?|$)/, (route) => route.abort());
  await page.getByText("The broker cannot be reached.").waitFor();
  expect(await page.getByRole("checkbox", { name: /^orders/ }).isChecked()).toBe(false);
  await page.unrouteAll();
  await page.getByText("The broker cannot be reached.").waitFor({ state: "detached" });
  expect(await page.getByRole("checkbox", { name: /^orders/ }).isChecked()).toBe(false);
  expect(faults).toEqual([]);
  await context.close();
});

test("[CON-8] a page says that its file is loading, and is loaded again where that failed", async () => {
  const { context, page, faults } = await opened("/topics");
  const seen = Promise.withResolvers<void>();
  await page.route(/assets\/access-/, async (route) => {
    await seen.promise;
    await route.abort();
  });
  await page.getByRole("link", { name: "Access" }).click();
  await page.getByText("Loading the access page…").waitFor();
  seen.resolve();
  await page.getByText("The console's file for the access page could not be loaded.").waitFor();
  await page.unrouteAll();
  await page.getByRole("button", { name: "Load the page again" }).click();
  await page.getByRole("heading", { name: "Access" }).waitFor();
  expect(page.url()).toBe(`${url()}/console/access`);
  expect(faults).toEqual([]);
  await context.close();
});

test("[CON-12] a search shows its progress; a key is looked for in its own partition", async () => {
  const { context, page, faults } = await opened("/topics/orders");
  await until("the newest are there", async () =>
    (await page.locator("section[aria-label=Records]").textContent())?.startsWith("50 records"),
  );
  const read = new Set<string>();
  page.on("request", (request) => {
    const [, partition] = /partitions\/(\d+)\/records/.exec(request.url()) ?? [];
    if (partition !== undefined) read.add(partition);
  });
  await page.getByText("Filter the records").click();
  await page.getByLabel("Key", { exact: true }).fill("customer-7");
  await page.getByRole("button", { name: "Read" }).click();
  await until("all of it is searched", async () =>
    (await page.locator("section[aria-label=Records]").textContent())?.includes("searched: all."),
  );
  expect(await page.locator("table.records tbody tr").count()).toBe(6);
  expect(read.size).toBe(1);
  read.clear();
  await page.getByLabel("From").selectOption("time");
  await page.getByLabel("Key", { exact: true }).fill("");
  expect(await page.getByRole("button", { name: "Read" }).isDisabled()).toBe(true);
  expect(read.size).toBe(0);
  expect(faults).toEqual([]);
  await context.close();
});

describe("many topics and groups", () => {
  const TOPICS = 5_000;
  const GROUPS = 2_000;
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await BrokerProcess.start();
    const { admin } = new Rivulet({ url: broker.url });
    const name = (kind: string, i: number) => `${kind}-${String(i).padStart(4, "0")}`;
    const each = async (count: number, act: (i: number) => Promise<unknown>) => {
      const left = Array.from({ length: count }, (_, i) => i).values();
      const work = async () => {
        for (const i of left) await act(i);
      };
      await Promise.all(Array.from({ length: 32 }, work));
    };
    await each(TOPICS, (i) => admin.createTopic({ name: name("topic", i) }));
    await each(GROUPS, (i) =>
      admin.alterGroup(name("group", i), { config: { "group.max.size": 9 } }),
    );
  }, 300_000);
  afterAll(() => broker?.stop());

  test("[CON-7] come in pages of a hundred, and can be narrowed to a prefix", async () => {
    const { context, page, faults } = await openWindow(browser, broker.url);
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    for (const kind of ["topic", "group"]) {
      const startedMs = performance.now();
      await page.goto(`${broker.url}/console/${kind}s`);
      await page.locator("tbody tr").first().waitFor();
      const tookMs = performance.now() - startedMs;
      const paintMs = await page.evaluate<number>(
        'performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1',
      );
      console.info(
        `${kind}s: first paint after ${Math.round(paintMs)} ms, rows after ${Math.round(tookMs)} ms`,
      );
      expect(await page.locator("tbody tr").count()).toBe(100);
      await page.getByRole("link", { name: "Next page" }).click();
      await page.getByRole("link", { name: `${kind}-0100` }).waitFor();
      await page.getByLabel("Names that begin with").fill(`${kind}-19`);
      await page.getByRole("button", { name: "Filter" }).click();
      await page.getByRole("link", { name: `${kind}-1900` }).waitFor();
      expect(await page.locator("tbody tr").count()).toBe(100);
      await page.getByLabel("Names that begin with").fill(`${kind}-1999`);
      await page.getByRole("button", { name: "Filter" }).click();
      await page.getByRole("link", { name: `${kind}-1999` }).waitFor();
      await until("it is alone", async () => (await page.locator("tbody tr").count()) === 1);
    }
    await page.goto(`${broker.url}/console`);
    await page.getByText("more than 100").first().waitFor();
    const lists = asked.filter((each) => /\/v1\/(topics|groups)(\?|$)/.test(each));
    expect(lists.filter((each) => !each.includes("limit=100"))).toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
  });
});
