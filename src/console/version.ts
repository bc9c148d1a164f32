// The release of this console. The build sets it, because the console and the broker are one bundle.
declare const RIVULET_VERSION: string;

export const VERSION = RIVULET_VERSION;
