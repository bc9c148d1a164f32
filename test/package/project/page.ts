// A page's script. The page's address has the broker's: `?URL`.
import { exchange } from "./exchange.ts";

declare const location: { readonly search: string };

console.log(JSON.stringify(await exchange(location.search.slice(1), "page")));
