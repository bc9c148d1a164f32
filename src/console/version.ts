// The release that this console belongs to. The build says which: the console and the broker are one bundle.
declare const RIVULET_VERSION: string;

export const VERSION = RIVULET_VERSION;
