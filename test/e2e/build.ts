import { build } from "../../src/self-host/build.ts";

/** The bundle under test is that of the sources as they are now. */
export default build;
