// The global WebSocket for Node 20, which has none. Other runtimes never load this.
import { WebSocket } from "ws";

globalThis.WebSocket = WebSocket as unknown as typeof globalThis.WebSocket;
