// A page's script. The page's address has the topic and the broker's address: `/TOPIC?URL`.
import { exchange } from "./exchange.ts";

declare const location: { readonly pathname: string; readonly search: string };

const { pathname, search } = location;
console.log(JSON.stringify(await exchange(search.slice(1), pathname.slice(1))));
