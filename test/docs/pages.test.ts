// README.md and docs/, run block by block. [EXA-3]
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BrokerProcess } from "../e2e/broker.ts";
import { blocksOf } from "./blocks.ts";
import { PageRun, ROOT, RUN } from "./page-run.ts";

/** Its clients are installed by `npm run test:kafka-clients`, which runs it. */
const ELSEWHERE = new Set(["docs/kafka.md"]);
/** Languages that are not run: an output, a picture, and what a program writes. */
const SHOWN = new Set(["text", "json", "toml", "sql", "properties"]);

const pages = ["README.md", ...readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`)]
  .filter((path) => path.endsWith(".md") && !ELSEWHERE.has(path))
  .sort();

describe.each(pages)("%s", (page) => {
  const blocks = blocksOf(readFileSync(join(ROOT, page), "utf8")).filter(
    ({ language, words }) => !SHOWN.has(language) || words.from !== undefined,
  );
  let broker: BrokerProcess;
  let run: PageRun;
  beforeAll(async () => {
    broker = await BrokerProcess.start({ env: { HOST: "127.0.0.1" } });
    run = new PageRun(page, { http: new URL(broker.url).host, kafka: broker.kafka });
  });
  afterAll(async () => {
    await run.end();
    await broker.stop();
  });
  test(`[EXA-3] each block does what the page says`, async () => {
    for (const { language, line } of blocks) expect(RUN, `${page}:${line}`).toContain(language);
    for (const block of blocks) await run.run(block);
  });
});
