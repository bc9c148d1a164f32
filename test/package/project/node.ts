// A program in Node: `node node.ts URL`.
import { exchange } from "./exchange.ts";

console.log(JSON.stringify(await exchange(process.argv[2] ?? "", "node")));
