// README.md and docs/, run block by block. [EXA-3]
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { unstable_readConfig } from "wrangler";
import { BrokerProcess } from "../e2e/broker.ts";
import { type Block, blocksOf } from "./blocks.ts";
import { PageRun, ROOT, RUN } from "./page-run.ts";

/** Its clients are installed by `npm run test:kafka-clients`, which runs it. */
const ELSEWHERE = new Set(["docs/kafka.md"]);
/** Languages that are not run. JSON and wrangler's TOML are parsed; SQL and a unit of systemd are not
 * tried here. */
const SHOWN = new Set(["text", "json", "toml", "sql", "ini"]);

const pages = ["README.md", ...readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`)]
  .filter((path) => path.endsWith(".md") && !ELSEWHERE.has(path))
  .sort();

/** Checks JSON, and lines of wrangler.toml, which wrangler reads and knows. */
function assertParsed({ language, text, line }: Block, page: string): void {
  if (language === "json") JSON.parse(text);
  if (language !== "toml") return;
  const folder = mkdtempSync(join(tmpdir(), "rivulet-toml-"));
  const file = join(folder, "wrangler.toml");
  writeFileSync(file, `name = "rivulet"\nmain = "worker.js"\n${text}\n`);
  try {
    const warnings = vi.spyOn(console, "warn").mockImplementation(() => {});
    unstable_readConfig({ config: file });
    expect(warnings.mock.calls.flat(), `${page}:${line}`).toEqual([]);
    warnings.mockRestore();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// One broker for all pages: whoever reads one after another meets no name twice.
let broker: BrokerProcess;
beforeAll(async () => {
  broker = await BrokerProcess.start({ env: { HOST: "127.0.0.1" } });
});
afterAll(() => broker.stop());

describe.each(pages)("%s", (page) => {
  const all = blocksOf(readFileSync(join(ROOT, page), "utf8"));
  const blocks = all.filter(
    ({ language, words }) => !SHOWN.has(language) || words.from !== undefined,
  );
  let run: PageRun;
  beforeAll(() => {
    run = new PageRun(page, { http: new URL(broker.url).host, kafka: broker.kafka });
  });
  afterAll(() => run.end());
  test(`[EXA-3] each block does what the page says`, async () => {
    for (const { language, line, words } of blocks)
      if (words.from === undefined) expect(RUN, `${page}:${line}`).toContain(language);
    for (const block of all) assertParsed(block, page);
    for (const block of blocks) await run.run(block);
  });
});
