// The pages of examples/browser in a real browser, against a running broker.
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { until } from "../support/until.ts";
import { launchChromium } from "./chromium.ts";
import { Pages, runInPage } from "./pages.ts";

declare global {
  var smoke: (url: string) => Promise<unknown>;
}

let broker: BrokerProcess;
let pages: Pages;
let browser: Browser;
beforeAll(async () => {
  broker = await BrokerProcess.start();
  pages = await Pages.start();
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  pages?.stop();
  await broker?.stop();
});

async function open(name: string): Promise<Page & { errors: string[] }> {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await page.goto(`${pages.url}/${name}.html?broker=${broker.url}`);
  return Object.assign(page, { errors });
}

const partitionsOf = async (page: Page) =>
  ((await page.textContent("#partitions")) ?? "").split(", ").filter((text) => /^\d+$/.test(text));

test("[EXA-2] a plain page and one with the SDK share a group, send, and take over from each other", async () => {
  const { admin } = new Rivulet({ url: broker.url });
  await admin.createTopic({ name: "clicks", partitions: 3 });
  const plain = await open("plain");
  await until("the plain page has all", async () => (await partitionsOf(plain)).length === 3);
  const sdk = await open("sdk");
  await until("they share", async () => {
    const [a, b] = [await partitionsOf(plain), await partitionsOf(sdk)];
    return (
      a.length > 0 && b.length > 0 && new Set([...a, ...b]).size === 3 && a.length + b.length === 3
    );
  });
  for (let i = 0; i < 4; i++)
    for (const page of [plain, sdk]) {
      const before = await page.textContent("#sent");
      await page.click("#send");
      await until("it was stored", async () => (await page.textContent("#sent")) !== before);
      expect(await page.textContent("#sent")).toMatch(/^stored in partition \d at \d+$/);
    }
  await until("each record is on one page", async () => {
    const counts = await Promise.all(
      [plain, sdk].map((page) => page.locator("#records li").count()),
    );
    return counts[0] !== undefined && counts[1] !== undefined && counts[0] + counts[1] === 8;
  });
  await plain.close({ runBeforeUnload: true });
  await until("the other takes over", async () => (await partitionsOf(sdk)).length === 3);
  expect(sdk.errors).toEqual([]);
  expect(plain.errors).toEqual([]);
});

test("[BRW-1] the SDK works in a browser: produce, compress, consume, seek, read, administer, fail", async () => {
  const page = await browser.newPage();
  await runInPage(page, pages, "smoke.js");
  const result = await page.evaluate((url) => globalThis.smoke(url), broker.url);
  const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);
  expect(result).toEqual({
    outcomes: 100,
    seen: [...upTo(50), ...upTo(100)],
    texts: 120,
    refused: "UNKNOWN_TOPIC_OR_PARTITION",
  });
});
