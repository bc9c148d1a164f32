// The SDK inside the Workers runtime, as in an edge function: its requests and sockets go to the Worker.
import { sdkSuite } from "../support/sdk-suite.ts";
import { sdkClient } from "./sdk-client.ts";

sdkSuite(sdkClient);
