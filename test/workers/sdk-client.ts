// The SDK inside the Workers runtime: its requests and sockets go to the Worker under test, over a service binding.
import { exports } from "cloudflare:workers";
import { Rivulet, type RivuletService } from "../../src/sdk/index.ts";
import { overBinding } from "../../src/sdk/worker-binding.ts";

export function sdkClient(): Rivulet {
  return new Rivulet(overBinding((exports as unknown as { Rivulet: RivuletService }).Rivulet));
}
