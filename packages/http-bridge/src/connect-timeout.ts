import type { ClientRequest } from "node:http";

/** How long a connection to the apiserver, TLS included, may take, in milliseconds. kubectl is to hear within 5 s. */
const CONNECT_TIMEOUT_MS = 4_000;

/** Destroys a request whose connection is not made in time. A kept connection has no time to lose. */
export function limitConnectTime(request: ClientRequest): void {
  request.once("socket", (socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(() => request.destroy(new Error("no connection within 4 s")), CONNECT_TIMEOUT_MS);
    const stop = (): void => clearTimeout(timer);
    socket.once("connect", stop);
    socket.once("close", stop);
  });
}
