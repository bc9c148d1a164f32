import { build } from "../../src/self-host/build.ts";
import { installNativeClient } from "./kafka/native-client.ts";

/** The bundle under test is that of the sources as they are now. */
export default async function setUp(): Promise<void> {
  await Promise.all([build(), installNativeClient()]);
}
