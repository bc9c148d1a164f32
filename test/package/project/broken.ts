// Prints the stack trace of a call that fails: `node broken.ts URL`.
import { Rivulet } from "rivulet";

const rivulet = new Rivulet({ url: process.argv[2] ?? "" });
await rivulet.admin.createTopic({ name: "no/name" }).catch((error: Error) => {
  console.log(error.stack);
});
