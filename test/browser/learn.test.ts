// The lesson in a real browser, from its beginning to its end.
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { codeOf } from "../../src/console/learn/code.ts";
import { SESSION_MS, STEPS } from "../../src/console/learn/steps.ts";
import { type GroupInfo, Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { until } from "../support/until.ts";
import { isTooWide, violationsIn } from "./axe.ts";
import { launchChromium } from "./chromium.ts";
import { type Look, openWindow, ROOT_KEY, SCREENSHOTS } from "./console-world.ts";
import { tabTo } from "./keyboard.ts";

let browser: Browser;
let broker: BrokerProcess;
let rivulet: Rivulet;
beforeAll(async () => {
  broker = await BrokerProcess.start();
  rivulet = new Rivulet({ url: broker.url });
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await broker?.stop();
});

const THEMES = ["light", "dark"] as const;
const WIDTHS = [1280, 360] as const;
const NEXT = /^(Next step|What you have seen)$/;

const button = (page: Page, name: string | RegExp) =>
  page.getByRole("button", { name, exact: true });
const goals = async (page: Page) => await page.locator(".goals .met").count();
const topicIn = async (page: Page) =>
  /"(learn-[0-9a-f]{6})/.exec((await page.locator("pre").textContent()) ?? "")?.[1] ?? "";

async function openLesson(look: Look = {}) {
  const window = await openWindow(browser, broker.url, look);
  await window.page.goto(`${broker.url}/console/learn`);
  await button(window.page, "Create a topic with four partitions").waitFor();
  return window;
}

/** Waits until the step is done. */
async function done(page: Page): Promise<void> {
  const next = page.locator(".turns button", { hasText: NEXT });
  await until("the step is done", async () => await next.isEnabled());
}

async function goOn(page: Page, title: string): Promise<void> {
  await done(page);
  await page.locator(".turns button", { hasText: NEXT }).click();
  await page.getByRole("heading", { name: title, level: 1 }).waitFor();
}

async function createTopic(page: Page): Promise<string> {
  await button(page, "Create a topic with four partitions").click();
  await until(
    "there is a topic",
    async () => !(await topicIn(page)).endsWith("-1") && (await goals(page)) > 0,
  );
  return await topicIn(page);
}

async function firstStep(page: Page): Promise<string> {
  const topic = await createTopic(page);
  for (const count of [1, 2]) {
    await button(page, "Send an order from Cairo").click();
    await until(
      "it is told where it is",
      async () => (await page.locator(".cell.own").count()) === count,
    );
  }
  await goOn(page, "One consumer");
  return topic;
}

/** Returns the state of a group. One that does not exist has no members. */
async function groupOf(groupId: string): Promise<Pick<GroupInfo, "members" | "offsets">> {
  return await rivulet.admin.describeGroup(groupId).catch(() => ({ members: [], offsets: [] }));
}

const sharesOf = ({ members }: Pick<GroupInfo, "members">) =>
  members
    .map(({ assignment }) => assignment.flatMap(({ partitions }) => partitions).length)
    .sort((a, b) => b - a);

/** Checks the page in both themes and both widths. */
async function lookAt(page: Page, name: string): Promise<string[]> {
  const wrong: string[] = [];
  for (const theme of THEMES)
    for (const width of WIDTHS) {
      await page.emulateMedia({ colorScheme: theme });
      await page.setViewportSize({ width, height: 900 });
      await until("the picture has its width", async () => {
        const drawn = await page.locator(".stage svg").first().getAttribute("width");
        return Number(drawn) < width && (width < 400 || Number(drawn) > 400);
      });
      const path = `${SCREENSHOTS}/learn-${name}-${theme}-${width}.png`;
      await page.screenshot({ path, fullPage: true });
      const found = await violationsIn(page);
      if (await isTooWide(page)) found.push("wider than the window");
      wrong.push(...found.map((each) => `${name}, ${theme}, ${width}: ${each}`));
    }
  await page.setViewportSize({ width: 1280, height: 900 });
  return wrong;
}

test("[LRN-2] [LRN-3] [LRN-5] [LRN-6] [LRN-9] [LRN-11] the whole lesson, from the first topic to nothing left behind", async () => {
  const { context, page, faults } = await openLesson({ motion: "no-preference" });
  const wrong = await lookAt(page, "begin");
  let closedSockets = 0;
  page.on("websocket", (socket) => socket.on("close", () => closedSockets++));
  const codes = new Map<string, string | null>();
  const noteCode = async (id: string) => codes.set(id, await page.locator("pre").textContent());

  const topic = await createTopic(page);
  await noteCode("topic");
  const [billing, audit] = [`${topic}-billing`, `${topic}-audit`];
  await button(page, "Send an order from Cairo").click();
  await until("a record is on its way", async () => (await page.locator(".dot").count()) > 0);
  await until("it is there", async () => (await page.locator(".cell.own").count()) === 1);
  await button(page, "Send an order from Cairo").click();
  await done(page);
  expect(await page.locator(".note").textContent()).toMatch(
    /^Your last order is in partition 2, at offset \d+\.$/,
  );
  wrong.push(...(await lookAt(page, "topic")));
  await goOn(page, "One consumer");

  await noteCode("one");
  expect(await page.locator(".turns button", { hasText: NEXT }).isDisabled()).toBe(true);
  await button(page, "Start the first consumer").click();
  await goOn(page, "A second consumer joins");
  expect(sharesOf(await groupOf(billing))).toEqual([4]);

  await noteCode("two");
  await button(page, "Start a second consumer").click();
  await goOn(page, "More consumers, smaller shares");
  expect(sharesOf(await groupOf(billing))).toEqual([2, 2]);

  await noteCode("four");
  await button(page, "Start a third consumer").click();
  await button(page, "Start a fourth consumer").click();
  await goOn(page, "One too many");
  expect(sharesOf(await groupOf(billing))).toEqual([1, 1, 1, 1]);

  await noteCode("five");
  await button(page, "Start a fifth consumer").click();
  await done(page);
  await page.locator(".member.idle").waitFor();
  expect(sharesOf(await groupOf(billing))).toEqual([1, 1, 1, 1, 0]);
  wrong.push(...(await lookAt(page, "five")));
  await goOn(page, "A consumer dies");

  await noteCode("death");
  const before = await groupOf(billing);
  const closedBefore = closedSockets;
  await button(page, "Unplug a consumer").click();
  await page.getByText(/^silent: \d s left$/).waitFor();
  await until("the broker keeps its partition", async () => (await goals(page)) === 1);
  const meanwhile = await groupOf(billing);
  expect(sharesOf(meanwhile)).toEqual([1, 1, 1, 1, 0]);
  expect(meanwhile.members.every(({ connected }) => connected)).toBe(true);
  expect(closedSockets).toBe(closedBefore);
  await done(page);
  expect(sharesOf(await groupOf(billing))).toEqual([1, 1, 1, 1]);
  const found = await page.locator(".note").textContent();
  const [, seconds] =
    /had been handled\. Another consumer went on at offset \d+, (\d+\.\d) s after/.exec(
      found ?? "",
    ) ?? [];
  expect(Number(seconds)).toBeGreaterThanOrEqual(SESSION_MS / 1_000);
  const later = await groupOf(billing);
  for (const [i, { committedOffset }] of later.offsets.entries())
    expect(committedOffset).toBeGreaterThanOrEqual(before.offsets[i]?.committedOffset ?? 0);
  wrong.push(...(await lookAt(page, "death")));
  await goOn(page, "A consumer leaves");

  await noteCode("farewell");
  await button(page, "Close a consumer").click();
  await done(page);
  expect(closedSockets).toBeGreaterThan(closedBefore);
  expect(sharesOf(await groupOf(billing))).toEqual([2, 1, 1]);
  expect(await page.locator(".note").textContent()).toMatch(
    /^Partition \d moved within .* The one without a goodbye took \d+\.\d s\.$/,
  );
  await goOn(page, "Queue, or publish and subscribe");

  await noteCode("groups");
  await button(page, "Start a consumer of a second group").click();
  await goOn(page, "Lag");
  expect(sharesOf(await groupOf(audit))).toEqual([4]);
  expect(sharesOf(await groupOf(billing))).toEqual([2, 1, 1]);

  await noteCode("lag");
  const lagOf = async (group: string) =>
    (await groupOf(group)).offsets.reduce((sum, { lag }) => sum + (lag ?? 0), 0);
  await button(page, "Slow the billing consumers down").click();
  await until("they are behind", async () => (await goals(page)) === 1);
  expect(await lagOf(billing)).toBeGreaterThan(10);
  expect(await lagOf(audit)).toBeLessThan(10);
  wrong.push(...(await lookAt(page, "lag")));
  await button(page, "Speed them up").click();
  await done(page);
  expect(await lagOf(billing)).toBeLessThan(10);
  await goOn(page, "Rewind");

  await noteCode("rewind");
  const position = (await groupOf(billing)).offsets.map(
    ({ committedOffset }) => committedOffset ?? 0,
  );
  await button(page, "Set audit back to the start").click();
  await done(page);
  const went = (await groupOf(billing)).offsets.map(({ committedOffset }) => committedOffset ?? 0);
  for (const [i, offset] of went.entries()) expect(offset).toBeGreaterThanOrEqual(position[i] ?? 0);
  const history = await rivulet.admin.groupHistory(audit);
  expect(history.map(({ type }) => type)).toContain("offsets reset");
  wrong.push(...(await lookAt(page, "rewind")));
  await goOn(page, "What you have seen");
  wrong.push(...(await lookAt(page, "seen")));

  const { url } = broker;
  expect([...codes]).toEqual(
    STEPS.map(({ id }) => [id, codeOf(id, { url, topic, isClosed: false })]),
  );
  await page.getByRole("link", { name: "The records of the topic" }).waitFor();
  await button(page, "Clean up").click();
  await page.getByText("The broker is as it was before.").waitFor();
  wrong.push(...(await lookAt(page, "clean")));
  expect(await rivulet.admin.listTopics()).toEqual([]);
  await until("the groups are gone", async () => (await rivulet.admin.listGroups()).length === 0);
  await page.setViewportSize({ width: 390, height: 800 });
  await button(page, "Start again").click();
  await button(page, "Create a topic with four partitions").waitFor();
  expect(await page.evaluate<number>("scrollY")).toBe(0);
  expect(await page.locator(".step-list button:enabled").count()).toBe(1);
  expect(wrong).toEqual([]);
  expect(faults).toEqual([]);
  await context.close();
}, 240_000);

test("[LRN-9] [LRN-3] the keyboard alone does the first three steps, and each event is announced once", async () => {
  const { context, page, faults } = await openLesson();
  const told: string[] = [];
  await page.exposeFunction("told", (text: string) => void told.push(text));
  await page.evaluate(`new MutationObserver(() => {
    told(document.querySelector("[aria-live]").textContent);
  }).observe(document.querySelector("[aria-live]"), { childList: true, characterData: true, subtree: true })`);
  const heading = async (title: string) => {
    await page.getByRole("heading", { name: title, level: 1 }).waitFor();
    await until(
      "it has the focus",
      async () => await page.evaluate<boolean>("document.activeElement.tagName === 'H1'"),
    );
  };
  const press = async (name: RegExp) => {
    await tabTo(page, name);
    await page.keyboard.press("Enter");
  };
  await press(/^Create a topic/);
  await until("there are records", async () => (await goals(page)) === 1);
  await press(/^Send an order/);
  await until(
    "it is told where it is",
    async () => (await page.locator(".cell.own").count()) === 1,
  );
  await page.keyboard.press("Enter"); // The focus has stayed.
  await done(page);
  await press(NEXT);
  await heading("One consumer");
  await press(/^Start the first consumer$/);
  await done(page);
  await press(NEXT);
  await heading("A second consumer joins");
  await press(/^Start a second consumer$/);
  await done(page);
  await press(/^Pause the picture$/);
  expect(await button(page, "Pause the picture").getAttribute("aria-pressed")).toBe("true");
  await press(/^1\. A topic and its partitions, done$/);
  await heading("A topic and its partitions");
  await press(/^Start again$/);
  await until("everything is gone", async () => (await rivulet.admin.listTopics()).length === 0);
  await until("it begins anew", async () => (await button(page, /done$/).count()) === 0);
  expect(await page.evaluate<string>("document.activeElement.id")).toBe("main");
  expect(await page.locator(".step-list button:enabled").count()).toBe(1);
  expect(await page.locator(".step-list button").allTextContents()).toEqual([
    ...STEPS.map((_, i) => String(i + 1)),
    "Summary",
  ]);
  expect(told.slice(0, 3)).toEqual(["Step 1 is done.", "Step 2 is done.", "Step 3 is done."]);
  expect(told.slice(3)).toEqual(["The topic and the groups have been deleted."]);
  expect(faults).toEqual([]);
  await context.close();
});

test("[LRN-7] the picture can be paused while the lesson continues, and no record moves with reduced motion", async () => {
  const { context, page, faults } = await openLesson({ motion: "reduce" });
  await page.evaluate(`
    window.seen = 0;
    new MutationObserver(() => { window.seen += document.querySelectorAll(".dot").length; })
      .observe(document.querySelector(".stage"), { childList: true, subtree: true });
  `);
  const topic = await firstStep(page);
  await button(page, "Start the first consumer").click();
  const sent = async () =>
    Number((await page.locator(".producer .state").textContent())?.split(" ")[0]);
  const stored = async () =>
    (await groupOf(`${topic}-billing`)).offsets.reduce(
      (sum, { logEndOffset }) => sum + logEndOffset,
      0,
    );
  await until("the numbers tell it", async () => (await sent()) > 10);
  await button(page, "Pause the picture").click();
  const picture = await page.locator(".stage").innerHTML();
  const before = await stored();
  await until("the lesson goes on", async () => (await stored()) > before + 5);
  expect(await page.locator(".stage").innerHTML()).toBe(picture);
  await button(page, "Pause the picture").click();
  await until("it shows what is now", async () => (await sent()) > before);
  expect(await page.evaluate<number>("window.seen")).toBe(0);
  await page.emulateMedia({ reducedMotion: "no-preference" });
  await until("records move", async () => (await page.locator(".dot").count()) > 0);
  await button(page, "Pause the picture").click();
  await until(
    "nothing moves",
    async () =>
      await page.evaluate<boolean>(
        "document.getAnimations().every(({ playState }) => playState !== 'running')",
      ),
  );
  expect(faults).toEqual([]);
  await context.close();
});

test("[LRN-11] leaving the page stops its members, and the next lesson in the tab removes the leftovers", async () => {
  const { context, page, faults } = await openLesson();
  const topic = await firstStep(page);
  await button(page, "Start the first consumer").click();
  await done(page);
  await page.goto(`${broker.url}/console`);
  await page.getByRole("link", { name: "Learn consumer groups" }).click();
  await button(page, "Create a topic with four partitions").waitFor();
  await until(
    "its members are gone",
    async () => (await groupOf(`${topic}-billing`)).members.length === 0,
  );
  const next = await createTopic(page);
  expect(next).not.toBe(topic);
  const names = async () => (await rivulet.admin.listTopics()).map(({ name }) => name);
  await until("what was left is gone", async () => !(await names()).includes(topic));
  expect(await names()).toContain(next);
  expect(faults).toEqual([]);
  await context.close();
});

test("[LRN-10] [LRN-11] a closed broker asks for a key, and says what a key lacks", async () => {
  const closed = await BrokerProcess.start({ env: { RIVULET_ROOT_KEY: ROOT_KEY } });
  const { admin } = new Rivulet({ url: closed.url, token: ROOT_KEY });
  const grants = [
    { topics: { prefix: "learn-" }, operations: ["CREATE", "WRITE", "READ", "DELETE"] },
    { groups: { prefix: "learn-" }, operations: ["READ", "DELETE"] },
  ] as const;
  const reader = await admin.createKey({ principal: "User:reader", role: "consume" });
  const learner = await admin.createKey({ principal: "User:learner", grants });
  const { context, page, faults } = await openWindow(browser, closed.url);
  const signIn = async (key: string) => {
    await page.getByLabel("API key or token").fill(key);
    await button(page, "Sign in").click();
  };
  await page.goto(`${closed.url}/console/learn`);
  await signIn(reader.key);
  await page
    .getByText("This key may not create, write and delete topics and delete groups.")
    .waitFor();
  expect(await violationsIn(page)).toEqual([]);
  expect(await button(page, /^Create a topic/).count()).toBe(0);
  await button(page, "Sign out").click();
  await signIn(learner.key);
  const topic = await firstStep(page);
  expect(topic).toMatch(/^learn-/);
  expect(await page.locator("pre").textContent()).toContain("token: process.env.RIVULET_TOKEN");
  await button(page, "Start the first consumer").click();
  await done(page);
  const members = async () => (await admin.describeGroup(`${topic}-billing`)).members.length;
  expect(await members()).toBe(1);
  await button(page, "Sign out").click();
  await until("its member has left", async () => (await members()) === 0);
  await signIn(learner.key);
  await button(page, "Create a topic with four partitions").waitFor();
  expect(faults).toEqual([]);
  await context.close();
  await closed.stop();
});

test("[LRN-10] a page loaded over plain HTTP from another machine says why it cannot begin", async () => {
  const { context, page, faults } = await openWindow(browser, broker.url);
  await page.addInitScript({
    content: 'Object.defineProperty(globalThis, "isSecureContext", { value: false })',
  });
  await page.goto(`${broker.url}/console/learn`);
  await page.getByText("came over HTTPS or from this machine").waitFor();
  expect(await button(page, /^Create a topic/).count()).toBe(0);
  expect(await violationsIn(page)).toEqual([]);
  expect(faults).toEqual([]);
  await context.close();
});

test("[LRN-3] a lost broker is reported until it is back, and the members continue", async () => {
  const own = await BrokerProcess.start();
  const { context, page } = await openWindow(browser, own.url);
  await page.goto(`${own.url}/console/learn`);
  const topic = await firstStep(page);
  await button(page, "Start the first consumer").click();
  await done(page);
  const { port, dataDir } = own;
  await own.signal("SIGTERM");
  await page.getByText("The broker cannot be reached.").waitFor();
  const again = await BrokerProcess.start({ port, dataDir });
  await page.locator(".note.danger").waitFor({ state: "detached" });
  const { admin } = new Rivulet({ url: again.url });
  const committed = async () =>
    (await admin.describeGroup(`${topic}-billing`)).offsets.reduce(
      (sum, { committedOffset }) => sum + (committedOffset ?? 0),
      0,
    );
  const before = await committed();
  await until("it reads on", async () => (await committed()) > before);
  await context.close();
  await again.stop();
});
