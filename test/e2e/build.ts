import { build } from "../../src/self-host/build.ts";
import { installNativeClient } from "./kafka/native-client.ts";

/** The bundle under test is built from the current sources. */
export default async function setUp(): Promise<void> {
  await Promise.all([build(), installNativeClient()]);
}
