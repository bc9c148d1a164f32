// A developer's work with a topic in the console: producing records, sending them again, following and exporting them.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonRecord } from "../../src/protocol/json-record.ts";
import { until } from "../support/until.ts";
import { violationsIn } from "./axe.ts";
import { launchChromium } from "./chromium.ts";
import {
  ATTACKS,
  ConsoleWorld,
  LARGE,
  openWindow,
  ROOT_KEY,
  SCREENSHOTS,
  signIn,
} from "./console-world.ts";
import { FOCUSED, tabTo } from "./keyboard.ts";

let world: ConsoleWorld;
let browser: Browser;
beforeAll(async () => {
  world = await ConsoleWorld.start();
  await world.fill();
  await world.rivulet.admin.createTopic({ name: "tools", partitions: 4 });
  await world.rivulet.admin.createTopic({ name: "followed", partitions: 2 });
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

/** Returns the record at a place, as the broker returns it. */
async function recordAt(topic: string, partition: number, offset: number): Promise<JsonRecord> {
  const response = await fetch(
    `${url()}/v1/topics/${topic}/partitions/${partition}/records?offset=${offset}&maxRecords=1`,
    { headers: { authorization: `Bearer ${ROOT_KEY}` } },
  );
  const { records } = (await response.json()) as { records: JsonRecord[] };
  const [record] = records;
  if (record === undefined) throw new Error(`there is no record ${partition} / ${offset}`);
  return record;
}

/** Waits until the page says where a record was stored, and returns where. */
async function storedIn(page: Page, within = "main"): Promise<[number, number]> {
  const link = page.locator(within).getByRole("link", { name: /^partition \d+ at offset \d+$/ });
  const [partition = -1, offset = -1] =
    ((await link.textContent()) ?? "").match(/\d+/g)?.map(Number) ?? [];
  return [partition, offset];
}

describe("the form that produces a record", () => {
  test("[CON-15] [CON-6] sends what was typed with the keyboard, and links to where it is", async () => {
    const { context, page, faults } = await opened("/topics/tools");
    await page.getByText("There are no records here.").waitFor();
    await tabTo(page, /^Produce a record…$/);
    await page.keyboard.press("Enter");
    await page.getByLabel("Value", { exact: true }).waitFor();
    expect(await page.evaluate<string>(FOCUSED)).toContain("Key");
    await page.keyboard.type("foobar");
    await page.getByText("Partition 2, where Kafka's clients send it.").waitFor();
    await tabTo(page, /^Format of the value/);
    await page.keyboard.type("JSON");
    await tabTo(page, /^Value/);
    await page.keyboard.type('{"id": 9007199254740993');
    await tabTo(page, /^Add a header$/);
    await page.keyboard.press("Enter");
    await until("the new header has the focus", async () =>
      /Header 1/.test(await page.evaluate<string>(FOCUSED)),
    );
    await page.keyboard.type("trace");
    await tabTo(page, /^Value of header 1/);
    await page.keyboard.type("t-1");
    await page.keyboard.press("Enter");
    await page.getByText(/^This is not JSON/).waitFor();
    expect(await page.evaluate<string>(FOCUSED)).toMatch(/^Value/);
    const described = await page
      .getByLabel("Value", { exact: true })
      .getAttribute("aria-describedby");
    expect(await page.locator(`[id="${described}"]`).textContent()).toMatch(
      /^Error: This is not JSON/,
    );
    await page.keyboard.press("End");
    await page.keyboard.type("}");
    await tabTo(page, /^Send$/);
    await page.keyboard.press("Enter");
    await page.locator("dialog").waitFor({ state: "detached" });
    expect(await storedIn(page)).toEqual([2, 0]);
    expect(await recordAt("tools", 2, 0)).toMatchObject({
      key: "foobar",
      value: '{"id": 9007199254740993}',
      headers: { trace: "t-1" },
    });
    await until("the button has the focus again", async () =>
      /^Produce a record…$/.test(await page.evaluate<string>(FOCUSED)),
    );
    await page.getByRole("link", { name: "partition 2 at offset 0" }).click();
    await page.locator(".json-number").waitFor();
    expect(page.url()).toBe(`${url()}/console/topics/tools/records/2/0`);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-15] stays open on request, and takes tombstones, base64 and a partition number", async () => {
    const { context, page, faults } = await opened("/topics/tools");
    await page.getByRole("button", { name: "Produce a record…" }).click();
    await page.getByLabel("Keep the form open").check();
    await page.getByLabel("Format of the key").selectOption("base64");
    await page.locator("dialog").getByLabel("Key", { exact: true }).fill("AP8=");
    await page.getByLabel("Format of the value").selectOption("null");
    expect(await page.getByLabel("Value", { exact: true }).count()).toBe(0);
    await page.locator("dialog").getByLabel("Partition", { exact: true }).selectOption("number");
    await page.getByLabel("Number of the partition").fill("4");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("The topic has partitions 0 to 3.").waitFor();
    await page.getByLabel("Number of the partition").fill("3");
    for (const name of ["a", "b"]) {
      await page.getByRole("button", { name: "Add a header" }).click();
      await page.keyboard.type(name);
    }
    await page.getByLabel("Format of header 2").selectOption("null");
    await page.getByRole("button", { name: "Remove header 1" }).click();
    await page.getByRole("button", { name: "Send", exact: true }).click();
    expect(await storedIn(page, "dialog")).toEqual([3, 0]);
    expect(await recordAt("tools", 3, 0)).toMatchObject({
      keyBase64: "AP8=",
      value: null,
      headers: { b: null },
    });
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("partition 3 at offset 1").first().waitFor();
    expect(await recordAt("tools", 3, 1)).toMatchObject({ keyBase64: "AP8=" });
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    expect(await storedIn(page)).toEqual([3, 1]);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-15] shows a refusal of the broker where it belongs, and stores once what is sent again for lack of a response", async () => {
    const { context, page, faults } = await opened("/topics/tools");
    await page.getByRole("button", { name: "Produce a record…" }).click();
    await page.getByLabel("Value", { exact: true }).fill("x".repeat(1_200_000));
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.locator(".danger-text", { hasText: "max.message.bytes" }).waitFor();
    expect(await page.getByLabel("Value", { exact: true }).getAttribute("aria-invalid")).toBe(
      "true",
    );
    await page.getByLabel("Value", { exact: true }).fill("once");
    await page.locator("dialog").getByLabel("Key", { exact: true }).fill("foobar");
    await page.route(/\/records$/, async (route) => {
      await route.fetch();
      await route.abort();
    });
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("The broker cannot be reached.").waitFor();
    await page.unrouteAll();
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.locator("dialog").waitFor({ state: "detached" });
    const [partition, offset] = await storedIn(page);
    expect(await recordAt("tools", partition, offset)).toMatchObject({ value: "once" });
    const { offset: end } = await world.rivulet.admin.listOffset("tools", partition, "latest");
    expect(end).toBe(offset + 1);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-15] [CON-4] is offered only to those who may write", async () => {
    const make = (operations: ("READ" | "WRITE")[]) =>
      world.rivulet.admin.createKey({
        principal: "User:some",
        grants: [{ topics: { exact: "tools" }, operations }],
      });
    const reader = await opened("/topics/tools", (await make(["READ"])).key);
    await reader.page.getByRole("button", { name: "Read" }).waitFor();
    expect(await reader.page.getByRole("button", { name: /Produce|Send/ }).count()).toBe(0);
    await reader.context.close();
    const writer = await opened("/topics/tools", (await make(["WRITE"])).key);
    await writer.page.getByText("that requires READ").waitFor();
    await writer.page.getByRole("button", { name: "Produce a record…" }).click();
    await writer.page.getByLabel("Value", { exact: true }).fill("written only");
    await writer.page.getByRole("button", { name: "Send", exact: true }).click();
    const [partition, offset] = await storedIn(writer.page);
    expect(await recordAt("tools", partition, offset)).toMatchObject({ value: "written only" });
    expect(writer.faults).toEqual([]);
    await writer.context.close();
  });
});

describe("a record that is sent again", () => {
  test("[CON-15] [CON-2] has the same key, value and headers, whatever they contain", async () => {
    const { context, page, faults } = await opened("/topics/payments");
    for (let offset = 0; offset < 2 + ATTACKS.length; offset++) {
      await page.goto(`${url()}/console/topics/payments/records/0/${offset}`);
      await page.getByRole("button", { name: "Send again…" }).click();
      await page.getByRole("button", { name: "Send", exact: true }).click();
      const [partition, at] = await storedIn(page);
      expect(partition).toBe(0);
      const { offset: _, timestamp: __, ...sent } = await recordAt("payments", 0, offset);
      expect(await recordAt("payments", 0, at)).toMatchObject(sent);
    }
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-15] may be changed, and sent where its key belongs", async () => {
    const { context, page, faults } = await opened("/topics/orders");
    await page.getByRole("button", { name: /^Open record 65 of partition 1/ }).click();
    const before = await recordAt("orders", 1, 65);
    await page.getByRole("button", { name: "Send again…" }).click();
    expect(await page.getByLabel("Format of the value").inputValue()).toBe("json");
    expect(await page.getByLabel("Value", { exact: true }).inputValue()).toBe(before.value);
    await page.getByLabel("Value", { exact: true }).fill('{"changed":true}');
    await page.locator("dialog").getByLabel("Partition", { exact: true }).selectOption("key");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    const [partition, offset] = await storedIn(page);
    expect(partition).toBe(1); // Its key's.
    const { key, headers } = before;
    expect(await recordAt("orders", 1, offset)).toMatchObject({
      key,
      headers,
      value: '{"changed":true}',
    });
    expect(faults).toEqual([]);
    await context.close();
  });
});

describe("a topic that is followed", () => {
  /** Notes the sockets that the page has open. */
  function socketsOf(page: Page): Set<string> {
    const open = new Set<string>();
    page.on("websocket", (socket) => {
      open.add(socket.url());
      socket.on("close", () => open.delete(socket.url()));
    });
    return open;
  }

  const rowsOf = (page: Page) => page.locator("table.records tbody tr");
  const status = (page: Page) => page.locator("section[aria-label='Newest records']");

  test("[CON-16] [CON-6] shows new records, pauses, and counts the skipped ones", async () => {
    const { context, page, faults } = await opened("/topics/followed");
    const sockets = socketsOf(page);
    await page.getByText("There are no records here.").waitFor();
    await tabTo(page, /^Follow$/);
    await page.keyboard.press("Enter");
    await page.getByText("Following. 0 records").waitFor();
    const { producer } = world.rivulet;
    await producer.send("followed", [
      { key: "a", value: "first" },
      { key: "b", value: "second" },
    ]);
    await until("both are there", async () => (await rowsOf(page).count()) === 2);
    await tabTo(page, /^Pause$/);
    await page.keyboard.press("Enter");
    await until("nothing is read", () => sockets.size === 0);
    await producer.send("followed", [
      { key: "c", value: "unseen" },
      { key: "c", value: "unseen too" },
    ]);
    expect(await status(page).textContent()).toContain("Paused. 2 records");
    await page.keyboard.press("Enter");
    await page.getByText("2 skipped").waitFor();
    await producer.send("followed", [{ key: "d", value: "third" }]);
    await until("it is first", async () =>
      (await rowsOf(page).first().textContent())?.includes("third"),
    );
    expect(await rowsOf(page).count()).toBe(3);
    await page
      .getByRole("button", { name: /^Open record/ })
      .last()
      .click();
    await page.getByText("Paused. 3 records").waitFor();
    await page.getByText("Elsewhere").waitFor();
    await page.getByRole("button", { name: "Stop following" }).click();
    await page.getByText("5 of 5 offsets searched").waitFor();
    expect(sockets.size).toBe(0);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-16] is not read while the page is hidden, nor after it is left", async () => {
    const { context, page, faults } = await opened("/topics/followed");
    const sockets = socketsOf(page);
    await page.getByRole("button", { name: "Follow", exact: true }).click();
    await page.getByText("Following.").waitFor();
    const hide = (isHidden: boolean) =>
      page.evaluate(`
        Object.defineProperty(document, "hidden", { value: ${isHidden}, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      `);
    await hide(true);
    await until("nothing is read", () => sockets.size === 0);
    await world.rivulet.producer.send("followed", [{ key: "a", value: "while it was hidden" }]);
    await hide(false);
    await page.getByText("1 skipped").waitFor();
    expect(sockets.size).toBe(1);
    await page.getByRole("link", { name: "Partitions" }).click();
    await until("nothing is read", () => sockets.size === 0);
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-16] keeps the newest 500 rows, of the records that match", async () => {
    const { context, page, faults } = await opened("/topics/followed");
    await page.getByText("Filter the records").click();
    await page.getByLabel("Text", { exact: true }).fill("wanted");
    await page.getByRole("button", { name: "Follow", exact: true }).click();
    await page.getByText("Following.").waitFor();
    const values = Array.from({ length: 1_300 }, (_, i) =>
      i % 2 === 0 ? `wanted ${i}` : `other ${i}`,
    );
    await world.rivulet.producer.send(
      "followed",
      values.map((value) => ({ key: "k", value })),
    );
    await page.getByText("500 records, newest first; 150 skipped.").waitFor();
    expect(await rowsOf(page).count()).toBe(500);
    expect(await rowsOf(page).first().textContent()).toContain("wanted 1298");
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-16] [CON-2] shows an attacker's bytes as text", async () => {
    const { context, page, faults } = await opened("/topics/followed");
    await page.getByRole("button", { name: "Follow", exact: true }).click();
    await page.getByText("Following.").waitFor();
    await world.rivulet.producer.send(
      "followed",
      ATTACKS.map((attack) => ({ key: attack, value: attack, headers: { [attack]: attack } })),
    );
    await until("all are there", async () => (await rowsOf(page).count()) === ATTACKS.length);
    const shown = (await rowsOf(page).allTextContents()).join("\n");
    for (const attack of ATTACKS) expect(shown).toContain(attack);
    for (const open of await page.getByRole("button", { name: /^Open record/ }).all()) {
      await open.click();
      await page.locator(".record-detail").waitFor();
      await page.getByRole("button", { name: /^Close record/ }).click();
    }
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-16] ends with the reason when the topic is deleted", async () => {
    await world.rivulet.admin.createTopic({ name: "short-lived" });
    const { context, page, faults } = await opened("/topics/short-lived");
    await page.getByRole("button", { name: "Follow", exact: true }).click();
    await page.getByText("Following.").waitFor();
    await world.rivulet.admin.deleteTopic("short-lived");
    await page.locator(".note.danger").waitFor();
    await page.getByText("Paused.").waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });
});

describe("a file of what is shown", () => {
  /** Presses a button, and returns the name and the text of the file that it makes. */
  async function downloaded(page: Page, button: string): Promise<[string, string]> {
    const waiting = page.waitForEvent("download");
    await page.getByRole("button", { name: button }).first().click();
    const download = await waiting;
    return [download.suggestedFilename(), await readFile(await download.path(), "utf8")];
  }

  test("[CON-17] [CON-2] has the records, exact, and nothing that a spreadsheet would run", async () => {
    await world.rivulet.admin.createTopic({ name: "exported" });
    const values = ["=1+1", "+1", "-1", "@a", `{"id":${LARGE}}`, ...ATTACKS];
    await world.rivulet.producer.send(
      "exported",
      values.map((value) => ({ key: value, value, headers: { [value]: value } })),
    );
    const { context, page, faults } = await opened("/topics/exported");
    await until(
      "all are read",
      async () => (await page.locator("table.records tbody tr").count()) === values.length,
    );
    const [lineName, lines] = await downloaded(page, "Download as NDJSON");
    expect(lineName).toBe("exported-records.ndjson");
    const records = lines
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as JsonRecord);
    expect(records.map(({ value }) => value).reverse()).toEqual(values);
    const [csvName, csv] = await downloaded(page, "Download as CSV");
    expect(csvName).toBe("exported-records.csv");
    expect(csv).toContain(`"{""id"":${LARGE}}"`);
    for (const formula of ["=1+1", "+1", "-1", "@a"]) expect(csv).toContain(`,"'${formula}",`);
    expect(csv).not.toMatch(/(^|,)"?[=+\-@]/m);
    for (const attack of ATTACKS) expect(csv).toContain(attack.replaceAll('"', '""'));
    await page.getByRole("button", { name: "Follow", exact: true }).click();
    await page.getByText("Following.").waitFor();
    await world.rivulet.producer.send("exported", [{ key: "k", value: "followed" }]);
    await page.locator("table.records").waitFor();
    expect((await downloaded(page, "Download as NDJSON"))[1]).toContain('"value":"followed"');
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-17] has the partitions of a topic, and the lag of groups", async () => {
    const { context, page, faults } = await opened("/topics/orders/partitions");
    await until(
      "all have answered",
      async () => (await page.getByText("has the topic's config").count()) === 6,
    );
    const [name, csv] = await downloaded(page, "Download as CSV");
    expect(name).toBe("orders-partitions.csv");
    const [head, ...rows] = csv.trimEnd().split("\r\n");
    expect(head).toBe('"partition","log start","log end","offsets","state"');
    expect(rows).toHaveLength(6);
    expect(rows[0]).toMatch(/^0,0,(\d+),\1,"has the topic's config"$/);
    await page.goto(`${url()}/console/groups/billing`);
    await page.locator("svg .partition").first().waitFor();
    const [lagName, lag] = await downloaded(page, "Download as CSV");
    expect(lagName).toBe("billing-lag.csv");
    expect(lag).toMatch(/"orders",1,,3,\d+,\d+,\d+\r\n/);
    await page.goto(`${url()}/console/groups`);
    await page.locator("td:has-text('RECONCILING')").waitFor();
    await until("all have answered", async () => (await page.getByText("…").count()) === 0);
    const [groupsName, groups] = await downloaded(page, "Download as CSV");
    expect(groupsName).toBe("groups-lag.csv");
    expect(groups).toMatch(/"billing","EMPTY",0,\d+,\d+\r\n/);
    expect(faults).toEqual([]);
    await context.close();
  });
});

describe("what is copied", () => {
  /** Runs a command as a shell does, with the key that it requires, and returns its output. */
  async function run(file: string, ...args: string[]): Promise<string> {
    const env = { ...process.env, RIVULET_TOKEN: ROOT_KEY };
    return (await promisify(execFile)(file, args, { env, timeout: 30_000 })).stdout;
  }

  /** Presses a button that copies, and returns the copied text. */
  async function copied(page: Page, button: string, within = "main"): Promise<string> {
    const place = page.locator(within);
    // The name changes with the outcome, and another button may show its own still.
    const pressed = await place.getByRole("button", { name: button }).elementHandle();
    await pressed?.click();
    await until("it is copied", async () => (await pressed?.textContent()) === "Copied");
    return await page.evaluate<string>("navigator.clipboard.readText()");
  }

  test("[CON-19] is a command and a program that print the record, or a command that produces one", async () => {
    const { context, page, faults } = await opened("/topics/orders/records/1/40");
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const { key, value, headers } = await recordAt("orders", 1, 40);
    const answer = JSON.parse(await run("sh", "-c", await copied(page, "Copy as curl")));
    expect(answer.records).toMatchObject([{ offset: 40, key, value, headers }]);
    const folder = await mkdtemp(join(tmpdir(), "rivulet-copied-"));
    const program = join(folder, "main.mjs");
    const client = pathToFileURL(resolve("dist/client.js")).href;
    await writeFile(
      program,
      (await copied(page, "Copy for the SDK")).replace('"rivulet"', JSON.stringify(client)),
    );
    expect(await run(process.execPath, program)).toMatch(/partition: 1,\s+offset: 40,/);
    await rm(folder, { recursive: true });
    await page.getByRole("button", { name: "Send again…" }).click();
    await page.getByLabel("Value", { exact: true }).fill(`it's "$HOME"\n${ATTACKS[0]}`);
    await page.getByLabel("Format of the value").selectOption("text");
    const command = await copied(page, "Copy as curl", "dialog");
    const { results } = JSON.parse(await run("sh", "-c", command));
    expect(await recordAt("orders", 1, results[0].offset)).toMatchObject({
      key,
      value: `it's "$HOME"\n${ATTACKS[0]}`,
      headers,
    });
    expect(faults).toEqual([]);
    await context.close();
  });
});

describe("a favorite", () => {
  const favorites = (page: Page, kind: string) =>
    page.getByRole("navigation", { name: `Favorite ${kind}` }).getByRole("link");

  test("[CON-18] [CON-6] comes first, until its star is removed", async () => {
    const { context, page, faults } = await opened("/topics/orders");
    await page.locator("table.records").waitFor();
    await tabTo(page, /Favorite orders$/);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Favorite orders", pressed: true }).waitFor();
    await page.goto(`${url()}/console/groups`);
    await page.getByRole("button", { name: `Favorite ${ATTACKS[0]}` }).click();
    expect(await favorites(page, "groups").allTextContents()).toEqual([ATTACKS[0]]);
    await page.goto(`${url()}/console`);
    expect(await favorites(page, "topics").allTextContents()).toEqual(["orders"]);
    expect(await favorites(page, "groups").allTextContents()).toEqual([ATTACKS[0]]);
    expect(await page.evaluate<string>('localStorage.getItem("rivulet.favorites")')).toBe(
      JSON.stringify([
        { kind: "topic", name: "orders" },
        { kind: "group", name: ATTACKS[0] },
      ]),
    );
    await page.goto(`${url()}/console/topics?prefix=pay`);
    await page.getByRole("link", { name: "payments" }).waitFor();
    expect(await favorites(page, "topics").count()).toBe(0);
    await page.goto(`${url()}/console/topics`);
    await page.getByRole("link", { name: "payments" }).waitFor();
    expect(await favorites(page, "topics").allTextContents()).toEqual(["orders"]);
    await page.getByRole("button", { name: "Favorite orders" }).first().click();
    await favorites(page, "topics").waitFor({ state: "detached" });
    expect(faults).toEqual([]);
    await context.close();
  });

  test("[CON-18] lasts on the page if the browser keeps nothing", async () => {
    const { context, page, faults } = await openWindow(browser, url());
    await page.addInitScript({
      content: `Object.defineProperty(window, "localStorage", {
        get() { throw new DOMException("denied", "SecurityError"); },
      });`,
    });
    await signIn(page, url());
    await page.getByRole("link", { name: "Topics" }).first().click();
    await page.getByRole("button", { name: "Favorite orders" }).click();
    await page.getByRole("link", { name: "Overview" }).click();
    await favorites(page, "topics").waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    expect(await favorites(page, "topics").count()).toBe(0);
    expect(faults).toEqual([]);
    await context.close();
  });
});

describe.each([
  { theme: "light", width: 1280 },
  { theme: "dark", width: 1280 },
  { theme: "light", width: 360 },
  { theme: "dark", width: 360 },
] as const)("$theme, $width pixels", ({ theme, width }) => {
  test("[CON-5] the tools for developers are accessible", async () => {
    const { context, page, faults } = await openWindow(browser, url(), { theme, width });
    await signIn(page, url());
    const wrong: string[] = [];
    const look = async (name: string) => {
      const path = `${SCREENSHOTS}/${name}-${theme}-${width}.png`;
      await page.screenshot({ path, fullPage: true });
      wrong.push(...(await violationsIn(page)).map((each) => `${name}: ${each}`));
    };
    await page.goto(`${url()}/console/topics/orders`);
    await page.locator("table.records").waitFor();
    await look("records-tools");
    await page.getByRole("button", { name: "Produce a record…" }).click();
    await page.locator("dialog").getByLabel("Key", { exact: true }).fill("customer-7");
    await look("produce");
    await page.getByLabel("Format of the value").selectOption("json");
    await page.locator("dialog").getByLabel("Partition", { exact: true }).selectOption("number");
    await page.getByLabel("Number of the partition").fill("99");
    await page.getByRole("button", { name: "Add a header" }).click();
    await page.getByLabel("Format of header 1").selectOption("base64");
    await page.getByLabel("Value of header 1").fill("?");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText(/^This is not JSON/).waitFor();
    await look("produce-wrong");
    await page.goto(`${url()}/console/topics/payments/records/0/2`);
    await page.getByRole("button", { name: "Send again…" }).click();
    await page.getByLabel("Value", { exact: true }).waitFor();
    await look("send-again");
    await page.goto(`${url()}/console/topics/followed`);
    await page.getByRole("button", { name: "Follow", exact: true }).click();
    await page.getByText("Following.").waitFor();
    await look("follow-nothing");
    await world.rivulet.producer.send("followed", [{ key: "k", value: '{"a":1}' }]);
    await page.locator("table.records").waitFor();
    await look("follow");
    await page.getByRole("button", { name: "Favorite followed" }).click();
    for (const [path, name] of [
      ["/topics", "Favorite orders"],
      ["/groups", "Favorite billing"],
    ] as const) {
      await page.goto(`${url()}/console${path}`);
      await page.getByRole("button", { name }).click();
      await page.locator("nav.favorites").waitFor();
      await look(`favorites${path.replace("/", "-")}`);
    }
    await page.goto(`${url()}/console`);
    await page.locator("nav.favorites").first().waitFor();
    await look("favorites-overview");
    expect(wrong).toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
  });
});
