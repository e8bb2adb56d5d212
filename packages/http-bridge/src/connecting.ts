import type { ClientRequest } from "node:http";
import { TLSSocket } from "node:tls";

/** How long a connection to the apiserver, TLS included, may take, in milliseconds. kubectl is to hear within 5 s. */
const CONNECT_TIMEOUT_MS = 4_000;

/** The connection of one request. */
export interface Connecting {
  /** Whether the connection was made: from then on the request may have reached the apiserver. */
  made: boolean;
}

/** Follows a request's connection, and destroys the request if it is not made in time. A kept one is made already. */
export function followConnecting(request: ClientRequest): Connecting {
  const connecting: Connecting = { made: false };
  request.once("socket", (socket) => {
    if (!socket.connecting && request.reusedSocket) {
      connecting.made = true;
      return;
    }
    const timer = setTimeout(() => request.destroy(new Error("no connection within 4 s")), CONNECT_TIMEOUT_MS);
    socket.once("close", () => clearTimeout(timer));
    socket.once(socket instanceof TLSSocket ? "secureConnect" : "connect", () => {
      connecting.made = true;
      clearTimeout(timer);
    });
  });
  return connecting;
}
