// Serves the two pages, and the SDK to one of them.
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

const TYPES: Readonly<Record<string, string>> = { html: "text/html", js: "text/javascript" };
const port = Number(process.env.PAGES_PORT ?? 8080);

const server = createServer(({ url = "/" }, response) => {
  const [, folder, file, type] = /^\/(sdk\/)?([\w-]+\.(html|js))(?:\?.*)?$/.exec(url) ?? [];
  const path = fileURLToPath(new URL(`${folder ? "../../dist" : "."}/${file}`, import.meta.url));
  if (file === undefined || type === undefined || !existsSync(path)) {
    response.writeHead(404).end("plain.html and sdk.html are here\n");
    return;
  }
  response.writeHead(200, { "content-type": `${TYPES[type]}; charset=utf-8` });
  createReadStream(path).pipe(response);
});
server.listen(port, "127.0.0.1", () => {
  const address = server.address();
  const actual = typeof address === "object" ? address?.port : port;
  console.log(`pages on http://127.0.0.1:${actual}/plain.html and /sdk.html`);
});
