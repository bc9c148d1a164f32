// The documentation, the page of the HTTP API and the page at the broker's address, in a real browser.
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { isTooWide, violationsIn } from "./axe.ts";
import { launchChromium } from "./chromium.ts";
import { openWindow, ROOT_KEY, SCREENSHOTS } from "./console-world.ts";

let broker: BrokerProcess;
let browser: Browser;
let rivulet: Rivulet;
beforeAll(async () => {
  broker = await BrokerProcess.start({ env: { RIVULET_ROOT_KEY: ROOT_KEY } });
  rivulet = new Rivulet({ url: broker.url, token: ROOT_KEY });
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await broker?.stop();
});

const PAGES = [
  { name: "start", path: "/" },
  { name: "docs", path: "/docs" },
  { name: "docs-groups", path: "/docs/consumer-groups" },
  { name: "docs-protocol", path: "/docs/protocol" },
  { name: "docs-api", path: "/docs/api" },
  { name: "docs-missing", path: "/docs/nowhere" },
];

const searchBox = (page: Page) => page.getByRole("combobox", { name: "Search the documentation" });
const options = (page: Page) => page.getByRole("option");

async function search(page: Page, words: string): Promise<void> {
  await searchBox(page).fill(words);
  await page.locator(".note-line", { hasText: /result|loaded/ }).waitFor();
}

/** Opens an operation of the reference, and its form. The others stay as they are. */
async function openForm(page: Page, id: string): Promise<void> {
  await page.goto(`${broker.url}/docs/api#${id}`);
  await page.locator(`#${id}`).getByRole("button", { name: "Try it" }).click();
  await page.locator(`#${id} form`).waitFor();
}

/** Returns a function that takes a picture of the page, and notes what is wrong with it. */
function looker(page: Page, wrong: string[], kind: string) {
  return async (name: string, fullPage = false) => {
    await page.screenshot({ path: `${SCREENSHOTS}/${name}-${kind}.png`, fullPage });
    const found = await violationsIn(page);
    if (await isTooWide(page)) found.push("wider than the window");
    wrong.push(...found.map((each) => `${name}: ${each}`));
  };
}

describe.each([
  { theme: "light", width: 1280 },
  { theme: "dark", width: 1280 },
  { theme: "light", width: 360 },
  { theme: "dark", width: 360 },
] as const)("$theme, $width pixels", ({ theme, width }) => {
  test("[DOC-9] every page is accessible", async () => {
    const { url } = broker;
    const { context, page, faults } = await openWindow(browser, url, { theme, width });
    const wrong: string[] = [];
    const look = looker(page, wrong, `${theme}-${width}`);
    for (const { name, path } of PAGES) {
      await page.goto(`${url}${path}`);
      await searchBox(page).waitFor();
      await look(name, true);
    }
    expect(wrong).toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[DOC-9] what opens on a page is accessible: lists, results, a form and its answer", async () => {
    const { url } = broker;
    const { context, page, faults } = await openWindow(browser, url, { theme, width });
    const wrong: string[] = [];
    const look = looker(page, wrong, `${theme}-${width}`);
    await page.goto(`${url}/docs`);
    if (width === 360) {
      await page.getByText("All pages").click();
      await page.getByText("On this page").click();
      await page.getByRole("navigation", { name: "Pages" }).waitFor();
      await look("docs-menu");
    }
    await search(page, "offset commit");
    await options(page).first().waitFor();
    await page.keyboard.press("ArrowDown");
    await look("docs-search");
    await search(page, "zzzzzz");
    await look("docs-search-nothing");
    await openForm(page, "delete-v1-topics-topic");
    await page.locator("#delete-v1-topics-topic").getByRole("button", { name: "Send" }).click();
    await page.getByRole("button", { name: "Delete" }).waitFor();
    await openForm(page, "post-v1-topics-topic-records");
    const form = page.locator("#post-v1-topics-topic-records form");
    await form.getByRole("button", { name: "Send" }).click();
    await form.getByRole("region", { name: "Answer" }).waitFor();
    await look("docs-try");
    expect(wrong).toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
  });
});

describe("the search", () => {
  test("[DOC-6] is used with the keyboard alone, and leads to the section", async () => {
    const { url } = broker;
    const { context, page, faults } = await openWindow(browser, url);
    await page.goto(`${url}/docs/protocol`);
    await searchBox(page).waitFor();
    expect(await page.evaluate(() => performance.getEntriesByType("resource").length)).toBeLessThan(
      6,
    );
    await page.keyboard.press("/");
    expect(await searchBox(page).evaluate((box) => box.matches(":focus"))).toBe(true);
    await page.keyboard.type("openapi.json");
    await options(page).first().waitFor();
    const count = await options(page).count();
    expect(await page.locator("[role=status]").textContent()).toMatch(/^\d+ results?/);
    expect(await searchBox(page).getAttribute("aria-expanded")).toBe("true");
    const titles = await options(page).locator("strong").allTextContents();
    expect(titles).toContain("HTTP API reference › GET /openapi.json");
    const place = titles.indexOf("HTTP API reference › GET /openapi.json");
    for (let i = 0; i <= place; i++) await page.keyboard.press("ArrowDown");
    const chosen = await searchBox(page).getAttribute("aria-activedescendant");
    expect(await page.locator(`#${chosen}`).getAttribute("aria-selected")).toBe("true");
    expect(await page.locator("[aria-selected=true]").count()).toBe(1);
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${url}/docs/api#get-openapi.json`);
    await page.getByRole("heading", { name: "GET /openapi.json" }).waitFor();
    expect(count).toBeGreaterThan(0);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[DOC-6] marks the words in the text, and Escape closes and then empties it", async () => {
    const { url } = broker;
    const { context, page } = await openWindow(browser, url);
    await page.goto(`${url}/docs/protocol`);
    await search(page, "subprotocol");
    const marks = await page.locator(".results mark").allTextContents();
    expect(marks.map((mark) => mark.toLowerCase())).toContain("subprotocol");
    expect(await options(page).first().getAttribute("href")).toMatch(/^\/docs\/\w+/);
    await page.keyboard.press("Escape");
    expect(await page.locator(".results").isVisible()).toBe(false);
    expect(await searchBox(page).inputValue()).toBe("subprotocol");
    await page.keyboard.press("Escape");
    expect(await searchBox(page).inputValue()).toBe("");
    await search(page, "zzzzzz");
    expect(await page.locator("[role=status]").textContent()).toBe("No results");
    await context.close();
  });

  test("[DOC-6] [DOC-9] on a phone the results lie above everything in the page", async () => {
    const { url } = broker;
    const { context, page, faults } = await openWindow(browser, url, { width: 390 });
    await page.goto(`${url}/docs/limits`);
    await page.locator(".scroll").first().scrollIntoViewIfNeeded();
    await searchBox(page).fill("partition");
    await options(page).first().waitFor();
    const beside = await page.evaluate<string[]>(`(() => {
      const panel = document.querySelector(".results");
      const { left, top, right, bottom } = panel.getBoundingClientRect();
      const found = [];
      for (let y = Math.max(0, top + 4); y < Math.min(innerHeight, bottom - 4); y += 8)
        for (const x of [left + 12, (left + right) / 2, right - 24]) {
          const hit = document.elementFromPoint(x, y);
          if (!panel.contains(hit)) found.push(x + ", " + y + ": " + hit?.outerHTML.slice(0, 80));
        }
      return found;
    })()`);
    expect(beside).toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[DOC-6] says so if it cannot be loaded, and tries again", async () => {
    const { url } = broker;
    const { context, page } = await openWindow(browser, url);
    await page.goto(`${url}/docs`);
    await page.route(/\/docs\/assets\/search-\w+\.json/, (route) => route.abort());
    await search(page, "offset");
    expect(await page.locator(".note-line").textContent()).toContain("cannot be loaded");
    await page.unrouteAll();
    await searchBox(page).fill("offsets");
    await options(page).first().waitFor();
    await context.close();
  });
});

describe("a page", () => {
  test("[DOC-4] can be read and gone through without JavaScript", async () => {
    const { url } = broker;
    const context = await browser.newContext({
      javaScriptEnabled: false,
      viewport: { width: 360, height: 800 },
    });
    const page = await context.newPage();
    await page.goto(`${url}/docs`);
    expect(await searchBox(page).count()).toBe(0);
    await page.getByText("All pages").click();
    await page
      .getByRole("navigation", { name: "Pages" })
      .getByRole("link", { name: "Protocol" })
      .click();
    await page.waitForURL(`${url}/docs/protocol`);
    await page.setViewportSize({ width: 1280, height: 800 });
    const menu = page.getByRole("navigation", { name: "Pages" });
    expect(await menu.getByRole("link", { name: "Protocol" }).isVisible()).toBe(true);
    await menu.getByRole("link", { name: /API/ }).click();
    await page.getByText("Create a topic").first().click();
    expect(await page.locator("#post-v1-topics").isVisible()).toBe(true);
    expect(await page.getByRole("button", { name: "Try it" }).count()).toBe(0);
    await context.close();
  });

  test("[DOC-4] copies its code, and says so", async () => {
    const { url } = broker;
    const { context, page } = await openWindow(browser, url);
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
    await page.goto(`${url}/`);
    const block = page.getByRole("region", { name: "SDK" }).locator(".code").last();
    await block.hover();
    await block.getByRole("button", { name: "Copy" }).click();
    await block.getByRole("button", { name: "Copied" }).waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(
      (await block.locator("code").textContent())?.trimEnd(),
    );
    expect(await page.locator("[role=status]").textContent()).toBe("Copied.");
    await context.close();
  });

  test("[DOC-10] shows the broker's own address in its code, and copies it", async () => {
    const { url } = broker;
    const { context, page, faults } = await openWindow(browser, url);
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
    const code = async () => (await page.locator(".code code").allTextContents()).join("\n");
    for (const path of ["/docs/http", "/docs/sdk", "/docs/streaming", "/docs/api"]) {
      await page.goto(`${url}${path}`);
      await page.locator(".code .copy").first().waitFor({ state: "attached" });
      expect(await code()).toContain(url);
      expect(await code()).not.toContain("127.0.0.1:8787");
    }
    await page.goto(`${url}/docs/streaming`);
    const socket = `${url.replace("http", "ws")}/v1/groups/`;
    const block = page.locator(".code", { hasText: `new WebSocket("${socket}` }).first();
    await block.hover();
    await block.getByRole("button", { name: "Copy" }).click();
    await block.getByRole("button", { name: "Copied" }).waitFor();
    expect(await page.evaluate<string>("navigator.clipboard.readText()")).toContain(socket);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[DOC-7] the start page shows the address once, and a button that copies each block", async () => {
    const { url } = broker;
    const context = await browser.newContext({
      ...{ viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true },
    });
    const page = await context.newPage();
    await page.goto(url);
    const blocks = page.locator(".code");
    await blocks.first().getByRole("button", { name: "Copy" }).waitFor();
    expect(await page.locator(".address code").allTextContents()).toContain(url);
    expect(await page.locator(".address", { hasText: url }).count()).toBe(1);
    for (const block of await blocks.all()) {
      const button = block.getByRole("button", { name: "Copy" });
      expect(await button.evaluate((each) => each.checkVisibility({ opacityProperty: true }))).toBe(
        true,
      );
      expect(await block.evaluate((each) => each.scrollWidth <= each.clientWidth)).toBe(true);
    }
    for (const code of await page.locator(".code pre").all())
      expect(await code.evaluate((each) => each.scrollWidth <= each.clientWidth)).toBe(true);
    await context.close();
  });

  test("[DOC-7] the start page behind a proxy shows the address that the reader sees", async () => {
    const { url } = broker;
    const seen = "https://broker.example";
    const context = await browser.newContext();
    const page = await context.newPage();
    await context.route(`${seen}/**`, async (route) => {
      const { pathname } = new URL(route.request().url());
      const { accept = "" } = route.request().headers();
      const answer = await fetch(`${url}${pathname}`, { headers: { accept } });
      const body = Buffer.from(await answer.arrayBuffer());
      const contentType = answer.headers.get("content-type") ?? "";
      await route.fulfill({ status: answer.status, contentType, body });
    });
    await page.goto(`${seen}/`);
    await page.locator(".code .copy").first().waitFor();
    const code = (await page.locator(".code code").allTextContents()).join("\n");
    expect(code).not.toContain(url);
    expect(code).toContain(`export RIVULET_URL=${seen} RIVULET_TOKEN=YOUR_KEY\n`);
    expect(code).toContain(`${seen}/v1/topics/hello-http/records`);
    expect(code).toContain(`new Rivulet({ url: "${seen}"`);
    expect(await page.locator(".address code").first().textContent()).toBe(seen);
    await context.close();
  });

  test("[DOC-9] has the theme that was chosen in the console", async () => {
    const { url } = broker;
    const { context, page, faults } = await openWindow(browser, url, { theme: "light" });
    const background = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
    await page.goto(`${url}/docs`);
    const light = await background();
    await page.evaluate(() => localStorage.setItem("rivulet.theme", "dark"));
    await page.reload();
    expect(await background()).not.toBe(light);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[DOC-9] begins with a link to its content", async () => {
    const { url } = broker;
    const { context, page } = await openWindow(browser, url);
    await page.goto(`${url}/docs/protocol`);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${url}/docs/protocol#content`);
    await page.keyboard.press("Tab");
    expect(await page.evaluate('document.activeElement.closest("main") !== null')).toBe(true);
    await context.close();
  });
});

describe("a form of the reference", () => {
  test("[DOC-8] creates a topic: nothing is sent before the click, and the credential with it", async () => {
    const { url } = broker;
    const { context, page, faults } = await openWindow(browser, url);
    const asked: string[] = [];
    page.on("request", (request) => {
      const { pathname } = new URL(request.url());
      if (pathname.startsWith("/v1/")) asked.push(`${request.method()} ${pathname}`);
    });
    await openForm(page, "post-v1-topics");
    const form = page.locator("#post-v1-topics form");
    expect(JSON.parse(await form.getByLabel(/^Body/).inputValue())).toEqual({
      ...{ name: "orders", partitions: 3 },
    });
    await form.getByLabel(/^Body/).fill('{"name":"tried","partitions":2}');
    expect(asked).toEqual([]);
    await form.getByRole("button", { name: "Send" }).click();
    await form.getByText("401 Unauthorized").waitFor();
    await page.getByLabel(/^Key or token/).fill(ROOT_KEY);
    const command = await form.locator(".command code").textContent();
    expect(command).toBe(
      `curl -X POST -H "Authorization: Bearer $RIVULET_TOKEN" -H 'Content-Type: application/json' --data-raw '{"name":"tried","partitions":2}' '${url}/v1/topics'`,
    );
    await form.getByRole("button", { name: "Send" }).click();
    await form.getByText("201 Created").waitFor();
    expect(asked).toEqual(["POST /v1/topics", "POST /v1/topics"]);
    expect(await form.getByRole("region", { name: "Answer" }).textContent()).toContain('"tried"');
    expect(await page.locator("[role=status]").textContent()).toContain("Answer 201");
    expect((await rivulet.admin.describeTopic("tried")).partitions).toBe(2);
    const kept = "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])";
    expect(await page.evaluate<string>(kept)).not.toContain(ROOT_KEY);
    expect(await page.content()).not.toContain(ROOT_KEY);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[DOC-8] asks before it deletes", async () => {
    const { url } = broker;
    await rivulet.admin.createTopic({ name: "doomed" });
    const { context, page } = await openWindow(browser, url);
    await openForm(page, "delete-v1-topics-topic");
    await page.getByLabel(/^Key or token/).fill(ROOT_KEY);
    const form = page.locator("#delete-v1-topics-topic form");
    await form.getByLabel("topic").fill("doomed");
    await form.getByRole("button", { name: "Send" }).click();
    await form.getByRole("button", { name: "Cancel" }).click();
    expect((await rivulet.admin.describeTopic("doomed")).name).toBe("doomed");
    await form.getByRole("button", { name: "Send" }).click();
    expect(await form.getByRole("alert").textContent()).toContain("DELETE /v1/topics/doomed");
    await form.getByRole("button", { name: "Delete" }).click();
    await form.getByText("204 No Content").waitFor();
    await expect(rivulet.admin.describeTopic("doomed")).rejects.toThrow();
    await context.close();
  });

  test("[DOC-8] neither Enter nor an edited target answers the question before a DELETE", async () => {
    const { url } = broker;
    for (const name of ["doomed-a", "doomed-b"]) await rivulet.admin.createTopic({ name });
    const { context, page } = await openWindow(browser, url);
    const deleted: string[] = [];
    page.on("request", (request) => {
      if (request.method() === "DELETE") deleted.push(new URL(request.url()).pathname);
    });
    await openForm(page, "delete-v1-topics-topic");
    await page.getByLabel(/^Key or token/).fill(ROOT_KEY);
    const form = page.locator("#delete-v1-topics-topic form");
    const topic = form.getByLabel("topic");
    await topic.fill("doomed-a");
    await topic.press("Enter");
    await form.getByRole("alert").waitFor();
    await topic.press("Enter");
    await topic.press("End");
    expect(await form.getByRole("alert").textContent()).toContain("DELETE /v1/topics/doomed-a");
    await topic.fill("doomed-b");
    await form.getByRole("button", { name: "Send" }).waitFor();
    expect(await form.getByRole("alert").count()).toBe(0);
    await topic.press("Enter");
    expect(await form.getByRole("alert").textContent()).toContain("DELETE /v1/topics/doomed-b");
    expect(deleted).toEqual([]);
    await form.getByRole("button", { name: "Delete" }).click();
    await form.getByText("204 No Content").waitFor();
    expect(deleted).toEqual(["/v1/topics/doomed-b"]);
    expect((await rivulet.admin.describeTopic("doomed-a")).name).toBe("doomed-a");
    await context.close();
  });

  test("[DOC-8] cuts a long answer, and says so", async () => {
    const { url } = broker;
    await rivulet.admin.createTopic({ name: "long" });
    await rivulet.producer.send("long", [{ value: "x".repeat(100_000) }]);
    const { context, page } = await openWindow(browser, url);
    const id = "get-v1-topics-topic-partitions-partition-records";
    await openForm(page, id);
    await page.getByLabel(/^Key or token/).fill(ROOT_KEY);
    const form = page.locator(`#${id} form`);
    await form.getByLabel("topic").fill("long");
    await form.getByLabel(/^offset/).fill("0");
    await form.getByRole("button", { name: "Send" }).click();
    await form.getByText("The first 64 KiB are shown").waitFor();
    await context.close();
  });

  test("[DOC-8] there is none where a connection is opened: the page says how", async () => {
    const { url } = broker;
    const { context, page } = await openWindow(browser, url);
    await page.goto(`${url}/docs/api#get-v1-groups-group-consume`);
    const operation = page.locator("#get-v1-groups-group-consume");
    expect(await operation.textContent()).toContain("new WebSocket(");
    await page.locator("button", { hasText: "Try it" }).first().waitFor({ state: "attached" });
    expect(await operation.getByRole("button", { name: "Try it" }).count()).toBe(0);
    const stream = page.locator("#get-v1-topics-topic-stream");
    expect(await stream.textContent()).toContain("new EventSource(");
    await context.close();
  });
});
