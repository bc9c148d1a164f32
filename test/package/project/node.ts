// A program in Node, Deno or Bun: `node node.ts URL TOPIC`.
import { exchange } from "./exchange.ts";

const [, , url = "", topic = ""] = process.argv;
console.log(JSON.stringify(await exchange(url, topic)));
